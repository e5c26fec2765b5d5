"""Convolutions as networks call them: exact, differentiable in every mode, and in the form that is fastest where they run."""

import functools
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax
from jax.sharding import PartitionSpec

from jaxgan.nets.convolutions import winograd
from jaxgan.nets.convolutions.products import fewer, full_precision, tall_product
from jaxgan.system import devices

# Pixels so few that a kernel is better left in the order that it has.
_FEW = 64
# From so many pixels on, patches of three pixels are faster to write than patches of nine.
_MANY = 8_192


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
    many = not fewer(math.prod(x.shape[:3]), _MANY)
    if winograd.halves(x.shape, kernel.shape, stride, padding):
        on_cpu = winograd.halved
    elif winograd.keeps(x.shape, kernel.shape, stride, padding):
        on_cpu = winograd.kept
    elif stride == 1 and math.prod(kernel.shape[:2]) * kernel.shape[3] <= kernel.shape[2]:
        on_cpu = functools.partial(_conv_of_taps, padding=padding)
    elif (*kernel.shape[:2], stride) == (3, 3, 2) and kernel.shape[2] >= winograd.CHANNELS and many:
        on_cpu = functools.partial(_conv_of_rows, padding=padding)
    form = functools.partial(lax.platform_dependent, cpu=on_cpu)
    return form(x, kernel, default=functools.partial(_conv_of_xla, stride=stride, padding=padding))


