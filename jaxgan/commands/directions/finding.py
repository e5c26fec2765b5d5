"""The ways of finding directions: from the generator alone, from classes, from any function of its images."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxgan.commands.codes import Codes
from jaxgan.evaluation import features, settings
from jaxgan.evaluation.features.extractors import WITH_LOGITS
from jaxgan.evaluation.features.inputs import quantised
from jaxgan.evaluation.metric import in_one_line
from jaxgan.latent import directions as axes
from jaxgan.latent.directions import Axes
from jaxgan.latent.first_layer import first_weights
from jaxgan.system.messages import FieldError, tell
from jaxgan.weights.portable import leaving

_CODES, _JACOBIANS, _MOST_NUMBERS = 4_000, 64, 2**26
_FEW = 20  # images of a class, fewer of which say nothing

Found = tuple[Axes, dict[str, Any]]  # with what made them


def of_method(here: Codes, method: str, count: int) -> Found:
    """Finds directions of the generator alone, see `directions`."""
    if method == "factorise":
        weights = first_weights(lambda x: here.image_function(here.weights, x, here.given(len(x))), (here.length,))
        if weights is None:
            raise FieldError("method", method, "no matrix multiplies the latents first in this generator; take pca")
        words = f"eigenvectors of A^T A, A [{weights.shape[0]}, {weights.shape[1]}] the first weights of {here.space}"
        return axes.factorised(weights, count), {"made": words, "value": "squared stretch"}
    if here.space == "w":
        words = f"principal directions of {_CODES:,} styles"
        return axes.principal(here.drawn(_CODES), count), {"made": words, "value": "variance", "n": _CODES}
    of_one = here.length * int(np.prod(here.generator.shape.sample))
    n = max(min(_JACOBIANS, _MOST_NUMBERS // of_one), 1)
    given = here.given(n)
    find = jax.jit(
        lambda weights, codes: axes.gram(functools.partial(here.image_function, weights, given=given), codes),
    )
    made = axes.of_gram(np.asarray(find(here.weights, jnp.asarray(here.drawn(n))), np.float64), count)
    words = f"eigenvectors of the mean of J^T J over {n} z, J the derivative of the image by z"
    return made, {"made": words, "value": "mean squared change of an image for a step of 1", "n": n}


def of_labels(here: Codes, labels: Sequence[int | str], asked: settings.Asked) -> Found:
    """Finds the direction from one class to another.

    Raises:
        FieldError: when classes are not two, or the space says nothing of them.
    """
    if here.generator.shape.classes:
        if here.space != "w":
            told = (
                "z is drawn alike for every class of this generator, so no direction of z leads to one; morph with interpolate"
            )
            raise FieldError("labels", " ".join(map(str, labels)), f"{told} --morph, or give a function of images")
        places = _two(here.sampler.conditions(list(labels)), labels)
        codes = here.drawn(_CODES, here.given(_CODES, places))
        return _separated(codes, np.resize([False, True], _CODES), f"styles made for {_pair(labels)}")
    if here.generator.shape.condition is not None:
        raise FieldError("labels", " ".join(map(str, labels)), "the generator takes a condition and no classes")
    name = asked or settings.suitable(here.found.data, here.generator.shape.sample, here.generator.units)
    if name not in WITH_LOGITS:
        raise FieldError(
            "labels", " ".join(map(str, labels)), f"{settings.name_of(name)} has no classes; name a classifier by --features"
        )
    by = features.extractor(str(name), here.generator.shape.sample)
    codes = here.drawn(_CODES)
    read = _read(here, codes, lambda x: by.apply(by.params, quantised(x)).logits)
    if not all(str(each).isdecimal() and int(each) < read.shape[1] for each in labels):
        raise FieldError("labels", " ".join(map(str, labels)), f"the classes of {name} are 0 to {read.shape[1] - 1}")
    first, second = _two([int(each) for each in labels], labels)
    seen = read.argmax(axis=1)
    for each in (first, second):
        if (there := int((seen == each).sum())) < _FEW:
            raise FieldError("labels", each, f"{there} of {_CODES:,} images are read as it, and {_FEW} are needed")
    kept = (seen == first) | (seen == second)
    return _separated(codes[kept], seen[kept] == second, f"images read as {_pair(labels)} by {name}")


def of_function(here: Codes, function: Callable[[Any], Any], name: str) -> Found:
    """Finds the direction along which a function of the images grows; of classes each image's own mean is taken away.

    Raises:
        FieldError: when the function raises, or returns anything but a number for each image.
    """
    n = _CODES // 2
    codes, given = here.drawn(n), here.given(n)
    images = leaving(here.images(codes, given), here.generator.about)
    try:
        values = np.asarray(function(images))
    except (Exception, SystemExit) as error:  # a user's own
        raise FieldError("function", name, in_one_line(error), link=": ") from error
    words = f"of {n:,} images, {name}"
    if values.dtype == bool and values.shape == (n,):
        if values.all() or not values.any():
            raise FieldError("function", f"{values[0]} for every image", "it must tell images apart")
        found = axes.separated(codes, values)
        return found, {"made": f"logistic regression {words}", "value": "share on the right side", "n": n}
    values = axes.numbers(values, n)
    if here.generator.shape.classes:
        classes = here.generator.shape.classes
        of_class = np.array([values[given == place].mean() if (given == place).any() else 0.0 for place in range(classes)])
        values = values - of_class[given]
    return axes.regressed(codes, values), {"made": f"least squares {words}", "value": "share of the variance explained", "n": n}


def _separated(codes: np.ndarray, second: np.ndarray, words: str) -> Found:
    found = axes.separated(codes, second)
    tell(f"directions: {100 * found.values[0]:.1f} % of {words} lie on their side")
    return found, {"made": f"logistic regression of {words}", "value": "share on the right side", "n": len(codes)}


def _two(places: list[int], labels: Sequence[int | str]) -> list[int]:
    if len(places) != 2 or places[0] == places[1]:
        raise FieldError("labels", " ".join(map(str, labels)), "give two classes, from which and to which")
    return places


def _pair(labels: Sequence[int | str]) -> str:
    return " and ".join(map(str, labels))


def _read(here: Codes, codes: np.ndarray, of: Callable[[jax.Array], Any]) -> np.ndarray:
    made, run = here.images(codes, here.given(len(codes))), jax.jit(of)
    size = min(500, len(made))
    index = [np.arange(start, start + size) % len(made) for start in range(0, len(made), size)]
    return np.concatenate([np.asarray(run(jnp.asarray(made[each]))) for each in index])[: len(made)]
