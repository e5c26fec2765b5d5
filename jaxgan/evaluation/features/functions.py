"""A user's function from samples to features, as an extractor."""

import hashlib
import math
import re
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr, Literal

from jaxgan.core.types import PyTree
from jaxgan.data.source import to_float
from jaxgan.evaluation.features.extractors import Extracted, Extractor
from jaxgan.evaluation.metric import in_one_line
from jaxgan.system.messages import FieldError

Features = Callable[[jax.Array], jax.Array]  # samples [B, ...] float32, images in [-1, 1] -> [B, F]


def of_function(
    function: Features, shape: tuple[int, ...], *, name: str = "", checksum: str | None = None, batch: int = 500
) -> Extractor:
    """Makes an extractor of a pure function.

    Args:
        function: samples `[B, ...]` float32 as the data have them, images in [-1, 1] as a file holds them, to `[B, F]`.
        shape: shape of a sample.
        name: name of the features; the function's own by default.
        checksum: sha256 of the source, where it is known; otherwise that of the computation and its constants.
        batch: number of samples at a time.

    Returns:
        An `Extractor`. Statistics on disk are kept by the computation and its constants, so that new weights in the same
        source are other features.

    Raises:
        FieldError: when the function does not map `[B, ...]` to `[B, F]`; nothing is computed for that.
    """
    own = getattr(function, "__name__", "features")
    name = name or ("features" if own == "<lambda>" else own)
    given = jax.ShapeDtypeStruct((2, *shape), jnp.float32)
    try:
        jaxpr, out = jax.make_jaxpr(function, return_shape=True)(given)
    except Exception as error:
        raise FieldError(
            f"features {name}", in_one_line(error), "it must be a pure function of jax from samples to [B, F]"
        ) from error
    found = getattr(out, "shape", None)
    if found is None or len(found) != 2 or found[0] != 2 or not math.prod(found):
        what = type(out).__name__ if found is None else f"shape {found}"
        raise FieldError(f"features {name}", f"{what} for samples {given.shape}", "it must be [B, F]")
    digest = _digest(jaxpr)

    def apply(_: PyTree, samples: jax.Array) -> Extracted:
        return Extracted(function(to_float(samples)).astype(jnp.float32), None)

    return Extractor(name, checksum or digest, int(found[1]), "as they are", None, batch, {}, apply, digest)


def _digest(jaxpr: ClosedJaxpr) -> str:
    """Returns the sha256 of a computation and of all arrays that it holds."""
    digest = hashlib.sha256(re.sub(r" at 0x[0-9a-f]+", "", str(jaxpr)).encode())
    for array in _arrays(jaxpr):
        digest.update(f"{array.dtype}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _arrays(value: Any) -> Iterator[np.ndarray]:
    """Finds the arrays within a computation, in order: constants, literals, and those of inner computations."""
    if hasattr(value, "eqns"):  # with or without constants: of newer jax both are of one class
        yield from map(np.asarray, getattr(value, "consts", ()))
        for equation in value.eqns:
            yield from (np.asarray(each.val) for each in equation.invars if isinstance(each, Literal))
            yield from _arrays(tuple(equation.params.values()))
    elif isinstance(value, (tuple, list)):
        for each in value:
            yield from _arrays(each)
