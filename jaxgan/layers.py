"""Layers that flax lacks or defines otherwise: fast transposed convolution, resizing, batch and spectral normalisation."""

import functools
import math
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

Initializer = Callable[..., jax.Array]


def leaky_relu(x: jax.Array, slope: float = 0.2) -> jax.Array:
    """`x` where `x > 0`, else `slope x`; at 0 the derivative is `slope`, as in PyTorch (`jax.nn.leaky_relu` has 1)."""
    return jnp.where(x > 0, x, slope * x)


def conv(x: jax.Array, kernel: jax.Array, *, stride: int = 1, padding: int = 0) -> jax.Array:
    """Cross-correlation, as PyTorch's `conv2d`: `y[i] = sum_k x[stride i + k - padding] kernel[k]`.

    Args:
        x: `[B, H, W, I]`.
        kernel: `[KH, KW, I, O]`. A PyTorch weight (O, I, KH, KW) transposed by (2, 3, 1, 0).
        stride: of both axes.
        padding: zeros on each side of both axes.

    Returns:
        `[B, (H + 2 padding - KH) // stride + 1, (W + 2 padding - KW) // stride + 1, O]`.
    """
    if x.shape[1:] == kernel.shape[:3] and padding == 0:  # one position: a matrix product
        return (x.reshape(x.shape[0], -1) @ kernel.reshape(-1, kernel.shape[3]))[:, None, None, :]
    # XLA's CPU convolutions are slow in the gradients that a penalty on D needs, and in loops: there as matrix products.
    on_cpu: Callable[..., jax.Array] = functools.partial(_conv_of_patches, stride=stride, padding=padding)
    if _halves(x.shape, kernel.shape, stride, padding):
        on_cpu = _halved_of_tiles
    elif _keeps(x.shape, kernel.shape, stride, padding):
        on_cpu = _kept_of_tiles
    elif stride == 1 and math.prod(kernel.shape[:2]) * kernel.shape[3] <= kernel.shape[2]:
        on_cpu = functools.partial(_conv_of_taps, padding=padding)
    form = functools.partial(lax.platform_dependent, cpu=on_cpu)
    return form(x, kernel, default=functools.partial(_conv_of_xla, stride=stride, padding=padding))


