"""Convolutions of sizes 4 and 3 with fewer multiplications: Winograd's smallest tiles, as matrix products.

Every form is linear in the image and in the kernel and made of sums and products only, so derivatives of any mode and order are
those of the convolution. Each is written for what XLA makes of it on CPU: pixels come apart by `unstack`, whose transpose is a
stack, where a slice's is an image that is mostly zeros; zeros around are a tile that is moved, so no padded image is written;
and nothing but whole rows of channels changes its place.

References:
    Lavin and Gray 2016, Fast algorithms for convolutional neural networks, section 4.
"""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax

from jaxgan.nets.convolutions.products import fewer, full_precision, tall_product

# Channels and tiles: of fewer, putting tiles and kernel into another form takes longer than the products that are saved.
CHANNELS, TILES = 16, 128


def halves(shape: tuple[int, ...], kernel: tuple[int, ...], stride: int, padding: int) -> bool:
    """Returns whether `halved` computes this convolution: size 4, stride 2, padding 1, and large enough to gain by it."""
    batch, height, width = shape[:3]
    same = (*kernel[:2], stride, padding) == (4, 4, 2, 1) and height % 4 == 0 and width % 4 == 0
    return same and min(kernel[2:]) >= CHANNELS and not fewer(batch * height * width, 16 * TILES)


def keeps(shape: tuple[int, ...], kernel: tuple[int, ...], stride: int, padding: int) -> bool:
    """Returns whether `kept` computes this convolution: size 3, stride 1, padding 1, and large enough to gain by it."""
    batch, height, width = shape[:3]
    same = (*kernel[:2], stride, padding) == (3, 3, 1, 1) and height % 2 == 0 and width % 2 == 0
    return same and min(kernel[2:]) >= CHANNELS and not fewer(batch * height * width, 4 * TILES)


