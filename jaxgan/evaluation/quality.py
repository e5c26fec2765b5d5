"""Quality of generated samples beside real ones: figures, their floors and their definitions."""

import functools
import os
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import numpy as np

from jaxgan.core.types import Units
from jaxgan.evaluation import features
from jaxgan.evaluation.features import whitened
from jaxgan.evaluation.features.extractors import NOTHING, TAKES_NO_WEIGHTS, WHITENED, WITH_LOGITS, Extractor
from jaxgan.evaluation.features.functions import of_function
from jaxgan.evaluation.features.references import Begin, Placement, Reference, first_features, quiet, reference
from jaxgan.evaluation.features.statistics import Batches, Rows, features_of, statistics_of
from jaxgan.evaluation.metric import Measured, Metric, Scores, Statistics, measure
from jaxgan.evaluation.settings import Settings, name_of
from jaxgan.recipes.table import METRICS
from jaxgan.system.messages import FieldError

Compiled = tuple[Extractor, Callable[[Batches], Iterator[Rows]]]  # an extractor, and the function compiled of it
_SAME = Units("same")  # stands for the units of the real samples


class Evaluator(NamedTuple):
    """Real samples prepared for comparison: extractor, statistics and settings."""

    settings: Settings
    reference: Reference
    extractor: Extractor  # for samples of the data set's shape
    keep: int  # features
    samples: int  # samples themselves
    compiled: Callable[..., Compiled]  # (shape, units=those of the real samples) for generated samples

    @property
    def figures(self) -> dict[str, Metric]:
        """The figures that are known before anything is measured, in the library's order, each with its metric."""
        order = [*METRICS, *(metric.name for metric in self.settings.metrics)]
        ordered = sorted(self.settings.metrics, key=lambda metric: order.index(metric.name))
        return {figure: metric for metric in ordered for figure in metric.shown}


def evaluator(
    asked: Settings,
    *,
    placement: Placement,
    weights: str | os.PathLike[str] | None = None,
    checksum: str | None = None,
    begin: Begin = quiet,
) -> Evaluator:
    """Loads the extractor and the statistics of the real samples, from the cache or computed now.

    Args:
        asked: what will be measured.
        placement: the shardings of a batch and of what is replicated, `generate.over_devices`.
        weights: as for `features.extractor`.
        checksum: sha256 of the source of a user's function, where it is known.
        begin: called with what begins and its size; returns a function to call with the samples done.

    Returns:
        An `Evaluator`.

    Raises:
        ValueError, FileNotFoundError: as `features.extractor` and `features.reference`.
    """
    shape = asked.real.dataset.shape

    @functools.cache
    def whitening() -> tuple[whitened.Whitening, int, str | None]:
        flat, real = _samples(asked, shape), asked.real.dataset
        n = whitened.samples_to_fit(real.size or whitened.FIT, flat.size)
        by = whitened.fit(first_features(asked.real, flat, n, placement), channels=shape[-1])
        return by, n, None if real.facts is None else real.facts().fingerprint

    @functools.cache
    def compiled(of: tuple[int, ...], units: Units | None = _SAME) -> Compiled:
        found = _extractor(asked, of, weights, checksum)
        if asked.features == WHITENED:
            found = whitened.extractor(found, *whitening())
        units = asked.real.dataset.units if units is _SAME else units
        return found, features_of(found, placement=placement, units=units)

    extractor, _ = compiled(tuple(shape))
    if any("logits" in metric.needs for metric in asked.metrics) and extractor.name not in WITH_LOGITS:
        raise FieldError("metrics", "is", f"{extractor.name} has no classes; a classifier's features or inception's have")
    keep = max((metric.keep for metric in asked.metrics if metric.of != "samples"), default=0)
    samples = max((metric.keep for metric in asked.metrics if metric.of == "samples"), default=0)
    found = reference(asked.real, extractor, n=asked.n, keep=keep, samples=samples, placement=placement, begin=begin)
    return Evaluator(asked, found, extractor, keep, samples, compiled)


def statistics(
    against: Evaluator,
    batches: Batches,
    shape: tuple[int, ...],
    *,
    units: Units | None = _SAME,
    tick: Callable[[int], object] = lambda _: None,
) -> Statistics:
    """Computes the statistics of generated samples that the metrics take.

    Args:
        against: the evaluator.
        batches: the samples, at least as many as are measured.
        shape: shape of a sample.
        units: of the samples where they are not those of the real ones, see `inputs.as_compared`.
        tick: called with the number of samples done, batch by batch.

    Raises:
        ValueError: for samples or features that are not finite, or samples of a shape that cannot be compared.
    """
    units = against.settings.real.dataset.units if units is _SAME else units
    _, run = against.compiled(tuple(shape), units)
    kept = {"keep": against.keep, "samples": against.samples}
    return statistics_of(run, batches, against.settings.n, **kept, units=units, tick=tick)


def compare(against: Evaluator, fake: Statistics) -> Measured:
    """Computes all figures asked for, of generated samples against the whole split."""
    return _measured(against.settings.metrics, against.reference.whole, fake, against.reference.held_out)


