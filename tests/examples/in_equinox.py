"""Networks of equinox, each for one sample at a time: jaxgan train in_equinox.py"""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp

import jaxgan
from jaxgan.recipes import Penalty, Recipe


class Generator(eqx.Module):
    layers: eqx.nn.MLP

    def __init__(self, width, key):
        self.layers = eqx.nn.MLP(4, 2, width, 2, key=key)

    def __call__(self, z, label):
        return self.layers(z)


class Discriminator(eqx.Module):
    layers: eqx.nn.MLP

    def __init__(self, width, key):
        self.layers = eqx.nn.MLP(2, "scalar", width, 2, activation=jax.nn.gelu, key=key)

    def __call__(self, x, label):
        return self.layers(x)


@dataclasses.dataclass(frozen=True)
class G:
    """G in equinox."""

    width: int = 8
    """Hidden units."""
    latent_dim: int = 4
    """Length of z."""

    def build(self, shape):
        z = jnp.zeros((1, self.latent_dim))
        return jaxgan.from_equinox(lambda key: Generator(self.width, key), z, jnp.zeros(1, jnp.int32))


@dataclasses.dataclass(frozen=True)
class D:
    """D in equinox."""

    width: int = 8
    """Hidden units."""

    def build(self, shape):
        x = jnp.zeros((1, *shape.sample))
        return jaxgan.from_equinox(lambda key: Discriminator(self.width, key), x, jnp.zeros(1, jnp.int32))


recipe = Recipe(
    data="ring",
    generator=G(),
    discriminator=D(),
    penalty=Penalty("r1_r2", gamma=0.05),
    batch_size=32,
    steps=8,
    log_interval=4,
    sample_interval=8,
    checkpoint_interval=4,
)
