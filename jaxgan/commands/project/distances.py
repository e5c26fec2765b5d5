"""Distances of features, by the extractor that suits a run's data, where that is at hand."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxgan.core.types import Units
from jaxgan.core.units import BYTES
from jaxgan.evaluation import features, settings
from jaxgan.evaluation.features.extractors import NAMES, NOTHING, WHITENED, Extractor
from jaxgan.evaluation.features.functions import of_function
from jaxgan.evaluation.features.inputs import as_compared, quantised
from jaxgan.latent.opened import Opened
from jaxgan.recipes import code
from jaxgan.system.messages import tell

_AT_ONCE = 64


def extractor_for(asked: settings.Asked, found: Opened) -> Extractor | None:
    """Returns the extractor that is asked for, or that suits the data; None for none, and where it is not at hand.

    Raises:
        FieldError, FileNotFoundError: when one that was asked for cannot be had.
    """
    shape, units = found.generator.shape.sample, found.generator.units
    if asked == NOTHING:
        return None
    if callable(asked) and not isinstance(asked, Extractor):
        return of_function(asked, shape)
    if isinstance(asked, Extractor):
        return asked
    if isinstance(asked, str) and asked not in NAMES and code.is_reference(asked):
        return of_function(code.named(asked, "features"), shape)
    name = asked or settings.suitable(found.data, shape, units)
    if asked is None and name == WHITENED:
        return None  # made of real samples; what they say beyond the samples themselves is no more than a scale
    try:
        return features.extractor(str(name), shape)
    except (FileNotFoundError, ValueError) as error:
        if asked is not None:
            raise
        tell(f"features: none, since {name} is not at hand: {error}")
        return None


def distances(by: Extractor | None, targets: np.ndarray, made: np.ndarray, units: Units | None = None) -> np.ndarray | None:
    """Returns the Euclidean distance between the features of each sample and of what was made for it, `[T]`.

    Args:
        by: the extractor, None for none.
        targets: `[T, ...]` as networks see them.
        made: `[T, ...]`, likewise.
        units: of the data; None of pictures in bytes.
    """
    if by is None:
        return None
    pictures = units is None or units == BYTES

    @jax.jit
    def of(params: object, x: jax.Array) -> jax.Array:
        return by.apply(params, quantised(x) if pictures else as_compared(x, units)).features

    found = []
    for x in (targets, made):
        batches = (x[np.arange(i, i + _AT_ONCE) % len(x)] for i in range(0, len(x), _AT_ONCE))
        found.append(np.concatenate([np.asarray(of(by.params, jnp.asarray(batch))) for batch in batches])[: len(x)])
    return np.linalg.norm(found[0] - found[1], axis=1)
