"""A file of a user's: a loss with further terms, a discriminator of patches in two scales, features that are matched."""

from dataclasses import dataclass
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

import jaxgan
from jaxgan.recipes import MLP, Data, Recipe


def smooth(fake: jax.Array, batch: Any, _key: jax.Array) -> jax.Array:
    """Compares neighbouring pixels with those of the real images."""
    rough = jnp.abs(jnp.diff(fake, axis=1)) - jnp.abs(jnp.diff(batch["image"], axis=1))
    return jnp.abs(rough).mean(axis=(1, 2, 3))


def warm(shown: jax.Array) -> jax.Array:
    """Grows from 0 to 1 over 64 images."""
    return jnp.clip(shown / 64.0, 0.0, 1.0)


@dataclass(frozen=True)
class Bright:
    """A term with a field of its own."""

    target: float = -0.5

    def build(self) -> jaxgan.Term:
        """Returns the term."""
        return jaxgan.Term(lambda fake, _batch, _key: jnp.abs(fake.mean(axis=(1, 2, 3)) - self.target), name="bright")


class Critic(nn.Module):
    """Logits of 2x2 patches and of the whole."""

    width: int

    @nn.compact
    def __call__(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Maps images `[B, 8, 8, 1]` to logits `[B, 2, 2]` and `[B]`."""
        h = nn.leaky_relu(nn.Dense(self.width)(x.reshape(x.shape[0], 2, 4, 2, 4).swapaxes(2, 3).reshape(-1, 2, 2, 16)))
        self.sow("intermediates", "features", h)
        return nn.Dense(1)(h)[..., 0], nn.Dense(1)(h.reshape(h.shape[0], -1))[:, 0]


@dataclass(frozen=True)
class Patches:
    """D of patches."""

    width: int = 8

    def build(self, shape: Any) -> jaxgan.Network:
        """Returns the discriminator."""
        return jaxgan.from_linen(Critic(self.width), jnp.zeros((1, *shape.sample)))


recipe = Recipe(
    data=Data("digits"),
    generator=MLP(width=8, depth=1, latent_dim=4),
    discriminator=Patches(),
    terms=(
        jaxgan.Term(smooth, weight=0.5, balanced=True),
        jaxgan.Term("feature_matching", weight=warm, name="matching"),
        Bright(-0.4),
    ),
    batch_size=16,
    steps=6,
    log_interval=2,
    sample_interval=6,
    checkpoint_interval=3,
)
