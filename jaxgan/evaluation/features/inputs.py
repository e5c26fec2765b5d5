"""Samples as metrics and feature networks take them: images of any size and number of channels, made to fit."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxgan.core.units import Units
from jaxgan.data.source import to_float
from jaxgan.evaluation.features.resize import pillow_resize
from jaxgan.system.messages import FieldError

# ITU-R 601-2, as Pillow has it.
_LUMA = (0.299, 0.587, 0.114)


class Fit(NamedTuple):
    """A change of images."""

    words: str  # a description of the change, for the readers of a figure
    apply: Callable[[jax.Array], jax.Array]  # [B, H, W, C] in [0, 255] -> [B, h, w, c] float32 in [0, 255]


def fit(shape: tuple[int, int, int], wanted: tuple[int | None, int | None, int]) -> Fit:
    """Makes images of one shape into images of another.

    28 pixels become 32 by two black ones on each side and 32 become 28 by cutting these away, the convention for MNIST; any
    other size by Pillow's bicubic resize with antialiasing, clipped to [0, 255] and not rounded. Grey becomes RGB by
    repetition, RGB becomes grey as ITU-R 601-2 luma, transparency is laid on white.

    Args:
        shape: `(H, W, C)` of the images, C = 1, 3 or 4.
        wanted: `(h, w, c)`; None for a side that stays as it is, c = 1 or 3 or that of the images.

    Returns:
        A `Fit`.

    Raises:
        ValueError: one line, when the channels cannot be changed so.
    """
    height, width, channels = shape
    out_height, out_width = wanted[0] or height, wanted[1] or width
    if channels != wanted[2] and (channels not in (1, 3, 4) or wanted[2] not in (1, 3)):
        raise FieldError("images", f"{channels} channels", f"this network takes {wanted[2]}, made of 1, 3 or 4")
    colour, in_words = _channels(channels, wanted[2])
    words = [f"{height}x{width} as they are", in_words]
    resize: Callable[[jax.Array], jax.Array] = _same
    if (height, width) != (out_height, out_width):
        sides = f"{height}x{width} to {out_height}x{out_width}"
        if (height, width, out_height, out_width) == (28, 28, 32, 32):
            words[0], resize = f"{sides}, 2 black pixels on each side", _padded
        elif (height, width, out_height, out_width) == (32, 32, 28, 28):
            words[0], resize = f"{sides}, 2 pixels cut away on each side", _cut
        else:
            words[0] = f"{sides}, bicubic with antialiasing"

            def resize(x: jax.Array) -> jax.Array:
                return jnp.clip(pillow_resize(x, out_height, out_width), 0.0, 255.0)

    def apply(images: jax.Array) -> jax.Array:
        return resize(colour(images.astype(jnp.float32)))

    return Fit("; ".join(filter(None, words)), apply)


def are_images(shape: tuple[int, ...]) -> bool:
    """Returns whether samples of this shape are images, `(H, W, C)` with 1 to 4 channels, which files hold as bytes."""
    return len(shape) == 3 and 1 <= shape[2] <= 4


def in_units(samples: jax.Array, units: Units) -> jax.Array:
    """Samples in the user's units, `units.to_user` but in float32; integers are rounded."""
    x = samples.astype(jnp.float32)
    if not units.are_plain:
        low, high = ends(units, x.ndim)
        x = low + (x + 1.0) * ((high - low) / 2.0)
    return x if np.dtype(units.dtype).kind == "f" else jnp.rint(x)


def ends(units: Units, rank: int) -> tuple[np.ndarray, np.ndarray]:
    """The values of units that become -1 and 1, float32, in the shape `[1, .., C]` of that rank."""
    low, high = (np.asarray(each, np.float32).reshape((1,) * (rank - 1) + (-1,)) for each in (units.low, units.high))
    return low, high


def as_compared(samples: jax.Array, units: Units | None = None) -> jax.Array:
    """Samples as metrics compare them: images as a file holds them, in [-1, 1]; any other data in the user's units.

    Args:
        samples: `[B, ...]`, floats as networks make them, or uint8 of images.
        units: of the user's samples; None of images in bytes, and of data that are in the user's units already.

    Returns:
        The same shape, float32.
    """
    if units is not None and not units.are_bytes:
        return in_units(samples, units)
    if are_images(samples.shape[1:]):
        return to_float(quantised(samples))
    return samples.astype(jnp.float32)


def quantised(images: jax.Array) -> jax.Array:
    """Images as a file holds them, `clip(round(127.5 x + 127.5), 0, 255)`: see `pictures.to_uint8`.

    Args:
        images: any shape, floats in [-1, 1], or uint8, which stay as they are.

    Returns:
        The same shape, uint8.
    """
    if images.dtype == jnp.uint8:
        return images
    return jnp.clip(jnp.rint(jnp.nan_to_num(images.astype(jnp.float32)) * 127.5 + 127.5), 0, 255).astype(jnp.uint8)


def _channels(channels: int, wanted: int) -> tuple[Callable[[jax.Array], jax.Array], str]:
    if channels == wanted:
        return _same, ""
    if channels == 1:
        return lambda x: jnp.repeat(x, 3, axis=-1), "grey to RGB by repetition"
    if channels == 3:
        return _grey, "RGB to grey, ITU-R 601-2"
    if wanted == 3:
        return _on_white, "transparency on white"
    return lambda x: _grey(_on_white(x)), "transparency on white; RGB to grey, ITU-R 601-2"


def _same(x: jax.Array) -> jax.Array:
    return x


def _grey(x: jax.Array) -> jax.Array:
    return jnp.einsum("bhwc,c->bhw", x, jnp.array(_LUMA), precision=jax.lax.Precision.HIGHEST)[..., None]


def _on_white(x: jax.Array) -> jax.Array:
    alpha = x[..., 3:] / 255.0
    return x[..., :3] * alpha + 255.0 * (1.0 - alpha)


def _padded(x: jax.Array) -> jax.Array:
    return jnp.pad(x, ((0, 0), (2, 2), (2, 2), (0, 0)))


def _cut(x: jax.Array) -> jax.Array:
    return x[:, 2:-2, 2:-2]
