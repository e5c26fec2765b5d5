"""Metrics by name: the record that a name, a user's metric or a figure stands for."""

from collections.abc import Iterable

from jaxgan.evaluation.metric import Metric
from jaxgan.recipes.table import METRICS, at
from jaxgan.system.messages import FieldError, not_one_of, shown

NAMES = tuple(METRICS)


def find(asked: str | Metric) -> Metric:
    """Returns the metric that is asked for, with a name.

    Args:
        asked: one of `NAMES`, or a metric; one without a name takes that of its function.

    Raises:
        FieldError: for an unknown name, or what is neither a name nor a metric.
    """
    if isinstance(asked, Metric):
        own = getattr(asked.function, "__name__", "metric")
        return asked.named("metric" if own == "<lambda>" else own)
    if not isinstance(asked, str):
        raise FieldError("metrics", shown(asked), "each must be a name or a jaxgan.Metric")
    if asked not in METRICS:
        raise not_one_of("metrics", asked, NAMES)
    found: Metric = at(METRICS[asked].where)
    return found.named(asked)


def find_all(asked: Iterable[str | Metric]) -> tuple[Metric, ...]:
    """Returns the metrics that are asked for, each once.

    Raises:
        FieldError: as `find`, and when two different metrics have a figure of the same name.
    """
    found: dict[str, Metric] = {}
    owner: dict[str, Metric] = {}
    for metric in map(find, asked):
        for figure in metric.shown:
            if owner.setdefault(figure, metric) != metric:
                raise FieldError("metrics", repr(figure), "two metrics have a figure of that name; give each a name of its own")
        found[metric.name] = metric
    return tuple(found.values())


def with_figure(figure: str, own: Iterable[Metric] = ()) -> Metric | None:
    """Returns the metric that can tell the better of two states by a figure.

    Args:
        figure: name of a figure.
        own: a user's metrics; they come first.

    Returns:
        One of `own`, one of the library's, or None.
    """
    for metric in own:
        if figure in metric.shown:
            return metric
    name = next((name for name, row in METRICS.items() if figure in row.figures), None)
    return None if name is None else find(name)
