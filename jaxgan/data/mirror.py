"""Images and their mirror images: a set made twice as large, for what has no left and right."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding

from jaxgan.core.types import Batch, Dataset, Key
from jaxgan.system.messages import kind_of_samples


def mirrored(dataset: Dataset) -> Dataset:
    """The same set with each image turned left to right or not, by a coin thrown anew each time it is shown.

    Args:
        dataset: of images.

    Returns:
        A `Dataset`; its batch of step s is a pure function of the seed and s, too.

    Raises:
        ValueError: when its samples are no images.
    """
    if len(dataset.shape) != 3:
        raise ValueError(f"mirror: True, but {dataset.name} holds {kind_of_samples(dataset.shape)}; it is for images")

    if dataset.condition is not None:
        raise ValueError(f"mirror: True, but {dataset.name} has a condition, which would not be turned with its image")

    def batches(seed: int, batch_size: int, sharding: NamedSharding | None = None) -> Callable[..., Batch]:
        draw, turn = dataset.batches(seed, batch_size, sharding), jax.jit(_turn)
        key = jax.random.fold_in(jax.random.key(seed), 2**31)  # no step's: those of a run end before

        def turned(step: int, steps: int = 1) -> Batch:
            batch = draw(step, steps)
            return batch | {"image": turn(key, jnp.arange(step, step + steps), batch["image"])}

        return turned

    return dataset._replace(batches=batches)


def _turn(key: Key, steps: jax.Array, images: jax.Array) -> jax.Array:
    """Images `[steps, B, H, W, C]`, some of them mirrored."""
    coins = jax.vmap(lambda step: jax.random.bernoulli(jax.random.fold_in(key, step), shape=images.shape[1:2]))(steps)
    return jnp.where(coins[:, :, None, None, None], images[:, :, :, ::-1], images)
