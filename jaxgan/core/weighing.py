"""Terms of G's loss besides the adversarial one: their values, their weights, and the balance of their gradients."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import lax

from jaxgan.core import fits
from jaxgan.core import types as t
from jaxgan.core.play import Draw, Game, at
from jaxgan.core.term import Term
from jaxgan.system.messages import FieldError, shown

_LEAST, _MOST = 1e-6, 1e4  # of the reference implementation of VQGAN

ValueOf = Callable[[t.Images], jax.Array]  # generated images -> a loss, a scalar


def weighed_terms(
    game: Game,
    fake: t.Images,
    draw: Draw,
    *,
    features: Callable[[t.Images, t.Images], dict[str, t.PyTree]],
    adversarial: ValueOf,
    made_by: Callable[[t.PyTree], t.Images],
    params: t.PyTree,
) -> tuple[jax.Array, t.Info]:
    """Computes the weighted sum of the terms, and what is reported of each.

    Args:
        game: the rules; it has terms.
        fake: generated images `[B, ...]`, with G's gradient.
        draw: of this update.
        features: maps real and generated images to D's features of both, for the batch that a term sees.
        adversarial: G's adversarial loss of images.
        made_by: G's images as a function of its parameters.
        params: G's parameters.

    Returns:
        A scalar; and each term's mean without its weight under its name, with `NAME_weight` where that is not constant.
    """
    total, info = jnp.zeros(()), t.Info()
    for i, term in enumerate(game.terms):

        def value_of(x: t.Images, term: Term = term, i: int = i) -> jax.Array:
            values = term.function(x, draw.batch | features(draw.real, x), jax.random.fold_in(draw.key, 8 + i))
            fits.check_term(term.label, values, x)
            return values.mean()

        value, weight = value_of(fake), _weight(term, draw.shown)
        if term.balanced:
            weight = weight * _balance(game, term, lax.stop_gradient(params), made_by, adversarial, value_of)
        total = total + weight * value
        info[term.label] = value
        if term.balanced or term.starts or callable(term.weight):
            info[f"{term.label}_weight"] = weight
    return total, info


def _weight(term: Term, shown: jax.Array) -> jax.Array:
    weight = at(term.weight, shown)
    return jnp.where(shown < term.starts, 0.0, weight) if term.starts else weight


def _balance(
    game: Game,
    term: Term,
    params: t.PyTree,
    made_by: Callable[[t.PyTree], t.Images],
    adversarial: ValueOf,
    value_of: ValueOf,
) -> jax.Array:
    """Returns the ratio of the norms of both losses' gradients at G's last layer; no gradient flows through it."""
    path = last_layer(game.generator, params, term)
    fake, pull = jax.vjp(lambda layer: made_by(_with(params, path, layer)), _at(params, path))

    def norm(loss: ValueOf) -> jax.Array:
        return optax.tree.norm(pull(jax.grad(loss)(fake)))

    return lax.stop_gradient(jnp.minimum(norm(adversarial) / (norm(value_of) + _LEAST), _MOST))


def last_layer(generator: t.Network, params: t.PyTree, term: Term) -> tuple[str, ...]:
    """Returns the path of G's last layer: the one that a term names, or the group of parameters that G's init makes last.

    Raises:
        FieldError: when there is no such path, or the parameters are not a dict.
    """
    if term.layer:
        path = tuple(term.layer.split("/"))
        for i in range(len(path)):
            known = _at(params, path[:i])
            if not isinstance(known, dict) or path[i] not in known:
                held = ", ".join(known) if isinstance(known, dict) else "no further names"
                raise FieldError(f"terms.{term.label}.layer", shown(term.layer), f"G's parameters there are {held}")
        return path
    made: list[t.PyTree] = []

    def traced(key: t.Key) -> t.PyTree:
        made.append(generator.init(key)[0])  # read here, since outside of this function the keys are sorted
        return made[0]

    jax.eval_shape(traced, jax.eval_shape(lambda: jax.random.key(0)))
    here, found = made[0], list[str]()
    while isinstance(here, dict) and any(isinstance(each, dict) for each in here.values()):
        found.append(next(reversed(here)))
        here = here[found[-1]]
    if not isinstance(made[0], dict):
        told = f"G's parameters are of type {type(made[0]).__name__}"
        raise FieldError(f"terms.{term.label}.layer", told, "balancing needs a dict")
    return tuple(found)


def _at(params: t.PyTree, path: tuple[str, ...]) -> Any:
    for name in path:
        params = params[name]
    return params


def _with(params: t.PyTree, path: tuple[str, ...], layer: t.PyTree) -> t.PyTree:
    return layer if not path else params | {path[0]: _with(params[path[0]], path[1:], layer)}
