"""The one bridge to flax: a linen module becomes two pure functions."""

import inspect
from typing import Any

import flax.linen as nn
import jax

from jaxgan.types import Key, Network, PyTree


def from_linen(module: nn.Module, *example: jax.Array, couples: bool | None = None) -> Network:
    """Turns a flax.linen module into a `Network`: `init` and `apply` over plain nested dicts.

    The module's `__call__` takes what `example` holds, `(x)` or `(x, labels)`, and may take a keyword `train`;
    one that draws noise asks for it with `self.make_rng("noise")`. Every collection but `params`
    (`batch_stats`, spectral norm's vectors) becomes the network's `stats`.

    Args:
        module: the network, for instance `nets.mlp.Generator(...)`.
        *example: one or two arrays of the shapes and dtypes the module will see, `x [B, ...]` and, for a network
            that takes labels, `labels [B]` int32; only shapes are used.
        couples: whether one sample's output depends on the others in its batch. By default a module that keeps
            statistics is taken to couple samples and one that keeps none is not; a module with a minibatch standard
            deviation and no statistics must say `couples=True`.

    Returns:
        A `Network`.

    Raises:
        ValueError: when `example` holds no or more than two arrays.
    """
    if not 1 <= len(example) <= 2:
        raise ValueError(f"example: {len(example)} arrays, but a network takes (x) or (x, labels)")
    takes_train = "train" in inspect.signature(type(module).__call__).parameters

    def arguments(x: jax.Array, labels: jax.Array | None) -> tuple[Any, ...]:
        return (x, labels) if len(example) == 2 else (x,)

    def init(key: Key) -> tuple[PyTree, PyTree]:
        params_key, noise_key = jax.random.split(key)
        flags: dict[str, Any] = {"train": False} if takes_train else {}
        stats = dict(module.init({"params": params_key, "noise": noise_key}, *example, **flags))
        return stats.pop("params", {}), stats

    def apply(
        params: PyTree, stats: PyTree, x: jax.Array, labels: jax.Array | None, key: Key, *, train: bool
    ) -> tuple[jax.Array, PyTree]:
        variables = {"params": params, **stats}
        flags: dict[str, Any] = {"train": train} if takes_train else {}
        rngs = {"noise": key}
        # A frozen or an absent collection comes back as an empty dict of changes.
        y, new = module.apply(variables, *arguments(x, labels), rngs=rngs, mutable=list(stats) if train else [], **flags)
        return y, {**stats, **new}

    if couples is None:
        couples = bool(jax.eval_shape(init, jax.eval_shape(lambda: jax.random.key(0)))[1])
    return Network(init, apply, couples)
