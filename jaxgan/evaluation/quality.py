"""The metrics one may ask for by name: what each measures of generated images against real ones, and in words how."""

import os
from collections.abc import Callable, Iterable, Sequence
from typing import Literal, NamedTuple

import numpy as np
from jax.sharding import NamedSharding

from jaxgan import recipes
from jaxgan.core.types import Dataset
from jaxgan.evaluation import features
from jaxgan.evaluation.features.extractors import Extractor
from jaxgan.evaluation.features.references import Begin, Reference, quiet
from jaxgan.evaluation.features.statistics import Statistics
from jaxgan.evaluation.metrics.diversity import diversity
from jaxgan.evaluation.metrics.frechet import frechet_distance
from jaxgan.evaluation.metrics.inception_score import inception_score
from jaxgan.evaluation.metrics.kernel import kernel_distance
from jaxgan.evaluation.metrics.memorisation import memorisation
from jaxgan.evaluation.metrics.prdc import prdc
from jaxgan.evaluation.metrics.precision_recall import precision_recall
from jaxgan.recipes import table
from jaxgan.system.messages import FieldError, not_one_of

KEPT = 10_000  # features of each set that metrics of pairs of images look at
EVERY = 2**31 - 1  # where they must look at all
_FEW = 10  # samples for each feature, below which a Fréchet distance says more of n than of the images


class Figure(NamedTuple):
    """One number."""

    value: float
    deviation: float | None  # over the subsets or splits it is a mean of


Figures = dict[str, Figure]


class Metric(NamedTuple):
    """What one name stands for."""

    measure: Callable[[Statistics, Statistics, Statistics | None], Figures]  # (real, generated, held out)
    words: str  # the definition
    keep: int  # features that it needs of each set
    least: int  # images


class Shown(NamedTuple):
    """How a figure is shown."""

    title: str
    better: Literal["lower", "higher", "as real"]


def _fid(real: Statistics, fake: Statistics, _: Statistics | None) -> Figures:
    return {"fid": Figure(frechet_distance(real.moments, fake.moments, covariance="sample"), None)}


def _fid_population(real: Statistics, fake: Statistics, _: Statistics | None) -> Figures:
    return {"fid_population": Figure(frechet_distance(real.moments, fake.moments, covariance="population"), None)}


def _kid(real: Statistics, fake: Statistics, _: Statistics | None) -> Figures:
    found = kernel_distance(real.features[:KEPT], fake.features[:KEPT])
    return {"kid": Figure(found.mean, found.deviation)}


def _score(_: Statistics, fake: Statistics, __: Statistics | None) -> Figures:
    assert fake.logits is not None
    found = inception_score(fake.logits)
    return {"inception_score": Figure(found.mean, found.deviation)}


def _prdc(real: Statistics, fake: Statistics, _: Statistics | None) -> Figures:
    return {
        name: Figure(value, None)
        for name, value in prdc(real.features[:KEPT], fake.features[:KEPT], nearest=5)._asdict().items()
    }


def _improved(real: Statistics, fake: Statistics, _: Statistics | None) -> Figures:
    found = precision_recall(real.features[:KEPT], fake.features[:KEPT], nearest=3)
    return {"improved_precision": Figure(found.precision, None), "improved_recall": Figure(found.recall, None)}


def _diversity(_: Statistics, fake: Statistics, __: Statistics | None) -> Figures:
    few, labels = fake.features[:KEPT], fake.labels[:KEPT]
    found = {"vendi": Figure(diversity(few).vendi, None)}
    counts = np.unique(labels, return_counts=True)[1]
    if len(counts) > 1 and counts.min() > 1:
        found["vendi_within"] = Figure(diversity(few, labels).vendi, None)
    return found


def _memorisation(real: Statistics, fake: Statistics, held_out: Statistics | None) -> Figures:
    found = memorisation(real.features, fake.features, None if held_out is None else held_out.features)
    return {
        "copied": Figure(found.copied, None),
        "nearest_ratio": Figure(found.ratio, None),
        "authenticity": Figure(found.authenticity, None),
    }


