"""Mode coverage of a run whose data have known modes, beside that of a perfect sampler."""

import logging
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from jaxgan import toy
from jaxgan.commands.evaluate.made import Made
from jaxgan.evaluation import features, verdict
from jaxgan.evaluation.metrics.modes import ModeCoverage, mode_coverage_floor
from jaxgan.evaluation.report import Floor, Value, finite, value
from jaxgan.recipes.table import MIXTURES, find
from jaxgan.system.messages import FieldError
from jaxgan.training.run import Run

log = logging.getLogger("jaxgan")

KNOWN = (*MIXTURES, "stacked_mnist")


class Counter(NamedTuple):
    """Counts the modes of one kind of data."""

    figures: Callable[[np.ndarray], dict[str, float]]  # samples -> figures
    floor: Callable[[int], dict[str, tuple[float, float]]]  # n -> mean and deviation of each
    how: dict[str, Any]  # entries for JSON that say how they were obtained


def modes_and_n(data: str) -> tuple[int, int]:
    """Returns the number of modes of a data set, and the number of samples by which the field counts them.

    Raises:
        ValueError: when they are not known.
    """
    if data in MIXTURES:
        return len(find(MIXTURES, "data", data)().centres), 2_500
    if data == "stacked_mnist":
        return features.stacked.MODES, 26_000
    raise FieldError("metrics", "modes", f"the modes of {data} are not known; those of {', '.join(KNOWN)} are")


def counter(run: Run) -> Counter:
    """Returns what counts the modes of this run's data; for stacked_mnist its classifier is loaded, or trained now.

    References:
        Lin et al. 2018, PacGAN, sections 4.1 and 4.2.
    """
    return _mixture(run) if run.recipe.data.name in MIXTURES else _stacked_mnist(run)


def of_run(made: Made, n: int) -> dict[str, Value]:
    """Counts the modes that n samples of each GAN of a run show."""
    run, modes = made.run, counter(made.run)
    z, labels = made.latents(n), np.resize(np.arange(max(run.shape.classes, 1), dtype=np.int32), n)
    found = [modes.figures(made.images(weights, z, labels)) for weights in made.weights]
    said = {"n": n, "split": run.recipe.data.split, **made.how(), **modes.how}
    values = {}
    for name, (mean, deviation) in modes.floor(n).items():
        floor = Floor("a perfect sampler", finite(mean), finite(deviation), n)
        title, better = verdict.SHOWN[name]
        members = [each[name] for each in found]
        definition = f"{title}, of {n:,} samples of {run.recipe.data.name}, as PacGAN counts them"
        values[name] = value(members, (floor,), title=title, better=better, how={**said, "definition": definition})
    return values


def _mixture(run: Run) -> Counter:
    density = find(MIXTURES, "data.name", run.recipe.data.name)()

    def count(points: np.ndarray) -> dict[str, float]:
        return _without_n(toy.coverage(points, density))

    def floor(n: int) -> dict[str, tuple[float, float]]:
        found = toy.coverage_floor(density, n)
        return _pairs(found.mean, found.deviation)

    return Counter(count, floor, {"features": None, "resize": None})


def _stacked_mnist(run: Run) -> Counter:
    classifier = features.classifier("mnist")
    log.info("modes told by the classifier mnist, %.2f %% right on its test set", 100 * classifier.accuracy)

    def count(images: np.ndarray) -> dict[str, float]:
        return _without_n(features.stacked_mnist_coverage(images, classifier))

    def floor(n: int) -> dict[str, tuple[float, float]]:
        found = mode_coverage_floor(features.stacked.MODES, n, drawn=features.stacked.mode_shares())
        return _pairs(found.mean, found.deviation)

    about = {"name": "mnist", "sha256": classifier.checksum, "accuracy": classifier.accuracy}
    resize = "none: the padding of 2 pixels is cut away" if run.shape.sample[0] == 32 else None
    return Counter(count, floor, {"features": about, "resize": resize})


def _without_n(found: toy.Coverage | ModeCoverage) -> dict[str, float]:
    return {name: value for name, value in found._asdict().items() if name != "n"}


def _pairs(mean: toy.Coverage | ModeCoverage, deviation: toy.Coverage | ModeCoverage) -> dict[str, tuple[float, float]]:
    deviations = _without_n(deviation)
    return {name: (value, deviations[name]) for name, value in _without_n(mean).items()}
