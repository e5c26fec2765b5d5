"""The perceptual path length of a run's generators: a figure of the generator itself, not of a set of images."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxgan.commands.evaluate.made import Made
from jaxgan.commands.features import as_seen, extractor_for
from jaxgan.core import conditions, latents
from jaxgan.core.types import Weights
from jaxgan.evaluation import features, path_length, settings
from jaxgan.evaluation.features.extractors import Extractor
from jaxgan.evaluation.report import Value, value
from jaxgan.latent import spaces
from jaxgan.system.messages import FieldError
from jaxgan.training.experiment import Experiment
from jaxgan.training.run import Run

NAME, TITLE = "path_length", "perceptual path length"
_N = 2_000  # paths, where no n is given
_BATCH = 100


def check(run: Run, experiment: Experiment) -> None:
    """Refuses runs between whose codes there is no way.

    Raises:
        FieldError: with the reason.
    """
    try:
        spaces.check(experiment, "z")
    except FieldError as error:
        raise FieldError("metrics", NAME, error.allowed) from error
    if run.shape.condition is not None and run.shown is None:
        raise FieldError("metrics", NAME, f"the generator takes a condition, and {run.path.name} has none to show")


def of_run(made: Made, n: int | None, asked: settings.Asked) -> dict[str, Value]:
    """Measures how much images change along the paths between codes, for each GAN of a run.

    Of a generator with a mapping paths are straight lines between styles, of another great circles between latents. Both ends
    are of one class, each class in turn.
    """
    run, experiment = made.run, made.experiment
    n = _N if n is None else n
    by = extractor_for(asked, getattr(run.recipe.data, "name", ""), run.shape.sample, run.units) or _samples(run)
    space = "z" if experiment.generator.map is None else "w"
    found = [path_length.score(_lengths(made, weights, space, by, n)) for weights in made.weights]
    path = "a straight line between styles" if space == "w" else "a great circle between latents"
    definition = (
        f"{TITLE}: mean over {n:,} random paths, each {path} of one class, of the squared Euclidean distance of the features "
        f"of the images at t and t + {path_length.EPSILON:g} over the square of the step, t uniform, without the smallest and "
        f"largest hundredth (Karras et al. 2019, there with LPIPS); features {by.name} ({by.size:,}, sha256 "
        f"{by.checksum[:12]}) of images that are not rounded; no floor: real images lie on no path"
    )
    of = {"name": by.name, "sha256": by.checksum, "size": by.size, "accuracy": by.accuracy}
    how = {"n": n, "space": space, "epsilon": path_length.EPSILON, "features": of, "resize": by.resize, **made.how()}
    deviation = found[0].deviation if len(found) == 1 else None
    members = [each.value for each in found]
    return {NAME: value(members, (), title=TITLE, better="lower", how=how | {"definition": definition}, deviation=deviation)}


def _lengths(made: Made, weights: Weights, space: str, by: Extractor, n: int) -> np.ndarray:
    experiment, units, key = made.experiment, made.run.units, jax.random.key(made.seed)
    path = latents.lerp if space == "w" else latents.slerp
    z = np.asarray(made.latents(2 * n))
    given = _given(made.run, n)
    t = np.asarray(jax.random.uniform(jax.random.fold_in(key, 2**32 - 2), (n,)))
    layers = (
        1 if space == "z" else spaces.layers_of(experiment, weights, jnp.asarray(z[:1]), conditions.take(given, np.arange(1)))
    )

    @jax.jit
    def lengths(weights: Weights, params: Any, starts: jax.Array, ends: jax.Array, t: jax.Array, given: Any) -> jax.Array:
        def features_of(codes: jax.Array) -> jax.Array:
            images = spaces.images_of(experiment, space, weights, key, codes, given, layers)
            return by.apply(params, as_seen(images, units, rounded=False)).features

        both = [spaces.codes_of(experiment, space, weights, key, each, given) for each in (starts, ends)]
        return path_length.lengths(features_of, both[0], both[1], t, path)

    found, size = [], min(_BATCH, n)
    for start in range(0, n, size):
        index = np.arange(start, start + size) % n  # the last batch is filled up, or it would compile anew
        each = lengths(weights, by.params, z[index], z[n + index], t[index], conditions.take(given, index))
        found.append(np.asarray(each)[: n - start])
    return np.concatenate(found)


def _given(run: Run, n: int) -> Any:
    if run.shape.condition is None:
        return np.resize(np.arange(max(run.shape.classes, 1)), n).astype(np.int32)
    return conditions.take(run.shown, np.arange(n))


def _samples(run: Run) -> Extractor:
    """Returns the samples themselves as features, where no network suits them."""
    sample, units = run.shape.sample, run.units
    if units is not None and not units.are_bytes:
        return features.extractors.samples(sample, sample, units)
    return features.extractor("samples", sample)
