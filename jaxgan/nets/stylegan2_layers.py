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

from jaxgan.core.resample import downsample, upsample
from jaxgan.nets import layers
from jaxgan.nets.stylegan2_operations import (
    LOW_PASS,
    SQRT_2,
    activated,
    minibatch_deviation,
    modulated_conv,
    normalised,
    resampled_conv,
)
from jaxgan.system.messages import FieldError

Noise = str | jax.Array  # random, const, none, or the noise itself, [B, H, W, 1]


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
                raise FieldError("labels", "None", f"a network of {self.classes} classes needs them")
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
