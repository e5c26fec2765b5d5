"""Generated samples against real ones: each figure with its value, its floors, and how it was obtained."""

import logging
import math
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxgan import pictures
from jaxgan.core.types import Units
from jaxgan.evaluation import quality, settings
from jaxgan.evaluation.features.extractors import NOTHING, Extractor
from jaxgan.evaluation.features.inputs import are_images
from jaxgan.evaluation.features.real import Real
from jaxgan.evaluation.features.references import Begin, Placement, picked
from jaxgan.evaluation.features.statistics import Batches
from jaxgan.evaluation.metric import KEPT, Metric, Scores, Statistics
from jaxgan.evaluation.metrics.memorisation import nearest
from jaxgan.evaluation.quality import Evaluator
from jaxgan.evaluation.report import Floor, Value, finite, value
from jaxgan.system.messages import FieldError

_log = logging.getLogger("jaxgan")
_SUSPECTS = 12  # generated images shown with the real ones nearest to them


class Comparison(NamedTuple):
    """Real samples prepared for comparison, with their own figures as floors."""

    evaluator: Evaluator
    floors: dict[str, Scores]


class Compared(NamedTuple):
    """The figures of the GANs of a run, or of a set of images."""

    values: dict[str, Value]
    headline: tuple[str, ...]  # in words, how they were obtained
    warnings: tuple[str, ...]


def comparison(
    real: Real,
    metrics: Sequence[str | Metric],
    *,
    n: int | None,
    given: Iterable[int] = (),
    features: settings.Asked,
    weights: str | os.PathLike[str] | None,
    checksum: str | None = None,
    placement: Placement,
    begin: Begin,
) -> Comparison:
    """Prepares a comparison: loads and computes everything that does not depend on the generated samples.

    Args:
        real: the real samples.
        metrics: names, or metrics of a user's; the usual ones when there are none.
        n: number of generated samples; 10,000 or as many as there are when None.
        given: number of images in each set that is no run.
        features: name of an extractor, or a user's function; that which suits the data when None.
        weights: as for `features.extractor`.
        checksum: sha256 of the source of a user's function, where it is known.
        placement: the shardings of a batch and of what is replicated.
        begin: called with what begins and its size; returns a function to call with the samples done.

    Returns:
        A `Comparison`.

    Raises:
        ValueError, FileNotFoundError: when something asked for cannot be.
    """
    least = min(given, default=None)
    if n is None and least is not None:
        n = min(least, KEPT, real.dataset.size or least)
    elif n is not None and least is not None and n > least:
        raise FieldError("n", n, f"it must be from 2 to {least}, the images given")
    asked = settings.settings(real, metrics=metrics, features=features, n=n)
    against = quality.evaluator(asked, placement=placement, weights=weights, checksum=checksum, begin=begin)
    return Comparison(against, quality.floors(against))


def compare(
    against: Comparison,
    members: Iterable[Batches],
    shape: tuple[int, ...],
    *,
    name: str,
    how: dict[str, Any],
    begin: Begin,
    images: Callable[[np.ndarray], np.ndarray],
    beside: Path,
    units: Units | None = None,
) -> Compared:
    """Measures the samples of each GAN of a run, or a set of images.

    Args:
        against: the real samples.
        members: the samples of each GAN.
        shape: shape of a sample.
        name: name of the samples, for the progress.
        how: entries for JSON that say how the samples were obtained.
        begin: called with what begins and its size; returns a function to call with the samples done.
        images: indices to samples of the first GAN.
        beside: file of the picture of the nearest real images, drawn where `memorisation` is measured.
        units: of the samples; those of the real ones, or bytes, when None.

    Returns:
        `Compared`.
    """
    evaluator = against.evaluator
    n, extractor = evaluator.settings.n, evaluator.compiled(tuple(shape))[0]
    units = units if evaluator.settings.real.dataset.units is not None else None
    known = {} if units is None else {"units": units}
    found = [quality.statistics(evaluator, batches, shape, tick=begin(name, n), **known) for batches in members]
    measured = [quality.compare(evaluator, each) for each in found]
    problems = dict.fromkeys(str(problem) for each in measured for problem in each.problems)
    values = _values(against, [each.scores for each in measured], extractor, how)
    _draw_nearest(evaluator, found[0], images, beside)
    return Compared(values, _words(evaluator, extractor), (*quality.warnings(evaluator), *problems))


