"""WebP pictures that fit a number of bytes: lossless if they fit, then lossy, then fewer, then smaller."""

import base64
import io
from collections.abc import Sequence

from PIL import Image

from jaxgan.pictures.moving import evenly

_LARGEST = 1_600  # pixels of a side; a page shows no more
_QUALITIES = (None, 90, 80, 65, 50)  # None is lossless
_LEAST = 32  # pixels of a side, below which nothing is made smaller


def fitted(pictures: Sequence[Image.Image], most: int) -> tuple[list[int], list[bytes]]:
    """Returns pictures as WebP files that take at most so many bytes together.

    Args:
        pictures: of one size, in order.
        most: bytes.

    Returns:
        The numbers of the pictures that are kept, ascending, and their files; none where not even one fits.
    """
    kept, shown = list(range(len(pictures))), [_within(each, _LARGEST) for each in pictures]
    for quality in _QUALITIES:
        if (found := _encoded(shown, quality, most)) is not None:
            return kept, found
    while len(kept) > 1:
        chosen = evenly(shown, max(len(kept) // 2, 2)) if len(kept) > 2 else [len(kept) - 1]
        kept, shown = [kept[i] for i in chosen], [shown[i] for i in chosen]
        if (found := _encoded(shown, 65, most)) is not None:
            return kept, found
    while shown and min(shown[0].size) > _LEAST:
        shown = [_within(each, max(each.size) // 2) for each in shown]
        if (found := _encoded(shown, 50, most)) is not None:
            return kept, found
    return [], []


def _encoded(pictures: Sequence[Image.Image], quality: int | None, most: int) -> list[bytes] | None:
    found: list[bytes] = []
    for picture in pictures:
        found.append(webp(picture, quality))
        most -= len(found[-1])
        if most < 0:
            return None
    return found


def webp(picture: Image.Image, quality: int | None) -> bytes:
    """Returns a picture as a WebP file, lossless where no quality is given."""
    file, kept = io.BytesIO(), picture if picture.mode in ("RGB", "RGBA") else picture.convert("RGB")
    if quality is None:
        kept.save(file, "WEBP", lossless=True, method=4)
    else:
        kept.save(file, "WEBP", quality=quality, method=4)
    return file.getvalue()


def url(content: bytes) -> str:
    """Returns a WebP file as an address that holds it."""
    return f"data:image/webp;base64,{base64.b64encode(content).decode()}"


def _within(picture: Image.Image, side: int) -> Image.Image:
    if max(picture.size) <= side:
        return picture
    smaller = picture.copy()
    smaller.thumbnail((side, side), Image.Resampling.LANCZOS)
    return smaller
