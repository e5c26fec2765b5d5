"""Inception-v3's layers: convolutions with a bias and a ReLU, a linear layer, and 3x3 pooling."""

import functools
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxgan.nets.layers import variance_scaled

Size = tuple[int, int]


class Unit(nn.Module):
    """Convolution, bias and ReLU, `[B, H, W, I]` to `[B, H', W', features]`; its parameters are a kernel and a bias."""

    features: int
    size: Size = (1, 1)
    stride: int = 1
    padding: Size = (0, 0)  # zeros on each side of either axis
    average: bool = False  # over 3x3 pixels before the ReLU: a convolution of size 1 and an average commute

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        kernel = self.param("kernel", variance_scaled(2.0), (*self.size, x.shape[-1], self.features))
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        x = conv(x, kernel, stride=self.stride, padding=self.padding)
        return nn.relu((mean_pool(x) if self.average else x) + bias[None, None, None, :])


class Logits(nn.Module):
    """Linear layer `x @ kernel`, `[B, I]` to `[B, features]`: without its bias and with it."""

    features: int

    @nn.compact
    def __call__(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        y = dot(x, self.param("kernel", variance_scaled(1.0), (x.shape[-1], self.features)))
        return y, y + self.param("bias", nn.initializers.zeros, (self.features,))[None, :]


def dot(x: jax.Array, matrix: jax.Array) -> jax.Array:
    """`x @ matrix` with all bits of float32, which accelerators leave out unless told otherwise."""
    return jnp.matmul(x, matrix, precision=lax.Precision.HIGHEST)


def conv(x: jax.Array, kernel: jax.Array, *, stride: int, padding: Size) -> jax.Array:
    """Cross-correlation: `y[i] = sum_k x[stride i + k - padding] kernel[k]`.

    Args:
        x: `[B, H, W, I]`.
        kernel: `[KH, KW, I, O]`.
        stride: of both axes.
        padding: zeros on each side of either axis.

    Returns:
        `[B, (H + 2 padding - KH) // stride + 1, (W + 2 padding - KW) // stride + 1, O]`.
    """
    if kernel.shape[:2] == (1, 1) and (stride, padding) == (1, (0, 0)):
        return dot(x.reshape(-1, x.shape[-1]), kernel[0, 0]).reshape(*x.shape[:3], -1)
    rows, columns = padding
    plain = functools.partial(_conv_of_xla, stride=stride, pads=((rows, rows), (columns, columns)))
    on_cpu = plain
    if 1 in kernel.shape[:2] or x.shape[-1] == 3:
        # XLA's CPU convolutions share the output's channels among threads, products its rows; here copies are small.
        on_cpu = functools.partial(_conv_of_patches, stride=stride, padding=padding)
    elif not any(padding):
        on_cpu = functools.partial(_conv_of_more_rows, stride=stride)
    return lax.platform_dependent(x, kernel, cpu=on_cpu, default=plain)


def _conv_of_xla(x: jax.Array, kernel: jax.Array, *, stride: int, pads: tuple[Size, Size]) -> jax.Array:
    layout = ("NHWC", "HWIO", "NHWC")
    exact = lax.Precision.HIGHEST
    return lax.conv_general_dilated(x, kernel, (stride, stride), pads, dimension_numbers=layout, precision=exact)


def _conv_of_more_rows(x: jax.Array, kernel: jax.Array, *, stride: int) -> jax.Array:
    """Without padding, as a convolution that has some below, whose last row is dropped.

    XLA's CPU convolutions without any padding first write out all patches, 25 MB an image in the second layer, in memory
    fresh from the system: five times the time there, more than twice in the fourth.
    """
    y = _conv_of_xla(x, kernel, stride=stride, pads=((0, stride), (0, 0)))
    return y[:, : (x.shape[1] - kernel.shape[0]) // stride + 1]


def _conv_of_patches(x: jax.Array, kernel: jax.Array, *, stride: int, padding: Size) -> jax.Array:
    """Computes a convolution as one matrix product of all taps of the kernel side by side."""
    (rows, columns), outputs = kernel.shape[:2], kernel.shape[3]
    x = jnp.pad(x, ((0, 0), *((each, each) for each in padding), (0, 0)))
    bottom, right = x.shape[1] - rows + 1, x.shape[2] - columns + 1
    shifts = [x[:, i : i + bottom : stride, j : j + right : stride] for i in range(rows) for j in range(columns)]
    patches = jnp.concatenate(shifts, axis=-1)
    return dot(patches.reshape(-1, patches.shape[-1]), kernel.reshape(-1, outputs)).reshape(*patches.shape[:3], outputs)


def max_pool(x: jax.Array, *, stride: int, padding: int = 0) -> jax.Array:
    """The largest of 3x3 pixels, those outside left out: `[B, H, W, C]` to `[B, (H + 2 padding - 3) // stride + 1, .., C]`."""
    for axis in (1, 2):
        x = _window(x, axis, stride, padding, -jnp.inf, jnp.maximum)
    return x


def mean_pool(x: jax.Array) -> jax.Array:
    """The mean of the 3x3 pixels around each, or of as many as lie inside: of 4 in a corner, of 6 at an edge."""
    for axis in (1, 2):
        x = _window(x, axis, 1, 1, 0.0, jnp.add)
    rows, columns = (np.minimum(np.arange(size), 1) + 1 + np.minimum(np.arange(size)[::-1], 1) for size in x.shape[1:3])
    return x * jnp.asarray(1.0 / np.outer(rows, columns), x.dtype)[None, :, :, None]


def _window(x: jax.Array, axis: int, stride: int, padding: int, outside: float, combine: Callable) -> jax.Array:
    """Three neighbours along an axis as one: shifted images, since XLA's CPU reductions over windows are not vectorised."""
    pads = [(0, 0, 0)] * x.ndim
    pads[axis] = (padding, padding, 0)
    wide = lax.pad(x, jnp.asarray(outside, x.dtype), pads)
    end = wide.shape[axis] - 2
    shifted = [lax.slice_in_dim(wide, start, start + end, stride, axis) for start in range(3)]
    return combine(combine(shifted[0], shifted[1]), shifted[2])
