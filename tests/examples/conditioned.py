"""A file of a user's: small pictures made for a half of themselves and a brightness."""

from dataclasses import dataclass
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

import jaxgan
from jaxgan.recipes import Recipe


def pictures(seed: int = 0) -> jaxgan.Dataset:
    """Returns 40 pictures, the left half of each and its mean; pictures of a run are drawn of the last 20."""
    images = np.random.default_rng(seed).uniform(-1, 1, (40, 4, 4, 1)).astype(np.float32)
    half = images * (np.arange(4) < 2)[None, None, :, None]
    condition = {"half": half, "bright": images.mean(axis=(1, 2))}
    held = {name: x[20:] for name, x in condition.items()}
    return jaxgan.data.with_condition(jaxgan.data.from_array(images), condition, shown=held)


def others() -> jaxgan.Dataset:
    """Returns other pictures."""
    return pictures(1)


class Net(nn.Module):
    """One hidden layer that sees the input and the condition."""

    outputs: tuple[int, ...]

    @nn.compact
    def __call__(self, x: jax.Array, condition: dict[str, jax.Array]) -> jax.Array:
        """Maps latents or pictures `[B, ...]` to `[B, *outputs]`."""
        seen = [each.reshape(x.shape[0], -1) for each in (x, condition["half"], condition["bright"])]
        h = nn.leaky_relu(nn.Dense(16)(jnp.concatenate(seen, axis=1)))
        return nn.Dense(int(np.prod(self.outputs)))(h).reshape(-1, *self.outputs)


def network(shape: Any, x: tuple[int, ...], outputs: tuple[int, ...]) -> jaxgan.Network:
    """Returns the network, built for conditions of the data's form."""
    condition = jax.tree.map(lambda each: jnp.zeros((1, *each.shape), each.dtype), shape.condition)
    return jaxgan.from_linen(Net(outputs), jnp.zeros((1, *x)), condition)


@dataclass(frozen=True)
class G:
    """The generator."""

    latent_dim: int = 3

    def build(self, shape: Any) -> jaxgan.Network:
        """Returns it."""
        return network(shape, (self.latent_dim,), shape.sample)


@dataclass(frozen=True)
class D:
    """The discriminator."""

    def build(self, shape: Any) -> jaxgan.Network:
        """Returns it."""
        return network(shape, shape.sample, ())


recipe = Recipe(
    data=pictures,
    generator=G(),
    discriminator=D(),
    terms=("l1",),
    batch_size=8,
    steps=4,
    log_interval=2,
    sample_interval=4,
    checkpoint_interval=2,
)
