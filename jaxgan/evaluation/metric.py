"""The record of a metric, for the library's own and for a user's alike, and what a metric is given and returns."""

import math
import traceback
from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import numpy as np

from jaxgan.evaluation.metrics.moments import Moments
from jaxgan.system.messages import FieldError, not_one_of, shown

Better = Literal["lower", "higher", "as real"]
Level = Literal["samples", "features", "statistics"]
KEPT = 10_000  # samples of each set that metrics of pairs look at
ALL = 2**31 - 1  # for metrics that must look at every sample


class Shown(NamedTuple):
    """The heading of a figure and its better direction."""

    title: str
    better: Better


class Score(NamedTuple):
    """One number; NaN where a metric found none."""

    value: float
    deviation: float | None  # over the subsets or splits that the value is a mean of


Scores = dict[str, Score]  # by the figure's name


class Statistics(NamedTuple):
    """Features, moments, logits and labels of n samples, as a metric takes them."""

    n: int
    moments: Moments  # of the features of all samples
    features: np.ndarray  # [k, F] float32, of the first k
    logits: np.ndarray | None  # [k, K] float32, of a classifier
    labels: np.ndarray  # [n] int32
    samples: np.ndarray | None = None  # [k, ...] float32, where a metric looks at samples


@dataclass(frozen=True)
class Metric:
    """A figure of merit of generated samples beside real ones.

    `function` is pure, and returns a number, an array of no axes, or a dict of these:

        of="samples"     function(real [N, ...], fake [M, ...])    float32; images [H, W, C] in [-1, 1] as a file holds them
        of="features"    function(real [N, F], fake [M, F])        float32, of the extractor that is asked for
        of="statistics"  function(real, fake, held_out)            three `Statistics`, held_out None where there are none;
                                                                   returns a dict of numbers or `Score`s
    """

    function: Callable[..., Any]
    _: KW_ONLY
    better: Better = "lower"
    """Direction of the better figure: lower, higher, or as real: the nearer to the figure of real samples the better."""
    definition: str = ""
    """The figure in words, for those who read it."""
    of: Level = "features"
    """Argument of the function."""
    name: str = ""
    """By default the name under which the metric stands at the top of its file."""
    title: str = ""
    """Heading in tables and curves; the name by default."""
    figures: Mapping[str, Shown] = field(default_factory=dict, hash=False)
    """Title and direction of each figure, for a function that returns several; by default one, of the metric's name."""
    keep: int = KEPT
    """Samples of each set that the function is given at most."""
    least: int = 2
    """Fewest samples that the metric can be computed of."""
    needs: tuple[Literal["logits", "labels"], ...] = ()
    """Requirements beyond the features: the logits of a classifier, labels of real and generated samples."""
    samples_per_feature: int = 0
    """Samples for each feature, below which the figure says more of n than of the samples; a warning then says so."""

    def __post_init__(self) -> None:
        """Refuses fields that no metric can have.

        Raises:
            FieldError: with the field, its value and what is allowed.
        """
        if not callable(self.function):
            raise FieldError("function", shown(self.function), "it must be a function of real and generated samples")
        for name, value, allowed in (("better", self.better, get_args(Better)), ("of", self.of, get_args(Level))):
            if value not in allowed:
                raise not_one_of(name, value, allowed)
        for name, number, least in (("keep", self.keep, 0), ("least", self.least, 1)):
            if number < least:
                raise FieldError(name, number, f"it must be at least {least}")
        figures = {name: Shown(*each) for name, each in self.figures.items()}
        for name, (_, better) in figures.items():
            if better not in get_args(Better):
                raise not_one_of(f"figures.{name}", better, get_args(Better))
        object.__setattr__(self, "figures", figures)

    @property
    def shown(self) -> Mapping[str, Shown]:
        """Title and direction of each figure that is known before the metric is computed."""
        return self.figures or {self.name: Shown(self.title or self.name.replace("_", " "), self.better)}

    def named(self, name: str) -> "Metric":
        """Returns the same metric under a name, unless it has one."""
        return self if self.name else replace(self, name=name)

    def heading(self, figure: str) -> Shown:
        """Returns title and direction of a figure; those that were not declared are named `METRIC_KEY`."""
        return self.shown.get(figure) or Shown(figure.replace("_", " "), self.better)


class Measured(NamedTuple):
    """Figures, and an error for each value that is no finite number."""

    scores: Scores
    problems: tuple[FieldError, ...]


def measure(metric: Metric, real: Statistics, fake: Statistics, held_out: Statistics | None) -> Measured:
    """Computes a metric of generated samples beside real ones.

    Args:
        metric: a metric with a name.
        real: statistics of the real samples.
        fake: statistics of the generated samples.
        held_out: statistics of unseen real samples, where there are any.

    Returns:
        `Measured`; a value that is no finite number is NaN among the scores.

    Raises:
        FieldError: when a user's function raises an error, with the metric's name, the error and its line.
        ValueError: when the library's own metrics refuse their features.
    """
    given: tuple[Any, ...] = (real, fake, held_out)
    if metric.of != "statistics":
        sets = [each.samples if metric.of == "samples" else each.features for each in (real, fake)]
        given = tuple(each[: metric.keep] for each in sets if each is not None)
    try:
        found = metric.function(*given)
    except Exception as error:
        if metric.of == "statistics" and isinstance(error, ValueError):
            raise  # one line already
        raise FieldError(metric.name, in_one_line(error), "a metric returns a number") from error
    return _checked(metric, found)


def _checked(metric: Metric, found: Any) -> Measured:
    values: dict[str, Any] = {metric.name: found}
    if isinstance(found, Mapping):
        values = {key if key in metric.shown else f"{metric.name}_{key}": each for key, each in found.items()}
    scores, problems = {}, []
    for name, value in values.items():
        number, deviation = value if isinstance(value, Score) else (value, None)
        try:
            number = float(number) if np.ndim(number) == 0 else None
        except (TypeError, ValueError):
            number = None
        if number is None:
            problems.append(FieldError(name, _in_words(value), "a metric returns a number, or a dict of numbers"))
        elif not math.isfinite(number):
            problems.append(FieldError(name, number, "a figure must be a finite number"))
        scores[name] = Score(math.nan if number is None else number, deviation)
    return Measured(scores, tuple(problems))


def _in_words(value: Any) -> str:
    shape = np.shape(value) if hasattr(value, "shape") else None
    return f"an array of shape {shape}" if shape else f"{type(value).__name__} {value!r:.60}"


def in_one_line(error: BaseException) -> str:
    """Returns an error in one line, with the place in the user's code where it was raised."""
    frames = traceback.extract_tb(error.__traceback__)[1:]
    own = [frame for frame in frames if "site-packages" not in frame.filename] or frames
    place = f" ({Path(own[-1].filename).name}, line {own[-1].lineno})" if own else ""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}{place}"
