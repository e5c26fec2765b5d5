"""Images side by side, with words where there is room."""

import functools
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageDraw, ImageFont

from jaxgan.core.units import as_bytes

_VISIBLE = 48  # pixels: smaller images are enlarged by a whole factor, until their longer side is at least this
_WIDEST = 160  # pixels beside a row, for its word
_READABLE = 30  # pixels: over a narrower image no word is written
_PAPER = {1: "white", 2: "white", 3: "white", 4: "#00000000"}
_MODES = {1: "L", 2: "RGB", 3: "RGB", 4: "RGBA"}


def to_uint8(images: ArrayLike) -> NDArray[np.uint8]:
    """Images as bytes, `clip(round(127.5 x + 127.5), 0, 255)`.

    Rounds, so that bytes -> [-1, 1] -> bytes is the identity; StyleGAN's scripts truncate, and differ by one in about
    half of the pixels. What is not a number becomes mid-grey.

    Args:
        images: any shape, [-1, 1]; uint8 stays as it is.

    Returns:
        The same shape, uint8.
    """
    return as_bytes(images)


def grid(
    images: ArrayLike,
    *,
    columns: int | None = None,
    scale: int | None = None,
    padding: int = 2,
    frame: str = "#606060",
    headings: Sequence[str] = (),
    captions: Sequence[str] = (),
    footings: Sequence[str] = (),
    sides: Sequence[str] = (),
) -> Image.Image:
    """Images side by side, row by row.

    Args:
        images: `[N, H, W, C]`, float in [-1, 1] or uint8; C = 1 grey, 2 shown as red and green, 3 RGB, 4 RGBA.
        columns: images in a row; by default as nearly a square as can be.
        scale: whole factor of enlargement, nearest neighbour; by default small images grow to 48 pixels or more.
        padding: pixels around each image.
        frame: colour of these.
        headings: a word over each column, cut short where a column is narrow.
        captions: a word over each image, likewise.
        footings: a word under each column, likewise.
        sides: a word to the left of each row.

    Returns:
        The picture: grey, RGB or RGBA.

    Raises:
        ValueError: when the shape is not that of images, or a number is out of range.
    """
    x = to_uint8(images)
    if x.ndim != 4 or x.shape[-1] not in _MODES or 0 in x.shape:
        raise ValueError(f"images: of shape {list(x.shape)}, but it must be [N, H, W, C] with N at least 1 and C 1 to 4")
    count, height, width, channels = x.shape
    columns = math.ceil(math.sqrt(count)) if columns is None else columns
    scale = math.ceil(_VISIBLE / max(height, width)) if scale is None else scale
    for name, value, least in (("columns", columns, 1), ("scale", scale, 1), ("padding", padding, 0)):
        if value < least:
            raise ValueError(f"{name}: {value}, but it must be at least {least}")
    rows, height, width = math.ceil(count / columns), height * scale, width * scale
    if channels == 2:
        x = np.concatenate([x, np.zeros_like(x[..., :1])], -1)
    x = x.repeat(scale, 1).repeat(scale, 2)
    size = min(max(width // 4, 10), 16)
    band, line, foot = (size + 6 if any(words) and width >= _READABLE else 0 for words in (headings, captions, footings))
    side = min(math.ceil(max(map(_font(size).getlength, sides))) + 8, _WIDEST) if any(sides) and height > size else 0
    across, down = width + padding, height + padding + line
    whole = side + columns * across + padding, band + rows * down + padding + foot
    canvas = Image.new(_MODES[channels], whole, _PAPER[channels])
    for i, image in enumerate(x.squeeze(-1) if channels == 1 else x):
        left, top = side + i % columns * across, band + i // columns * down
        if channels != 4:  # a frame; places left over stay white
            canvas.paste(frame, (left, top + line, left + across + padding, top + down + padding))
        canvas.paste(Image.fromarray(image), (left + padding, top + line + padding))
    for words, there, top in ((headings, band, 0), (footings, foot, whole[1] - foot)):
        for i, word in enumerate(words[:columns] if there else ()):
            _write(canvas, word, size, (side + padding + i * across, top, width, there))
    for i, word in enumerate(captions[:count] if line else ()):
        _write(canvas, word, size, (side + padding + i % columns * across, band + i // columns * down, width, line))
    for i, word in enumerate(sides[:rows] if side else ()):
        _write(canvas, word, size, (0, band + i * down + padding + line, side, height))
    return canvas


def pictured(condition: Any, shape: Sequence[int]) -> NDArray[Any] | None:
    """Returns the first array of a condition that is pictures as large as the samples, with as many channels or one; else None.

    Args:
        condition: an array `[N, ...]`, or dicts of such.
        shape: of a sample, `(H, W, C)`.
    """
    if isinstance(condition, Mapping):
        return next((found for each in condition.values() if (found := pictured(each, shape)) is not None), None)
    form = np.shape(condition)[1:]
    if len(shape) != 3 or len(form) != 3 or form[:2] != tuple(shape[:2]) or form[2] not in (1, shape[2]):
        return None
    images = np.asarray(condition)
    images = images * 2.0 - 1.0 if images.dtype == bool else to_uint8(images) if images.dtype == np.uint8 else images
    return np.broadcast_to(images, (len(images), *shape))


def pairs(seen: Any, images: Any) -> Image.Image:
    """Draws each picture beside the one that it was made for, at most ten pairs in a row.

    Args:
        seen: conditions `[N, H, W, C]`.
        images: `[N, H, W, C]`.
    """
    both = np.stack([to_uint8(np.asarray(each)) for each in (seen, images)], axis=1)
    across = min(columns_for(len(both)), 10)
    return grid(both.reshape(-1, *both.shape[2:]), columns=2 * across)


def columns_for(count: int, classes: int = 0) -> int:
    """Returns the number of images in a row, chosen so that the last row is full where possible.

    Args:
        count: images in all.
        classes: number of classes of images that show each class in turn; then a column holds one class.
    """
    root = math.ceil(math.sqrt(count))
    if 1 < classes <= min(count, 16):
        even = (n for n in range(classes, count + 1, classes) if n >= root and count % n == 0)
        return next(even, classes * max(round(root / classes), 1))
    return next((columns for columns in range(root, 2 * root + 1) if count % columns == 0), root)


def titled(picture: Image.Image, title: str) -> Image.Image:
    """Returns a picture with a line of text over it, on white."""
    size = min(max(picture.width // 24, 11), 18)
    band = size + 8
    above = Image.new("RGB", (picture.width, picture.height + band), "white")
    above.paste(picture.convert("RGB"), (0, band))
    _write(above, title, size, (4, 0, picture.width - 8, band))
    return above


def _write(canvas: Image.Image, word: str, size: int, box: tuple[int, int, int, int]) -> None:
    """Writes a word into the middle of a box (left, top, width, height), cut short where it does not fit."""
    left, top, width, height = box
    pen, font = ImageDraw.Draw(canvas), _font(size)
    shown = word
    while shown and font.getlength(shown) > width:
        shown = shown.removesuffix("…")[:-1] and shown.removesuffix("…")[:-1] + "…"
    pen.text((left + width / 2, top + height / 2), shown, fill="black", font=font, anchor="mm")


@functools.cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    """Returns matplotlib's own font, which has the letters of most languages."""
    import matplotlib

    return ImageFont.truetype(Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf"), size)


def strip(images: ArrayLike, *, scale: int | None = None, padding: int = 2) -> Image.Image:
    """Images in one row; arguments, result and errors as of `grid`."""
    return grid(images, columns=max(len(np.asarray(images)), 1), scale=scale, padding=padding)


def tile(parts: Sequence[Image.Image], *, columns: int | None = None) -> Image.Image:
    """Pictures of one size side by side, row by row.

    Args:
        parts: the pictures.
        columns: in a row; by default as nearly a square as can be, rather wide than tall.

    Returns:
        The picture, RGB.

    Raises:
        ValueError: when there is none, or sizes differ.
    """
    if not parts or len({part.size for part in parts}) > 1:
        raise ValueError(f"parts: {len(parts)} of sizes {sorted({part.size for part in parts})}, but one size and one or more")
    columns = math.ceil(math.sqrt(len(parts))) if columns is None else columns
    width, height = parts[0].size
    canvas = Image.new("RGB", (columns * width, math.ceil(len(parts) / columns) * height), "white")
    for i, part in enumerate(parts):
        canvas.paste(part, (i % columns * width, i // columns * height))
    return canvas
