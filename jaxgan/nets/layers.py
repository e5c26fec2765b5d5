"""Layers that flax lacks or defines otherwise: convolutions, resizing, batch and spectral normalisation."""

import math
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from jaxgan.nets.convolutions import conv, conv_transpose, full_precision

Initializer = Callable[..., jax.Array]


def leaky_relu(x: jax.Array, slope: float = 0.2) -> jax.Array:
    """`x` where `x > 0`, else `slope x`; at 0 the derivative is `slope`, as in PyTorch (`jax.nn.leaky_relu` has 1)."""
    return jnp.where(x > 0, x, slope * x)


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
    return doubled(doubled(x, 1), 2)


def doubled(x: jax.Array, axis: int, *, periodic: bool = False) -> jax.Array:
    """Doubles the side along one axis, `[..., S, ...]` to `[..., 2 S, ...]`, as `upsample_bilinear` doubles both.

    Beyond an end the last place is repeated, or with `periodic` the other end follows.
    """
    size = x.shape[axis]
    first, last = lax.slice_in_dim(x, 0, 1, axis=axis), lax.slice_in_dim(x, size - 1, size, axis=axis)
    if periodic:
        first, last = last, first
    before = jnp.concatenate([first, lax.slice_in_dim(x, 0, size - 1, axis=axis)], axis)
    after = jnp.concatenate([lax.slice_in_dim(x, 1, size, axis=axis), last], axis)
    pairs = jnp.stack([0.75 * x + 0.25 * before, 0.75 * x + 0.25 * after], axis + 1)
    return pairs.reshape(*x.shape[:axis], 2 * size, *x.shape[axis + 1 :])


def downsample_mean(x: jax.Array) -> jax.Array:
    """Halves both sides, `[B, 2 H, 2 W, C]` to `[B, H, W, C]`: each pixel is the mean of four."""
    batch, height, width, channels = x.shape
    return x.reshape(batch, height // 2, 2, width // 2, 2, channels).mean((2, 4))


def halved(x: jax.Array, axis: int) -> jax.Array:
    """Halves the side along one axis, rounded up, `[..., S, ...]` to `[..., (S + 1) // 2, ...]`: means of pairs.

    The last of an odd number is its own mean.
    """
    size = x.shape[axis]
    if size % 2:
        x = jnp.concatenate([x, lax.slice_in_dim(x, size - 1, size, axis=axis)], axis)
    return x.reshape(*x.shape[:axis], (size + 1) // 2, 2, *x.shape[axis + 1 :]).mean(axis + 1)


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
    """Casts a parameter to the dtype of the activations: bfloat16 where these are, else no less precise than its own."""
    return weight.astype(x.dtype if x.dtype == jnp.bfloat16 else jnp.promote_types(weight.dtype, x.dtype))


def in_full(combine: Callable[..., jax.Array], x: jax.Array, *others: jax.Array) -> jax.Array:
    """Computes `combine(x, *others)` in float32 at least and rounds once, to x's dtype where that is bfloat16.

    This is for functions that broadcast a parameter over activations. The parameter's gradient is a sum over all of them,
    and XLA adds bfloat16 numbers up in bfloat16, where a sum of ones ends at 256.
    """
    y = combine(full_precision(x), *map(full_precision, others))
    return y.astype(x.dtype) if x.dtype == jnp.bfloat16 else y


def recomputed(wanted: bool, stage: Callable[..., Any]) -> Callable[..., Any]:
    """Rematerialises a stage of a network, `(module, *arrays) -> arrays`, where wanted: the gradients keep its inputs only and
    compute the rest again. The parameters' names stay as they are.

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
    flax's own running variance takes the biased one, which is off by n / (n - 1). Statistics and normalised values of
    activations in bfloat16 are computed in float32.

    References:
        Ioffe and Szegedy 2015, Batch normalization, algorithms 1 and 2.
    """

    momentum: float = 0.9  # share of the running statistics kept; PyTorch's momentum is 1 - 0.9
    epsilon: float = 1e-5
    scale_init: Initializer = nn.initializers.constant(1.0)
    affine: bool = True  # False: no scale and no bias

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        return in_full(lambda x: self._normalised(x, train=train), x)

    def _normalised(self, x: jax.Array, *, train: bool) -> jax.Array:
        features = x.shape[-1]
        running_mean = self.variable("batch_stats", "mean", jnp.zeros, (features,))
        running_var = self.variable("batch_stats", "var", jnp.ones, (features,))
        if train:
            axes = tuple(range(x.ndim - 1))
            mean = x.mean(axes)
            # Centred at a constant, so that gradients need two sums over the batch and not four. What is normalised does
            # not depend on the constant: with `offset`, zero but for its derivatives, derivatives of any order are exact.
            fixed = lax.stop_gradient(mean)
            centred, offset = x - _broadcast(fixed, x), mean - fixed
            var = (centred * centred).mean(axes) - offset * offset
            if not self.is_initializing():
                n = math.prod(x.shape[:-1])
                keep = self.momentum
                running_mean.value = keep * running_mean.value + (1.0 - keep) * mean
                running_var.value = keep * running_var.value + (1.0 - keep) * var * (n / max(n - 1, 1))
        else:
            centred, offset, var = x - _broadcast(running_mean.value, x), jnp.zeros((), x.dtype), running_var.value
        factor = lax.rsqrt(var + self.epsilon)
        if not self.affine:
            return centred * _broadcast(factor, x) - _broadcast(offset * factor, x)
        scale = factor * self.param("scale", self.scale_init, (features,))
        bias = self.param("bias", nn.initializers.zeros, (features,))
        return centred * _broadcast(scale, x) + _broadcast(bias - offset * scale, x)


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