def product(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """`x @ kernel`, matrices or as many of both, where the rows of x are many.

    Args:
        x: `[..., N, I]`.
        kernel: `[..., I, O]`.

    Returns:
        `[..., N, O]`.
    """
    return lax.platform_dependent(x, kernel, cpu=_product, default=jnp.matmul)


def pointwise(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """`x @ kernel` over the last axis, `[..., I]` and `[I, O]` to `[..., O]`: of pixels, a convolution of size 1."""
    return product(x.reshape(-1, x.shape[-1]), kernel).reshape(*x.shape[:-1], kernel.shape[1])


def _conv_of_xla(x: jax.Array, kernel: jax.Array, *, stride: int, padding: int) -> jax.Array:
    pads = ((padding, padding), (padding, padding))
    return lax.conv_general_dilated(x, kernel, (stride, stride), pads, dimension_numbers=("NHWC", "HWIO", "NHWC"))


def _conv_of_patches(x: jax.Array, kernel: jax.Array, *, stride: int, padding: int) -> jax.Array:
    rows, columns, _, outputs = kernel.shape
    x = jnp.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    bottom, right = x.shape[1] - rows + 1, x.shape[2] - columns + 1
    shifts = [x[:, i : i + bottom : stride, j : j + right : stride] for i in range(rows) for j in range(columns)]
    patches = jnp.concatenate(shifts, axis=-1)
    y = _product(patches.reshape(-1, patches.shape[-1]), kernel.reshape(-1, outputs))
    return y.reshape(*patches.shape[:3], outputs)


def _conv_of_taps(x: jax.Array, kernel: jax.Array, *, padding: int) -> jax.Array:
    """Each tap's products of all pixels, then shifted and added: for few outputs, of which there is less to move."""
    (batch, height, width, inputs), (rows, columns, _, outputs) = x.shape, kernel.shape
    y = _product(x.reshape(-1, inputs), kernel.transpose(2, 0, 1, 3).reshape(inputs, -1))
    y = jnp.pad(y.reshape(batch, height, width, rows, -1), ((0, 0), (padding, padding), (0, 0), (0, 0), (0, 0)))
    tall, wide = height + 2 * padding - rows + 1, width + 2 * padding - columns + 1
    y = functools.reduce(jnp.add, [y[:, i : i + tall, :, i] for i in range(rows)])
    y = jnp.pad(y.reshape(batch, tall, width, columns, outputs), ((0, 0), (0, 0), (padding, padding), (0, 0), (0, 0)))
    return functools.reduce(jnp.add, [y[:, :, j : j + wide, j] for j in range(columns)])


@jax.custom_jvp
def _product(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """`x @ kernel`, `[.., N, K] [.., K, O]` with a large N, whose gradient in the kernel puts the narrower operand first.

    That gradient contracts the N rows of both operands, and XLA's CPU product makes 1.1 to 2 times as much of its time when
    the first has fewer columns, unless rows are fewer still. Only the linear map from the kernel's tangent is written
    otherwise, so forward mode, and derivatives of any order, are those of `x @ kernel`.
    """
    return x @ kernel


@_product.defjvp
def _product_jvp(primals: tuple[jax.Array, jax.Array], tangents: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
    (x, kernel), (dx, dkernel) = primals, tangents
    y = _product(x, kernel)
    if kernel.shape[-2] <= kernel.shape[-1] or x.shape[-2] < kernel.shape[-2]:
        return y, _product(dx, kernel) + x @ dkernel
    # The barrier keeps XLA from taking the transpose back.
    across = lax.optimization_barrier(jnp.swapaxes(dkernel, -1, -2))
    last, batch = x.ndim - 1, tuple(range(x.ndim - 2))
    return y, _product(dx, kernel) + lax.dot_general(x, across, (((last,), (last,)), (batch, batch)))


def _halves(shape: tuple[int, ...], kernel: tuple[int, ...], stride: int, padding: int) -> bool:
    """Whether `_halved_of_tiles` is for this convolution: it is the DCGAN's, and large enough to be worth it."""
    batch, height, width = shape[:3]
    same = (*kernel[:2], stride, padding) == (4, 4, 2, 1) and height % 4 == 0 and width % 4 == 0
    return same and min(kernel[2:]) >= _CHANNELS and batch * height * width // 16 >= _TILES


def _keeps(shape: tuple[int, ...], kernel: tuple[int, ...], stride: int, padding: int) -> bool:
    """Whether `_kept_of_tiles` is for this convolution."""
    batch, height, width = shape[:3]
    same = (*kernel[:2], stride, padding) == (3, 3, 1, 1) and height % 2 == 0 and width % 2 == 0
    return same and min(kernel[2:]) >= _CHANNELS and batch * height * width // 4 >= _TILES


# Channels and tiles: of fewer, putting tiles and kernel into another form takes longer than the products that are saved.
# Pixels so few that a kernel is better left in the order that it has.
_CHANNELS, _TILES, _FEW = 16, 128, 64


def _halved_of_tiles(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """The convolution of size 4, stride 2 and padding 1 with 9 products instead of 16: Winograd's F(2x2, 2x2).

    After space to depth it is one of size 2 and stride 1 on four times the channels. Along one axis three pixels d give two
    outputs of a filter g by three products,

        y_0 = d_0 g_0 + d_1 g_1 = (d_0 - d_1) g_0 + d_1 (g_0 + g_1)
        y_1 = d_1 g_0 + d_2 g_1 = d_1 (g_0 + g_1) - (d_1 - d_2) g_1

    and along two axes a tile of 3x3 gives 2x2 outputs by 9. Sums and differences only: it rounds as the direct form does.

    Args:
        x: `[B, H, W, I]`, H and W multiples of 4.
        kernel: `[4, 4, I, O]`.

    Returns:
        `[B, H / 2, W / 2, O]`.

    References:
        Lavin and Gray 2016, Fast algorithms for convolutional neural networks, section 4.
    """
    (batch, height, width, inputs), outputs, dtype = x.shape, kernel.shape[3], x.dtype
    exact = jnp.promote_types(dtype, jnp.float32)
    tall, wide = height // 4, width // 4  # tiles
    x = jnp.pad(x.astype(exact), ((0, 0), (1, 3), (1, 3), (0, 0)))
    x = x.reshape(batch, tall + 1, 2, 2, wide + 1, 2, 2, inputs)  # tile, pixel of the tile, phase of the pixel; twice
    tiles = [
        tile.transpose(0, 1, 3, 2, 4, 5).reshape(-1, 4 * inputs)
        for rows in _combined(x[:, :, 0], x[:, :, 1], axis=1)
        for tile in _combined(rows[:, :, :, :, 0], rows[:, :, :, :, 1], axis=3)
    ]
    taps = kernel.astype(exact).reshape(2, 2, 2, 2, inputs, outputs).transpose(0, 2, 1, 3, 4, 5)
    taps = taps.reshape(2, 2, 4 * inputs, outputs)
    filters = [tap for row in _summed(taps[0], taps[1]) for tap in _summed(row[0], row[1])]
    y = _product(jnp.stack(tiles), jnp.stack(filters)).reshape(3, 3, batch, tall, wide, outputs)
    rows = [jnp.stack([row[0] + row[1], row[1] - row[2]], axis=3) for row in (y[0] + y[1], y[1] - y[2])]
    return jnp.stack(rows, axis=2).reshape(batch, height // 2, width // 2, outputs).astype(dtype)


def _kept_of_tiles(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """The convolution of size 3, stride 1 and padding 1 with 16 products instead of 36: Winograd's F(2x2, 3x3).

    Along one axis four pixels d, of which the next tile begins with the last two, give two outputs of a filter g by four
    products,

        m_0 = (d_0 - d_2) g_0                          y_0 = m_0 + m_1 + m_2
        m_1 = (d_1 + d_2) (g_0 + g_1 + g_2) / 2        y_1 = m_1 - m_2 - m_3
        m_2 = (d_2 - d_1) (g_0 - g_1 + g_2) / 2
        m_3 = (d_1 - d_3) g_2

    and along two axes a tile of 4x4 gives 2x2 outputs by 16. Larger tiles would save more, and round more.

    Args:
        x: `[B, H, W, I]`, H and W even.
        kernel: `[3, 3, I, O]`.

    Returns:
        `[B, H, W, O]`.

    References:
        Lavin and Gray 2016, Fast algorithms for convolutional neural networks, section 4.1.
    """
    (batch, height, width, inputs), outputs, dtype = x.shape, kernel.shape[3], x.dtype
    exact = jnp.promote_types(dtype, jnp.float32)
    x = jnp.pad(x.astype(exact), ((0, 0), (1, 1), (1, 1), (0, 0)))
    tiles = [tile.reshape(-1, inputs) for rows in _of_three(x, axis=1) for tile in _of_three(rows, axis=2)]
    taps = kernel.astype(exact)
    filters = [tap for row in _halves_summed(*taps) for tap in _halves_summed(*row)]
    y = _product(jnp.stack(tiles), jnp.stack(filters))
    y = y.reshape(4, 4, batch, height // 2, width // 2, outputs)
    rows = [jnp.stack(_gathered(row), axis=3) for row in _gathered(y)]
    return jnp.stack(rows, axis=2).reshape(batch, height, width, outputs).astype(dtype)


def _of_three(x: jax.Array, *, axis: int) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
    """`d_0 - d_2, d_1 + d_2, d_2 - d_1, d_1 - d_3` of the tiles along an axis of `2 n + 2` pixels."""
    pairs = x.reshape(*x.shape[:axis], x.shape[axis] // 2, 2, *x.shape[axis + 1 :])
    even, odd = (lax.index_in_dim(pairs, i, axis + 1, keepdims=False) for i in (0, 1))
    count = even.shape[axis] - 1
    d_0, d_1 = (lax.slice_in_dim(pixel, 0, count, axis=axis) for pixel in (even, odd))
    d_2, d_3 = (lax.slice_in_dim(pixel, 1, count + 1, axis=axis) for pixel in (even, odd))
    return d_0 - d_2, d_1 + d_2, d_2 - d_1, d_1 - d_3


def _halves_summed(first: jax.Array, second: jax.Array, third: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
    outer, inner = 0.5 * (first + third), 0.5 * second
    return first, outer + inner, outer - inner, third


def _gathered(products: jax.Array) -> tuple[jax.Array, jax.Array]:
    return products[0] + products[1] + products[2], products[1] - products[2] - products[3]


def _combined(even: jax.Array, odd: jax.Array, *, axis: int) -> tuple[jax.Array, jax.Array, jax.Array]:
    """`d_0 - d_1, d_1, d_1 - d_2` of tiles of two pixels each, of which the last only ends the one before it."""
    count = even.shape[axis] - 1
    first, second = (lax.slice_in_dim(pixel, 0, count, axis=axis) for pixel in (even, odd))
    return first - second, second, second - lax.slice_in_dim(even, 1, count + 1, axis=axis)


def _summed(first: jax.Array, second: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    return first, first + second, second


def conv_transpose(x: jax.Array, kernel: jax.Array, *, stride: int, padding: int) -> jax.Array:
    """Transposed convolution, as PyTorch's `conv_transpose2d`: `y[stride i + k - padding] += x[i] kernel[k]`.

    In phases: tap `k = stride j + c` of the kernel reaches the outputs of phase c, those congruent to c modulo `stride`, at
    position `i + j`. So one convolution of size 1 makes the products of every pixel with every tap, depth to space puts the
    `stride ** 2` phases of each j in their places, and the few j are added, shifted by `stride` pixels. Not one
    multiplication by the zeros that a dilated input would hold; the gradients, of any order, are matrix products as well.
    That holds where the stride divides the kernel's sides. Where it does not, accelerators use XLA's own form.

    Args:
        x: `[B, H, W, I]`.
        kernel: `[KH, KW, I, O]`, not flipped. A PyTorch weight (I, O, KH, KW) transposed by (2, 3, 0, 1).
        stride: of both axes.
        padding: rows and columns cut from each side of the full result.

    Returns:
        `[B, (H - 1) stride - 2 padding + KH, (W - 1) stride - 2 padding + KW, O]`.

    References:
        Shi et al. 2016, Is the deconvolution layer the same as a convolutional layer?, section 3.
    """
    batch, height, width, inputs = x.shape
    kernel_height, kernel_width, _, outputs = kernel.shape
    if (height, width, padding) == (1, 1, 0):  # one pixel: its products are the output
        if batch < _FEW:
            y = lax.batch_matmul(*_tap_by_tap(x, kernel)).transpose(1, 0, 2)
        else:
            y = x.reshape(batch, inputs) @ kernel.transpose(2, 0, 1, 3).reshape(inputs, -1)
        return y.reshape(batch, kernel_height, kernel_width, outputs)

    phases: Callable[..., jax.Array] = functools.partial(_transposed_of_phases, stride=stride, padding=padding)
    back = (kernel_height, kernel_width, outputs, inputs)
    halves = _halves((batch, stride * height, stride * width, outputs), back, stride, padding)
    # XLA's own form has fast convolutions but for the kernel's gradient, whose strides cuDNN is not told: a DCGAN's step of
    # 64 pixels took 1.6 times as long with it, on an H100. Phases of a kernel that is padded compute zeros instead.
    divides = kernel_height % stride == 0 and kernel_width % stride == 0
    default = phases if divides else functools.partial(_transposed_of_xla, stride=stride, padding=padding)
    return lax.platform_dependent(x, kernel, cpu=_doubled_of_tiles if halves else phases, default=default)


def _transposed_of_xla(x: jax.Array, kernel: jax.Array, *, stride: int, padding: int) -> jax.Array:
    pads = [(size - 1 - padding, size - 1 - padding) for size in kernel.shape[:2]]
    dilated = functools.partial(lax.conv_general_dilated, lhs_dilation=(stride, stride))
    return dilated(x, kernel[::-1, ::-1], (1, 1), pads, dimension_numbers=("NHWC", "HWIO", "NHWC"))


def _transposed_of_phases(x: jax.Array, kernel: jax.Array, *, stride: int, padding: int) -> jax.Array:
    batch, height, width, inputs = x.shape
    kernel_height, kernel_width, _, outputs = kernel.shape
    rows, columns = -(-kernel_height // stride), -(-kernel_width // stride)  # how many j
    missing = (rows * stride - kernel_height, columns * stride - kernel_width)
    taps = jnp.pad(kernel, ((0, missing[0]), (0, missing[1]), (0, 0), (0, 0)))
    if batch * height * width < _FEW:
        products = lax.batch_matmul(*_tap_by_tap(x, taps))
        products = products.reshape(rows, stride, columns, stride, batch, height, width, outputs)
        products = products.transpose(4, 5, 6, 0, 1, 2, 3, 7)
    else:
        products = x.reshape(-1, inputs) @ taps.transpose(2, 0, 1, 3).reshape(inputs, -1)
        products = products.reshape(batch, height, width, rows, stride, columns, stride, outputs)

    # [B, H, W, rows, stride, columns, stride, O] -> [rows, columns, B, H, stride, W, stride, O]
    parts = products.transpose(3, 5, 0, 1, 4, 2, 6, 7).reshape(rows, columns, batch, height * stride, width * stride, outputs)
    y = jnp.zeros((), x.dtype)
    for i in range(rows):
        for j in range(columns):
            above, left = stride * i, stride * j
            below, right = stride * (rows - 1 - i), stride * (columns - 1 - j)
            y = y + jnp.pad(parts[i, j], ((0, 0), (above, below), (left, right), (0, 0)))
    end = ((height - 1) * stride - padding + kernel_height, (width - 1) * stride - padding + kernel_width)
    return y[:, padding : end[0], padding : end[1]]


def _tap_by_tap(x: jax.Array, kernel: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Pixels `[K, N, I]`, the same for each tap, and the kernel `[K, I, O]` as it lies in memory.

    For few pixels, where putting the kernel into another order takes longer than to multiply by it.
    """
    inputs, outputs = kernel.shape[2:]
    taps, pixels = kernel.reshape(-1, inputs, outputs), x.reshape(-1, inputs)
    return jnp.broadcast_to(pixels, (taps.shape[0], *pixels.shape)), taps


def _doubled_of_tiles(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """The transposed convolution of size 4, stride 2 and padding 1, as what it is: the transpose of `_halved_of_tiles`."""
    batch, height, width, _ = x.shape
    nothing = jnp.zeros((batch, 2 * height, 2 * width, kernel.shape[3]), x.dtype)
    (y,) = jax.vjp(lambda y: _halved_of_tiles(y, kernel.transpose(0, 1, 3, 2)), nothing)[1](x)
    return y


def upsample_bilinear(x: jax.Array) -> jax.Array:
    """Doubles both sides, as PyTorch's `interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)`.

    A new pixel's centre lies a quarter of a pixel from an old one's and three quarters from the next, whose place the
    border takes where there is none. As sums of shifted images: `jax.image.resize` multiplies by matrices that are
    mostly zeros.

    Args:
        x: `[B, H, W, C]`.

    Returns:
        `[B, 2 H, 2 W, C]`.
    """
    for axis in (1, 2):
        size = x.shape[axis]
        first, last = lax.slice_in_dim(x, 0, 1, axis=axis), lax.slice_in_dim(x, size - 1, size, axis=axis)
        before = jnp.concatenate([first, lax.slice_in_dim(x, 0, size - 1, axis=axis)], axis)
        after = jnp.concatenate([lax.slice_in_dim(x, 1, size, axis=axis), last], axis)
        pairs = jnp.stack([0.75 * x + 0.25 * before, 0.75 * x + 0.25 * after], axis + 1)
        x = pairs.reshape(*x.shape[:axis], 2 * size, *x.shape[axis + 1 :])
    return x


def downsample_mean(x: jax.Array) -> jax.Array:
    """Halves both sides, `[B, 2 H, 2 W, C]` to `[B, H, W, C]`: each pixel is the mean of four."""
    batch, height, width, channels = x.shape
    return x.reshape(batch, height // 2, 2, width // 2, 2, channels).mean((2, 4))


def variance_scaled(gain: float, overlap: float = 1.0) -> Initializer:
    """Normal weights of variance `gain / fan_in`, which keep the variance of a signal across a layer and its activation.

    Args:
        gain: 1 for a linear output, 2 where a ReLU takes half of the signal's power.
        overlap: how many times fewer taps of the kernel than all meet in one output: `stride ** 2` for a transposed
            convolution, the size of the kernel for one on a single pixel.

    Returns:
        An initialiser of kernels `[..., I, O]`.

    References:
        He et al. 2015, Delving deep into rectifiers, equation 10.
    """
    return nn.initializers.variance_scaling(gain * overlap, "fan_in", "normal")


def matched(weight: jax.Array, x: jax.Array) -> jax.Array:
    """A parameter in the dtype of the activations that it meets: bfloat16 where they are, else no less than its own."""
    return weight.astype(x.dtype if x.dtype == jnp.bfloat16 else jnp.promote_types(weight.dtype, x.dtype))


def full_precision(x: jax.Array) -> jax.Array:
    """In float32 at least: for what is summed over many terms, and for what leaves a network."""
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def in_full(combine: Callable[..., jax.Array], x: jax.Array, *others: jax.Array) -> jax.Array:
    """`combine(x, *others)` computed in float32 at least and rounded once, to x's dtype where that is bfloat16.

    For what broadcasts a parameter over activations: its gradient is a sum over them all, and XLA adds bfloat16 numbers up
    in bfloat16, where a sum of ones ends at 256.
    """
    y = combine(full_precision(x), *map(full_precision, others))
    return y.astype(x.dtype) if x.dtype == jnp.bfloat16 else y


def recomputed(wanted: bool, stage: Callable[..., Any]) -> Callable[..., Any]:
    """A stage of a network, `(module, *arrays) -> arrays`; where wanted, of all it computes only the arrays are kept for the
    gradients, which compute the rest once more. The parameters' names stay as they are.

    References:
        Chen et al. 2016, Training deep nets with sublinear memory cost, section 4.
    """
    remat: Callable[..., Any] = nn.remat(stage) if wanted else stage
    return remat


class Dense(nn.Module):
    """Linear layer `x @ kernel + bias`, `[B, I]` to `[B, features]`; `spectral` divides the kernel by its spectral norm."""

    features: int
    use_bias: bool = True
    spectral: bool = False
    kernel_init: Initializer = variance_scaled(2.0)

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
        kernel = self.param("kernel", self.kernel_init, (x.shape[-1], self.features))
        if self.spectral:
            kernel = SpectralNorm(name="spectral_norm")(kernel, train=train)
        return _add_bias(self, x @ matched(kernel, x))


class Conv(nn.Module):
    """`conv` with parameters, `[B, H, W, I]` to `[B, H', W', features]`; `spectral` divides the kernel by its spectral norm."""

    features: int
    kernel_size: int
    stride: int = 1
    padding: int = 0
    use_bias: bool = True
    spectral: bool = False
    kernel_init: Initializer = variance_scaled(2.0)

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
        shape = (self.kernel_size, self.kernel_size, x.shape[-1], self.features)
        kernel = self.param("kernel", self.kernel_init, shape)
        if self.spectral:
            kernel = SpectralNorm(name="spectral_norm")(kernel, train=train)
        return _add_bias(self, conv(x, matched(kernel, x), stride=self.stride, padding=self.padding))


class ConvTranspose(nn.Module):
    """`conv_transpose` with parameters, `[B, H, W, I]` to `[B, H', W', features]`."""

    features: int
    kernel_size: int
    stride: int = 1
    padding: int = 0
    use_bias: bool = True
    kernel_init: Initializer = variance_scaled(2.0)

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        shape = (self.kernel_size, self.kernel_size, x.shape[-1], self.features)
        kernel = self.param("kernel", self.kernel_init, shape)
        return _add_bias(self, conv_transpose(x, matched(kernel, x), stride=self.stride, padding=self.padding))


class BatchNorm(nn.Module):
    """Batch normalisation over all axes but the last, with PyTorch's running statistics.

    `y = scale (x - mean) / sqrt(var + epsilon) + bias`. In training `mean` and `var` are the batch's, `var` the biased one;
    the running ones, used otherwise, move by `1 - momentum` towards the batch's mean and its *unbiased* variance.
    flax's own takes the biased variance there, which is off by n / (n - 1). Of activations in bfloat16 the statistics and the
    normalised values are computed in float32.

    References:
        Ioffe and Szegedy 2015, Batch normalization, algorithms 1 and 2.
    """

    momentum: float = 0.9  # share of the running statistics kept; PyTorch's momentum is 1 - 0.9
    epsilon: float = 1e-5
    scale_init: Initializer = nn.initializers.ones
    affine: bool = True  # False: no scale and no bias

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        return in_full(lambda x: self._normalised(x, train=train), x)

    def _normalised(self, x: jax.Array, *, train: bool) -> jax.Array:
        features = x.shape[-1]
        running_mean = self.variable("batch_stats", "mean", jnp.zeros, (features,))
        running_var = self.variable("batch_stats", "var", jnp.ones, (features,))
        mean, var = running_mean.value, running_var.value
        if train:
            axes = tuple(range(x.ndim - 1))
            mean, var = x.mean(axes), x.var(axes)
            if not self.is_initializing():
                n = math.prod(x.shape[:-1])
                keep = self.momentum
                running_mean.value = keep * running_mean.value + (1.0 - keep) * mean
                running_var.value = keep * running_var.value + (1.0 - keep) * var * (n / max(n - 1, 1))
        factor = lax.rsqrt(var + self.epsilon)
        if not self.affine:
            return (x - _broadcast(mean, x)) * _broadcast(factor, x)
        scale = self.param("scale", self.scale_init, (features,))
        bias = self.param("bias", nn.initializers.zeros, (features,))
        return (x - _broadcast(mean, x)) * _broadcast(scale * factor, x) + _broadcast(bias, x)


class ConditionalBatchNorm(nn.Module):
    """Batch normalisation of images `[B, H, W, C]` whose scale and bias are those of each image's class.

    The statistics are the whole batch's, of all classes. One table `[classes, 2 C]` holds a class's scale, then its bias.

    References:
        Dumoulin et al. 2017, A learned representation for artistic style, section 2.2;
        Miyato and Koyama 2018, cGANs with projection discriminator, section 5.
    """

    classes: int
    scale_init: Initializer = nn.initializers.normal(0.02)  # about one

    @nn.compact
    def __call__(self, x: jax.Array, labels: jax.Array, *, train: bool) -> jax.Array:
        features = x.shape[-1]

        def start(key: jax.Array) -> jax.Array:
            scale = 1.0 + self.scale_init(key, (self.classes, features))
            return jnp.concatenate([scale, jnp.zeros_like(scale)], axis=1)

        table = self.param("embedding", start)
        scale, bias = jnp.split(table[labels][:, None, None, :], 2, axis=-1)
        norm = BatchNorm(affine=False, name="norm")
        return in_full(lambda x: norm(x, train=train) * scale + bias, x)


class SpectralNorm(nn.Module):
    """Divides a kernel `[..., O]` by an estimate of its largest singular value as a matrix `[prod(...), O]`.

    `W / sigma`, `sigma = v^T W u`. In training one power iteration, `v = W u / |W u|`, `u = W^T v / |W^T v|`, first follows W,
    and both vectors are kept in the collection `spectral`; otherwise those kept are used as they are. The gradient flows
    through sigma with u and v held fixed.

    References:
        Miyato et al. 2018, Spectral normalization for generative adversarial networks, equation 8, algorithm 1.
    """

    initial_iterations: int = 16  # so that the first step already has sigma to about a tenth

    @nn.compact
    def __call__(self, kernel: jax.Array, *, train: bool) -> jax.Array:
        matrix = kernel.reshape(-1, kernel.shape[-1])
        fixed = lax.stop_gradient(matrix)

        def start() -> jax.Array:
            u = _unit(jax.random.normal(self.make_rng("params"), kernel.shape[-1:], kernel.dtype))
            return lax.fori_loop(0, self.initial_iterations, lambda _, u: _unit(fixed.T @ _unit(fixed @ u)), u)

        kept_u = self.variable("spectral", "u", start)
        kept_v = self.variable("spectral", "v", lambda: _unit(fixed @ kept_u.value))
        u, v = kept_u.value, kept_v.value
        if train:
            v = _unit(fixed @ u)
            u = _unit(fixed.T @ v)
            if not self.is_initializing():
                kept_u.value, kept_v.value = u, v
        return kernel / (v @ matrix @ u)


def _unit(x: jax.Array) -> jax.Array:
    return x / jnp.maximum(jnp.linalg.norm(x), 1e-12)


def _broadcast(vector: jax.Array, like: jax.Array) -> jax.Array:
    return vector.reshape((1,) * (like.ndim - 1) + (-1,))


def _add_bias(layer: Dense | Conv | ConvTranspose, y: jax.Array) -> jax.Array:
    if not layer.use_bias:
        return y
    bias = layer.param("bias", nn.initializers.zeros, (layer.features,))
    return in_full(jnp.add, y, _broadcast(bias, y))
