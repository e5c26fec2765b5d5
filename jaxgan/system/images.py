"""Picture files, opened by Pillow once they are known to be files."""

import contextlib
import io
import os
from collections.abc import Iterator

from PIL import Image

from jaxgan.system import files

FORMATS = ("PNG", "JPEG", "WEBP")


@contextlib.contextmanager
def opened(source: str | os.PathLike[str] | bytes, *, formats: tuple[str, ...] | None = None) -> Iterator[Image.Image]:
    """Opens a picture; its pixels are decoded when they are asked for.

    Args:
        source: a file, or the bytes of one.
        formats: that bytes may have; all of Pillow's when None. A file has one of `FORMATS`.

    Yields:
        The picture.

    Raises:
        Missing, Unreadable: when there is no such file, or it is none.
        Exception: nearly any, of Pillow, while a damaged picture is opened or decoded.
    """
    if isinstance(source, bytes):
        with Image.open(io.BytesIO(source), formats=formats) as image:
            yield image
        return
    with files.opened(source) as file, Image.open(file, formats=FORMATS) as image:
        yield image