def _values(against: Comparison, scored: Sequence[Scores], extractor: Extractor, how: dict[str, Any]) -> dict[str, Value]:
    evaluator = against.evaluator
    asked = evaluator.settings
    common = {
        "n": asked.n,
        "n_real": evaluator.reference.whole.n,
        "data": asked.real.name,
        "split": asked.real.split,
        "features": _about(extractor),
        "resize": extractor.resize,
        "resize_real": evaluator.extractor.resize,
        **how,
    }
    values = {}
    for name, score in scored[0].items():
        said = {**common, "definition": quality.definition(evaluator, name, resize=extractor.resize)}
        better = quality.metric_of(evaluator, name).heading(name).better
        members = [each[name].value if name in each else math.nan for each in scored]
        deviation = score.deviation if len(scored) == 1 else None
        floors = _floors(against, name)
        title = quality.heading(evaluator, name)
        values[name] = value(members, floors, title=title, better=better, how=said, deviation=deviation)
    return values


def _about(extractor: Extractor) -> dict[str, Any] | None:
    if extractor.name == NOTHING:
        return None
    return {
        "name": extractor.name,
        "sha256": extractor.checksum,
        "size": extractor.size,
        "accuracy": extractor.accuracy,
    }


def _floors(against: Comparison, name: str) -> list[Floor]:
    """Puts unseen samples first, where there are any: they are as far from the real ones as a perfect generator's."""
    reference, real = against.evaluator.reference, against.evaluator.settings.real
    parts = {"held_out": (reference.held_out, reference.held_out_split), "real": (reference.part, real.split)}
    floors = []
    for kind, (part, split) in parts.items():
        if part is not None and name in against.floors[kind]:
            score = against.floors[kind][name]
            others = " against the rest" if kind == "real" else " drawn anew" if real.dataset.size is None else ""
            words = f"{part.n:,} of {real.name}/{split}{others}"
            floors.append(Floor(words, finite(score.value), finite(score.deviation), part.n))
    return floors


def _words(evaluator: Evaluator, extractor: Extractor) -> tuple[str, ...]:
    asked = evaluator.settings
    real, kind = asked.real, asked.real.kind
    sets = f"{asked.n:,} {kind} against {evaluator.reference.whole.n:,} of {real.name}/{real.split}"
    if extractor.name == NOTHING:
        return (sets,)
    right = "" if extractor.accuracy is None else f", a classifier, {100 * extractor.accuracy:.2f} % right on its test split"
    network = f"{extractor.size:,} features {extractor.name}{right}, sha256 {extractor.checksum[:12]}"
    return sets, f"{network}; {kind} {extractor.resize}"


def _draw_nearest(evaluator: Evaluator, found: Statistics, images: Callable[[np.ndarray], np.ndarray], path: Path) -> None:
    """Draws the generated images that come nearest to real ones, above these: copies are seen there, if there are any."""
    dataset = evaluator.settings.real.dataset
    measured = any(metric.name == "memorisation" for metric in evaluator.settings.metrics)
    if not measured or not are_images(dataset.shape) or dataset.size is None or dataset.units is not None:
        return
    near = nearest(found.features, evaluator.reference.whole.features)
    suspects = _nearest_of_each(near.distances, found.labels)[:_SUSPECTS]
    real = picked(dataset, near.indices[suspects])
    generated = pictures.to_uint8(images(suspects))
    if generated.shape != real.shape:
        return  # of another size or colour: side by side they would not tell
    pairs = np.concatenate([generated, pictures.to_uint8(real)])
    pictures.write(pictures.grid(pairs, columns=len(suspects), sides=("generated", "nearest real")), path)
    _log.info("samples nearest to real ones, with these: %s", path)


def _nearest_of_each(distances: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Orders images by distance, the nearest of each class first: else a class of thin strokes would fill the picture."""
    order = np.argsort(distances, kind="stable")
    rank = np.empty(len(order), np.int64)
    for label in np.unique(labels):
        own = order[labels[order] == label]
        rank[own] = np.arange(len(own))
    return np.lexsort((distances, rank))