def halved(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Computes the convolution of size 4, stride 2 and padding 1 with 9 products instead of 16: F(2x2, 2x2).

    After space to depth it is one of size 2 and stride 1 on four times the channels. Along one axis three pixels d give two
    outputs of a filter g by three products,

        m_0 = (d_0 - d_1) g_0          y_0 = d_0 g_0 + d_1 g_1 = m_0 + m_1
        m_1 = d_1 (g_0 + g_1)          y_1 = d_1 g_0 + d_2 g_1 = m_1 - m_2
        m_2 = (d_1 - d_2) g_1

    and along two axes a tile of 3x3 gives 2x2 outputs by 9. Sums and differences only: it rounds as the direct form does.

    Args:
        x: `[B, H, W, I]`, H and W multiples of 4.
        kernel: `[4, 4, I, O]`.

    Returns:
        `[B, H / 2, W / 2, O]`.
    """
    (batch, height, width, inputs), outputs, dtype = x.shape, kernel.shape[3], x.dtype
    rows = _of_four(full_precision(x), axis=1)
    parts = [[_of_four(row, axis=2) for row in phase] for phase in rows]  # phase of the rows, row, phase of the columns, column
    tiles = [_phased([parts[p][i][q][j] for p in (0, 1) for q in (0, 1)]) for i in range(3) for j in range(3)]
    filters = _filters([[tap.reshape(-1, outputs) for tap in row] for row in _taps(kernel)])
    products = [tall_product(tile.reshape(-1, 4 * inputs), tap) for tile, tap in zip(tiles, filters, strict=True)]
    products = [y.reshape(batch, height // 4, width // 4, outputs) for y in products]
    y = _gathered(products, lambda m_0, m_1, m_2: [m_0 + m_1, m_1 - m_2])
    return y.reshape(batch, height // 2, width // 2, outputs).astype(dtype)


def doubled(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Computes the transposed convolution of size 4, stride 2, padding 1 with 9 products instead of 16, `halved` transposed.

    Along one axis two pixels x give, of each phase, three pixels of the result, of which the tiles next to it hold one:

        m_0 = x_0 g_0                  d_0 = m_0
        m_1 = (x_0 + x_1)(g_0 + g_1)   d_1 = m_1 - m_0 - m_2
        m_2 = x_1 g_1                  d_2 = m_2

    Args:
        x: `[B, H, W, I]`, H and W even.
        kernel: `[4, 4, I, O]`, not flipped.

    Returns:
        `[B, 2 H, 2 W, O]`.
    """
    (batch, height, width, inputs), outputs, dtype = x.shape, kernel.shape[3], x.dtype
    tiles = [tile.reshape(-1, inputs) for row in _of_two(full_precision(x), axis=1) for tile in _of_two(row, axis=2)]
    apart = [[[phase for pair in jnp.unstack(tap) for phase in jnp.unstack(pair)] for tap in row] for row in _taps(kernel)]
    filters = _filters([[_phased(phases).reshape(inputs, 4 * outputs) for phases in row] for row in apart])
    products = [tall_product(tile, tap) for tile, tap in zip(tiles, filters, strict=True)]
    shape = (batch, height // 2, width // 2, 2, 2, outputs)
    phases = [[jnp.unstack(half, axis=3) for half in jnp.unstack(y.reshape(shape), axis=3)] for y in products]

    # By phase of the columns and of the rows: nine products to rows of three, each to four columns; then four rows of those.
    columns = [
        _four_of(*([phases[3 * i + j][p][q] for j in range(3)] for q in (0, 1)), axis=2) for p in (0, 1) for i in range(3)
    ]
    pixels = [_four_of(*([columns[3 * p + i][j] for i in range(3)] for p in (0, 1)), axis=1) for j in range(4)]
    y = jnp.stack([jnp.stack(row, axis=3) for row in zip(*pixels, strict=True)], axis=2)
    return y.reshape(batch, 2 * height, 2 * width, outputs).astype(dtype)


def kept(x: jax.Array, kernel: jax.Array, *, groups: int = 1) -> jax.Array:
    """Computes the convolution of size 3, stride 1 and padding 1 with 16 products instead of 36: F(2x2, 3x3).

    Along one axis four pixels d, of which the next tile begins with the last two, give two outputs of a filter g by four
    products,

        m_0 = (d_0 - d_2) g_0                          y_0 = m_0 + m_1 + m_2
        m_1 = (d_1 + d_2) (g_0 + g_1 + g_2) / 2        y_1 = m_1 - m_2 - m_3
        m_2 = (d_2 - d_1) (g_0 - g_1 + g_2) / 2
        m_3 = (d_1 - d_3) g_2

    and along two axes a tile of 4x4 gives 2x2 outputs by 16. Larger tiles would save more, and round more.

    Args:
        x: `[B, H, W, I]`, H and W even.
        kernel: `[3, 3, I / groups, O]`.
        groups: of channels, of which those of the result see those of x only; a group's channels are adjacent.

    Returns:
        `[B, H, W, O]`.
    """
    (batch, height, width, _), dtype = x.shape, x.dtype
    x, kernel = _groups_first(full_precision(x), groups), _groups_first(full_precision(kernel), groups)
    tiles = [tile for row in _around_two(x, axis=2) for tile in _around_two(row, axis=3)]
    filters = [tap for row in _of_three(*jnp.unstack(kernel, axis=1)) for tap in _of_three(*jnp.unstack(row, axis=1))]
    shape = (groups, batch, height // 2, width // 2, -1)
    products = [
        tall_product(tile.reshape(groups, -1, x.shape[-1]), tap).reshape(shape)
        for tile, tap in zip(tiles, filters, strict=True)
    ]
    y = _gathered(products, lambda m_0, m_1, m_2, m_3: [m_0 + m_1 + m_2, m_1 - m_2 - m_3])
    y = jnp.stack(jnp.unstack(y.reshape(groups, batch, height, width, -1)), axis=-2)
    return y.reshape(batch, height, width, -1).astype(dtype)


# Pixels to the left sides of products and back, along one axis.
def _of_four(x: jax.Array, *, axis: int) -> list[list[jax.Array]]:
    """`d_0 - d_1, d_1, d_1 - d_2` of both phases: tiles are of four pixels, and of one on either side."""
    first, second, third, fourth = _pixels(x, 4, axis=axis)
    return [
        [_before(fourth, axis=axis) - second, second, second - fourth],
        [first - third, third, third - _after(first, axis=axis)],
    ]


def _four_of(first: list[jax.Array], second: list[jax.Array], *, axis: int) -> list[jax.Array]:
    """The transpose of `_of_four`, from products of `_of_two`: both phases' `m_0, m_1, m_2` to four pixels."""
    (f_0, f_1, f_2), (s_0, s_1, s_2) = first, second
    return [s_0 + _before(s_2, axis=axis), f_1 - f_0 - f_2, s_1 - s_0 - s_2, _after(f_0, axis=axis) + f_2]


def _of_two(x: jax.Array, *, axis: int) -> list[jax.Array]:
    first, second = _pixels(x, 2, axis=axis)
    return [first, first + second, second]


def _around_two(x: jax.Array, *, axis: int) -> list[jax.Array]:
    """`d_0 - d_2, d_1 + d_2, d_2 - d_1, d_1 - d_3`: tiles are of two pixels, and of one on either side."""
    first, second = _pixels(x, 2, axis=axis)
    return [_before(second, axis=axis) - second, first + second, second - first, first - _after(first, axis=axis)]


def _pixels(x: jax.Array, count: int, *, axis: int) -> list[jax.Array]:
    """The first, second, .. of all groups of so many pixels along an axis."""
    return list(jnp.unstack(x.reshape(*x.shape[:axis], -1, count, *x.shape[axis + 1 :]), axis=axis + 1))


def _before(x: jax.Array, *, axis: int) -> jax.Array:
    """Shifts by one along an axis: each place holds the value of the one before, the first 0."""
    return lax.pad(x, jnp.zeros((), x.dtype), [(1, -1, 0) if i == axis else (0, 0, 0) for i in range(x.ndim)])


def _after(x: jax.Array, *, axis: int) -> jax.Array:
    return lax.pad(x, jnp.zeros((), x.dtype), [(-1, 1, 0) if i == axis else (0, 0, 0) for i in range(x.ndim)])


def _groups_first(x: jax.Array, groups: int) -> jax.Array:
    """`[.., C]` to `[groups, .., C / groups]`."""
    return jnp.stack(jnp.unstack(x.reshape(*x.shape[:-1], groups, -1), axis=-2))


def _phased(four: list[jax.Array]) -> jax.Array:
    """Four phases, by rows and columns: `[.., C]` each, to `[.., 4, C]`."""
    return jnp.stack(four, axis=-2)


def _gathered(products: list[jax.Array], combine: Callable[..., list[jax.Array]]) -> jax.Array:
    """A tile's products, row by row, to its 2x2 outputs: `[.., T, U, O]` each, to `[.., T, 2, U, 2, O]`."""
    side = math.isqrt(len(products))
    columns = zip(*(combine(*products[i : i + side]) for i in range(0, len(products), side)), strict=True)
    pixels = [combine(*column) for column in columns]
    return jnp.stack([jnp.stack(row, axis=-2) for row in zip(*pixels, strict=True)], axis=-4)


# Kernels to the right sides of products.
def _taps(kernel: jax.Array) -> list[list[jax.Array]]:
    """The 2x2 taps, `[2, 2, I, O]` by phase, of a kernel `[4, 4, I, O]` after space to depth."""
    inputs, outputs = kernel.shape[2:]
    rows = jnp.unstack(full_precision(kernel).reshape(2, 2, 2, 2, inputs, outputs), axis=0)
    return [list(jnp.unstack(row, axis=1)) for row in rows]


def _filters(taps: list[list[jax.Array]]) -> list[jax.Array]:
    """`g_0, g_0 + g_1, g_1` along both axes."""
    above, below = taps
    rows = [above, [a + b for a, b in zip(above, below, strict=True)], below]
    return [tap for first, second in rows for tap in (first, first + second, second)]


def _of_three(first: jax.Array, second: jax.Array, third: jax.Array) -> list[jax.Array]:
    outer, inner = 0.5 * (first + third), 0.5 * second
    return [first, outer + inner, outer - inner, third]
