"""Pictures as files: whole or not at all."""

import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from jaxgan.system import files

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STILL = (".png", ".webp", ".gif")
MOVING = (".webp", ".gif", ".mp4")


def write(picture: Image.Image, path: str | os.PathLike[str]) -> None:
    """Writes a picture whole or not at all: whoever reads the file meanwhile sees the old one or the new one.

    Args:
        picture: of any mode.
        path: the file, `.png`, `.webp` (both lossless) or `.gif`.

    Raises:
        ValueError: when the suffix is not one of these.
        FileNotFoundError: when the folder does not exist.
    """
    path = check_path(path, STILL)
    files.write(
        path, lambda file: picture.save(file, format_of(path), **({"lossless": True} if format_of(path) == "WEBP" else {}))
    )


def to_png(picture: Image.Image) -> bytes:
    """Returns a picture as the bytes of a PNG file."""
    held = io.BytesIO()
    picture.save(held, "PNG")
    return held.getvalue()


def check_path(path: str | os.PathLike[str], suffixes: Sequence[str] = STILL) -> Path:
    """A path that a picture can be written to, so that this is known before the picture is made.

    Raises:
        ValueError: when the suffix is not one of `suffixes`, or the path is a folder.
        FileNotFoundError: when its folder does not exist.
    """
    path = Path(path)
    if path.suffix.lower() not in suffixes:
        raise ValueError(f"path: {path}, but its suffix must be one of {', '.join(suffixes)}")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"path: {path}, but there is no folder {path.parent}")
    if path.is_dir():
        raise ValueError(f"path: {path}, but that is a folder")
    return path


def format_of(path: Path) -> str:
    """Returns the name by which Pillow knows a suffix."""
    return path.suffix[1:].upper()


def rendered(figure: "Figure") -> Image.Image:
    """Returns a figure of matplotlib as a picture, RGB."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
