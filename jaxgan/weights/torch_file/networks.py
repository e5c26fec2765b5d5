"""The networks in a file of weights, each with its tensors by name."""

import re
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from jaxgan.system.messages import kind_of
from jaxgan.weights.torch_file.names import Record

Tensors = dict[str, np.ndarray]

_WRAPPERS = ("state_dict", "model_state_dict", "model", "network", "net", "weights", "params")
_NETWORKS = ("G_ema", "G", "D")
# Names of networks among the dicts of a checkpoint, and before those of tensors; capitals and underscores do not matter, nor a
# _state_dict at the end.
_CALLED = {
    "G": ("g", "netg", "gen", "generator", "modelg"),
    "D": ("d", "netd", "dis", "disc", "discriminator", "modeld"),
    "G_ema": (
        "gema", "netgema", "genema", "generatorema", "ema", "emag", "emagenerator", "modelema", "paramsema", "netema", "gavg",
        "netgavg", "avgg", "averagedgenerator", "generatoravg",
    ),
}  # fmt: skip
_PLAYER = {alias: player for player, aliases in _CALLED.items() for alias in aliases}
# Put before every name by parallel training, compilation and Lightning; "model" where G and D come after it.
_PREFIXES = ("module", "_orig_mod", "model")
_WRAPPED, _SHOWN = 4, 8  # wrappers around each other, and names in a message
_MOST, _DEEPEST = 100_000, 100  # modules of a network, and modules in each other; a damaged one may contain itself


def state_dicts(structure: Any) -> dict[str, Tensors]:
    """The tensors of each network in what `read` returned.

    Args:
        structure: a state dict; a network; a dict of either, by name; or any of these in a checkpoint, as its `state_dict`,
            `model_state_dict` or `model`.

    Returns:
        By the network, `G`, `D` or `G_ema` where it is called so or as people call these (`netG`, `generator`, `g_ema`,
        `G_state_dict`), its own name for any other, "" for a single one that has none: its tensors by name, as its state dict
        has them. Names that all begin with those of networks and a dot or `/` are those of several networks; what parallel
        training (`module.`) and compilation (`_orig_mod.`) put before every name is left out.

    Raises:
        ValueError: when there are no tensors with names; it says what is there.
    """
    structure = _unwrapped(structure)
    if tensors := _tensors(structure):
        return _split(tensors)
    parts = structure.items() if isinstance(structure, dict) else ()
    found = {str(name): _alone(tensors) for name, part in parts if (tensors := _tensors(_unwrapped(part)))}
    if not found:
        raise ValueError(f"weights: there are no tensors with names in the file; it holds {_held(structure)}")
    return found if not any(map(_player, found)) and len(found) > 1 else _called(found)


def init_kwargs(structure: Any) -> dict[str, dict[str, Any]]:
    """The keyword arguments that persistent networks were made with, by network, as `state_dicts` names them.

    What no tensor tells stands only there, such as StyleGAN2's `conv_clamp` and `mbstd_group_size`.
    """
    structure = _unwrapped(structure)
    parts = structure if isinstance(structure, dict) else {"": structure}
    kept = {
        _player(name) or str(name): part.state.get("_init_kwargs") for name, part in parts.items() if isinstance(part, Record)
    }
    return {name: kwargs for name, kwargs in kept.items() if isinstance(kwargs, dict)}


def _player(name: Any) -> str | None:
    """Returns G, D or G_ema for a name by which people call one of these; None for any other."""
    plain = str(name).lower().removesuffix("_state_dict").removesuffix("_state")
    return _PLAYER.get(plain.replace("_", "").replace("-", ""))


def _called(found: dict[str, Tensors]) -> dict[str, Tensors]:
    """Returns networks under the names that they have here; of two that would have one name, the first."""
    if len(found) == 1:
        ((name, tensors),) = found.items()
        return {_player(name) or "": tensors}
    named: dict[str, Tensors] = {}
    for name, tensors in found.items():
        named.setdefault(_player(name) or name, tensors)
    return named


def _held(structure: Any) -> str:
    """Returns the content of a file in words, for a message."""
    if not isinstance(structure, dict):
        return f"a {structure.name}" if isinstance(structure, Record) else kind_of(structure)
    told = [f"{name} ({type(value).__name__})" for name, value in structure.items()]
    return ", ".join(told[:_SHOWN] + ["..."] * (len(told) > _SHOWN)) or "an empty dict"


def _unwrapped(structure: Any) -> Any:
    """Returns what a checkpoint wraps, however often; where networks stand beside a wrapper, the whole."""
    for _ in range(_WRAPPED):
        if not isinstance(structure, dict) or any(_player(name) and _is_network(x) for name, x in structure.items()):
            return structure
        inner = [structure[name] for name in _WRAPPERS if isinstance(structure.get(name), (dict, Record))]
        if not inner:
            return structure
        structure = inner[0]
    return structure


def _is_network(value: Any) -> bool:
    return isinstance(value, Record) or (
        isinstance(value, dict) and any(isinstance(x, (np.ndarray, dict)) for x in value.values())
    )


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
    """Returns the networks of a flat state dict, "" for one alone."""
    tensors = _alone(tensors)
    found: dict[str, Tensors] = {}
    for name, x in tensors.items():
        network = next((player for mark in "./" if (player := _player(name.split(mark)[0])) and mark in name), None)
        if network is None:
            return {"": tensors}
        found.setdefault(network, {})[re.split(r"[./]", name, maxsplit=1)[1]] = x
    return {network: _alone(each) for network, each in found.items()}


def _alone(tensors: Tensors) -> Tensors:
    """Returns tensors without what training puts before every name."""
    for _ in range(_WRAPPED):
        prefix = next((f"{each}." for each in _PREFIXES if all(name.startswith(f"{each}.") for name in tensors)), None)
        if prefix is None or not tensors:
            break
        tensors = {name.removeprefix(prefix): x for name, x in tensors.items()}
    return tensors
