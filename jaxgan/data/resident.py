"""Small sets: the whole of it on the device as uint8, each batch gathered there by one compiled function."""

from collections.abc import Callable

import jax
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from jaxgan.data.source import Arrays, check_draw, check_step, over_steps, rows, to_float
from jaxgan.types import Batch, Dataset


def dataset(name: str, split: str, arrays: Arrays, class_names: tuple[str, ...]) -> Dataset:
    """A `Dataset` of images that are in memory.

    Args:
        name: of the set.
        split: of the set.
        arrays: images `[N, H, W, C]`, uint8 or float32 in [-1, 1], and labels `[N]` int32.
        class_names: one for each label, () when the labels mean nothing.
    """
    images, labels = arrays

    def batches(seed: int, batch_size: int, sharding: NamedSharding | None = None) -> Callable[..., Batch]:
        check_draw(name, split, len(images), seed, batch_size, sharding)
        return _batches(images, labels, seed, batch_size, sharding)

    return Dataset(name, split, images.shape[1:], class_names, len(images), batches)


def _batches(
    images: np.ndarray, labels: np.ndarray, seed: int, batch_size: int, sharding: NamedSharding | None
) -> Callable[..., Batch]:
    # Replicated, so that each device gathers its own rows and none is sent from one to another.
    everywhere = None if sharding is None else NamedSharding(sharding.mesh, PartitionSpec())
    stored = jax.device_put((images, labels), everywhere)
    gather = jax.jit(_gather, out_shardings=None if sharding is None else over_steps(sharding))

    def draw(step: int, steps: int = 1) -> Batch:
        step, steps = check_step(step, steps)
        # The order is made on the host once an epoch: a permutation inside the step costs 30 ms on a CPU.
        chosen = rows(seed, len(images), step * batch_size, steps * batch_size)
        return gather(*stored, chosen.reshape(steps, batch_size))

    return draw


def _gather(images: jax.Array, labels: jax.Array, chosen: jax.Array) -> Batch:
    return {"image": to_float(images[chosen]), "label": labels[chosen]}
