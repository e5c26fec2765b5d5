"""From latents to samples: what everything that draws from a run has in common."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from jaxgan import latents
from jaxgan.build import LATENTS
from jaxgan.recipes import Recipe
from jaxgan.types import GAN, GANState, Latents, Player, Weights


def drawn(recipe: Recipe, seed: int, indices: np.ndarray) -> Latents:
    """The latents of samples `indices` of a seed, `[N, D]`: each depends on the seed and its index only."""
    generator = recipe.generator
    return latents.draw(jax.random.key(seed), jnp.asarray(indices), generator.latent_dim, latent=LATENTS[generator.latent])


def generate(
    gan: GAN,
    weights: Weights,
    key: jax.Array,
    z: jax.Array,
    labels: np.ndarray,
    *,
    batch: int,
    truncation: float | None = None,
) -> np.ndarray:
    """Maps latents to images, a batch at a time over all devices.

    Args:
        gan: a GAN.
        weights: its averaged generator.
        key: for networks that draw noise of their own.
        z: latents, `[N, D]`.
        labels: `[N]` int32.
        batch: latents mapped at a time.
        truncation: psi of a generator that has a mapping; none by default.

    Returns:
        Images `[N, H, W, C]` float32 in [-1, 1], on the host.
    """
    devices = np.array(jax.devices())
    mesh = Mesh(devices, ("data",), axis_types=(AxisType.Auto,))
    sharding, replicated = NamedSharding(mesh, PartitionSpec("data")), NamedSharding(mesh, PartitionSpec())
    batch = -(-min(batch, len(z)) // len(devices)) * len(devices)  # every device takes as many
    nobody = Player(None, None, None)  # sampling needs the averaged generator only
    state = GANState(jnp.zeros((), jnp.int32), nobody, nobody, weights, {})
    weights = jax.device_put(weights, replicated)

    @jax.jit
    def sample_batch(ema: Weights, labels: jax.Array, z: jax.Array) -> jax.Array:
        return gan.sample(state._replace(ema=ema), key, labels, z=z, truncation=truncation)

    images = []
    for start in range(0, len(z), batch):
        index = np.arange(start, start + batch) % len(z)  # the last batch is filled up, or it would compile anew
        put = jax.device_put((labels[index], np.asarray(z)[index]), sharding)
        images.append(np.asarray(sample_batch(weights, *put)))
    return np.concatenate(images)[: len(z)]
