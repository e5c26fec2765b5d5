"""The networks in a file of weights, each with its tensors by name."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from jaxgan.weights.torch_file.names import Record

Tensors = dict[str, np.ndarray]

_WRAPPERS = ("state_dict", "model_state_dict")
_NETWORKS = ("G_ema", "G", "D")
_MOST, _DEEPEST = 100_000, 100  # modules of a network, and modules in each other; a damaged one may contain itself


def state_dicts(structure: Any) -> dict[str, Tensors]:
    """The tensors of each network in what `read` returned.

    Args:
        structure: a state dict; a network; a dict of either, by name; or any of these in a checkpoint, as its `state_dict`
            or `model_state_dict`.

    Returns:
        By the network's name, "" for a single one that has none, its tensors by theirs, as its state dict has them. Names that
        all begin with `G.`, `D.` or `G_ema.` (or with `/` for the dot) are those of several networks; the `module.` that
        parallel training puts before every name is left out.

    Raises:
        ValueError: when there are no tensors with names.
    """
    structure = _unwrapped(structure)
    if tensors := _tensors(structure):
        return _split(tensors)
    parts = structure.items() if isinstance(structure, dict) else ()
    found = {str(name): _alone(tensors) for name, part in parts if (tensors := _tensors(_unwrapped(part)))}
    if not found:
        raise ValueError("weights: there are no tensors with names in the file")
    return found


def init_kwargs(structure: Any) -> dict[str, dict[str, Any]]:
    """The keyword arguments that persistent networks were made with, by network, as `state_dicts` names them.

    What no tensor tells stands only there, such as StyleGAN2's `conv_clamp` and `mbstd_group_size`.
    """
    structure = _unwrapped(structure)
    parts = structure if isinstance(structure, dict) else {"": structure}
    kept = {str(name): part.state.get("_init_kwargs") for name, part in parts.items() if isinstance(part, Record)}
    return {name: kwargs for name, kwargs in kept.items() if isinstance(kwargs, dict)}


def _unwrapped(structure: Any) -> Any:
    inner = [structure[name] for name in _WRAPPERS if name in structure] if isinstance(structure, dict) else []
    return inner[0] if inner else structure


def _tensors(structure: Any) -> Tensors:
    """Tensors of a state dict or of a network by name; none of anything else."""
    if isinstance(structure, Record):
        return dict(_of_modules(structure))
    parts = structure.items() if isinstance(structure, dict) else ()
    return {name: x for name, x in parts if isinstance(name, str) and isinstance(x, np.ndarray)}


def _of_modules(network: Record) -> Iterator[tuple[str, np.ndarray]]:
    waiting, count = [("", 0, network)], 0
    while waiting:
        prefix, depth, module = waiting.pop()
        count += 1
        if count > _MOST or depth > _DEEPEST:
            raise ValueError(f"weights: a network of more than {_MOST:,} modules, or of modules in each other {_DEEPEST} deep")
        own = [*_items(module, "_parameters"), *_items(module, "_buffers")]
        passing = module.state.get("_non_persistent_buffers_set")
        passing = passing if isinstance(passing, set) else set()
        yield from ((f"{prefix}{name}", x) for name, x in own if isinstance(x, np.ndarray) and name not in passing)
        inner = [(name, each) for name, each in _items(module, "_modules") if isinstance(each, Record)]
        waiting += [(f"{prefix}{name}.", depth + 1, each) for name, each in inner[::-1]]


def _items(module: Record, kind: str) -> Iterable[tuple[Any, Any]]:
    held = module.state.get(kind)
    return held.items() if isinstance(held, dict) else ()


def _split(tensors: Tensors) -> dict[str, Tensors]:
    tensors = _alone(tensors)
    found: dict[str, Tensors] = {}
    for name, x in tensors.items():
        network = next((each for each in _NETWORKS if name.startswith((f"{each}.", f"{each}/"))), None)
        if network is None:
            return {"": tensors}
        found.setdefault(network, {})[name[len(network) + 1 :]] = x
    return {network: _alone(each) for network, each in found.items()}


def _alone(tensors: Tensors) -> Tensors:
    if all(name.startswith("module.") for name in tensors):
        return {name.removeprefix("module."): x for name, x in tensors.items()}
    return tensors
