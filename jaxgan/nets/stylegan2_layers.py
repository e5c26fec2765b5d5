"""The layers of StyleGAN2: learning rates made equal at run time, resampling convolutions, styles that scale a convolution.

Weights are stored with variance 1 (over the square of a layer's learning-rate multiplier) and scaled where they are used, so
that Adam moves all layers at the same relative pace.
"""

import math
from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxgan.core.resample import downsample, low_pass, upfirdn, upsample
from jaxgan.nets import layers
from jaxgan.nets.convolutions import conv, conv_transpose

LOW_PASS = low_pass((1, 3, 3, 1))
SQRT_2 = math.sqrt(2.0)  # keeps the variance of a signal across a leaky ReLU
Noise = str | jax.Array  # random, const, none, or the noise itself, [B, H, W, 1]


def resampled_conv(
    x: jax.Array, kernel: jax.Array, *, up: bool = False, down: bool = False, taps: np.ndarray = LOW_PASS
) -> jax.Array:
    """Convolution at the finer of two resolutions, with the low-pass filter that going from one to the other needs.

    As it is or downwards the kernel is cross-correlated, upwards convolved (that is, spatially flipped), which is what a
    transposed convolution does. Padding is added once, at the beginning: what a convolution sees beyond the border of a
    filtered image is the filter's tail, not zeros.

    Args:
        x: `[B, H, W, I]`.
        kernel: `[K, K, I, O]`, K odd.
        up: double the sides.
        down: halve them.
        taps: `[F]` or `[FH, FW]`, the filter, of sum 1.

    Returns:
        `[B, H, W, O]`, or with both sides doubled or halved.

    References:
        Karras et al. 2020, Analyzing and improving the image quality of StyleGAN, appendix B; Zhang 2019, Making
        convolutional networks shift-invariant again.
    """
    size = kernel.shape[0]
    half = size // 2
    if not up and not down:
        return conv(x, kernel, padding=half)
    if size == 1:  # mixes channels only, so it commutes with the filter: at the coarse resolution, four times cheaper
        return upsample(conv(x, kernel), taps) if up else conv(downsample(x, taps), kernel)
    height, width = taps.shape[0], taps.shape[-1]
    if down:
        above, below, left, right = ((n - i) // 2 + half for n in (height, width) for i in (1, 2))
        return conv(upfirdn(x, taps, padding=(left, right, above, below)), kernel, stride=2)
    # Filter and convolution commute as well. The transposed convolution reaches size - 1 pixels beyond the zero-inserted
    # image, of which the padding below keeps what padding at the beginning would have let through.
    above, left = ((n + 1) // 2 + half + 1 - size for n in (height, width))
    below, right = (n - (n + 1) // 2 - half for n in (height, width))
    x = conv_transpose(x, kernel, stride=2, padding=0)
    return upfirdn(x, taps, padding=(left, right, above, below), gain=4.0)


def modulated_conv(
    x: jax.Array, kernel: jax.Array, styles: jax.Array, *, demodulate: bool = True, up: bool = False
) -> jax.Array:
    """Convolution with weights scaled by a style for each input channel, and back to unit norm for each output channel.

    `w' = s_i w`, `w'' = w' / sqrt(sum_{i,k} w'^2 + 1e-8)`; done by scaling the input before and the output after one
    convolution for the whole batch, which is the same.

    Args:
        x: `[B, H, W, I]`.
        kernel: `[K, K, I, O]`.
        styles: `[B, I]`.
        demodulate: whether outputs are brought back to unit norm.
        up: double the sides, as `resampled_conv` does.

    Returns:
        `[B, H', W', O]` in x's dtype.

    References:
        Karras et al. 2020, Analyzing and improving the image quality of StyleGAN, equations 1 to 3.
    """
    y = resampled_conv(_scaled_channels(x, styles), kernel.astype(x.dtype), up=up)
    if not demodulate:
        return y
    factor = lax.rsqrt(jnp.square(styles) @ jnp.square(kernel).sum((0, 1)) + 1e-8)
    return _scaled_channels(y, factor)


def activated(
    x: jax.Array, bias: jax.Array | None, *, linear: bool = False, gain: float | None = None, clamp: float | None = None
) -> jax.Array:
    """`clip(gain act(x + bias), -clamp, clamp)`, act being leaky ReLU of slope 0.2 or the identity.

    Args:
        x: `[B, ..., C]`.
        bias: `[C]`.
        linear: no activation.
        gain: by default sqrt 2, or 1 when linear.
        clamp: None for none.

    Returns:
        The shape and dtype of x.
    """
    if bias is not None:
        x = layers.in_full(jnp.add, x, bias.reshape((1,) * (x.ndim - 1) + (-1,)).astype(x.dtype))
    x = x if linear else layers.leaky_relu(x)
    gain = (1.0 if linear else SQRT_2) if gain is None else gain
    x = x if gain == 1.0 else x * gain
    return x if clamp is None else jnp.clip(x, -clamp, clamp)


def minibatch_deviation(x: jax.Array, group: int | None = 4, features: int = 1) -> jax.Array:
    """Appends how much the samples of a group differ: the deviation over the group, averaged over pixels and channels.

    Sample n of N is a member of group `n mod (N / G)`, so that a group's members lie apart in the batch.

    Args:
        x: `[N, H, W, C]`.
        group: G, the size of a group, at most N; None for the whole batch.
        features: F, channels appended; each is of C / F channels of x.

    Returns:
        `[N, H, W, C + F]`.

    Raises:
        ValueError: when the group does not divide the batch, or F the channels.

    References:
        Karras et al. 2018, Progressive growing of GANs, section 3.
    """
    count, height, width, channels = x.shape
    size = count if group is None else min(group, count)
    if count % size:
        raise ValueError(f"mbstd_group: {size}, but it must divide the batch of {count}")
    if channels % features:
        raise ValueError(f"mbstd_features: {features}, but it must divide the {channels} channels at 4x4")
    groups = x.reshape(size, count // size, height, width, features, channels // features)
    deviation = jnp.sqrt(groups.var(axis=0) + 1e-8).mean(axis=(1, 2, 4))
    appended = jnp.broadcast_to(jnp.tile(deviation, (size, 1))[:, None, None, :], (count, height, width, features))
    return jnp.concatenate([x, appended], axis=-1)


def normalised(x: jax.Array) -> jax.Array:
    """Divides each vector by the root mean square of its entries, `x / sqrt(mean(x^2) + 1e-8)`, `[..., D]`."""
    return x * lax.rsqrt(jnp.square(x).mean(axis=-1, keepdims=True) + 1e-8)


class Dense(nn.Module):
    """Linear layer of equalised learning rate, `act(x @ (kernel m / sqrt I) + m bias)`, `[B, I]` to `[B, features]`."""

    features: int
    linear: bool = False
    multiplier: float = 1.0  # m: of the learning rate, in effect
    bias_init: float = 0.0

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        kernel = self.param("kernel", nn.initializers.normal(1.0 / self.multiplier), (x.shape[-1], self.features))
        bias = self.param("bias", nn.initializers.constant(self.bias_init), (self.features,))
        x = x @ (kernel * (self.multiplier / math.sqrt(x.shape[-1])))
        return activated(x, bias * self.multiplier, linear=self.linear)


class Conv(nn.Module):
    """Convolution of equalised learning rate, by kernel / sqrt(I K K), `[B, H, W, I]` to `[B, H', W', features]`."""

    features: int
    kernel_size: int
    up: bool = False
    down: bool = False
    linear: bool = False
    use_bias: bool = True
    clamp: float | None = None

    @nn.compact
    def __call__(self, x: jax.Array, gain: float = 1.0) -> jax.Array:
        shape = (self.kernel_size, self.kernel_size, x.shape[-1], self.features)
        kernel = self.param("kernel", nn.initializers.normal(1.0), shape) / math.sqrt(math.prod(shape[:3]))
        bias = self.param("bias", nn.initializers.zeros, (self.features,)) if self.use_bias else None
        x = resampled_conv(x, kernel.astype(x.dtype), up=self.up, down=self.down)
        own = 1.0 if self.linear else SQRT_2
        return activated(x, bias, linear=self.linear, gain=own * gain, clamp=_scaled(self.clamp, gain))


class Mapping(nn.Module):
    """Latents `[B, Z]`, labels or both to `[B, features]`, by dense layers that learn a hundredth as fast as the others."""

    features: int
    depth: int
    classes: int = 0

    @nn.compact
    def __call__(self, z: jax.Array | None, labels: jax.Array | None, dtype: Any) -> jax.Array:
        parts = [] if z is None else [normalised(z)]
        if self.classes:
            if labels is None:
                raise ValueError(f"labels: None, but a network of {self.classes} classes needs them")
            chosen = jax.nn.one_hot(labels, self.classes, dtype=dtype)
            parts.append(normalised(Dense(self.features, linear=True, name="embed")(chosen)))
        x = jnp.concatenate(parts, axis=-1)
        for i in range(self.depth):
            x = Dense(self.features, multiplier=0.01, name=f"dense_{i}")(x)
        return x


class StyleConv(nn.Module):
    """Modulated convolution, noise, bias, leaky ReLU: `[B, H, W, I]` and w `[B, W]` to `[B, size, size, features]`."""

    features: int
    size: int  # side of the result
    up: bool = False
    noise: bool = True
    clamp: float | None = None

    @nn.compact
    def __call__(self, x: jax.Array, w: jax.Array, noise: Noise, gain: float = 1.0) -> jax.Array:
        styles = Dense(x.shape[-1], linear=True, bias_init=1.0, name="affine")(w)
        # No scaling at run time: demodulation undoes it.
        kernel = self.param("kernel", nn.initializers.normal(1.0), (3, 3, x.shape[-1], self.features))
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        x = modulated_conv(x, kernel, styles, up=self.up)
        if self.noise:
            strength = self.param("noise_strength", nn.initializers.zeros, ())
            field = self._field(noise, (x.shape[0], self.size, self.size, 1), w)
            x = x if field is None else layers.in_full(jnp.add, x, (strength * field).astype(x.dtype))
        return activated(x, bias, gain=SQRT_2 * gain, clamp=_scaled(self.clamp, gain))

    def _field(self, noise: Noise, shape: tuple[int, ...], w: jax.Array) -> jax.Array | None:
        def start() -> jax.Array:
            return jax.random.normal(self.make_rng("params"), shape[1:3])

        fixed = self.variable("noise_const", "noise", start).value
        if not isinstance(noise, str):
            return noise
        if noise == "random":
            return jax.random.normal(self.make_rng("noise"), shape, w.dtype)
        return fixed.reshape(1, *shape[1:]) if noise == "const" else None


class ToRGB(nn.Module):
    """Image from features by a modulated 1x1 convolution that is not demodulated: `[B, H, W, I]` to `[B, H, W, channels]`."""

    channels: int
    clamp: float | None = None

    @nn.compact
    def __call__(self, x: jax.Array, w: jax.Array) -> jax.Array:
        styles = Dense(x.shape[-1], linear=True, bias_init=1.0, name="affine")(w) / math.sqrt(x.shape[-1])
        kernel = self.param("kernel", nn.initializers.normal(1.0), (1, 1, x.shape[-1], self.channels))
        bias = self.param("bias", nn.initializers.zeros, (self.channels,))
        return activated(modulated_conv(x, kernel, styles, demodulate=False), bias, linear=True, clamp=self.clamp)


class SynthesisBlock(nn.Module):
    """One resolution of G: from features and image of half the side, and a w for each layer, to those of this one.

    The first block, which has no features before it, starts from a learnt constant. The image is 0 until there is one.
    """

    features: int
    size: int
    channels: int
    architecture: str
    last: bool
    noise: bool = True
    clamp: float | None = None
    bfloat16: bool = False  # compute in bfloat16

    @nn.compact
    def __call__(
        self, x: jax.Array | None, image: jax.Array, ws: jax.Array, noise: Sequence[Noise]
    ) -> tuple[jax.Array, jax.Array]:
        def conv(i: int, up: bool = False) -> StyleConv:
            return StyleConv(self.features, self.size, up, self.noise, self.clamp, name=f"conv_{i}")

        convs = 1 if x is None else 2
        if x is None:
            const = self.param("const", nn.initializers.normal(1.0), (self.size, self.size, self.features))
            x = conv(1)(jnp.broadcast_to(const[None], (ws.shape[0], *const.shape)), ws[:, 0], noise[0])
        else:
            x = x.astype(jnp.bfloat16) if self.bfloat16 else x
            if self.architecture == "resnet":
                skip = Conv(self.features, 1, up=True, linear=True, use_bias=False, name="skip")(x, math.sqrt(0.5))
                x = conv(0, up=True)(x, ws[:, 0], noise[0])
                x = conv(1)(x, ws[:, 1], noise[1], math.sqrt(0.5)) + skip
            else:
                x = conv(1)(conv(0, up=True)(x, ws[:, 0], noise[0]), ws[:, 1], noise[1])
            image = upsample(image, LOW_PASS) if self.architecture == "skip" else image
        if self.last or self.architecture == "skip":  # images add up in full precision
            image = image + ToRGB(self.channels, self.clamp, name="to_rgb")(x, ws[:, convs]).astype(ws.dtype)
        return x, image


class DiscriminatorBlock(nn.Module):
    """One resolution of D: from features and image of this side to those of half of it. The features are 0 at first."""

    features: int
    next_features: int
    architecture: str
    first: bool
    clamp: float | None = None
    bfloat16: bool = False  # compute in bfloat16

    @nn.compact
    def __call__(self, x: jax.Array, image: jax.Array) -> tuple[jax.Array, jax.Array]:
        dtype = jnp.bfloat16 if self.bfloat16 else image.dtype
        x = x.astype(dtype)
        if self.first or self.architecture == "skip":
            x = x + Conv(self.features, 1, clamp=self.clamp, name="from_rgb")(image.astype(dtype))
        y = Conv(self.features, 3, clamp=self.clamp, name="conv_0")(x)
        conv = Conv(self.next_features, 3, down=True, clamp=self.clamp, name="conv_1")
        if self.architecture == "resnet":
            skip = Conv(self.next_features, 1, down=True, linear=True, use_bias=False, name="skip")(x, math.sqrt(0.5))
            return conv(y, math.sqrt(0.5)) + skip, image
        return conv(y), downsample(image, LOW_PASS) if self.architecture == "skip" else image


class Epilogue(nn.Module):
    """The end of D: features and image of 4x4 pixels to `[B, outputs]`, after the deviation of each group is appended."""

    outputs: int
    architecture: str
    mbstd_group: int | None = 4
    mbstd_features: int = 1
    clamp: float | None = None

    @nn.compact
    def __call__(self, x: jax.Array, image: jax.Array) -> jax.Array:
        features = x.shape[-1]
        if self.architecture == "skip":
            x = x + Conv(features, 1, name="from_rgb")(image)
        if self.mbstd_features:
            x = minibatch_deviation(x, self.mbstd_group, self.mbstd_features)
        x = Conv(features, 3, clamp=self.clamp, name="conv")(x)
        x = Dense(features, name="dense")(x.reshape(x.shape[0], -1))
        return Dense(self.outputs, linear=True, name="out")(x)


def _scaled(clamp: float | None, gain: float) -> float | None:
    return None if clamp is None else clamp * gain


def _scaled_channels(x: jax.Array, factors: jax.Array) -> jax.Array:
    return layers.in_full(jnp.multiply, x, factors[:, None, None, :].astype(x.dtype))
