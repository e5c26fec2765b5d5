"""Weights of an ONNX graph stored in fewer bits, and cast back to float32 where they are used: for size, not for speed."""

from typing import Any

import numpy as np

from jaxgan.publishing.graph import Graph

_FEWEST = 256  # elements that are worth it


def kept_as(graph: Graph, precision: str) -> tuple[list[Any], dict[str, np.ndarray]]:
    """Returns a graph's nodes and arrays, those of many float32 numbers in fewer bits.

    Args:
        graph: the graph.
        precision: `float32`: as they are; `float16`; `int8`: `w = scale q`, with a scale for each entry of one axis, that for
            which the squares of the errors are least.
    """
    from onnx import TensorProto, helper

    if precision == "float32":
        return list(graph.nodes), dict(graph.arrays)
    nodes, arrays = [], {}
    for name, array in graph.arrays.items():
        if array.dtype != np.float32 or array.size < _FEWEST:
            arrays[name] = array
        elif precision == "float16" and np.abs(array).max() < np.finfo(np.float16).max:
            arrays[f"{name}_half"] = array.astype(np.float16)
            nodes.append(helper.make_node("Cast", [f"{name}_half"], [name], to=TensorProto.FLOAT))
        elif precision == "int8" and array.ndim > 1:
            axis, scale, whole = _quantised(array)
            arrays |= {f"{name}_int8": whole, f"{name}_scale": scale}
            nodes.append(helper.make_node("DequantizeLinear", [f"{name}_int8", f"{name}_scale"], [name], axis=axis))
        else:
            arrays[name] = array
    return nodes + list(graph.nodes), arrays


def _quantised(array: np.ndarray) -> tuple[int, np.ndarray, np.ndarray]:
    found = []
    for axis in range(array.ndim):
        others = tuple(i for i in range(array.ndim) if i != axis)
        scale = np.maximum(np.abs(array).max(axis=others), 1e-12).astype(np.float32) / np.float32(127)
        along = scale.reshape([-1 if i == axis else 1 for i in range(array.ndim)])
        whole = np.clip(np.rint(array / along), -127, 127).astype(np.int8)
        # A scale for each of very many entries would cost more than the bits saved.
        costs = float(np.square(array - whole * along).sum()) if scale.size * 8 <= array.size else np.inf
        found.append((costs, axis, scale, whole))
    return min(found, key=lambda each: each[0])[1:]
