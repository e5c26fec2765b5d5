"""Multilayer perceptrons: for points in the plane and for small images."""

import functools
import math
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxgan.nets.checks import check_counts, check_flags, check_lists, check_word
from jaxgan.nets.layers import BatchNorm, Dense, full_precision, leaky_relu, matched, recomputed, variance_scaled
from jaxgan.system.messages import FieldError, shown


class Generator(nn.Module):
    """G: latents `[B, D]` to points `[B, 2]`, or to images `[B, H, W, C]` in (-1, 1) through tanh.

    Conditional when `classes > 0`: a learnt vector of length D for the label is concatenated to z.
    """

    hidden: tuple[int, ...] = (256, 256)
    output_shape: tuple[int, ...] = (2,)  # of one sample: (2,), or (H, W, C)
    classes: int = 0
    norm: str = "none"  # or batch
    activation: Callable[[jax.Array], jax.Array] = nn.relu
    remat: bool = False  # keep a layer's input only, and compute the rest again for the gradients

    def __post_init__(self) -> None:
        super().__post_init__()
        _check(self)
        check_lists(self, "output_shape")
        if not self.output_shape or min(self.output_shape) < 1:
            raise FieldError("output_shape", self.output_shape, "it must hold one or more sizes of at least 1")
        check_word(self, "norm", ("batch", "none"), notes={"spectral": " (spectral normalisation is for the discriminator)"})

    @nn.compact
    def __call__(self, z: jax.Array, labels: jax.Array | None = None, *, train: bool = False) -> jax.Array:
        x = z
        if self.classes:
            embed = nn.Embed(self.classes, z.shape[-1], embedding_init=nn.initializers.normal(1.0), name="label")
            x = jnp.concatenate([x, matched(embed(labels), x)], axis=-1)

        def layer(_: nn.Module, x: jax.Array, *, i: int) -> jax.Array:
            x = Dense(self.hidden[i], use_bias=self.norm == "none", name=f"hidden_{i}")(x)
            if self.norm == "batch":
                x = BatchNorm(name=f"norm_{i}")(x, train=train)
            return self.activation(x)

        for i in range(len(self.hidden)):
            x = recomputed(self.remat, functools.partial(layer, i=i))(self, x)
        x = Dense(math.prod(self.output_shape), kernel_init=variance_scaled(1.0), name="out")(x)
        x = full_precision(x).reshape(-1, *self.output_shape)
        return jnp.tanh(x) if len(self.output_shape) == 3 else x


class Discriminator(nn.Module):
    """D: points `[B, 2]` or images `[B, H, W, C]` to logits `[B]`.

    With `maxout > 1` a hidden unit is the largest of that many linear ones, in place of the activation. Conditional when
    `classes > 0`, by projection: the product of the last hidden layer with a learnt vector for the label is added.

    References:
        Goodfellow et al. 2013, Maxout networks; Miyato and Koyama 2018, cGANs with projection discriminator, equation 4.
    """

    hidden: tuple[int, ...] = (256, 256)
    classes: int = 0
    norm: str = "none"  # or batch, spectral
    activation: Callable[[jax.Array], jax.Array] = leaky_relu
    maxout: int = 1
    remat: bool = False  # keep a layer's input only, and compute the rest again for the gradients

    def __post_init__(self) -> None:
        super().__post_init__()
        _check(self)
        check_word(self, "norm", ("batch", "none", "spectral"))
        check_counts(self, {"maxout": 1})

    @nn.compact
    def __call__(self, x: jax.Array, labels: jax.Array | None = None, *, train: bool = False) -> jax.Array:
        spectral = self.norm == "spectral"

        def layer(_: nn.Module, x: jax.Array, *, i: int) -> jax.Array:
            batch_norm = self.norm == "batch" and i > 0  # not on the samples themselves, as in DCGAN
            linear = Dense(self.hidden[i] * self.maxout, use_bias=not batch_norm, spectral=spectral, name=f"hidden_{i}")
            x = linear(x, train=train)
            if batch_norm:
                x = BatchNorm(name=f"norm_{i}")(x, train=train)
            return x.reshape(-1, self.hidden[i], self.maxout).max(axis=-1) if self.maxout > 1 else self.activation(x)

        x = x.reshape(x.shape[0], -1)
        for i in range(len(self.hidden)):
            x = recomputed(self.remat, functools.partial(layer, i=i))(self, x)
        x = full_precision(x)
        self.sow("intermediates", "features", x)
        last: dict[str, Any] = {"spectral": spectral, "kernel_init": variance_scaled(1.0)}
        logits = Dense(1, name="logit", **last)(x, train=train)[:, 0]
        if self.classes:
            of_class = Dense(self.classes, use_bias=False, name="label", **last)(x, train=train)
            logits += (of_class * jax.nn.one_hot(labels, self.classes, dtype=x.dtype)).sum(axis=-1)
        return logits


def _check(module: Generator | Discriminator) -> None:
    check_lists(module, "hidden")
    if not module.hidden or min(module.hidden) < 1:
        raise FieldError("hidden", module.hidden, "it must hold one or more widths of at least 1")
    check_counts(module, {"classes": 0})
    check_flags(module)
    if not callable(module.activation):
        raise FieldError("activation", shown(module.activation), "it must be a function of an array")


# Lin et al. 2018, PacGAN, the networks of the 2D ring and grid; z is two-dimensional, standard normal.
PACGAN_GENERATOR = Generator(hidden=(400,) * 4, norm="batch")
PACGAN_DISCRIMINATOR = Discriminator(hidden=(200,) * 3, maxout=5)
