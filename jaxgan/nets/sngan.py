"""SNGAN at 32 pixels: residual networks, D's layers divided by their spectral norms; conditional or not.

In mimicry's form, layer by layer: bilinear upsampling in G, sum pooling in D, and a ReLU before D's blocks that their
shortcuts pass through as well. `weights.names.sngan` reads the weights of its networks of any width.
"""

import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxgan.nets.checks import check_counts, check_flags, is_whole
from jaxgan.nets.layers import (
    BatchNorm,
    ConditionalBatchNorm,
    Conv,
    Dense,
    downsample_mean,
    full_precision,
    recomputed,
    upsample_bilinear,
)
from jaxgan.system.messages import FieldError, shown

G_BLOCKS = 3  # each doubles the side, 4 to 32
D_HALVES = (True, True, False, False)  # which of D's blocks halve the side, 32 to 8


def xavier(gain: float) -> nn.initializers.Initializer:
    """Uniform weights of variance `2 gain^2 / (fan_in + fan_out)` (Glorot and Bengio 2010, equation 16)."""
    return nn.initializers.variance_scaling(gain**2, "fan_avg", "uniform")


class Generator(nn.Module):
    """G: latents `[B, D]` to images `[B, 32, 32, channels]` in (-1, 1).

    Conditional when `classes > 0`: the blocks' batch normalisations have a scale and a bias for each class.

    References:
        Miyato et al. 2018, Spectral normalization for generative adversarial networks, table 4 and figure 9;
        Miyato and Koyama 2018, cGANs with projection discriminator, section 5.
    """

    image_size: int = 32
    channels: int = 3
    width: int = 256  # channels of all hidden layers
    classes: int = 0
    remat: bool = False  # keep a block's input only, and compute the rest again for the gradients

    def __post_init__(self) -> None:
        super().__post_init__()
        _check(self)

    @nn.compact
    def __call__(self, z: jax.Array, labels: jax.Array | None = None, *, train: bool = False) -> jax.Array:
        labels = _labels(self, labels)
        x = Dense(16 * self.width, kernel_init=xavier(1.0), name="start")(z)
        x = x.reshape(-1, 4, 4, self.width)
        run = recomputed(self.remat, lambda block, x: block(x, labels, train=train))
        for i in range(G_BLOCKS):
            x = run(GeneratorBlock(self.width, self.classes, name=f"block_{i}"), x)
        x = nn.relu(BatchNorm(name="norm")(x, train=train))
        x = Conv(self.channels, 3, padding=1, kernel_init=xavier(1.0), name="image")(x)
        return jnp.tanh(full_precision(x))


class GeneratorBlock(nn.Module):
    """Residual block that doubles the side: `[B, H, W, C]` to `[B, 2 H, 2 W, features]`."""

    features: int
    classes: int

    @nn.compact
    def __call__(self, x: jax.Array, labels: jax.Array | None, *, train: bool) -> jax.Array:
        def activated(x: jax.Array, name: str) -> jax.Array:
            if labels is None:
                return nn.relu(BatchNorm(name=name)(x, train=train))
            return nn.relu(ConditionalBatchNorm(self.classes, name=name)(x, labels, train=train))

        hidden = xavier(math.sqrt(2.0))
        h = upsample_bilinear(activated(x, "norm_0"))
        h = Conv(self.features, 3, padding=1, kernel_init=hidden, name="conv_0")(h)
        h = Conv(self.features, 3, padding=1, kernel_init=hidden, name="conv_1")(activated(h, "norm_1"))
        # A convolution of size 1 and an average of pixels commute; this order is a quarter of the work.
        shortcut = Conv(self.features, 1, kernel_init=xavier(1.0), name="shortcut")(x)
        return h + upsample_bilinear(shortcut)


class Discriminator(nn.Module):
    """D: images `[B, 32, 32, channels]` to logits `[B]`.

    Conditional when `classes > 0`, by projection: with the last features phi(x), summed over all places, and a learnt
    vector v_y for the label, `logit = w . phi(x) + b + v_y . phi(x)`; spectral normalisation is of the matrix of all v_y.

    References:
        Miyato et al. 2018, Spectral normalization for generative adversarial networks, table 4 and figure 9;
        Miyato and Koyama 2018, cGANs with projection discriminator, equation 4.
    """

    image_size: int = 32
    channels: int = 3
    width: int = 128  # channels of all hidden layers
    classes: int = 0
    remat: bool = False  # keep a block's input only, and compute the rest again for the gradients

    def __post_init__(self) -> None:
        super().__post_init__()
        _check(self)

    @nn.compact
    def __call__(self, x: jax.Array, labels: jax.Array | None = None, *, train: bool = False) -> jax.Array:
        labels = _labels(self, labels)
        run = recomputed(self.remat, lambda block, x: block(x, train=train))
        for i, halve in enumerate(D_HALVES):
            x = run(DiscriminatorBlock(self.width, halve, first=i == 0, name=f"block_{i}"), x)
        x = nn.relu(full_precision(x)).sum((1, 2))
        common: dict[str, Any] = {"spectral": True, "kernel_init": xavier(1.0)}
        logits = Dense(1, name="logit", **common)(x, train=train)[:, 0]
        if labels is None:
            return logits
        of_class = Dense(self.classes, use_bias=False, name="label", **common)(x, train=train)
        return logits + (of_class * jax.nn.one_hot(labels, self.classes, dtype=x.dtype)).sum(axis=-1)


class DiscriminatorBlock(nn.Module):
    """Residual block: `[B, H, W, C]` to `[B, H, W, features]`, or to half the side; the shortcut of one that keeps it is x."""

    features: int
    halve: bool
    first: bool  # sees the images, so without a ReLU before it

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        hidden: dict[str, Any] = {"padding": 1, "spectral": True, "kernel_init": xavier(math.sqrt(2.0))}
        # In mimicry this ReLU is in place and so acts on the shortcut too; in the paper's own code it does not.
        x = x if self.first else nn.relu(x)
        h = Conv(self.features, 3, name="conv_0", **hidden)(x, train=train)
        h = Conv(self.features, 3, name="conv_1", **hidden)(nn.relu(h), train=train)
        if not self.halve:
            return x + h
        # Pooling and a convolution of size 1 commute: for all blocks in the cheaper order.
        shortcut = Conv(self.features, 1, spectral=True, kernel_init=xavier(1.0), name="shortcut")
        return shortcut(downsample_mean(x), train=train) + downsample_mean(h)


def _labels(module: Generator | Discriminator, labels: jax.Array | None) -> jax.Array | None:
    """The labels where the network is conditional; without classes they are dropped."""
    if module.classes and labels is None:
        raise FieldError("labels", "None", f"this network has {module.classes} classes and needs a label for each sample")
    return labels if module.classes else None


def _check(module: Generator | Discriminator) -> None:
    if not is_whole(module.image_size) or module.image_size != 32:
        raise FieldError("image_size", shown(module.image_size), "sngan makes images of side 32 only")
    most = 4 if isinstance(module, Generator) else 256  # a packed D sees several images as one
    check_flags(module)
    check_counts(module, {"image_size": 1, "channels": (1, most), "width": 1, "classes": 0})
