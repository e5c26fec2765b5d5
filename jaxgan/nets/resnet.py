"""Residual networks for signals, fields and volumes: one to three axes of space, of any sides, with any number of channels.

R3GAN's principles for sides that need not be powers of two: no statistics of the batch, blocks that start as the identity,
linear ends. Each side is halved, rounded up, until it is at most 5. G goes through the same sides in reverse; where a side is
odd, the last place of the doubled map is cut off: 37 has 5, 10, 19, 37; 24x40 has 3x5, 6x10, 12x20, 24x40. With `periodic` the
ends of each axis are joined.
"""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxgan.nets.checks import check_counts, check_flags, check_lists, check_word
from jaxgan.nets.convolutions import conv_same, full_precision
from jaxgan.nets.layers import doubled, halved, in_full, leaky_relu, matched, recomputed, variance_scaled
from jaxgan.nets.r3gan import Linear
from jaxgan.system.messages import FieldError

Sides = tuple[int, ...]
LEAST = 5  # longer sides are halved by default
GROUP = 16  # channels that are normalised together
NORMS = ("none", "group")
POOLS = ("map", "mean")


def levels(shape: tuple[int, ...], patch: int = 1, coarsest: int = LEAST) -> list[Sides]:
    """Returns the sides at each level of the networks, from the finest, which is of patches, to the coarsest.

    Args:
        shape: of a sample, channels last.
        patch: side of the patches.
        coarsest: longest side that is not halved.
    """
    found = [tuple(-(-side // patch) for side in shape[:-1])]
    while max(found[-1]) > coarsest:
        found.append(tuple(-(-side // 2) if side > coarsest else side for side in found[-1]))
    return found


def parts_of(z: jax.Array, sides: Sides) -> jax.Array:
    """Divides latents `[B, D]` among places, `[B, *sides, D / places]`.

    Raises:
        FieldError: when D is no multiple of the number of places.
    """
    check_parts(z.shape[-1], sides)
    return z.reshape(z.shape[0], *sides, -1)


def check_parts(length: int, sides: Sides) -> None:
    """Refuses a length of z that is no multiple of the number of places."""
    places = math.prod(sides)
    if length % places:
        told = "x".join(map(str, sides))
        raise FieldError("latent_dim", length, f"spatial_latents divides z among {told} places: take a multiple of {places}")


class Conv(nn.Module):
    """`conv_same` with a kernel of size 3 along every axis of space, `[B, ..., I]` to `[B, ..., features]`. No bias."""

    features: int
    gain: float
    periodic: bool = False

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        shape = (*(3,) * (x.ndim - 2), x.shape[-1], self.features)
        kernel = self.param("kernel", variance_scaled(self.gain**2), shape)
        return conv_same(x, matched(kernel, x), periodic=self.periodic)


class GroupNorm(nn.Module):
    """Normalises groups of 16 channels of each sample by itself, `[B, ..., C]`, times a learnt scale for each channel.

    Where 16 does not divide the number of channels, all are one group.

    References:
        Wu and He 2018, Group normalization, equation 1.
    """

    epsilon: float = 1e-5

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        scale = self.param("scale", nn.initializers.ones, x.shape[-1:])

        def normalised(x: jax.Array) -> jax.Array:
            group = GROUP if x.shape[-1] % GROUP == 0 else x.shape[-1]
            apart = x.reshape(x.shape[0], -1, x.shape[-1] // group, group)
            centred = apart - apart.mean((1, 3), keepdims=True)
            apart = centred * jax.lax.rsqrt(jnp.square(centred).mean((1, 3), keepdims=True) + self.epsilon)
            return apart.reshape(x.shape) * scale.reshape((1,) * (x.ndim - 1) + (-1,))

        return in_full(normalised, x)


class Block(nn.Module):
    """Residual block `[B, ..., C]` to the same: `x + narrow(act(conv(act(widen(x)))))`, act a leaky ReLU after a bias.

    R3GAN's block without groups of channels: `widen` and `narrow` see each place by itself, `conv` its neighbours, and
    `narrow` begins as zero. With `norm`, the input of each act is normalised.

    References:
        Huang et al. 2024 (R3GAN), section 3; Zhang et al. 2019, Fixup initialization, section 3.
    """

    expansion: int
    depth: int  # residual blocks in the whole network
    norm: str
    periodic: bool = False

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        features = self.expansion * x.shape[-1]
        gain = math.sqrt(2.0 / (1.0 + 0.2**2)) * self.depth**-0.25  # L^(-1 / (2 m - 2)) of a branch of m = 3 layers

        def activated(h: jax.Array, number: int) -> jax.Array:
            if self.norm == "group":
                h = GroupNorm(name=f"norm_{number}")(h)
            bias = self.param(f"bias_{number}", nn.initializers.zeros, (features,))
            h = in_full(jnp.add, h, bias.reshape((1,) * (h.ndim - 1) + (-1,)))
            return in_full(leaky_relu, h)

        h = activated(Linear(features, gain, name="widen")(x), 1)
        h = activated(Conv(features, gain, self.periodic, name="conv")(h), 2)
        return x + Linear(x.shape[-1], 0.0, name="narrow")(h)


class Generator(nn.Module):
    """G: latents `[B, D]` to samples `[B, *shape]`, unbounded: the last layer is linear.

    Learnt maps of the coarsest sides, scaled by a linear function of z, enter the first level. With `spatial_latents` z is
    divided among the places of the coarsest sides instead, each with a linear function of its part. With `periodic` besides,
    samples shifted by such a place are as likely as before. Levels are joined by linear interpolation along each axis, as
    `layers.doubled`. Conditional by class when `classes > 0`, or by a vector of numbers `[B, K]` where G is called with one:
    a learnt linear function of the condition is concatenated to z, or to each part of it.

    References:
        Huang et al. 2024, The GAN is dead; long live the GAN! A modern baseline GAN (R3GAN), section 3; Jetchev et al. 2016,
        Texture synthesis with spatial generative adversarial networks, section 3 (latents for each place).
    """

    shape: tuple[int, ...] = (32, 32, 3)  # of a sample: (T, C), (H, W, C) or (D, H, W, C)
    width: int = 32  # channels at the finest level; doubled with each halving
    max_width: int = 256  # channels are no more than this
    blocks: int = 1  # of each level
    expansion: int = 1  # channels within a block over those between blocks
    patch: int = 1  # side of the patches that the last layer makes
    coarsest: int = LEAST  # longest side of the first level
    norm: str = "none"  # or group
    periodic: bool = False  # the ends of each axis are joined
    spatial_latents: bool = False  # each place of the coarsest sides has its part of z
    classes: int = 0
    embedding: int = 64  # length of the condition's vector
    remat: bool = False  # keep a block's input only, and compute the rest again for the gradients

    def __post_init__(self) -> None:
        super().__post_init__()
        _check(self)

    @nn.compact
    def __call__(self, z: jax.Array, labels: jax.Array | None = None, *, train: bool = False) -> jax.Array:
        del train  # nothing here differs in training
        sides = levels(self.shape, self.patch, self.coarsest)
        condition = _embedded(self, labels, self.embedding, 1.0)
        if self.spatial_latents:
            z = parts_of(z, sides[-1])
        if condition is not None:
            condition = jnp.expand_dims(condition.astype(z.dtype), range(1, z.ndim - 1))
            z = jnp.concatenate([z, jnp.broadcast_to(condition, (*z.shape[:-1], condition.shape[-1]))], axis=-1)
        features = _width(self, len(sides) - 1)
        x = Linear(features, name="linear")(z)
        if not self.spatial_latents:
            basis = self.param("basis", nn.initializers.normal(1.0), (*sides[-1], features))
            x = x.reshape(-1, *(1,) * len(sides[-1]), features) * matched(basis, z)[None]
        for k in reversed(range(len(sides))):
            if k < len(sides) - 1:
                x = _changed(self, x, k)
                x = _enlarged(x, sides[k], periodic=self.periodic)
            x = _level(self, x, k, len(sides))
        channels = self.shape[-1] * self.patch ** len(sides[0])
        return _from_patches(full_precision(Linear(channels, name="to_samples")(x)), self.shape, self.patch)


class Discriminator(nn.Module):
    """D: samples `[B, *shape]` to logits `[B]`, G's levels in the opposite order, with means of pairs between.

    At the coarsest sides each channel is reduced to one number: its sum weighted by a learnt map, or its mean with `pool`
    "mean", so that D does not see where things are. The logit is a linear function of these numbers. Conditional as G is, by
    projection: the logit is the scalar product of several such functions with the condition's vector, one for each entry.

    References:
        Huang et al. 2024 (R3GAN), section 3; Miyato and Koyama 2018, cGANs with projection discriminator, equation 3.
    """

    shape: tuple[int, ...] = (32, 32, 3)  # of a sample: (T, C), (H, W, C) or (D, H, W, C)
    width: int = 32  # channels at the finest level; doubled with each halving
    max_width: int = 256  # channels are no more than this
    blocks: int = 1  # of each level
    expansion: int = 1  # channels within a block over those between blocks
    patch: int = 1  # side of the patches that the first layer sees
    coarsest: int = LEAST  # longest side of the last level
    norm: str = "none"  # or group
    periodic: bool = False  # the ends of each axis are joined
    pool: str = "map"  # or mean
    classes: int = 0
    embedding: int = 64  # length of the condition's vector
    remat: bool = False  # keep a block's input only, and compute the rest again for the gradients

    def __post_init__(self) -> None:
        super().__post_init__()
        _check(self)
        check_word(self, "pool", POOLS)

    @nn.compact
    def __call__(self, x: jax.Array, labels: jax.Array | None = None, *, train: bool = False) -> jax.Array:
        del train  # nothing here differs in training
        if x.shape[1:] != self.shape:
            raise FieldError("samples", x.shape, f"this discriminator sees (batch, {', '.join(map(str, self.shape))})")
        sides = levels(self.shape, self.patch, self.coarsest)
        x = Linear(self.width, name="from_samples")(_to_patches(x, self.patch))
        for k in range(len(sides)):
            if k > 0:
                x = _changed(self, _reduced(x, sides[k]), k)
            x = _level(self, x, k, len(sides))
        space = tuple(range(1, x.ndim - 1))
        if self.pool == "mean":
            features = full_precision(x).mean(space)
        else:
            basis = self.param("basis", nn.initializers.normal(1.0 / math.sqrt(math.prod(sides[-1]))), x.shape[1:])
            features = (full_precision(x) * basis[None]).sum(space)
        condition = _embedded(self, labels, self.embedding, 1.0 / math.sqrt(self.embedding))
        if condition is None:
            return Linear(1, name="linear")(features)[:, 0]
        return (Linear(self.embedding, name="linear")(features) * condition).sum(axis=-1)


def _width(module: Generator | Discriminator, k: int) -> int:
    return min(module.width * 2**k, max(module.max_width, module.width))


def _changed(module: Generator | Discriminator, x: jax.Array, k: int) -> jax.Array:
    """Maps x to the channels of level k, before it is enlarged and after it is reduced: there it has fewer places."""
    width = _width(module, k)
    return x if width == x.shape[-1] else Linear(width, name=f"change_{k}")(x)


def _level(module: Generator | Discriminator, x: jax.Array, k: int, count: int) -> jax.Array:
    run = recomputed(module.remat, lambda block, x: block(x))
    for i in range(module.blocks):
        block = Block(module.expansion, module.blocks * count, module.norm, module.periodic, name=f"block_{k}_{i}")
        x = run(block, x)
    return x


def _enlarged(x: jax.Array, sides: Sides, *, periodic: bool) -> jax.Array:
    """Doubles the sides that differ from those asked for, and cuts off what is beyond."""
    y = full_precision(x)
    for axis, side in enumerate(sides, 1):
        if y.shape[axis] != side:
            y = jax.lax.slice_in_dim(doubled(y, axis, periodic=periodic), 0, side, axis=axis)
    return y.astype(x.dtype)


def _reduced(x: jax.Array, sides: Sides) -> jax.Array:
    y = full_precision(x)
    for axis, side in enumerate(sides, 1):
        if y.shape[axis] != side:
            y = halved(y, axis)
    return y.astype(x.dtype)


def _to_patches(x: jax.Array, patch: int) -> jax.Array:
    """Maps `[B, ..., C]` to `[B, ..., patch^n C]`; sides are rounded up by repeating their last places."""
    if patch == 1:
        return x
    sides = x.shape[1:-1]
    counts = [-(-side // patch) for side in sides]
    ends = [(0, count * patch - side) for count, side in zip(counts, sides, strict=True)]
    x = jnp.pad(x, ((0, 0), *ends, (0, 0)), mode="edge")
    x = x.reshape(x.shape[0], *(part for count in counts for part in (count, patch)), x.shape[-1])
    axes = len(sides)
    order = (0, *range(1, 2 * axes, 2), *range(2, 2 * axes + 1, 2), 2 * axes + 1)
    return x.transpose(order).reshape(x.shape[0], *counts, -1)


def _from_patches(x: jax.Array, shape: tuple[int, ...], patch: int) -> jax.Array:
    """Inverts `_to_patches`, without the places beyond the shape."""
    if patch == 1:
        return x
    counts, axes = x.shape[1:-1], len(shape) - 1
    x = x.reshape(x.shape[0], *counts, *(patch,) * axes, shape[-1])
    order = (0, *(place for i in range(axes) for place in (1 + i, 1 + axes + i)), 2 * axes + 1)
    x = x.transpose(order).reshape(x.shape[0], *(count * patch for count in counts), shape[-1])
    return x[(slice(None), *(slice(side) for side in shape[:-1]))]


def _embedded(module: Generator | Discriminator, labels: jax.Array | None, length: int, gain: float) -> jax.Array | None:
    """Returns the condition as a vector `[B, length]` of variance `gain^2`; None where there is none."""
    if labels is not None and jnp.issubdtype(labels.dtype, jnp.floating):
        if labels.ndim != 2:
            raise FieldError("condition", f"numbers of shape {labels.shape}", "resnet takes classes [B] or vectors [B, K]")
        # Beside a 1, so that a vector of zeros is a condition too.
        given = jnp.concatenate([full_precision(labels), jnp.ones((labels.shape[0], 1))], axis=-1)
        return Linear(length, gain, name="label")(given)
    if not module.classes:
        return None
    if labels is None:
        raise FieldError("labels", "None", f"a network of {module.classes} classes needs them")
    return module.param("label", nn.initializers.normal(gain), (module.classes, length))[labels]


def _check(module: Generator | Discriminator) -> None:
    check_lists(module, "shape")
    check_flags(module)
    if not 2 <= len(module.shape) <= 4 or min(module.shape) < 1:
        raise FieldError("shape", module.shape, "it must be (T, C), (H, W, C) or (D, H, W, C)")
    least = {"width": 1, "max_width": 1, "blocks": 1, "expansion": 1, "patch": 1, "coarsest": 1, "classes": 0, "embedding": 1}
    check_counts(module, least)
    check_word(module, "norm", NORMS)
