"""Weights made elsewhere: the place of each tensor of a PyTorch state dict, and the errors of tensors that do not fit."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from jaxgan.core.types import PyTree

Arrays = Mapping[str, np.ndarray]


def same(x: np.ndarray) -> np.ndarray:
    """A tensor as it is."""
    return x


def linear(x: np.ndarray) -> np.ndarray:
    """A matrix (O, I) of PyTorch to `[I, O]`."""
    return x.T


def convolution(x: np.ndarray) -> np.ndarray:
    """A kernel (O, I, KH, KW) of PyTorch to `[KH, KW, I, O]`."""
    return x.transpose(2, 3, 1, 0)


class Tensor(NamedTuple):
    """One tensor of a state dict: its shape in PyTorch and its place here."""

    shape: tuple[int, ...]  # PyTorch's
    path: tuple[str, ...] = ()  # collection, modules, name: ("params", "conv_0", "kernel"); () when it has no place here
    convert: Callable[[np.ndarray], np.ndarray] = same  # PyTorch's layout to ours
    fixed: np.ndarray | None = None  # the only value it may have, of a filter that is no parameter here
    optional: bool = False  # may be missing, as counters and filters may


def adopt(tensors: Arrays, layout: Mapping[str, Tensor]) -> tuple[PyTree, PyTree]:
    """Parameters and statistics from the tensors of a state dict.

    Args:
        tensors: by PyTorch name, in PyTorch's layouts.
        layout: all the tensors that the network has, by PyTorch name.

    Returns:
        `(params, stats)`, nested dicts of arrays in the dtypes given, stats by collection.

    Raises:
        ValueError: one line that names every tensor that is missing, surplus, of another shape, of another value where only
            one is allowed, or not finite.
    """
    wrong = {
        "missing": [name for name, tensor in layout.items() if name not in tensors and not tensor.optional],
        "surplus": [name for name in tensors if name not in layout],
        "misshaped": [
            f"{name} {_told(np.shape(tensors[name]))} for {_told(tensor.shape)}"
            for name, tensor in layout.items()
            if name in tensors and np.shape(tensors[name]) != tensor.shape
        ],
        "not finite": [name for name, x in tensors.items() if name in layout and not np.isfinite(x).all()],
        "of another value than this architecture has": [
            name
            for name, tensor in layout.items()
            if tensor.fixed is not None
            and name in tensors
            and np.shape(tensors[name]) == tensor.shape
            and not np.allclose(tensors[name], tensor.fixed, rtol=1e-5, atol=1e-7)
        ],
    }
    if any(wrong.values()):
        raise ValueError("tensors: " + "; ".join(f"{kind}: {', '.join(names)}" for kind, names in wrong.items() if names))
    variables: dict[str, Any] = {}
    for name, tensor in layout.items():
        if tensor.path and name in tensors:
            branch = variables
            for part in tensor.path[:-1]:
                branch = branch.setdefault(part, {})
            branch[tensor.path[-1]] = tensor.convert(np.asarray(tensors[name]))
    return variables.pop("params", {}), variables


def _told(shape: tuple[int, ...]) -> str:
    return f"({', '.join(map(str, shape))})"
