"""R3GAN: two residual networks without a single normalisation, for a relativistic loss with R1 and R2.

Configuration E of the paper. Both players are stages of residual blocks, from 4x4 pixels up in G and down to 4x4 in D; a
block widens, convolves in groups and narrows again, and nothing else is between the images and the logit.
"""

import math
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxgan.core.resample import downsample, low_pass, upsample
from jaxgan.nets.checks import check_counts, check_flags, check_lists, is_whole
from jaxgan.nets.convolutions import full_precision, grouped_conv, pointwise
from jaxgan.nets.layers import in_full, leaky_relu, matched, recomputed
from jaxgan.system.messages import FieldError, shown

FILTER = low_pass((1, 3, 3, 1))


class Linear(nn.Module):
    """`x @ kernel` over the last axis, `[..., I]` to `[..., features]`: of pixels, a 1x1 convolution. No bias."""

    features: int
    gain: float = 1.0

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        kernel = self.param("kernel", _normal(self.gain, x.shape[-1]), (x.shape[-1], self.features))
        return pointwise(x, matched(kernel, x))


class Block(nn.Module):
    """Residual block `[B, H, W, C]` to the same: `x + narrow(act(grouped(act(widen(x)))))`, act a leaky ReLU after a bias.

    It starts as the identity: the last kernel is zero. The other two have He's variance times `depth ** -1/2`, so that the
    first updates move the network as much whatever the number of blocks.

    References:
        Huang et al. 2024 (R3GAN), section 3; Zhang et al. 2019, Fixup initialization, section 3.
    """

    groups: int
    expansion: int
    depth: int  # residual blocks in the whole network

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        features = self.expansion * x.shape[-1]
        gain = math.sqrt(2.0 / (1.0 + 0.2**2)) * self.depth**-0.25  # L^(-1 / (2 m - 2)) of a branch of m = 3 layers

        def activated(h: jax.Array, name: str) -> jax.Array:
            bias = self.param(name, nn.initializers.zeros, (features,))
            h = in_full(jnp.add, h, matched(bias, h).reshape(1, 1, 1, -1))
            return in_full(leaky_relu, h)  # bfloat16's own 0.2 is a thousandth off

        h = activated(Linear(features, gain, name="widen")(x), "bias_1")
        inputs = features // self.groups
        kernel = self.param("grouped", _normal(gain, 9 * inputs), (3, 3, inputs, features))
        h = activated(grouped_conv(h, matched(kernel, h), self.groups), "bias_2")
        return x + Linear(x.shape[-1], 0.0, name="narrow")(h)


class Generator(nn.Module):
    """G: latents `[B, D]` to images `[B, image_size, image_size, channels]`, unbounded: the last layer is linear.

    Conditional when `classes > 0`: a learnt vector for the label is concatenated to z. Learnt 4x4 maps, scaled by a linear
    function of z, enter the first stage; each further one doubles the side.

    References:
        Huang et al. 2024, The GAN is dead; long live the GAN! A modern baseline GAN (R3GAN), section 3, configuration E.
    """

    widths: tuple[int, ...] = (768, 768, 768, 768)  # channels of each stage, from 4x4 up
    groups: tuple[int, ...] = (96, 96, 96, 96)  # of each stage's convolutions
    blocks: int | tuple[int, ...] = 2  # of each stage
    expansion: int = 2  # channels within a block over those between blocks
    channels: int = 3
    classes: int = 0
    embedding: int = 64  # length of the label's vector
    bfloat16_levels: int = 0  # stages of highest resolution computed in bfloat16; the one of 4x4 never is
    remat: bool = False  # keep a block's input only, and compute the rest again for the gradients

    def __post_init__(self) -> None:
        super().__post_init__()
        _check(self)

    @property
    def image_size(self) -> int:
        """Side of the images."""
        return 4 * 2 ** (len(self.widths) - 1)

    @nn.compact
    def __call__(self, z: jax.Array, labels: jax.Array | None = None, *, train: bool = False) -> jax.Array:
        del train  # nothing here differs in training
        if self.classes:
            z = jnp.concatenate([z, _embedded(self, labels, self.embedding, gain=1.0)], axis=-1)
        basis = self.param("basis", nn.initializers.normal(1.0), (4, 4, self.widths[0]))
        z = full_precision(z)
        x = Linear(self.widths[0], name="linear")(z)[:, None, None, :] * basis[None]
        full = x.dtype
        for k, width in enumerate(self.widths):
            if k > 0:
                x = _at_precision(x, full, bfloat16=k >= len(self.widths) - self.bfloat16_levels)
                if width != self.widths[k - 1]:
                    x = Linear(width, name=f"change_{k}")(x)
                x = _resampled(upsample, x)
            x = _stage(self, k, x)
        return Linear(self.channels, name="to_image")(x).astype(full)


