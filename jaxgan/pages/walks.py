"""Frames of an interpolation through latent space, from the samples of one seed to those of the next and back to the first."""

import itertools
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from PIL import Image

from jaxgan import pictures
from jaxgan.core import conditions, latents
from jaxgan.core.types import Weights
from jaxgan.system import environment
from jaxgan.system.messages import FieldError
from jaxgan.training import sampler as samplers
from jaxgan.training.sampler import Generator
from jaxgan.weights.portable import Sampler, Samples

SEEDS = (3, 7, 12)
_FRAMES, _OF_PLOTS = 8, 3  # from one seed to the next; of pictures that matplotlib draws fewer
_WALKS, _CLASSES, _VECTORS = 8, 12, 1_000  # samples that walk
_BATCH = 8  # samples at a time: one program that compiles quickly
_LEGIBLE = 96  # pixels of a side


class Walk(NamedTuple):
    """Frames of an interpolation between samples."""

    frames: list[Image.Image]
    words: str  # what is seen, for those who do not see it


@environment.fixed()
def walk(generator: Generator, weights: Weights, shown: conditions.Arrays | None, seeds: tuple[int, ...] = SEEDS) -> Walk:
    """Draws a closed loop from the samples of each seed to those of the next, along great circles.

    Args:
        generator: of a run, built alone.
        weights: of one GAN.
        shown: conditions that are drawn for, of a generator that takes one.
        seeds: two or more.

    Returns:
        `Walk`; its last frame comes before the first.

    Raises:
        FieldError: when latents are whole numbers, or a condition is needed and none is there.
    """
    vectors = len(generator.shape.sample) == 1
    sampler = samplers.sampler(generator, weights, batch=64 if vectors else _BATCH, shown=shown)
    about = sampler.about
    if not np.issubdtype(about.latent_dtype, np.floating):
        raise FieldError("generator.latent", f"it draws {about.latent_dtype}", "between whole numbers there is no way")
    if about.condition is not None and shown is None:
        raise FieldError("run", "the generator takes a condition", "the run holds none to walk with", link=", and ")
    flat = not vectors and pictures.are_pictures(about.shape, generator.units)
    count = _VECTORS if vectors else min(about.classes, _CLASSES) or _WALKS
    rows = np.zeros(count, np.int32) if about.classes and not vectors else np.arange(count, dtype=np.int32)
    labels = [about.numbers[i % about.classes] for i in range(count)] if about.classes else None
    ends = [jnp.asarray(sampler.functions.latents(seed, rows)) for seed in (*seeds, seeds[0])]
    shares = np.linspace(0.0, 1.0, _FRAMES if len(about.shape) > 2 else _OF_PLOTS, endpoint=False)
    on_the_way = [latents.slerp(a, b, jnp.float32(t)) for a, b in itertools.pairwise(ends) for t in shares]
    made = _made(sampler, np.concatenate(on_the_way), labels, count, seeds[0])
    several = "Every class" if about.classes and about.classes <= count else f"{count:,} samples"
    words = f"{several} on the way through the latents of seeds {', '.join(map(str, seeds))} and back"
    return Walk(_drawn(made, count, generator, flat), words)


def _made(sampler: Sampler, z: np.ndarray, labels: list[int] | None, count: int, seed: int) -> Samples:
    if sampler.about.condition is None:
        return sampler(seed=seed, z=z, labels=labels)
    return sampler(seed=seed, z=z, condition=conditions.take(sampler.shown, np.arange(len(z)) % count))


def _drawn(made: Samples, count: int, generator: Generator, flat: bool) -> list[Image.Image]:
    images = np.split(samplers.drawable(made)[0], len(made) // count)
    about, units = made.about, generator.units
    if about.are_points:
        behind = samplers.behind(generator.density, _VECTORS)
        reach = 1.15 * float(np.abs(behind["real"] if behind else np.nan_to_num(made.images)).max(initial=1e-3))
        return [pictures.scatter(pictures.plane(each), limits=(-reach, reach), pixels=400, **behind) for each in images]
    if not flat:
        return [pictures.view(each, units) for each in images]
    seen = pictures.pictured(made.condition, about.shape)
    if seen is not None:
        return [pictures.pairs(seen[:count], each) for each in images]
    scale = max(round(_LEGIBLE / max(about.shape[:2])), 1)
    columns = pictures.columns_for(len(images[0]))
    return [pictures.grid(each, columns=columns, scale=scale, captions=made.names[:count]) for each in images]
