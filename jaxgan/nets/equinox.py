"""The bridge from equinox: a module becomes a `Network`. equinox, an extra, is imported when `from_equinox` is called."""

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxgan.core.types import Key, Labels, Network, PyTree
from jaxgan.nets.nested import Path, check_example, leaves_at, nest, words

AXIS = "batch"  # the name of the mapped axis, for `eqx.nn.BatchNorm(size, axis_name="batch")`


class _Form(NamedTuple):
    """A module and its state without their arrays, and the places of the arrays."""

    structure: Any  # of (module, state or None)
    leaves: list[Any]  # shapes, and whatever else is no array
    params: dict[int, Path]  # of leaves by number, floating-point arrays of the module
    constants: dict[int, Path]  # its other arrays
    state: dict[int, Path]

    def whole(self, params: PyTree, stats: PyTree) -> tuple[Any, Any]:
        """Puts arrays into the module and its state."""
        leaves = list(self.leaves)
        parts = ((self.params, params), (self.constants, stats.get("constants", {})), (self.state, stats.get("state", {})))
        for places, tree in parts:
            for i, leaf in zip(places, leaves_at(tree, list(places.values())), strict=True):
                leaves[i] = leaf
        module, state = jax.tree.unflatten(self.structure, leaves)
        return module, state


def from_equinox(make: Any, *example: jax.Array, depends_on_batch: bool | None = None, batched: bool = False) -> Network:
    """Turns an equinox module into a `Network`: `init` and `apply` over plain nested dicts.

    As is the custom of equinox, the module's `__call__` sees one sample: it takes what `example` holds without the batch
    axis, `(x)` or `(x, label)`, then the `state` of a module that has one, and returns `y` or `(y, state)`. It is mapped over
    the batch, an axis of the name "batch". With a keyword `key` it is given a key for each sample, with a keyword `train`
    True in training. `eqx.nn.inference_mode` sets dropout and batch normalisation. Floating-point arrays are the
    parameters. State and other arrays become the network's `stats`, in the collections `state` and `constants`.

    Args:
        make: makes the module, `key -> module` or `key -> (module, state)`, such as `lambda key:
            eqx.nn.make_with_state(Mine)(key=key)`; or a module or such a pair, whose own weights are then the first ones
            whatever the key.
        *example: one or two arrays of the shapes and dtypes the network will see, `x [B, ...]` and, for a network that
            takes labels, `labels [B]` int32.
        depends_on_batch: True where one sample's output depends on the others in its batch. By default a module with a
            state is taken to depend on the batch and one without is not.
        batched: True for a module that takes the batch as a whole, and one key for all of it.

    Returns:
        A `Network`, without the halves `map` and `synthesize`.

    Raises:
        ValueError: when `example` holds no or more than two arrays.
        ImportError: when equinox is not installed.
    """
    check_example(example)
    eqx = _imported()

    def made(key: Key) -> tuple[Any, Any]:
        found = make if isinstance(make, (eqx.Module, tuple)) else make(key)
        return found if isinstance(found, tuple) else (found, None)

    form, accepted = _form(eqx.filter_eval_shape(made, jax.eval_shape(lambda: jax.random.key(0))))

    def init(key: Key) -> tuple[PyTree, PyTree]:
        leaves = jax.tree.leaves(made(key))

        def part(places: dict[int, Path]) -> dict[str, Any]:
            # A copy: a caller may donate these, and a module that exists already would lose its weights.
            return nest(list(places.values()), [jnp.array(leaves[i], leaves[i].dtype) for i in places])

        stats = {"constants": part(form.constants), "state": part(form.state)}
        return part(form.params), {name: tree for name, tree in stats.items() if tree}

    def apply(
        params: PyTree, stats: PyTree, x: jax.Array, labels: Labels, key: Key, *, train: bool
    ) -> tuple[jax.Array, PyTree]:
        module, state = form.whole(params, stats)
        module = eqx.nn.inference_mode(module, value=not train)
        flags: dict[str, Any] = {"train": train} if "train" in accepted else {}

        def one(inputs: tuple[jax.Array, ...], noise: Key | None) -> tuple[jax.Array, Any]:
            given = (*inputs, state) if form.state else inputs
            y = module(*given, **flags | ({} if noise is None else {"key": noise}))
            return y if form.state else (y, None)

        inputs, noise = (x, labels)[: len(example)], key if "key" in accepted else None
        if batched:
            y, new = one(inputs, noise)
        else:
            if noise is not None:
                noise = jax.vmap(jax.random.fold_in, (None, 0))(key, jnp.arange(len(x)))
            y, new = jax.vmap(one, out_axes=(0, None), axis_name=AXIS)(inputs, noise)
        if not train or not form.state:
            return y, stats
        pairs = zip(form.state.items(), jax.tree.leaves(new), strict=True)
        kept = {path: leaf.astype(form.leaves[i].dtype) for (i, path), leaf in pairs}
        return y, {**stats, "state": nest(list(kept), list(kept.values()))}

    return Network(init, apply, bool(form.state) if depends_on_batch is None else depends_on_batch)


def _imported() -> Any:
    try:
        import equinox
    except ImportError as error:
        raise ImportError("equinox: not installed, but from_equinox needs it: pip install 'jaxgan[equinox]'") from error
    return equinox


def _form(abstract: tuple[Any, Any]) -> tuple[_Form, tuple[str, ...]]:
    """The form of a module and its state, given by shapes, and the arguments of its `__call__`."""
    paths, structure = jax.tree.flatten_with_path(abstract)
    parts: tuple[dict[int, Path], ...] = ({}, {}, {})
    for i, (path, leaf) in enumerate(paths):
        if not isinstance(leaf, jax.ShapeDtypeStruct):
            continue
        of_state = path[0].idx == 1
        part = 2 if of_state else 0 if jnp.issubdtype(leaf.dtype, jnp.inexact) else 1
        parts[part][i] = words(path[1:])
    call: Callable[..., Any] = type(abstract[0]).__call__
    return _Form(structure, [leaf for _, leaf in paths], *parts), tuple(inspect.signature(call).parameters)