METRICS: dict[str, Metric] = {
    "fid": Metric(_fid, "Fréchet distance between Gaussian fits, sample covariance, float64", 0, 2),
    "fid_population": Metric(_fid_population, "Fréchet distance between Gaussian fits, population covariance, float64", 0, 2),
    "kid": Metric(_kid, "squared MMD, cubic kernel, without bias, mean of 100 subsets of at most 1,000", KEPT, 2),
    "is": Metric(_score, "Inception score, mean of 10 splits", EVERY, 10),
    "prdc": Metric(_prdc, "precision, recall, density and coverage, 5 neighbours, at most 10,000 of each", KEPT, 7),
    "precision_recall": Metric(_improved, "improved precision and recall, 3 neighbours, at most 10,000 of each", KEPT, 5),
    "diversity": Metric(_diversity, "Vendi score, cosine kernel, at most 10,000", KEPT, 2),
    "memorisation": Metric(
        _memorisation, "nearest real images of generated ones beside those of unseen ones, all of them", EVERY, 2
    ),
}
FIGURES: dict[str, Shown] = {
    "fid": Shown("Frechet distance", "lower"),
    "fid_population": Shown("Frechet distance, population", "lower"),
    "kid": Shown("KID", "lower"),
    "inception_score": Shown("Inception score", "higher"),
    "precision": Shown("precision", "higher"),
    "recall": Shown("recall", "higher"),
    "density": Shown("density", "higher"),
    "coverage": Shown("coverage", "higher"),
    "improved_precision": Shown("improved precision", "higher"),
    "improved_recall": Shown("improved recall", "higher"),
    "vendi": Shown("Vendi score", "as real"),
    "vendi_within": Shown("Vendi score within a class", "as real"),
    "copied": Shown("share nearer to real than 1 % of unseen", "as real"),
    "nearest_ratio": Shown("distance to nearest real over unseen's", "as real"),
    "authenticity": Shown("authenticity", "as real"),
}
# Which metric has which figures.
OF_FIGURE = {
    **{figure: name for name, row in table.METRICS.items() for figure in row.figures},
    **dict.fromkeys(("vendi", "vendi_within"), "diversity"),
    **dict.fromkeys(("copied", "nearest_ratio", "authenticity"), "memorisation"),
}


class Protocol(NamedTuple):
    """How images are measured: all that a figure depends on besides them."""

    metrics: tuple[str, ...]
    features: str  # name of the extractor
    n: int  # generated images
    data: recipes.Data  # that they are compared with


class Judge(NamedTuple):
    """Real images, ready to be compared with."""

    protocol: Protocol
    dataset: Dataset
    reference: Reference
    extractor: Extractor  # for images of the data set's shape
    keep: int
    placement: tuple[NamedSharding, NamedSharding]


def usual(extractor: str) -> tuple[str, ...]:
    """The metrics measured when none are asked for; of published networks the features of all images are many to keep."""
    return ("fid", "kid", "prdc", "diversity") + (() if extractor.startswith(("inception", "dinov2")) else ("memorisation",))


def protocol(
    data_: recipes.Data, dataset: Dataset, *, metrics: Sequence[str] = (), extractor: str | None = None, n: int | None = None
) -> Protocol:
    """What is measured when only some of it is asked for.

    Args:
        data_: the real images, as a recipe has them.
        dataset: the same, loaded.
        metrics: names of `METRICS`; the usual ones when there are none.
        extractor: one of `features.NAMES`; that which suits the data when None.
        n: generated images; 10,000 or as many as there are real ones when None.

    Returns:
        A `Protocol`.

    Raises:
        ValueError: one line, when n is more than the data set holds or less than a metric needs, or a metric is unknown or
            needs a classifier.
    """
    name = features.own(data_.name) if extractor is None else extractor
    chosen = tuple(dict.fromkeys(metrics)) or usual(name)
    for metric in chosen:
        if metric not in METRICS:
            raise not_one_of("metrics", metric, METRICS)
    if len(dataset.shape) != 3 or dataset.size is None:
        raise FieldError("metrics", " ".join(chosen), f"{data_.name} has points in the plane; its metric is modes")
    if "is" in chosen and name.startswith(("pixels", "dinov2")):
        raise FieldError("metrics", "is", f"{name} has no classes; a classifier's features or inception's have")
    n = min(KEPT, dataset.size) if n is None else n
    least = max(METRICS[metric].least for metric in chosen)
    if not least <= n <= dataset.size:
        raise FieldError("n", n, f"it must be from {least} to {dataset.size}, the images that {data_.name}/{data_.split} holds")
    return Protocol(chosen, name, n, data_)