def floors(against: Evaluator, metrics: Iterable[Metric] | None = None) -> dict[str, Scores]:
    """Computes the figures of real samples in place of generated ones: a part against the rest, and unseen samples.

    Args:
        against: the evaluator.
        metrics: some of its metrics; all when None.

    Returns:
        `{"real": scores, "held_out": scores}`, the second only where there are such samples.
    """
    chosen, found = against.settings.metrics if metrics is None else tuple(metrics), against.reference
    scored = {"real": _measured(chosen, found.rest, found.part, found.held_out).scores}
    if found.held_out is not None:
        scored["held_out"] = _measured(chosen, found.whole, found.held_out, found.held_out).scores
    return scored


def labels(against: Evaluator, name: str, classes: int) -> np.ndarray:
    """Returns the labels to generate samples with.

    Args:
        against: the evaluator.
        name: name of the data set that the generator was trained on.
        classes: number of classes of the generator.

    Returns:
        `[n]` int32: those of as many real samples, so that classes are as frequent, or each class in turn.
    """
    found = against.reference.whole.labels[: against.settings.n]
    if classes and name == against.settings.real.name and found.max(initial=0) < classes:
        return found
    return np.resize(np.arange(max(classes, 1), dtype=np.int32), against.settings.n)


def metric_of(against: Evaluator, figure: str) -> Metric:
    """Returns the metric that has a figure; undeclared ones are named `METRIC_KEY`."""
    metrics = against.settings.metrics
    return against.figures.get(figure) or next(each for each in metrics if figure.startswith(f"{each.name}_"))


def heading(against: Evaluator, figure: str) -> str:
    """Returns the title of a figure, with the network that it is of where it must not be taken for that of another."""
    metric, network = metric_of(against, figure), against.extractor.title
    title = metric.heading(figure).title
    return f"{title} ({network})" if network and metric.of != "samples" else title


def definition(against: Evaluator, figure: str, *, resize: str | None = None) -> str:
    """Says in words what a figure is and what it was computed of."""
    asked, extractor, real = against.settings, against.extractor, against.settings.real
    metric = metric_of(against, figure)
    n, n_real = asked.n, against.reference.whole.n
    if metric.of != "statistics":
        n, n_real = min(n, metric.keep), min(n_real, metric.keep)
    words = f"{metric.definition or figure}; {n:,} generated against {n_real:,} {real.kind} of {real.name}/{real.split}"
    if metric.of == "samples":
        return words
    if extractor.title:
        words = f"{heading(against, figure)}: {words}"
    network = f"features {extractor.name} ({extractor.size:,}, sha256 {extractor.checksum[:12]})"
    return f"{words}; {network}; {real.kind} {resize or extractor.resize}"


def warnings(against: Evaluator) -> list[str]:
    """Returns cautions about the figures: too few samples, features that do not suit, and the like."""
    asked, kind, found = against.settings, against.settings.real.kind, []
    few, floor = min(asked.n, against.reference.whole.n), against.reference.held_out or against.reference.part
    biased = [metric for metric in asked.metrics if metric.samples_per_feature]
    if not biased:
        return []
    title = biased[0].title.partition(",")[0]
    if floor.n < asked.n:
        found.append(
            f"real: {floor.n:,} {kind} stand in for {asked.n:,}; with fewer {kind} a {title} is larger, "
            "so a generator may score below the floor"
        )
    advised = max(metric.samples_per_feature for metric in biased) * against.extractor.size
    if few < advised:
        found.append(
            f"n: {few:,} {kind} are few for {against.extractor.size:,} features: a {title} is then too large by much, "
            f"and compares only with others of the same n; at least {advised:,} are advised"
        )
    return found


def _extractor(
    asked: Settings, shape: tuple[int, ...], weights: str | os.PathLike[str] | None, checksum: str | None
) -> Extractor:
    """Returns the extractor asked for, for samples of a shape."""
    if asked.features == NOTHING:
        return features.extractors.nothing()
    if asked.features in ("samples", WHITENED) and weights is None:
        return _samples(asked, shape)
    if isinstance(asked.features, str):
        return features.extractor(asked.features, shape, reference=asked.real.dataset.shape, weights=weights)
    if weights is not None:
        raise FieldError("weights", weights, f"{name_of(asked.features)} {TAKES_NO_WEIGHTS}")
    if isinstance(asked.features, Extractor):
        return asked.features
    return of_function(asked.features, shape, checksum=checksum)


def _samples(asked: Settings, shape: tuple[int, ...]) -> Extractor:
    """Returns the extractor of samples as rows, in units where the real ones have some."""
    real = asked.real.dataset
    if real.units is not None:
        return features.extractors.samples(shape, real.shape, real.units)
    return features.extractor("samples", shape, reference=real.shape)


def _measured(metrics: Iterable[Metric], real: Statistics, fake: Statistics, held_out: Statistics | None) -> Measured:
    scores: Scores = {}
    problems: list[FieldError] = []
    for metric in metrics:
        found = measure(metric, real, fake, held_out)
        scores |= found.scores
        problems += found.problems
    return Measured(scores, tuple(problems))
