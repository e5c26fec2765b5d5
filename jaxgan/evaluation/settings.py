"""Settings of a measurement: metrics, features and number of samples, completed from what is asked for."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from jaxgan.core.types import Dataset, Units
from jaxgan.evaluation import features, verdict
from jaxgan.evaluation.features.extractors import EFFICIENTNET, LARGE, NAMES, NOTHING, WHITENED, WITH_LOGITS, Extractor
from jaxgan.evaluation.features.functions import Features
from jaxgan.evaluation.features.inputs import are_images
from jaxgan.evaluation.features.real import Real
from jaxgan.evaluation.metric import KEPT, Better, Metric
from jaxgan.evaluation.metrics.named import find_all, with_figure
from jaxgan.recipes.table import METRICS
from jaxgan.system.messages import FieldError, not_one_of

Asked = str | Features | Extractor | None  # a name, a function, an extractor, or that which suits the data


class Settings(NamedTuple):
    """Everything that a figure depends on besides the generated samples."""

    metrics: tuple[Metric, ...]
    features: str | Features | Extractor
    n: int  # number of generated samples
    real: Real


def usual(name: str) -> tuple[str, ...]:
    """Returns the metrics measured when none are asked for.

    Of large networks the features of all images are many to keep. A Fréchet distance in the 1,280 dimensions of
    EfficientNet-Lite0 says more of n than of the images, unless there are very many; a kernel distance does not.

    Args:
        name: of the features.
    """
    if name in EFFICIENTNET:
        return ("kid", "prdc", "diversity")
    if name == WHITENED:
        return ("fid", "kid", "sliced_wasserstein", "prdc", "diversity", "memorisation")
    return ("fid", "kid", "prdc", "diversity") + (() if name in LARGE else ("memorisation",))


def usual_while_training(name: str) -> tuple[str, ...]:
    """Returns the metrics measured while a GAN trains when none are asked for, cheap and of different kinds."""
    return ("kid" if name in EFFICIENTNET else "fid", "prdc")


def settings(real: Real, *, metrics: Sequence[str | Metric] = (), features: Asked = None, n: int | None = None) -> Settings:
    """Completes what is asked for.

    Args:
        real: the real samples.
        metrics: names, or metrics of a user's; the usual ones when there are none.
        features: name of an extractor, an extractor, or a function of a user's; that which suits the data when None.
        n: number of generated samples; 10,000 or as many as there are real ones when None.

    Returns:
        `Settings`.

    Raises:
        FieldError: when n is more than the data set holds or less than a metric needs, or a metric is unknown or needs a
            classifier.
    """
    chosen: Asked = features or suitable(real.name, real.dataset.shape, real.dataset.units)
    name = name_of(chosen)
    real = real._replace(dataset=real.dataset._replace(units=_compared_in(real.dataset, name)))
    asked = find_all(metrics or usual(name))
    if all(metric.of == "samples" for metric in asked):
        chosen = NOTHING
    for metric in asked:
        if "logits" in metric.needs and name in NAMES and name not in WITH_LOGITS:
            raise FieldError("metrics", metric.name, f"{name} has no classes; a classifier's features or inception's have")
        if "labels" in metric.needs and len(real.dataset.class_names) < 2:
            raise FieldError("metrics", metric.name, f"{real.name} has no labels of several classes, which it needs")
    size = real.dataset.size
    n = (KEPT if size is None else min(KEPT, size)) if n is None else n
    least = max(metric.least for metric in asked)
    if size is None and n < least:
        raise FieldError("n", n, f"it must be at least {least}")
    if size is not None and size < least:
        needy = next(metric.name for metric in asked if metric.least == least)
        raise FieldError("data", f"{real.name}/{real.split}", f"holds {size} {real.kind}, and {needy} needs {least}", link=" ")
    if size is not None and not least <= n <= size:
        raise FieldError("n", n, f"it must be from {least} to {size}, the {real.kind} that {real.name}/{real.split} holds")
    assert chosen is not None
    return Settings(asked, chosen, n, real)


def better_of(figure: str, own: Iterable[Metric] = ()) -> Better:
    """Returns the direction in which a figure is better.

    Args:
        figure: a figure of `verdict.SHOWN`, of the library's metrics or of `own`.
        own: a user's metrics.

    Raises:
        FieldError: when there is no such figure.
    """
    metric = with_figure(figure, own)
    if metric is not None:
        return metric.heading(figure).better
    if figure not in verdict.SHOWN:
        known = [*verdict.SHOWN, *(name for row in METRICS.values() for name in row.figures)]
        raise not_one_of("figure", figure, [*known, *(name for metric in own for name in metric.shown)])
    return verdict.SHOWN[figure].better


def name_of(chosen: Asked) -> str:
    """Returns the name of features that were asked for."""
    if isinstance(chosen, str):
        return chosen
    return chosen.name if isinstance(chosen, Extractor) else getattr(chosen, "__name__", "features")


def suitable(name: str, shape: tuple[int, ...], units: Units | None = None) -> str:
    """Returns the name of the features that suit a data set: `features.own` of pictures in bytes, of others `whitened`.

    Args:
        name: name of the data set.
        shape: shape of a sample.
        units: of the data set.
    """
    return features.own(name, shape[2]) if are_images(shape) and (units is None or units.are_bytes) else WHITENED


def _compared_in(dataset: Dataset, name: str) -> Units | None:
    """Returns the units that samples are compared in; None for pictures, also where features of pictures are asked for."""
    units = dataset.units
    if units is None or units.are_bytes or (not units.low and not are_images(dataset.shape)):
        return None
    of_pictures = name in NAMES and name not in ("samples", WHITENED, NOTHING)
    return None if of_pictures and are_images(dataset.shape) else units
