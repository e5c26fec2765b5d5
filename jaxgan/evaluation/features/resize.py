"""Images as a feature network wants them: resized in the ways that its published scores are defined by, and scaled.

Resizing along an axis is linear, so each is one matrix, made in float64 when the function is traced and multiplied with the
pixels: `y = V x H^T` in each channel, first along the rows of the image, then along its columns.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxgan.system.messages import FieldError, not_one_of

SIDE = 299  # pixels of Inception-v3's input


class _Filter(NamedTuple):
    radius: float  # pixels of the smaller of the two images
    weight: Callable[[np.ndarray], np.ndarray]


def _cubic(x: np.ndarray) -> np.ndarray:
    a = -0.5  # Keys' choice, exact to third order
    near = ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0
    far = (((x - 5.0) * x + 8.0) * x - 4.0) * a
    return np.where(x < 1.0, near, np.where(x < 2.0, far, 0.0))


FILTERS = {
    "bicubic": _Filter(2.0, lambda x: _cubic(np.abs(x))),
    "bilinear": _Filter(1.0, lambda x: np.maximum(1.0 - np.abs(x), 0.0)),
    "lanczos": _Filter(3.0, lambda x: np.where(np.abs(x) < 3.0, np.sinc(x) * np.sinc(x / 3.0), 0.0)),
    "box": _Filter(0.5, lambda x: np.where((x > -0.5) & (x <= 0.5), 1.0, 0.0)),
}


def tf1(images: jax.Array) -> jax.Array:
    """Inception's input as FID's original TensorFlow graph has it: `(resize(x) - 128) / 128`.

    Output pixel i is read at `s = i in / 299` without half a pixel's offset, between pixels `floor(s)` and the next, without
    a filter: so enlarged images lean to the lower right. TensorFlow computes s in float32. Images of 299 pixels stay as they
    are.

    Args:
        images: `[B, H, W, 3]` in [0, 255], uint8 or floats.

    Returns:
        `[B, 299, 299, 3]` float32 in [-1, 1).

    Raises:
        ValueError: one line, for other shapes or integers.

    References:
        Heusel et al. 2017, GANs trained by a two time-scale update rule, section 4; its published graph of 2015-12-05.
    """

    def matrix(size: int) -> np.ndarray:
        step = np.float32(size / SIDE)
        return _between(np.arange(SIDE, dtype=np.float32) * step, size)

    x = _pixels(images, channels=3)
    return (_resize(x, matrix(x.shape[1]), matrix(x.shape[2])) - 128.0) / 128.0


def half_pixel(images: jax.Array) -> jax.Array:
    """Inception's input as PyTorch's ports of FID have it: `resize(x) / 127.5 - 1`.

    Bilinear between the centres of pixels, `s = (i + 1/2) in / 299 - 1/2` and 0 at least, without a filter.

    Args:
        images: `[B, H, W, 3]` in [0, 255], uint8 or floats.

    Returns:
        `[B, 299, 299, 3]` float32 in [-1, 1].

    Raises:
        ValueError: one line, for other shapes or integers.
    """

    def matrix(size: int) -> np.ndarray:
        # PyTorch's s is a float32, of which product and difference are rounded at once.
        places = (np.arange(SIDE) + 0.5) * np.float64(np.float32(size / SIDE)) - 0.5
        return _between(np.maximum(places.astype(np.float32), 0.0), size)

    x = _pixels(images, channels=3)
    return _resize(x, matrix(x.shape[1]), matrix(x.shape[2])) / 127.5 - 1.0


def clean(images: jax.Array) -> jax.Array:
    """Inception's input without aliasing: `(clip(resize(x), 0, 255) - 128) / 128`, Pillow's bicubic resize, nothing rounded.

    Args:
        images: `[B, H, W, 3]` in [0, 255], uint8 or floats.

    Returns:
        `[B, 299, 299, 3]` float32 in [-1, 1).

    Raises:
        ValueError: one line, for other shapes or integers.

    References:
        Parmar et al. 2022, On aliased resizing and surprising subtleties in GAN evaluation, section 3.
    """
    x = pillow_resize(_pixels(images, channels=3), SIDE, SIDE)
    return (jnp.clip(x, 0.0, 255.0) - 128.0) / 128.0


def pillow_resize(images: jax.Array, height: int, width: int, kind: str = "bicubic") -> jax.Array:
    """Resizes as Pillow does images of floats, with a filter as wide as the larger pixels, so without aliasing.

    With `r = max(1, in / out)` and `c = (i + 1/2) in / out`, output i is the mean of the pixels j in
    `[round(c - r radius), round(c + r radius))` with weights `f((j + 1/2 - c) / r)`. Along an axis whose size stays, nothing
    is computed. Bicubic and Lanczos overshoot the range of the input.

    Args:
        images: `[B, H, W, C]`, uint8 or floats in any range.
        height: of the output, pixels.
        width: of the output, pixels.
        kind: the filter f: `bicubic` (Keys' with a = -1/2), `bilinear`, `lanczos` (of three lobes) or `box`.

    Returns:
        `[B, height, width, C]` float32.

    Raises:
        ValueError: one line, for other shapes or integers, sizes below 1, or an unknown filter.

    References:
        Keys 1981, Cubic convolution interpolation for digital image processing, equation 15.
    """
    if kind not in FILTERS:
        raise not_one_of("kind", kind, FILTERS)
    for name, size in (("height", height), ("width", width)):
        if size < 1:
            raise FieldError(name, size, "it must be at least 1")
    x = _pixels(images)
    return _resize(x, _filtered(x.shape[1], height, FILTERS[kind]), _filtered(x.shape[2], width, FILTERS[kind]))


def _pixels(images: jax.Array, channels: int | None = None) -> jax.Array:
    """The images as floats; refuses what are none, or have another number of channels."""
    shape, dtype = np.shape(images), images.dtype
    if len(shape) != 4 or min(shape[1:]) < 1 or channels not in (None, shape[3]):
        raise FieldError("images", f"shape {shape}", f"it must be [B, H, W, {channels or 'C'}]")
    if dtype != np.uint8 and not jnp.issubdtype(dtype, jnp.floating):
        raise FieldError("images", dtype, "they must be uint8, or floats in [0, 255]")
    return jnp.asarray(images).astype(jnp.promote_types(dtype, jnp.float32))


def _between(places: np.ndarray, size: int) -> np.ndarray:
    """The matrix `[len(places), size]` that reads at these places, linearly between the pixels before and after."""
    before = np.minimum(places.astype(np.int64), size - 1)
    after = np.minimum(before + 1, size - 1)
    share = (places - before).astype(np.float64)
    matrix, rows = np.zeros((len(places), size)), np.arange(len(places))
    matrix[rows, before] += 1.0 - share
    matrix[rows, after] += share  # at the edge both are the same pixel
    return matrix


def _filtered(size: int, out: int, chosen: _Filter) -> np.ndarray:
    """The matrix `[out, size]` of Pillow's filtered resize."""
    ratio = size / out
    stretch = max(1.0, ratio)
    centre = (np.arange(out)[:, None] + 0.5) * ratio
    first = np.maximum((centre - stretch * chosen.radius + 0.5).astype(np.int64), 0)  # truncated, as Pillow does
    last = np.minimum((centre + stretch * chosen.radius + 0.5).astype(np.int64), size)
    taps = np.arange(size)[None, :]
    weights = np.where((taps >= first) & (taps < last), chosen.weight((taps + 0.5 - centre) / stretch), 0.0)
    return weights / weights.sum(axis=1, keepdims=True)


def _resize(x: jax.Array, vertical: np.ndarray, horizontal: np.ndarray) -> jax.Array:
    """`[B, H, W, C]` times `[H', H]` and `[W', W]`: horizontally first, as all of these do."""
    for subscripts, matrix in (("bhwc,vw->bhvc", horizontal), ("bhwc,vh->bvwc", vertical)):
        if matrix.shape[0] != matrix.shape[1]:
            # Accelerators round the factors of a product to half precision unless told otherwise.
            x = jnp.einsum(subscripts, x, jnp.asarray(matrix, x.dtype), precision=lax.Precision.HIGHEST)
    return x
