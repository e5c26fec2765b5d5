"""Features that are at hand for a generator's samples, without real ones, and the distances between them."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxgan.core.types import Units
from jaxgan.evaluation import features, settings
from jaxgan.evaluation.features.extractors import NAMES, NOTHING, WHITENED, Extractor
from jaxgan.evaluation.features.functions import of_function
from jaxgan.evaluation.features.inputs import are_images, as_compared, ends, quantised
from jaxgan.recipes import code
from jaxgan.system.messages import tell

_AT_ONCE = 64


def extractor_for(asked: settings.Asked, data: str, shape: tuple[int, ...], units: Units | None) -> Extractor | None:
    """Returns the extractor that is asked for, or that suits the data; None for none, and where it is not at hand.

    Args:
        asked: a name, a reference to code, a function, an extractor, "none", or None for that which suits the data.
        data: name of the data.
        shape: of a sample.
        units: of the data.

    Raises:
        FieldError, FileNotFoundError: when one that was asked for cannot be had.
    """
    if asked == NOTHING:
        return None
    if isinstance(asked, Extractor):
        return asked
    if callable(asked):
        return of_function(asked, shape)
    if isinstance(asked, str) and asked not in NAMES and code.is_reference(asked):
        return of_function(code.named(asked, "features"), shape)
    name = asked or settings.suitable(data, shape, units)
    if asked is None and name == WHITENED:
        return None  # made of real samples; what they say beyond the samples themselves is no more than a scale
    try:
        return features.extractor(str(name), shape)
    except (FileNotFoundError, ValueError) as error:
        if asked is not None:
            raise
        tell(f"features: none, since {name} is not at hand: {error}")
        return None


def distances(by: Extractor | None, first: np.ndarray, second: np.ndarray, units: Units | None = None) -> np.ndarray | None:
    """Returns the Euclidean distance between the features of two samples, for each of T pairs, `[T]`.

    Args:
        by: the extractor, None for none.
        first: `[T, ...]` as networks see them.
        second: `[T, ...]`, likewise.
        units: of the data; None of pictures in bytes.
    """
    if by is None:
        return None

    @jax.jit
    def of(params: object, x: jax.Array) -> jax.Array:
        return by.apply(params, as_seen(x, units)).features

    found = []
    for x in (first, second):
        batches = (x[np.arange(i, i + _AT_ONCE) % len(x)] for i in range(0, len(x), _AT_ONCE))
        found.append(np.concatenate([np.asarray(of(by.params, jnp.asarray(batch))) for batch in batches])[: len(x)])
    return np.linalg.norm(found[0] - found[1], axis=1)


def as_seen(x: jax.Array, units: Units | None, *, rounded: bool = True) -> jax.Array:
    """Returns samples as an extractor takes them: pictures from 0 to 255, anything else in the user's units.

    Args:
        x: `[N, ...]` as networks make them.
        units: of the data; None of pictures in bytes.
        rounded: to what a file can hold; without, the result can be differentiated.
    """
    bytes_ = are_images(x.shape[1:]) and (units is None or units.are_bytes)
    if rounded:
        return quantised(x) if bytes_ else as_compared(x, units)
    if bytes_:
        return jnp.clip(x.astype(jnp.float32) * 127.5 + 127.5, 0.0, 255.0)
    if units is None or units.are_plain:
        return x.astype(jnp.float32)
    low, high = ends(units, x.ndim)
    return low + (x.astype(jnp.float32) + 1.0) * ((high - low) / 2.0)
