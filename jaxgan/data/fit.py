"""One picture of any kind to 8 bits, the wanted channels and the wanted square."""

import numpy as np
from PIL import Image, ImageOps

from jaxgan.system.messages import FieldError, shown

_GREY = ("1", "L", "LA", "La", "I")
WAYS = ("crop", "letterbox", "squeeze")
_MODES = {1: "L", 3: "RGB", 4: "RGBA"}


def is_grey(image: Image.Image) -> bool:
    """Tells whether the picture's file holds grey levels only, with or without transparency."""
    return image.mode in _GREY or image.mode.startswith("I;16")


def is_deep(image: Image.Image) -> bool:
    """Tells whether a grey picture has more than 8 bits."""
    return image.mode == "I" or image.mode.startswith("I;16")


def check(image_size: int | None, channels: int | None, way: str = "crop") -> None:
    """Refuses what no picture can be fitted to.

    Raises:
        ValueError: one line with the field, its value and what is allowed.
    """
    if image_size is not None and not 1 <= image_size <= 8192:
        raise FieldError("image_size", image_size, "it must be from 1 to 8192")
    if channels is not None and channels not in _MODES:
        raise FieldError("channels", channels, "it must be 1, 3 or 4")
    if way not in WAYS:
        raise FieldError("fit", shown(way), ", ".join(WAYS), link=" is not one of ")


def picture(image: Image.Image, image_size: int | None, channels: int, *, way: str = "crop", white: int = 65_535) -> np.ndarray:
    """Decodes, turns, converts, crops and resizes one picture.

    The picture is turned as its EXIF orientation says; 16-bit grey levels v become round(255 v / white); transparency is
    laid on white unless four channels are asked for; grey from colours is ITU-R 601-2 luma. Then the largest square
    around the centre ("crop"), the whole picture on a black square ("letterbox") or the whole picture whatever its sides
    ("squeeze") is resized with a Lanczos filter, whose support grows with the reduction, so that nothing aliases.

    Args:
        image: an opened picture.
        image_size: side in pixels; None keeps the picture's height and width.
        channels: 1 (grey), 3 (RGB) or 4 (RGBA).
        way: in which a picture that is no square becomes one: crop, letterbox or squeeze.
        white: the level of a 16-bit picture that is white.

    Returns:
        `[H, W, channels]` uint8.
    """
    image = _converted(ImageOps.exif_transpose(image), channels, white)
    if image_size is not None:
        image = _squared(image, image_size, way)
    pixels = np.asarray(image)
    return pixels[..., None] if pixels.ndim == 2 else pixels


def arrays(images: np.ndarray, image_size: int | None, channels: int | None, way: str = "crop") -> np.ndarray:
    """Fits pictures that are arrays already, by the same rules.

    Images of 28 pixels asked for at 32 are padded with two zeros on each side, the convention for MNIST, which has a
    black ground.

    Args:
        images: `[N, H, W, C]`, uint8 for any change, C in 1, 3, 4; of samples of another rank nothing can change.
        image_size: side in pixels, or None.
        channels: 1, 3, 4, or None.
        way: as for `picture`.

    Returns:
        `[N, image_size, image_size, channels]`, the same array where nothing changes.

    Raises:
        ValueError: when images that are not 8-bit, or have two channels, are asked to change.
    """
    if image_size is None and channels is None:
        return images
    if images.ndim != 4:
        raise FieldError("image_size", image_size, f"samples of shape {images.shape[1:]} are no pictures and keep it")
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
        picture(Image.fromarray(image[..., 0] if depth == 1 else image), image_size, channels or depth, way=way)
        for image in images
    )
    return np.stack(list(fitted))


def _squared(image: Image.Image, side: int, way: str) -> Image.Image:
    if way == "squeeze":
        return image.resize((side, side), Image.Resampling.LANCZOS)
    if way == "letterbox":
        longer = max(image.size)
        width, height = (max(round(each * side / longer), 1) for each in image.size)
        ground = Image.new(image.mode, (side, side))  # zeros: black, and transparent where there is transparency
        ground.paste(image.resize((width, height), Image.Resampling.LANCZOS), ((side - width) // 2, (side - height) // 2))
        return ground
    short = min(image.size)
    left, top = (image.width - short) // 2, (image.height - short) // 2
    return image.resize((side, side), Image.Resampling.LANCZOS, box=(left, top, left + short, top + short))


def _converted(image: Image.Image, channels: int, white: int) -> Image.Image:
    if is_deep(image):
        # Pillow's own conversion cuts 16-bit levels off at 255 instead of scaling them.
        levels = np.clip(np.round(np.asarray(image, np.float64) / (white / 255)), 0, 255)
        image = Image.fromarray(levels.astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        if channels != 4:
            ground = Image.new("RGBA", image.size, "white")
            image = Image.alpha_composite(ground, image).convert("RGB")
    return image.convert(_MODES[channels])
