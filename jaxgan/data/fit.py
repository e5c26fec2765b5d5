"""One picture of any kind to 8 bits, the wanted channels and the wanted square."""

import numpy as np
from PIL import Image, ImageOps

from jaxgan.system.messages import FieldError

_GREY = ("1", "L", "LA", "La", "I")
_MODES = {1: "L", 3: "RGB", 4: "RGBA"}


def is_grey(image: Image.Image) -> bool:
    """Tells whether the picture's file holds grey levels only, with or without transparency."""
    return image.mode in _GREY or image.mode.startswith("I;16")


def check(image_size: int | None, channels: int | None) -> None:
    """Refuses what no picture can be fitted to.

    Raises:
        ValueError: one line with the field, its value and what is allowed.
    """
    if image_size is not None and not 1 <= image_size <= 8192:
        raise FieldError("image_size", image_size, "it must be from 1 to 8192")
    if channels is not None and channels not in _MODES:
        raise FieldError("channels", channels, "it must be 1, 3 or 4")


def picture(image: Image.Image, image_size: int | None, channels: int) -> np.ndarray:
    """Decodes, turns, converts, crops and resizes one picture.

    The picture is turned as its EXIF orientation says; 16-bit grey levels v become round(v / 257); transparency is
    laid on white unless four channels are asked for; grey from colours is ITU-R 601-2 luma. Then the largest square
    around the centre is resized with a Lanczos filter, whose support grows with the reduction, so that nothing aliases.

    Args:
        image: an opened picture.
        image_size: side in pixels; None keeps the picture's height and width.
        channels: 1 (grey), 3 (RGB) or 4 (RGBA).

    Returns:
        `[H, W, channels]` uint8.
    """
    image = _converted(ImageOps.exif_transpose(image), channels)
    if image_size is not None:
        side = min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        square = (left, top, left + side, top + side)
        image = image.resize((image_size, image_size), Image.Resampling.LANCZOS, box=square)
    pixels = np.asarray(image)
    return pixels[..., None] if pixels.ndim == 2 else pixels


def arrays(images: np.ndarray, image_size: int | None, channels: int | None) -> np.ndarray:
    """Fits pictures that are arrays already, by the same rules.

    Images of 28 pixels asked for at 32 are padded with two zeros on each side, the convention for MNIST, which has a
    black ground.

    Args:
        images: `[N, H, W, C]`, uint8 for any change, C in 1, 3, 4.
        image_size: side in pixels, or None.
        channels: 1, 3, 4, or None.

    Returns:
        `[N, image_size, image_size, channels]`, the same array where nothing changes.

    Raises:
        ValueError: when images that are not 8-bit, or have two channels, are asked to change.
    """
    _, height, width, depth = images.shape
    if image_size == 32 and (height, width) == (28, 28):
        images = np.pad(images, ((0, 0), (2, 2), (2, 2), (0, 0)), constant_values=0 if images.dtype == np.uint8 else -1)
        height = width = 32
    if image_size in (None, height) and image_size in (None, width) and channels in (None, depth):
        return images
    if images.dtype != np.uint8 or depth not in _MODES:
        raise ValueError(
            f"images: {images.dtype} with {depth} channels keep their shape; only uint8 with 1, 3 or 4 can change it"
        )
    fitted = (
        picture(Image.fromarray(image[..., 0] if depth == 1 else image), image_size, channels or depth) for image in images
    )
    return np.stack(list(fitted))


def _converted(image: Image.Image, channels: int) -> Image.Image:
    if image.mode == "I" or image.mode.startswith("I;16"):
        # Pillow's own conversion cuts 16-bit levels off at 255 instead of scaling them.
        levels = np.clip(np.round(np.asarray(image, np.float64) / 257), 0, 255)
        image = Image.fromarray(levels.astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        if channels != 4:
            white = Image.new("RGBA", image.size, "white")
            image = Image.alpha_composite(white, image).convert("RGB")
    return image.convert(_MODES[channels])