def judge(
    asked: Protocol,
    dataset: Dataset,
    *,
    placement: tuple[NamedSharding, NamedSharding],
    weights: str | os.PathLike[str] | None = None,
    begin: Begin = quiet,
) -> Judge:
    """Loads the extractor and the statistics of the real images, from the cache or computed now.

    Args:
        asked: what will be measured.
        dataset: of `asked.data`, not mirrored.
        placement: how a batch, and what is the same for all, lie on the devices.
        weights: as for `features.extractor`.
        begin: is told what begins, and returns what is told of progress.

    Returns:
        A `Judge`.

    Raises:
        ValueError, FileNotFoundError: as `features.extractor` and `features.reference`.
    """
    shape = _image_shape(dataset.shape)
    extractor = features.extractor(asked.features, shape, weights=weights)
    keep = max(METRICS[metric].keep for metric in asked.metrics)
    found = features.reference(asked.data, dataset, extractor, n=asked.n, keep=keep, placement=placement, begin=begin)
    return Judge(asked, dataset, found, extractor, keep, placement)


def for_images(judge: Judge, shape: tuple[int, ...], *, weights: str | os.PathLike[str] | None = None) -> Extractor:
    """The same extractor for generated images of another shape."""
    own = _image_shape(judge.dataset.shape)
    if tuple(shape) == own:
        return judge.extractor
    return features.extractor(judge.protocol.features, _image_shape(shape), reference=own, weights=weights)


def compare(judge: Judge, fake: Statistics) -> Figures:
    """All the figures asked for, of generated images against the whole split."""
    return _figures(judge.protocol.metrics, judge.reference.whole, fake, judge.reference.held_out)


def _figures(metrics: Iterable[str], real: Statistics, fake: Statistics, held_out: Statistics | None) -> Figures:
    return {name: figure for metric in metrics for name, figure in METRICS[metric].measure(real, fake, held_out).items()}


def labels(judge: Judge, data_: str, classes: int) -> np.ndarray:
    """The labels to generate images with: those of as many real images, so that classes are as frequent, or each in turn."""
    found = judge.reference.whole.labels[: judge.protocol.n]
    if classes and data_ == judge.protocol.data.name and found.max(initial=0) < classes:
        return found
    return np.resize(np.arange(max(classes, 1), dtype=np.int32), judge.protocol.n)


def floors(judge: Judge) -> dict[str, Figures]:
    """What real images score in place of generated ones: a part of the split against the rest, and a held-out split.

    Returns:
        `{"real": figures, "held_out": figures}`, the second only where there is such a split.
    """
    metrics, found = judge.protocol.metrics, judge.reference
    scored = {"real": _figures(metrics, found.rest, found.part, found.held_out)}
    if found.held_out is not None:
        scored["held_out"] = _figures(metrics, found.whole, found.held_out, found.held_out)
    return scored


def definition(judge: Judge, figure: str, *, resize: str | None = None) -> str:
    """In words, what a figure is and what it was computed of."""
    asked, extractor = judge.protocol, judge.extractor
    real = f"{judge.reference.whole.n:,} images of {asked.data.name}/{asked.data.split}"
    network = f"features {extractor.name} ({extractor.size:,}, sha256 {extractor.checksum[:12]})"
    words = METRICS[OF_FIGURE[figure]].words
    return f"{words}; {asked.n:,} generated against {real}; {network}; images {resize or extractor.resize}"


def warnings(judge: Judge) -> list[str]:
    """What a reader must know before believing the figures."""
    asked, found = judge.protocol, []
    few, floor = min(asked.n, judge.reference.whole.n), judge.reference.held_out or judge.reference.part
    distances = {"fid", "fid_population"} & set(asked.metrics)
    if distances and floor.n < asked.n:
        found.append(
            f"real: {floor.n:,} images stand in for {asked.n:,}: of fewer images a Frechet distance is larger, "
            "so that a generator may score below it"
        )
    if distances and few < _FEW * judge.extractor.size:
        found.append(
            f"n: {few:,} images are few for {judge.extractor.size:,} features: a Frechet distance is then too large by much, "
            f"and compares only with others of the same n; at least {_FEW * judge.extractor.size:,} are advised"
        )
    return found


def _image_shape(shape: tuple[int, ...]) -> tuple[int, int, int]:
    height, width, channels = shape
    return height, width, channels
