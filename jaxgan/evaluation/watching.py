"""Quality measured while a GAN trains; a user's metrics are tried first, and an error of one later does not end the run."""

import logging
import math
from collections.abc import Callable, Iterable

from jaxgan.evaluation.features.statistics import Batches
from jaxgan.evaluation.metric import measure
from jaxgan.evaluation.quality import Evaluator, statistics
from jaxgan.recipes.table import METRICS

_log = logging.getLogger("jaxgan")


def targets(against: Evaluator, figure: str | None = None) -> dict[str, float]:
    """Tries a user's metrics on real samples before training, and returns the values that samples should come near to.

    Args:
        against: the evaluator.
        figure: a figure by which the best state is picked.

    Returns:
        The figures of real samples for which the direction is "as real", of a user's metrics and of `figure`.

    Raises:
        FieldError: when a metric of a user's raises an error, or returns anything but finite numbers, of real samples.
    """
    found = against.reference
    near_to: dict[str, float] = {}
    for metric in against.settings.metrics:
        own = metric.name not in METRICS
        if not own and figure not in metric.shown:
            continue
        real, part = (found.rest, found.part) if found.held_out is None else (found.whole, found.held_out)
        scores, problems = measure(metric, real, part, found.held_out)
        if problems and (own or problems[0].field == figure):
            raise problems[0]
        near_to |= {name: score.value for name, score in scores.items() if metric.heading(name).better == "as real"}
    return near_to


def watcher(against: Evaluator) -> Callable[[Batches, tuple[int, ...]], dict[str, float]]:
    """Makes a function that measures samples while a GAN trains, and never raises an error of the samples or a metric.

    Args:
        against: the evaluator.

    Returns:
        `(batches, shape) -> figures`; NaN where there is none, with one warning for each figure.
    """
    warned: set[str] = set()

    def warn(error: ValueError, names: Iterable[str]) -> dict[str, float]:
        new = [name for name in names if name not in warned]
        if new:
            _log.warning("%s", error)
        warned.update(new)
        return dict.fromkeys(names, math.nan)

    def watch(batches: Batches, shape: tuple[int, ...]) -> dict[str, float]:
        try:
            fake = statistics(against, batches, shape)
        except ValueError as error:  # samples that are not finite
            return warn(error, against.figures)
        figures: dict[str, float] = {}
        for metric in against.settings.metrics:
            try:
                scores, problems = measure(metric, against.reference.whole, fake, against.reference.held_out)
            except ValueError as error:
                figures |= warn(error, metric.shown)
                continue
            figures |= {name: score.value for name, score in scores.items()}
            for problem in problems:
                warn(problem, [problem.field])
        return figures

    return watch
