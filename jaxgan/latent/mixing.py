"""Images between two classes, for any generator: the first real numbers computed from its labels are mixed.

There is no label between two labels. But a network first turns a label into real numbers: a row of an embedding table, a
one-hot vector, a choice. Those are computed for both labels and mixed, and everything after sees the mixture only. This follows
the operations that JAX traces, so the network needs no code for it.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.extend.core import Jaxpr, Literal

from jaxgan.latent.following import CALLS, called, computed


class _Pair(NamedTuple):
    """A value for either label, as long as it is no real number."""

    first: Any
    second: Any


def mixed(function: Callable[[jax.Array], jax.Array], first: jax.Array, second: jax.Array, share: jax.Array) -> jax.Array:
    """Applies a function of labels to a mixture of two.

    Args:
        function: of labels `[B]` int32, such as a generator with its latents.
        first: labels, `[B]`.
        second: labels, `[B]`.
        share: of the second, one number; at 0 and 1 the result is the function's own for either.

    Returns:
        What the function returns.
    """
    traced = jax.make_jaxpr(function)(first)
    (out,) = _follow(traced.jaxpr, traced.consts, [_Pair(first, second)], share)
    # Of a function that ignores its labels, or returns whole numbers.
    return _mean(out, share) if isinstance(out, _Pair) else out


def _follow(jaxpr: Jaxpr, consts: Sequence[Any], given: Sequence[Any], share: jax.Array) -> list[Any]:
    held: dict[Any, Any] = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*consts, *given], strict=True))

    def value(place: Any) -> Any:
        return place.val if isinstance(place, Literal) else held[place]

    for eqn in jaxpr.eqns:
        held |= dict(zip(eqn.outvars, _outputs(eqn, [value(place) for place in eqn.invars], share), strict=True))
    return [value(place) for place in jaxpr.outvars]


def _outputs(eqn: Any, inputs: list[Any], share: jax.Array) -> list[Any]:
    if not any(isinstance(each, _Pair) for each in inputs):
        return computed(eqn, inputs)
    inner = called(eqn.params) if eqn.primitive.name in CALLS else None
    if inner is not None:
        return _follow(inner.jaxpr, inner.consts, inputs, share)
    sides = [computed(eqn, [each[i] if isinstance(each, _Pair) else each for each in inputs]) for i in range(2)]
    pairs = [_Pair(*each) for each in zip(*sides, strict=True)]
    return [_mean(pair, share) if jnp.issubdtype(jnp.result_type(pair.first), jnp.floating) else pair for pair in pairs]


def _mean(pair: _Pair, share: jax.Array) -> jax.Array:
    a, b = jnp.asarray(pair.first), jnp.asarray(pair.second)
    weight = jnp.asarray(share, a.dtype if jnp.issubdtype(a.dtype, jnp.floating) else jnp.float32)
    # Chosen, not added up, at the ends: there the image is exactly that of the label.
    return jnp.where(weight <= 0, a, jnp.where(weight >= 1, b, (1 - weight) * a + weight * b))
