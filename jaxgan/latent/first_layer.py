"""The first weights of any function of a latent: the matrices that multiply the latent before the first nonlinearity.

A network is a pure function, and JAX traces its operations, which are followed from the latent on. Reshaping, slicing, scaling
and adding leave a value a linear function of the latent. The first product with a matrix or kernel is noted, and neither it nor
a nonlinearity is followed further. So the first weights of any network are found without knowing their names.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import Jaxpr, Literal

from jaxgan.latent.following import CALLS, called, computed

_PRODUCTS = {"dot_general", "conv_general_dilated"}
_MOVES = {
    "reshape", "broadcast_in_dim", "squeeze", "transpose", "slice", "dynamic_slice", "pad", "rev", "copy", "copy_p",
    "convert_element_type", "reduce_precision", "concatenate", "neg", "stop_gradient", "optimization_barrier",
    "sharding_constraint",
}  # fmt: skip
_SUMS = {"add", "sub", "add_any"}


class _Code:
    """A value that is still a linear function of the latent."""

    def __init__(self, value: Any) -> None:
        self.value = value


_LOST: Any = object()  # stands for a value that depends on the latent in another way


def first_weights(function: Callable[[jax.Array], Any], shape: Sequence[int], dtype: Any = jnp.float32) -> np.ndarray | None:
    """Returns the matrices by which a function multiplies its latents first.

    Args:
        function: of latents `[N, *shape]`, each row by itself.
        shape: of a latent.
        dtype: of a latent.

    Returns:
        `[K, size of a latent]`, the matrices of all first products stacked; None where there are none.
    """
    size = int(np.prod(shape))
    # Each product is linear in the latent but for a constant: its matrix is what unit latents give beyond a latent of zeros.
    codes = jnp.concatenate([jnp.zeros((1, size), dtype), jnp.eye(size, dtype=dtype)]).reshape(-1, *shape)
    traced = jax.make_jaxpr(function)(codes)
    found: list[np.ndarray] = []
    _follow(traced.jaxpr, traced.consts, [_Code(codes)], found)
    rows = [(each[1:] - each[:1]).reshape(size, -1).T for each in found if each.shape[:1] == (size + 1,)]
    return np.concatenate(rows).astype(np.float64) if rows else None


def _follow(jaxpr: Jaxpr, consts: Sequence[Any], given: Sequence[Any], found: list[np.ndarray]) -> list[Any]:
    """Computes what does not depend on the latent, or only linearly, and notes the products on the way."""
    held: dict[Any, Any] = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*consts, *given], strict=True))

    def value(place: Any) -> Any:
        return place.val if isinstance(place, Literal) else held[place]

    for eqn in jaxpr.eqns:
        inputs = [value(place) for place in eqn.invars]
        held |= dict(zip(eqn.outvars, _outputs(eqn, inputs, found), strict=True))
    return [value(place) for place in jaxpr.outvars]


def _outputs(eqn: Any, inputs: list[Any], found: list[np.ndarray]) -> list[Any]:
    name, lost = eqn.primitive.name, [_LOST] * len(eqn.outvars)
    linear = [isinstance(each, _Code) for each in inputs]
    if name == "platform_index":
        return lost
    if name == "cond":
        return _of_branches(eqn, inputs, found)
    if name in CALLS and any(linear):
        inner = called(eqn.params)
        return lost if inner is None else _follow(inner.jaxpr, inner.consts, inputs, found)
    if any(each is _LOST for each in inputs):
        return lost
    if not any(linear):
        return computed(eqn, inputs)
    plain = [each.value if isinstance(each, _Code) else each for each in inputs]
    if name in _PRODUCTS:
        if sum(linear) == 1:
            found.append(np.asarray(computed(eqn, plain)[0], np.float32))
        return lost
    kept = (
        name in _MOVES or name in _SUMS or (name == "mul" and sum(linear) == 1) or (name == "div" and linear == [True, False])
    )
    return [_Code(out) for out in computed(eqn, plain)] if kept else lost


def _of_branches(eqn: Any, inputs: list[Any], found: list[np.ndarray]) -> list[Any]:
    """Follows the branch that is taken; of platform-specific branches, which compute the same, the generic one."""
    index, rest = inputs[0], inputs[1:]
    branches = eqn.params["branches"]
    if isinstance(index, _Code):
        return [_LOST] * len(eqn.outvars)
    taken = branches[-1 if index is _LOST else int(np.clip(index, 0, len(branches) - 1))]
    return _follow(taken.jaxpr, taken.consts, rest, found)
