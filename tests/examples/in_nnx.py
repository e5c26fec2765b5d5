"""Networks of flax.nnx with batch normalisation, under R1 and R2: jaxgan train in_nnx.py"""

import dataclasses

import jax.numpy as jnp
from flax import nnx

import jaxgan
from jaxgan.recipes import Penalty, Recipe


class Generator(nnx.Module):
    def __init__(self, width, rngs):
        self.first = nnx.Linear(4, width, rngs=rngs)
        self.norm = nnx.BatchNorm(width, rngs=rngs)
        self.last = nnx.Linear(width, 2, rngs=rngs)

    def __call__(self, z, labels):
        return self.last(nnx.relu(self.norm(self.first(z))))


class Discriminator(nnx.Module):
    def __init__(self, width, rngs):
        self.first = nnx.Linear(2, width, rngs=rngs)
        self.norm = nnx.BatchNorm(width, rngs=rngs)
        self.last = nnx.Linear(width, 1, rngs=rngs)

    def __call__(self, x, labels):
        return self.last(nnx.leaky_relu(self.norm(self.first(x)), 0.2))[:, 0]


@dataclasses.dataclass(frozen=True)
class G:
    """G in nnx."""

    width: int = 8
    """Hidden units."""
    latent_dim: int = 4
    """Length of z."""

    def build(self, shape):
        z = jnp.zeros((1, self.latent_dim))
        return jaxgan.from_nnx(lambda rngs: Generator(self.width, rngs), z, jnp.zeros(1, jnp.int32))


@dataclasses.dataclass(frozen=True)
class D:
    """D in nnx."""

    width: int = 8
    """Hidden units."""

    def build(self, shape):
        x = jnp.zeros((1, *shape.sample))
        return jaxgan.from_nnx(lambda rngs: Discriminator(self.width, rngs), x, jnp.zeros(1, jnp.int32))


recipe = Recipe(
    data="ring",
    generator=G(),
    discriminator=D(),
    loss="non_saturating",
    penalty=Penalty("r1_r2", gamma=0.05),
    batch_size=32,
    steps=8,
    log_interval=4,
    sample_interval=8,
    checkpoint_interval=4,
)