class Discriminator(nn.Module):
    """D: images `[B, image_size, image_size, channels]` to logits `[B]`, G's stages in the opposite order.

    At 4x4 a learnt map for each channel makes a number of it, and a linear function of those is the logit. Conditional when
    `classes > 0`, by projection: as many linear functions as a label's learnt vector is long, times that vector.

    References:
        Huang et al. 2024 (R3GAN), section 3; Miyato and Koyama 2018, cGANs with projection discriminator, equation 3.
    """

    widths: tuple[int, ...] = (768, 768, 768, 768)  # channels of each stage, from 4x4 up, as G's
    groups: tuple[int, ...] = (96, 96, 96, 96)  # of each stage's convolutions
    blocks: int | tuple[int, ...] = 2  # of each stage
    expansion: int = 2  # channels within a block over those between blocks
    channels: int = 3
    classes: int = 0
    embedding: int | None = None  # length of the label's vector; None: the width at 4x4
    bfloat16_levels: int = 0  # stages of highest resolution computed in bfloat16; the one of 4x4 never is
    remat: bool = False  # keep a block's input only, and compute the rest again for the gradients

    def __post_init__(self) -> None:
        super().__post_init__()
        _check(self)

    @property
    def image_size(self) -> int:
        """Side of the images."""
        return 4 * 2 ** (len(self.widths) - 1)

    @nn.compact
    def __call__(self, x: jax.Array, labels: jax.Array | None = None, *, train: bool = False) -> jax.Array:
        del train  # nothing here differs in training
        shape = (self.image_size, self.image_size, self.channels)
        if x.shape[1:] != shape:
            raise FieldError("images", x.shape, f"this discriminator sees (batch, {', '.join(map(str, shape))})")
        full = jnp.promote_types(x.dtype, jnp.float32)
        for k in reversed(range(len(self.widths))):
            x = _at_precision(x, full, bfloat16=k >= len(self.widths) - self.bfloat16_levels)
            if k == len(self.widths) - 1:
                x = Linear(self.widths[k], name="from_image")(x)
            x = _stage(self, k, x)
            if k > 0:
                x = _resampled(downsample, x)
                if self.widths[k - 1] != self.widths[k]:
                    x = Linear(self.widths[k - 1], name=f"change_{k}")(x)
        basis = self.param("basis", _normal(1.0, 16), (4, 4, self.widths[0]))
        features = (x * basis[None]).sum(axis=(1, 2))
        if not self.classes:
            return Linear(1, name="linear")(features)[:, 0]
        length = self.widths[0] if self.embedding is None else self.embedding
        label = _embedded(self, labels, length, gain=1.0 / math.sqrt(length))
        return (Linear(length, name="linear")(features) * label).sum(axis=-1)


def _normal(gain: float, fan_in: int) -> nn.initializers.Initializer:
    return nn.initializers.normal(gain / math.sqrt(fan_in)) if gain else nn.initializers.zeros


def _at_precision(x: jax.Array, full: Any, *, bfloat16: bool = False) -> jax.Array:
    return x.astype(jnp.bfloat16 if bfloat16 else jnp.promote_types(x.dtype, full))


def _resampled(resample: Callable[..., jax.Array], x: jax.Array) -> jax.Array:
    """Rounded once where x is bfloat16, not with every term of the filter's sums."""
    return resample(full_precision(x), FILTER).astype(x.dtype)


def _embedded(module: Generator | Discriminator, labels: jax.Array | None, length: int, *, gain: float) -> jax.Array:
    if labels is None:
        raise FieldError("labels", "None", f"a network of {module.classes} classes needs them")
    return module.param("label", _normal(gain, module.classes), (module.classes, length))[labels]


def _stage(module: Generator | Discriminator, k: int, x: jax.Array) -> jax.Array:
    depth = sum(blocks_of(module))
    run = recomputed(module.remat, lambda block, x: block(x))
    for i in range(blocks_of(module)[k]):
        x = run(Block(module.groups[k], module.expansion, depth, name=f"block_{k}_{i}"), x)
    return x


def blocks_of(module: Generator | Discriminator) -> tuple[int, ...]:
    return tuple(module.blocks) if isinstance(module.blocks, tuple | list) else (module.blocks,) * len(module.widths)


def _check(module: Generator | Discriminator) -> None:
    check_lists(module, "widths", "groups", "blocks", or_one=["blocks"])
    check_flags(module)
    stages = len(module.widths)
    if stages == 0:
        raise FieldError("widths", "()", "a network has at least one stage")
    for name, values in (("widths", module.widths), ("groups", module.groups), ("blocks", blocks_of(module))):
        if len(values) != stages:
            raise FieldError(name, values, f"widths name {stages} stages")
        if min(values) < 1:
            raise FieldError(name, values, "each must be at least 1")
    if not is_whole(module.bfloat16_levels) or not 0 <= module.bfloat16_levels < stages:
        allowed = f"a whole number from 0 to {stages - 1}: not the stage of 4x4"
        raise FieldError("bfloat16_levels", shown(module.bfloat16_levels), f"it must be {allowed}")
    least = {"expansion": 1, "channels": 1, "classes": 0, "embedding": 1, "bfloat16_levels": 0}
    check_counts(module, least, optional={"embedding": "the width at 4x4"} if isinstance(module, Discriminator) else None)
    for width, groups in zip(module.widths, module.groups, strict=True):
        if module.expansion * width % groups:
            told = f"{module.expansion} x {width} channels"
            raise FieldError("groups", tuple(module.groups), f"{groups} does not divide the {told} of its stage")
