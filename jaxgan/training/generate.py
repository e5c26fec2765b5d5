"""From latents to samples: what everything that draws from a run has in common."""

from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding

from jaxgan.core import conditions, latents
from jaxgan.core.types import GAN, Dataset, Draws, Images, Latents, Weights
from jaxgan.system import devices
from jaxgan.system.messages import FieldError
from jaxgan.training.dataset import Shape


def drawn(experiment: Draws, seed: int, indices: np.ndarray) -> Latents:
    """Returns the latents of samples `indices` of a seed, `[N, D]`: each depends on the seed and its index only."""
    return latents.draw(jax.random.key(seed), jnp.asarray(indices), experiment.latent_dim, latent=experiment.latent)


def truncating(experiment: Draws, truncation: float | None) -> tuple[Callable[[Latents], Latents], float | None]:
    """Returns what a truncation does to the latents, of a generator without a mapping, or else to the styles.

    Args:
        experiment: or a generator alone.
        truncation: psi of styles, from 0 to 2, or threshold of z, see `latents.truncate`; None for none.

    Returns:
        What the latents pass through, and what `generate` is given.

    Raises:
        ValueError: when psi is out of range.
    """
    if truncation is None:
        return lambda z: z, None
    if experiment.generator.map is None:
        z = jax.eval_shape(lambda: experiment.latent(jax.random.key(0), (experiment.latent_dim,)))
        if not jnp.issubdtype(z.dtype, jnp.floating):
            raise FieldError("truncation", truncation, f"latents of {z.dtype} have no threshold")
        return lambda z: latents.truncate(z, truncation), None
    if not 0.0 <= truncation <= 2.0:
        raise FieldError("truncation", truncation, "of styles it must be from 0 to 2; 1 for none")
    return lambda z: z, truncation


def generate(
    gan: GAN,
    weights: Weights,
    key: jax.Array,
    z: jax.Array,
    labels: Any,
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
        labels: `[N]` int32, or conditions.
        batch: latents mapped at a time.
        truncation: psi of a generator that has a mapping; none by default.

    Returns:
        Images `[N, H, W, C]` float32 in [-1, 1], on the host.
    """
    draw = batches(gan, batch=min(batch, len(z)), truncation=truncation)
    return np.concatenate([np.asarray(images)[:count] for images, _, count in draw(weights, key, z, labels)])


# (weights, key, z [N, D], labels [N] or conditions) -> batches of images on the devices, labels, and how many of each count
Batches = Callable[[Weights, jax.Array, jax.Array, Any], Iterator[tuple[Images, np.ndarray, int]]]


def batches(gan: GAN, *, batch: int, truncation: float | None = None) -> Batches:
    """Maps latents to images and leaves them on the devices; compiled once, however often it is called.

    Args:
        gan: a GAN.
        batch: latents mapped at a time, rounded up to a multiple of the devices.
        truncation: as for `generate`.

    Returns:
        `Batches`; the last batch is filled up with the first latents, which do not count.
    """
    sharding, replicated = over_devices()
    batch = -(-batch // sharding.num_devices) * sharding.num_devices

    @jax.jit
    def sample_batch(weights: Weights, key: jax.Array, labels: Any, z: jax.Array) -> Images:
        with devices.known(sharding.mesh):
            return gan.sample(weights, key, labels, z=z, truncation=truncation)

    def draw(weights: Weights, key: jax.Array, z: jax.Array, labels: Any) -> Iterator[tuple[Images, np.ndarray, int]]:
        weights, drawn = jax.device_put(weights, replicated), np.asarray(z)
        for start in range(0, len(drawn), batch):
            index = np.arange(start, start + batch) % len(drawn)  # the last batch is filled up, or it would compile anew
            given = conditions.take(labels, index)
            put = jax.device_put((given, drawn[index]), sharding)
            known = given if _are_labels(given) else np.zeros(batch, np.int32)
            yield sample_batch(weights, key, *put), known, min(batch, len(drawn) - start)

    return draw


def given_to(shape: Shape, dataset: Dataset | None, n: int, labels: np.ndarray) -> Any:
    """Returns what n samples are made for when they are compared with real ones: labels, or conditions of the data.

    Args:
        shape: of the data that the generator was trained on.
        dataset: the real samples.
        n: number of samples.
        labels: `[n]` int32, for a generator without a condition.

    Raises:
        FieldError: when the generator takes a condition, and the data have none of its form.
    """
    if shape.condition is None:
        return labels
    if dataset is None or dataset.condition != shape.condition:
        form = getattr(dataset, "condition", None)
        held = "no condition" if form is None else conditions.words(form)
        name = "the data" if dataset is None else dataset.name
        raise FieldError("real", f"{name} holds {held}", f"the generator needs {conditions.words(shape.condition)}")
    count = min(n, dataset.size or n)
    found = jax.tree.map(lambda x: np.asarray(x[0]), dataset.batches(0, count)(0)["condition"])
    return conditions.take(found, np.arange(n))


def _are_labels(given: Any) -> bool:
    return isinstance(given, np.ndarray) and given.ndim == 1 and given.dtype == np.int32


def over_devices() -> tuple[NamedSharding, NamedSharding]:
    """Returns how a batch lies when it is cut over all devices of this process, and how what all of them need does."""
    mesh = devices.line(jax.local_devices())
    return devices.in_parts(mesh), devices.whole(mesh)
