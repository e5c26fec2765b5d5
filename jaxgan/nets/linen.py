"""The bridge from flax.linen: a module becomes a `Network`."""

import inspect
from typing import Any, Protocol, runtime_checkable

import flax.linen as nn
import jax
from flax.core.scope import LazyRng

from jaxgan.core.protocols import StyleMap, Synthesis
from jaxgan.core.types import Key, Network, PyTree
from jaxgan.nets.nested import check_example
from jaxgan.system.messages import FieldError, kind_of


@runtime_checkable
class Mapped(Protocol):
    """A generator module in two halves: z to styles w, and w to images."""

    def map(self, z: jax.Array, labels: jax.Array | None, *, train: bool, truncation: float | None) -> jax.Array: ...

    def synthesize(self, w: jax.Array, *, train: bool) -> jax.Array: ...


def from_linen(module: nn.Module, *example: jax.Array, depends_on_batch: bool | None = None) -> Network:
    """Turns a flax.linen module into a `Network`: `init` and `apply` over plain nested dicts.

    The module's `__call__` takes what `example` holds, `(x)` or `(x, labels)`, and may take a keyword `train`;
    one that draws noise asks for it with `self.make_rng("noise")`, and `nn.Dropout` finds its own. Every collection but
    `params` (`batch_stats`, spectral norm's vectors) becomes the network's `stats`. A generator with the methods
    `map(z, labels, *, train, truncation)` and `synthesize(w, *, train)` gives the network both halves.
    Its `features` are what the module sows: `self.sow("intermediates", "features", h)`.

    Args:
        module: the network, for instance `nets.mlp.Generator(...)`.
        *example: one or two arrays of the shapes and dtypes the module will see, `x [B, ...]` and, for a network
            that takes labels, `labels [B]` int32 or a condition of any structure; only shapes are used.
        depends_on_batch: True where one sample's output depends on the others in its batch. By default a module that keeps
            statistics is taken to couple samples and one that keeps none is not; a module with a minibatch standard
            deviation and no statistics must say `depends_on_batch=True`.

    Returns:
        A `Network`.

    Raises:
        FieldError: when `module` is none, or `example` holds no or more than two arrays.
    """
    _check_module(module)
    check_example(example)
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
        rngs = _streams(key)
        # A frozen or an absent collection comes back as an empty dict of changes.
        y, new = module.apply(variables, *arguments(x, labels), rngs=rngs, mutable=list(stats) if train else [], **flags)
        return y, {**stats, **new}

    def features(params: PyTree, stats: PyTree, x: jax.Array, labels: jax.Array | None, key: Key, *, train: bool) -> PyTree:
        flags: dict[str, Any] = {"train": train} if takes_train else {}
        kept = ["intermediates", *(stats if train else [])]
        found: Any = module.apply({"params": params, **stats}, *arguments(x, labels), rngs=_streams(key), mutable=kept, **flags)
        return found[1].get("intermediates", {})

    if depends_on_batch is None:
        depends_on_batch = bool(jax.eval_shape(init, jax.eval_shape(lambda: jax.random.key(0)))[1])
    if not isinstance(module, Mapped):
        return Network(init, apply, depends_on_batch, features=features)
    return Network(init, apply, depends_on_batch, *_halves(module), features)


def _halves(module: nn.Module) -> tuple[StyleMap, Synthesis]:
    """Returns the functions of a `Mapped` module: z to styles, and styles to images."""

    def styles(
        params: PyTree,
        stats: PyTree,
        z: jax.Array,
        labels: jax.Array | None,
        key: Key,
        *,
        train: bool,
        truncation: float | None = None,
    ) -> tuple[jax.Array, PyTree]:
        kept: Any = list(stats) if train else []
        options = {"train": train, "truncation": truncation, "method": "map", "rngs": _streams(key), "mutable": kept}
        w, new = module.apply({"params": params, **stats}, z, labels, **options)
        return w, {**stats, **new}

    def synthesize(params: PyTree, stats: PyTree, w: jax.Array, key: Key, *, train: bool) -> jax.Array:
        images: Any = module.apply({"params": params, **stats}, w, train=train, method="synthesize", rngs=_streams(key))
        return images

    return styles, synthesize


def _check_module(module: Any) -> None:
    if not isinstance(module, nn.Module):
        made = f"; did you mean {module.__name__}(..)?" if isinstance(module, type) and issubclass(module, nn.Module) else ""
        raise FieldError("module", kind_of(module), f"it must be a module of flax.linen{made}")


def _streams(key: Key) -> dict[str, Any]:
    """Returns the random streams of a call: noise, and that which linen takes where a module asks for any other, as dropout."""
    return {"noise": key, "params": LazyRng.create(key, "others")}
