"""A file of a user's: a generator in plain JAX that maps z to two styles, and a sphere to draw z from."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

import jaxgan
from jaxgan.recipes import Data, MLPDiscriminator, Recipe

WIDTH = 6  # of a style


def generator(sample: tuple[int, ...], classes: int, latent_dim: int) -> jaxgan.Network:
    """Returns a network of two halves: the first style makes a coarse picture, the second what is added to it."""

    def init(key: jax.Array) -> tuple[Any, Any]:
        keys = jax.random.split(key, 4)
        size = sample[0] * sample[1] * sample[2]
        params = {
            "map": jax.random.normal(keys[0], (latent_dim, WIDTH)),
            "label": jax.random.normal(keys[1], (max(classes, 1), WIDTH)),
            "coarse": jax.random.normal(keys[2], (WIDTH, size)) * 0.3,
            "fine": jax.random.normal(keys[3], (WIDTH, size)) * 0.1,
        }
        return params, {}

    def to_styles(params: Any, stats: Any, z: Any, labels: Any, key: Any, /, *, train: bool, truncation: Any = None) -> Any:
        of = jax.nn.one_hot(labels, max(classes, 1)) if labels.ndim == 1 else labels
        w = z @ params["map"] + of @ params["label"]
        w = w if truncation is None else truncation * w
        return jnp.repeat(w[:, None], 2, axis=1), stats

    def synthesize(params: Any, stats: Any, w: Any, key: Any, /, *, train: bool) -> jax.Array:
        flat = jnp.tanh(w[:, 0] @ params["coarse"]) + jnp.sin(w[:, 1] @ params["fine"]) * 0.3
        return flat.reshape(-1, *sample)

    def apply(params: Any, stats: Any, z: Any, labels: Any, key: Any, /, *, train: bool) -> tuple[jax.Array, Any]:
        w, stats = to_styles(params, stats, z, labels, key, train=train)
        return synthesize(params, stats, w, key, train=train), stats

    return jaxgan.Network(init, apply, depends_on_batch=False, map=to_styles, synthesize=synthesize)


@dataclass(frozen=True)
class G:
    """The generator."""

    latent_dim: int = 5
    """Length of z."""
    latent: str = "sphere"
    """Law of z."""

    def build(self, shape: Any) -> jaxgan.Network:
        """Returns the network."""
        return generator(shape.sample, shape.classes, self.latent_dim)


recipe = Recipe(
    data=Data("digits", conditional=True),
    generator=G(),
    discriminator=MLPDiscriminator(width=8, depth=1),
    batch_size=8,
    steps=4,
    log_interval=2,
    sample_interval=4,
    checkpoint_interval=4,
)
