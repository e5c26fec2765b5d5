"""The geometric operations, all as one resampling."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np

from jaxgan.core.ada.operations import OPERATIONS
from jaxgan.core.types import Images

# The wavelet sym6's low-pass filter, of sum 1: enlarging by it and shrinking by its mirror image changes nothing at all.
_SYM6 = np.array(
    [
        [0.015404109327027373, 0.0034907120842174702, -0.11799011114819057, -0.048311742585633],
        [0.4910559419267466, 0.787641141030194, 0.3379294217276218, -0.07263752278646252],
        [-0.021060292512300564, 0.04472490177066578, 0.0017677118642428036, -0.007800708325034148],
    ]
).ravel() / math.sqrt(2)
_MARGIN = 3  # pixels about the result that the filter needs


def moved(images: Images, parameters: dict[str, jax.Array]) -> Images:
    """Moves the pixels of each image: reflects, enlarges twice, samples each new pixel at its source, shrinks.

    Padding and filters are linear along each axis: two matrices. So nothing is filtered twice. Of padded images only the
    enlarged one is held; every source lies between four neighbours there.

    Args:
        images: `[B, H, W, C]`, floating point.
        parameters: values of the operations of `GEOMETRY`, `[B]` or `[B, 2]`; an operation left out changes nothing.

    Returns:
        `[B, H, W, C]`.
    """
    _, height, width, _ = images.shape
    enlarged = jnp.einsum("yi,bijc->byjc", _enlarging(height, images.dtype), images)
    enlarged = jnp.einsum("xj,byjc->byxc", _enlarging(width, images.dtype), enlarged)
    sampled = _sampled(enlarged, *_sources(parameters, images))
    shrunk = jnp.einsum("iy,byxc->bixc", _shrinking(height, images.dtype), sampled)
    return jnp.einsum("jx,bixc->bijc", _shrinking(width, images.dtype), shrunk)


def _sources(parameters: dict[str, jax.Array], images: Images) -> tuple[jax.Array, jax.Array]:
    """Places x and y in the enlarged images, `[B, H', W']`, from which each pixel before shrinking is taken.

    Both the places and the pixels are counted from the middle, where coordinates are exact.
    """
    batch, height, width, _ = images.shape
    inverse = _inverse(parameters, batch, height, width).astype(images.dtype)
    across = jnp.arange(2 * (width + 2 * _MARGIN), dtype=images.dtype) + (1 - width - 2 * _MARGIN)
    down = jnp.arange(2 * (height + 2 * _MARGIN), dtype=images.dtype) + (1 - height - 2 * _MARGIN)
    x, y = (
        inverse[:, i, 0, None, None] * across[None, None, :]
        + inverse[:, i, 1, None, None] * down[None, :, None]
        + 2 * inverse[:, i, 2, None, None]
        for i in range(2)
    )
    return x, y


def _sampled(enlarged: jax.Array, x: jax.Array, y: jax.Array) -> jax.Array:
    """Interpolates the enlarged images linearly at the places x and y, `[B, H', W', C]`."""
    batch, rows, columns, channels = enlarged.shape
    left, right = _whole_and_part(x, columns)
    above, below = _whole_and_part(y, rows)
    first = above * columns + left

    def neighbour(offset: int) -> jax.Array:
        places = (first + offset).reshape(batch, -1)
        pixels = jax.vmap(lambda image, at: image.at[at].get(mode="promise_in_bounds"))
        return pixels(enlarged.reshape(batch, -1, channels), places).reshape(*first.shape, channels)

    sampled = (neighbour(0) * (1 - right) + neighbour(1) * right) * (1 - below)
    return sampled + (neighbour(columns) * (1 - right) + neighbour(columns + 1) * right) * below


def _whole_and_part(place: jax.Array, size: int) -> tuple[jax.Array, jax.Array]:
    """The index of the pixel before a place, counted from the middle, and the fraction of the way to the next, `[.., 1]`.

    The first of these pixels and the last two are zeros: places further out are zero as well.
    """
    middle = (size - 3) // 2
    place = jnp.clip(place, -middle, size - 2 - middle)
    whole = jnp.floor(place)
    return whole.astype(jnp.int32) + middle, (place - whole)[..., None]


def _inverse(parameters: dict[str, jax.Array], batch: int, height: int, width: int) -> jax.Array:
    """The map from a pixel of the result to its source, `[B, 3, 3]` on (x, y, 1): pixels from the centre, y downwards."""

    def get(name: str) -> jax.Array:
        operation = OPERATIONS[name]
        return parameters.get(name, jnp.full((batch, *operation.shape), operation.rest))

    def scaling(x: jax.Array, y: jax.Array | float) -> jax.Array:
        return _matrices([[x, 0.0, 0.0], [0.0, y, 0.0], [0.0, 0.0, 1.0]])

    def rotation(angle: jax.Array) -> jax.Array:
        c, s = jnp.cos(angle), jnp.sin(angle)
        return _matrices([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])

    def shift(pixels: jax.Array) -> jax.Array:
        return _matrices([[1.0, 0.0, -pixels[:, 0]], [0.0, 1.0, -pixels[:, 1]], [0.0, 0.0, 1.0]])

    sides = jnp.asarray([[width, height]], jnp.float32)
    scale, stretch = get("scale"), get("aniso")
    steps = [
        scaling(1 - 2 * get("xflip"), 1.0),
        rotation(get("rotate90") * (math.pi / 2)),
        shift(jnp.round(get("xint") * sides)),
        scaling(1 / scale, 1 / scale),
        rotation(get("rotate")),
        scaling(1 / stretch, stretch),
        rotation(get("rotate_after")),
        shift(get("xfrac") * sides),
    ]
    return functools.reduce(jnp.matmul, steps)


def _matrices(rows: list[list[jax.Array | float]]) -> jax.Array:
    """A matrix for each image, of entries `[B]` or numbers, `[B, len(rows), len(rows[0])]`."""
    entries = jnp.broadcast_arrays(*(jnp.asarray(entry) for row in rows for entry in row))
    return jnp.stack(entries, axis=-1).reshape(-1, len(rows), len(rows[0]))


def _enlarging(size: int, dtype: jnp.dtype) -> jax.Array:
    """Reflects a line by all but its last pixel at each end and enlarges it twice: `[6 size - 1, size]`, zeros at its ends."""
    padded = np.pad(np.eye(size), ((size - 1, size - 1), (0, 0)), mode="reflect")
    spread = np.zeros((2 * len(padded), size))
    spread[::2] = padded
    filtered = np.stack([np.convolve(column, 2 * _SYM6) for column in spread.T], axis=1)
    return jnp.asarray(np.pad(filtered[5 : 5 + len(spread)], ((1, 2), (0, 0))), dtype)


def _shrinking(size: int, dtype: jnp.dtype) -> jax.Array:
    """Filters by the mirror image, keeps every second pixel and cuts off the margins: `[size, 2 (size + 2 margins)]`."""
    matrix = np.zeros((size, 2 * (size + 2 * _MARGIN)))
    for i in range(size):
        matrix[i, 2 * i + 1 : 2 * i + 1 + len(_SYM6)] = _SYM6
    return jnp.asarray(matrix, dtype)
