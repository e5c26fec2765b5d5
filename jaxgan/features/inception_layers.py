"""Inception-v3's layers: convolutions with a bias and a ReLU, several of size 1 as one product, and 3x3 pooling."""

from collections.abc import Callable, Mapping

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxgan.layers import variance_scaled

Size = tuple[int, int]


class Weights(nn.Module):
    """A kernel `[*size, I, features]` and a bias `[features]`."""

    features: int
    size: tuple[int, ...] = (1, 1)

    @nn.compact
    def __call__(self, inputs: int) -> tuple[jax.Array, jax.Array]:
        kernel = self.param("kernel", variance_scaled(2.0), (*self.size, inputs, self.features))
        return kernel, self.param("bias", nn.initializers.zeros, (self.features,))


class Unit(nn.Module):
    """Convolution, bias and ReLU, `[B, H, W, I]` to `[B, H', W', features]`."""

    features: int
    size: Size
    stride: int = 1
    padding: Size = (0, 0)  # zeros on each side of either axis

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        kernel = self.param("kernel", variance_scaled(2.0), (*self.size, x.shape[-1], self.features))
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        return nn.relu(conv(x, kernel, stride=self.stride, padding=self.padding) + bias[None, None, None, :])


def pointwise(x: jax.Array, features: Mapping[str, int]) -> list[jax.Array]:
    """Convolutions of size 1 of the same input as one matrix product, before their ReLUs.

    Args:
        x: `[B, H, W, I]`.
        features: the outputs of each, by the name of its parameters.

    Returns:
        `[B, H, W, O]` of each, with its bias.
    """
    kernels, biases = zip(*(Weights(wide, name=name)(x.shape[-1]) for name, wide in features.items()), strict=True)
    y = conv(x, jnp.concatenate(kernels, axis=-1), stride=1, padding=(0, 0))
    y = y + jnp.concatenate(biases)[None, None, None, :]
    return jnp.split(y, np.cumsum(list(features.values()))[:-1], axis=-1)


def dot(x: jax.Array, matrix: jax.Array) -> jax.Array:
    """`x @ matrix` with all bits of float32, which accelerators leave out unless told otherwise."""
    return jnp.matmul(x, matrix, precision=lax.Precision.HIGHEST)


def conv(x: jax.Array, kernel: jax.Array, *, stride: int, padding: Size) -> jax.Array:
    if kernel.shape[:2] == (1, 1) and stride == 1:
        return dot(x.reshape(-1, x.shape[-1]), kernel[0, 0]).reshape(*x.shape[:3], -1)
    pads = tuple((each, each) for each in padding)
    return lax.conv_general_dilated(
        x, kernel, (stride, stride), pads, dimension_numbers=("NHWC", "HWIO", "NHWC"), precision=lax.Precision.HIGHEST
    )


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
