"""The bridge from flax.nnx: a module becomes a `Network`. flax.nnx is imported when `from_nnx` is called."""

import inspect
from collections.abc import Callable
from importlib.metadata import version
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxgan.core.types import Key, Labels, Latents, Network, PyTree
from jaxgan.nets.nested import Path, check_example, leaves_at, nest, words

_PARAMS, _NOISE, _STATS = range(3)  # the parts that a module's variables are split into
_Split = Callable[[Any], tuple[Any, Any, Any, Any]]  # module -> (graph, parameters, random state, statistics)


class _Form(NamedTuple):
    """A module without its arrays, and their places."""

    graph: Any  # nnx.GraphDef
    parts: tuple[Any, Any, Any]  # nnx.State of shapes
    order: tuple[str, ...]  # attributes in the order of their assignment

    def nested(self, part: int, state: Any) -> dict[str, Any]:
        """Turns one part into nested dicts, the top level in the order of assignment."""
        leaves = _leaves(state)
        known = sorted(_leaves(self.parts[part]), key=lambda path: self.order.index(path[0]))
        # Constants that are no variables are leaves of a concrete module and belong to the graph of a traced one.
        return nest(known, [leaves[path] for path in known])

    def state(self, part: int, tree: PyTree) -> Any:
        """Turns nested dicts into an `nnx.State`, the inverse of `nested`."""
        like = self.parts[part]
        return jax.tree.unflatten(jax.tree.structure(like), leaves_at(tree, list(_leaves(like))))

    def noise(self, key: Key) -> Any:
        """Begins every random stream at a key of its own."""

        def begun(i: int, leaf: jax.ShapeDtypeStruct) -> jax.Array:
            if jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key):
                return jax.random.fold_in(key, i)
            return jnp.zeros(leaf.shape, leaf.dtype)  # the count of draws

        leaves, structure = jax.tree.flatten(self.parts[_NOISE])
        return jax.tree.unflatten(structure, [begun(i, leaf) for i, leaf in enumerate(leaves)])


def from_nnx(make: Any, *example: jax.Array, depends_on_batch: bool | None = None) -> Network:
    """Turns a flax.nnx module into a `Network`: `init` and `apply` over plain nested dicts.

    The module's `__call__` takes what `example` holds, `(x)` or `(x, labels)`, and may take a keyword `train`. Before each
    call `module.train()` or `module.eval()` sets batch normalisation and dropout. `nnx.Param`s are the parameters. All other
    variables but random state (`BatchStat`, spectral norm's vectors) become the network's `stats`, in one collection
    `state`. Random streams begin anew in each call, at the key given to `apply`. A generator with the methods
    `map(z, labels, *, train, truncation)` and `synthesize(w, *, train)` gives the network both halves.

    Args:
        make: makes the module, `nnx.Rngs -> nnx.Module`; or a module, whose own weights are then the first ones whatever
            the key.
        *example: one or two arrays of the shapes and dtypes the module will see, `x [B, ...]` and, for a network that takes
            labels, `labels [B]` int32.
        depends_on_batch: True where one sample's output depends on the others in its batch. By default a module that keeps
            statistics is taken to depend on the batch and one that keeps none is not; a module with a minibatch standard
            deviation and no statistics must be given True.

    Returns:
        A `Network`.

    Raises:
        ValueError: when `example` holds no or more than two arrays.
        ImportError: when this flax.nnx does not import with this jax.
    """
    check_example(example)
    nnx = _imported()

    def made(key: Key) -> Any:
        return make if isinstance(make, nnx.Module) else make(nnx.Rngs(key))

    def split(module: Any) -> tuple[Any, Any, Any, Any]:
        graph, *parts = nnx.split(module, nnx.Param, nnx.RngState, ...)
        return graph, *parts

    kind, form = _form(made, split)

    def init(key: Key) -> tuple[PyTree, PyTree]:
        _, params, _, stats = split(made(key))
        # A copy: a caller may donate these, and a module that exists already would lose its weights.
        params, stats = (
            form.nested(part, jax.tree.map(jnp.copy, state)) for part, state in ((_PARAMS, params), (_STATS, stats))
        )
        return params, {"state": stats} if stats else {}

    def call(
        method: str, params: PyTree, stats: PyTree, key: Key, train: bool, *inputs: Any, **options: Any
    ) -> tuple[jax.Array, PyTree]:
        before = form.state(_STATS, stats.get("state", {}))
        module = nnx.merge(form.graph, form.state(_PARAMS, params), form.noise(key), before)
        module.train() if train else module.eval()
        function = getattr(module, method)
        y = function(*inputs, **options | ({"train": train} if _takes(kind, method, "train") else {}))
        return y, {"state": form.nested(_STATS, split(module)[1 + _STATS])} if train and stats else stats

    def apply(
        params: PyTree, stats: PyTree, x: jax.Array, labels: Labels, key: Key, *, train: bool
    ) -> tuple[jax.Array, PyTree]:
        return call("__call__", params, stats, key, train, *(x, labels)[: len(example)])

    def styles(
        params: PyTree, stats: PyTree, z: Latents, labels: Labels, key: Key, *, train: bool, truncation: float | None = None
    ) -> tuple[jax.Array, PyTree]:
        return call("map", params, stats, key, train, z, labels, truncation=truncation)

    def synthesize(params: PyTree, stats: PyTree, w: jax.Array, key: Key, *, train: bool) -> jax.Array:
        return call("synthesize", params, stats, key, train, w)[0]

    if depends_on_batch is None:
        depends_on_batch = bool(_leaves(form.parts[_STATS]))
    if hasattr(kind, "map") and hasattr(kind, "synthesize"):
        return Network(init, apply, depends_on_batch, styles, synthesize)
    return Network(init, apply, depends_on_batch)


def _imported() -> Any:
    try:
        from flax import nnx
    except (AttributeError, ImportError) as error:
        told = f"flax.nnx of flax {version('flax')} does not import with jax {jax.__version__}"
        raise ImportError(f"{told}; take flax 0.12.9 or later, or jax before 0.11.1") from error
    return nnx


def _form(made: Callable[[Key], Any], split: _Split) -> tuple[type, _Form]:
    """The class and the form of a module, from shapes alone."""
    seen: list[Any] = []

    def traced(key: Key) -> tuple[Any, Any, Any, Any]:
        module = made(key)
        seen.append((type(module), tuple(vars(module))))
        return split(module)

    graph, *parts = jax.eval_shape(traced, jax.eval_shape(lambda: jax.random.key(0)))
    kind, order = seen[0]
    return kind, _Form(graph, (parts[0], parts[1], parts[2]), order)


def _leaves(state: Any) -> dict[Path, Any]:
    """Leaves by place, `("layers", "0", "kernel")`, in the order of `jax.tree.leaves`."""
    found = ((words(path), leaf) for path, leaf in jax.tree.leaves_with_path(state))
    return {path[:-1] if path[-1] == "value" else path: leaf for path, leaf in found}


def _takes(kind: type, method: str, keyword: str) -> bool:
    return keyword in inspect.signature(getattr(kind, method)).parameters
