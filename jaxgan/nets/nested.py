"""Plain nested dicts with string keys, the form of parameters and statistics in states and checkpoints."""

from collections.abc import Sequence
from typing import Any

import jax

from jaxgan.system.messages import FieldError

Path = tuple[str, ...]


def check_example(example: Sequence[Any]) -> None:
    """Checks that a network's example is `(x)` or `(x, labels)`.

    Raises:
        ValueError: when it holds no or more than two arrays.
    """
    if not 1 <= len(example) <= 2:
        raise FieldError("example", f"{len(example)} arrays", "a network takes (x) or (x, labels)")


def words(path: Sequence[Any]) -> Path:
    """A path of `jax.tree_util` in strings: `(GetAttrKey("layers"), SequenceKey(0))` becomes `("layers", "0")`."""
    found = []
    for part in path:
        name = next(getattr(part, field) for field in ("name", "key", "idx") if hasattr(part, field))
        found.append(".".join(map(str, name)) if isinstance(name, tuple) else str(name))
    return tuple(found)


def nest(paths: Sequence[Path], leaves: Sequence[Any]) -> dict[str, Any]:
    """Builds nested dicts: `[("a", "b")], [1]` gives `{"a": {"b": 1}}`. The order of the paths is kept."""
    tree: dict[str, Any] = {}
    for path, leaf in zip(paths, leaves, strict=True):
        branch = tree
        for part in path[:-1]:
            branch = branch.setdefault(part, {})
        branch[path[-1]] = leaf
    return tree


def leaves_at(tree: Any, paths: Sequence[Path]) -> list[jax.Array]:
    """Takes the leaves at the given paths, the inverse of `nest`."""
    leaves = []
    for path in paths:
        leaf = tree
        for part in path:
            leaf = leaf[part]
        leaves.append(leaf)
    return leaves