def grouped_conv(x: jax.Array, kernel: jax.Array, groups: int) -> jax.Array:
    """Cross-correlation in groups of channels, stride 1, zeros around: every group of outputs sees its group of inputs only.

    Where a batch is cut over the devices of a mesh, that mesh must be set (`jax.set_mesh`, or `devices.known` under
    `jax.jit`): XLA does not cut a convolution in groups by itself, but sends all images to each device, which computes all.

    Args:
        x: `[B, H, W, I]`.
        kernel: `[KH, KW, I / groups, O]`, sides odd. A PyTorch weight (O, I / groups, KH, KW) transposed by (2, 3, 1, 0).
        groups: how many; the channels of a group are adjacent.

    Returns:
        `[B, H, W, O]`.

    References:
        Krizhevsky et al. 2012, ImageNet classification with deep convolutional neural networks, section 3.5.
    """
    # The gradients of XLA's CPU convolutions in groups are ten times as slow as those of matrix products, one for each group.
    tiled = winograd.keeps(x.shape, (*kernel.shape[:3], kernel.shape[3] // groups), stride=1, padding=1)
    on_cpu = functools.partial(winograd.kept if tiled else _grouped_of_patches, groups=groups)
    form = functools.partial(lax.platform_dependent, cpu=on_cpu, default=functools.partial(_grouped_of_xla, groups=groups))
    mesh = devices.dividing(x.shape[0])
    if mesh is None:
        return form(x, kernel)
    images = PartitionSpec(mesh.axis_names)

    def of_own_images(x: jax.Array, kernel: jax.Array) -> jax.Array:
        return form(x, lax.pcast(kernel, mesh.axis_names, to="varying"))  # so that its gradient is summed once, here

    return jax.shard_map(of_own_images, in_specs=(images, PartitionSpec()), out_specs=images)(x, kernel)


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
        if fewer(batch, _FEW):
            y = lax.batch_matmul(*_tap_by_tap(x, kernel)).transpose(1, 0, 2)
        else:
            y = x.reshape(batch, inputs) @ kernel.transpose(2, 0, 1, 3).reshape(inputs, -1)
        return y.reshape(batch, kernel_height, kernel_width, outputs)

    phases: Callable[..., jax.Array] = functools.partial(_transposed_of_phases, stride=stride, padding=padding)
    back = (kernel_height, kernel_width, outputs, inputs)
    halves = winograd.halves((batch, stride * height, stride * width, outputs), back, stride, padding)
    # XLA's own form has fast convolutions but for the kernel's gradient, whose strides cuDNN is not told: a DCGAN's step of
    # 64 pixels took 1.6 times as long with it, on an H100. Phases of a kernel that is padded compute zeros instead.
    divides = kernel_height % stride == 0 and kernel_width % stride == 0
    default = phases if divides else functools.partial(_transposed_of_xla, stride=stride, padding=padding)
    on_cpu = phases if divides else functools.partial(_transposed_of_taps, stride=stride, padding=padding)
    return lax.platform_dependent(x, kernel, cpu=winograd.doubled if halves else on_cpu, default=default)


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
    if fewer(batch * height * width, _FEW):
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


def _transposed_of_taps(x: jax.Array, kernel: jax.Array, *, stride: int, padding: int) -> jax.Array:
    """Phases as above, each the sum of the taps that reach it: a kernel whose sides `stride` does not divide is not padded."""
    batch, height, width, inputs = x.shape
    kernel_height, kernel_width, _, outputs = kernel.shape
    rows, columns = -(-kernel_height // stride), -(-kernel_width // stride)  # pixels that reach one of the result, at most
    products = x.reshape(-1, inputs) @ kernel.transpose(2, 0, 1, 3).reshape(inputs, -1)
    products = products.reshape(batch, height, width, kernel_height, kernel_width, outputs)

    def phase(top: int, left: int) -> jax.Array:
        y = jnp.zeros((batch, height + rows - 1, width + columns - 1, outputs), x.dtype)
        for i, k in enumerate(range(top, kernel_height, stride)):
            for j, m in enumerate(range(left, kernel_width, stride)):
                y = y + jnp.pad(products[:, :, :, k, m], ((0, 0), (i, rows - 1 - i), (j, columns - 1 - j), (0, 0)))
        return y

    lines = [jnp.stack([phase(top, left) for left in range(stride)], axis=3) for top in range(stride)]
    y = jnp.stack(lines, axis=2).reshape(batch, (height + rows - 1) * stride, (width + columns - 1) * stride, outputs)
    end = ((height - 1) * stride - padding + kernel_height, (width - 1) * stride - padding + kernel_width)
    return y[:, padding : end[0], padding : end[1]]


def _tap_by_tap(x: jax.Array, kernel: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Pixels `[K, N, I]`, the same for each tap, and the kernel `[K, I, O]` as it lies in memory.

    For few pixels, where putting the kernel into another order takes longer than to multiply by it.
    """
    inputs, outputs = kernel.shape[2:]
    taps, pixels = kernel.reshape(-1, inputs, outputs), x.reshape(-1, inputs)
    return jnp.broadcast_to(pixels, (taps.shape[0], *pixels.shape)), taps


def _conv_of_xla(x: jax.Array, kernel: jax.Array, *, stride: int, padding: int) -> jax.Array:
    pads = ((padding, padding), (padding, padding))
    return lax.conv_general_dilated(x, kernel, (stride, stride), pads, dimension_numbers=("NHWC", "HWIO", "NHWC"))


def _conv_of_patches(x: jax.Array, kernel: jax.Array, *, stride: int, padding: int) -> jax.Array:
    rows, columns, _, outputs = kernel.shape
    x = jnp.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    bottom, right = x.shape[1] - rows + 1, x.shape[2] - columns + 1
    shifts = [x[:, i : i + bottom : stride, j : j + right : stride] for i in range(rows) for j in range(columns)]
    patches = jnp.concatenate(shifts, axis=-1)
    y = tall_product(patches.reshape(-1, patches.shape[-1]), kernel.reshape(-1, outputs))
    return y.reshape(*patches.shape[:3], outputs)


def _conv_of_rows(x: jax.Array, kernel: jax.Array, *, padding: int) -> jax.Array:
    """Size 3, stride 2: a product for the rows of each parity, whose patches are three pixels wide and one high.

    Even rows are seen by the taps above one output and below another, in one product, whose halves are then shifted and
    added. Two pixels that lie side by side stay so, and a third of what patches of nine pixels hold is written.
    """
    batch, (inputs, outputs), dtype = x.shape[0], kernel.shape[2:], x.dtype
    x, kernel = full_precision(x), full_precision(kernel)  # the sum rounds once
    height, width = ((side + 2 * padding - 3) // 2 + 1 for side in x.shape[1:3])
    bottom, right = (2 * (out + 1) - side - padding for out, side in ((height, x.shape[1]), (width, x.shape[2])))
    x = lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), (padding, bottom, 0), (padding, right, 0), (0, 0, 0)])
    even, odd = jnp.unstack(x.reshape(batch, height + 1, 2, width + 1, 2 * inputs), axis=2)

    def seen(rows: jax.Array, taps: jax.Array) -> jax.Array:
        patches = jnp.concatenate([rows[:, :, :width], rows[:, :, 1:, :inputs]], axis=-1)
        y = tall_product(patches.reshape(-1, 3 * inputs), taps)
        return y.reshape(*patches.shape[:3], taps.shape[1])

    above, middle, below = kernel.reshape(3, 3 * inputs, outputs)
    outer = seen(even, jnp.concatenate([above, below], axis=1))
    y = outer[:, :height, :, :outputs] + outer[:, 1:, :, outputs:] + seen(odd[:, :height], middle)
    return y.astype(dtype)


def _conv_of_taps(x: jax.Array, kernel: jax.Array, *, padding: int) -> jax.Array:
    """Each tap's products of all pixels, then shifted and added: for few outputs, of which there is less to move."""
    (batch, height, width, inputs), (rows, columns, _, outputs) = x.shape, kernel.shape
    y = tall_product(x.reshape(-1, inputs), kernel.transpose(2, 0, 1, 3).reshape(inputs, -1))
    y = jnp.pad(y.reshape(batch, height, width, rows, -1), ((0, 0), (padding, padding), (0, 0), (0, 0), (0, 0)))
    tall, wide = height + 2 * padding - rows + 1, width + 2 * padding - columns + 1
    y = functools.reduce(jnp.add, [y[:, i : i + tall, :, i] for i in range(rows)])
    y = jnp.pad(y.reshape(batch, tall, width, columns, outputs), ((0, 0), (0, 0), (padding, padding), (0, 0), (0, 0)))
    return functools.reduce(jnp.add, [y[:, :, j : j + wide, j] for j in range(columns)])


def _grouped_of_xla(x: jax.Array, kernel: jax.Array, *, groups: int) -> jax.Array:
    layout = ("NHWC", "HWIO", "NHWC")
    return lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=layout, feature_group_count=groups)


def _grouped_of_patches(x: jax.Array, kernel: jax.Array, *, groups: int) -> jax.Array:
    rows, columns, inputs, outputs = kernel.shape
    batch, height, width, _ = x.shape
    # In full as XLA's CPU product would have them: better once than nine times.
    wide = jnp.moveaxis(full_precision(x).reshape(batch, height, width, groups, inputs), 3, 0)
    wide = jnp.pad(wide, ((0, 0), (0, 0), (rows // 2, rows // 2), (columns // 2, columns // 2), (0, 0)))
    shifts = [wide[:, :, i : i + height, j : j + width] for i in range(rows) for j in range(columns)]
    patches = jnp.concatenate(shifts, axis=-1).reshape(groups, batch * height * width, -1)
    matrices = jnp.moveaxis(full_precision(kernel).reshape(-1, groups, outputs // groups), 1, 0)
    y = tall_product(patches, matrices).reshape(groups, batch, height, width, -1)
    return jnp.moveaxis(y, 0, 3).reshape(batch, height, width, outputs).astype(x.dtype)
