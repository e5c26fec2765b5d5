"""ONNX operators for the primitives that move, join, sum and contract arrays; `operators` has the others."""

import string
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jax.extend import core

from jaxgan.publishing.flatten import kind_of
from jaxgan.publishing.graph import Graph, Value
from jaxgan.system.messages import FieldError

Operator = Callable[[Graph, core.JaxprEqn, list[Value]], Any]
_REDUCED = {"reduce_max": "ReduceMax", "reduce_min": "ReduceMin", "reduce_prod": "ReduceProd"}


def _shape(equation: core.JaxprEqn, place: int = 0) -> tuple[Any, ...]:
    return tuple(kind_of(equation.invars[place]).shape)


def _out(equation: core.JaxprEqn) -> Any:
    return kind_of(equation.outvars[0])


def _onnx_type(dtype: Any) -> int:
    from onnx import helper

    return int(helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))


def cast(graph: Graph, value: Value, dtype: Any) -> Value:
    """Returns a tensor in another dtype."""
    return graph.add("Cast", value, to=_onnx_type(dtype))


def _broadcast(graph: Graph, equation: core.JaxprEqn, given: list[Value]) -> str:
    axes, shape = equation.params["broadcast_dimensions"], tuple(equation.params["shape"])
    before = _shape(equation)
    thin: list[Any] = [1] * len(shape)
    for axis, side in zip(axes, before, strict=True):
        thin[axis] = side
    x = given[0]
    if tuple(thin) != before:
        x = x.reshape(thin) if isinstance(x, np.ndarray) else graph.reshape(x, before, thin)
    if tuple(thin) == shape:
        return x
    name = graph.named(x) if isinstance(x, np.ndarray) else graph.add("Identity", x)
    graph.broadcast[name] = shape
    return name


def _reshaped(graph: Graph, equation: core.JaxprEqn, given: list[Value]) -> Value:
    return graph.reshape(given[0], _shape(equation), tuple(_out(equation).shape))


def _transposed(graph: Graph, x: Value, order: Sequence[int]) -> Value:
    if list(order) == list(range(len(order))):
        return x
    return x.transpose(order) if isinstance(x, np.ndarray) else graph.add("Transpose", x, perm=list(order))


def _padded(graph: Graph, equation: core.JaxprEqn, given: list[Value]) -> Value:
    config, shape = equation.params["padding_config"], _shape(equation)
    x, fill = given
    if any(max(low, high) > 0 for low, high, _ in config):
        pads = [max(low, 0) for low, _, _ in config] + [max(high, 0) for _, high, _ in config]
        x = graph.add("Pad", x, np.array(pads, np.int64), fill)
    if any(min(low, high) < 0 for low, high, _ in config):
        shape = tuple(side + max(low, 0) + max(high, 0) for side, (low, high, _) in zip(shape, config, strict=True))
        starts = [max(-low, 0) for low, _, _ in config]
        ends = [side if high >= 0 else side + high for side, (_, high, _) in zip(shape, config, strict=True)]
        x = graph.cut(x, starts, ends, [1] * len(shape), shape)
    return x


def _slice(graph: Graph, equation: core.JaxprEqn, given: list[Value]) -> Value:
    about, shape = equation.params, _shape(equation)
    steps = about["strides"] or [1] * len(shape)
    return graph.cut(given[0], about["start_indices"], about["limit_indices"], steps, shape)


def _reversed(graph: Graph, equation: core.JaxprEqn, given: list[Value]) -> Value:
    axes = list(equation.params["dimensions"])
    parts = ([-1] * len(axes), [np.iinfo(np.int64).min] * len(axes), axes, [-1] * len(axes))
    return graph.add("Slice", given[0], *(np.array(part, np.int64) for part in parts))


def _joined(graph: Graph, equation: core.JaxprEqn, given: list[Value]) -> Value:
    return graph.add("Concat", *given, axis=equation.params["dimension"])


def _stacked(graph: Graph, equation: core.JaxprEqn, given: list[Value]) -> Value:
    axis = equation.params["axis"]
    return graph.add("Concat", *(graph.add("Unsqueeze", x, np.array([axis])) for x in given), axis=axis)


def _split(graph: Graph, equation: core.JaxprEqn, given: list[Value]) -> Any:
    sizes = np.array([int(size) for size in equation.params["sizes"]], np.int64)
    return graph.add("Split", given[0], sizes, outputs=len(sizes), axis=equation.params["axis"])


def _unstacked(graph: Graph, equation: core.JaxprEqn, given: list[Value]) -> list[Value]:
    axis = equation.params["axis"]
    return [graph.add("Gather", given[0], np.array(place, np.int64), axis=axis) for place in range(len(equation.outvars))]


def _summed(graph: Graph, equation: core.JaxprEqn, given: list[Value]) -> Value:
    return graph.add("ReduceSum", given[0], np.array(equation.params["axes"], np.int64), keepdims=0)


def _reduced(graph: Graph, equation: core.JaxprEqn, given: list[Value]) -> Value:
    return graph.add(_REDUCED[equation.primitive.name], given[0], axes=list(equation.params["axes"]), keepdims=0)


def _place_of_most(graph: Graph, equation: core.JaxprEqn, given: list[Value]) -> Value:
    operator = "ArgMax" if equation.primitive.name == "argmax" else "ArgMin"
    found = graph.add(operator, given[0], axis=equation.params["axes"][0], keepdims=0)
    return cast(graph, found, equation.params["index_dtype"])


def _counted(graph: Graph, equation: core.JaxprEqn, _: list[Value]) -> Value:
    shape, axis = tuple(equation.params["shape"]), equation.params["dimension"]
    zero, one = np.array(0, np.int64), np.array(1, np.int64)
    side = graph.sides([shape[axis]])
    end = side[0] if isinstance(side, np.ndarray) else graph.add("Squeeze", side)
    places = cast(graph, graph.add("Range", zero, end, one), equation.params["dtype"])
    thin = [shape[axis] if i == axis else 1 for i in range(len(shape))]
    return graph.add("Expand", graph.reshape(places, [shape[axis]], thin), graph.sides(shape))


def _summed_up(graph: Graph, equation: core.JaxprEqn, given: list[Value]) -> Value:
    return graph.add("CumSum", given[0], np.array(equation.params["axis"]), reverse=int(equation.params["reverse"]))


def _product(graph: Graph, equation: core.JaxprEqn, given: list[Value]) -> Value:
    (contract, other), (batch, other_batch) = equation.params["dimension_numbers"]
    x, y = given
    ranks = [len(_shape(equation, place)) for place in (0, 1)]
    if not batch and len(contract) == 1 and contract[0] == ranks[0] - 1 and ranks[1] == 2:
        return graph.add("MatMul", x, y if other[0] == 0 else _transposed(graph, y, (1, 0)))
    letters = iter(string.ascii_lowercase)
    left = [next(letters) for _ in range(ranks[0])]
    right = [next(letters) for _ in range(ranks[1])]
    for i, j in (*zip(batch, other_batch, strict=True), *zip(contract, other, strict=True)):
        right[j] = left[i]
    free = [left[i] for i in range(ranks[0]) if i not in (*batch, *contract)]
    free += [right[j] for j in range(ranks[1]) if j not in (*other_batch, *other)]
    out = "".join([left[i] for i in batch] + free)
    return graph.add("Einsum", x, y, equation=f"{''.join(left)},{''.join(right)}->{out}")


def _convolved(graph: Graph, equation: core.JaxprEqn, given: list[Value]) -> Value:
    about, numbers = equation.params, equation.params["dimension_numbers"]
    if about["batch_group_count"] != 1 or any(min(pads) < 0 for pads in about["padding"]):
        raise FieldError("generator", "it convolves with groups of samples or cut edges", "ONNX has no such form")
    x = _transposed(graph, given[0], numbers.lhs_spec)
    kernel = _transposed(graph, given[1], numbers.rhs_spec)
    sides = [_shape(equation)[axis] for axis in numbers.lhs_spec]
    for axis, spread in enumerate(about["lhs_dilation"], 2):
        x, sides = _apart(graph, x, sides, axis, spread)
    pads = [low for low, _ in about["padding"]] + [high for _, high in about["padding"]]
    strides, dilations = (list(map(int, about[key])) for key in ("window_strides", "rhs_dilation"))
    groups = about["feature_group_count"]
    y = graph.add("Conv", x, kernel, group=groups, strides=strides, dilations=dilations, pads=pads)
    return _transposed(graph, y, np.argsort(numbers.out_spec).tolist())


def _apart(graph: Graph, x: Value, sides: list[Any], axis: int, spread: int) -> tuple[Value, list[Any]]:
    """Puts zeros between the elements along an axis, as a transposed convolution does."""
    if spread == 1:
        return x, sides
    lead, side, rest = sides[:axis], sides[axis], sides[axis + 1 :]
    x = graph.reshape(x, sides, [*lead, side, 1, *rest])
    pads = np.zeros(2 * (len(sides) + 1), np.int64)
    pads[len(sides) + 1 + axis + 1] = spread - 1
    x = graph.reshape(graph.add("Pad", x, pads), [*lead, side, spread, *rest], wide := [*lead, side * spread, *rest])
    kept = [*lead, side * spread - spread + 1, *rest]
    return graph.cut(x, [0] * len(wide), kept, [1] * len(wide), wide), kept


def _gathered(graph: Graph, equation: core.JaxprEqn, given: list[Value]) -> Value:
    """A part at a fixed place, or the entries along one axis by number, also of such a part."""
    numbers, sizes = equation.params["dimension_numbers"], tuple(equation.params["slice_sizes"])
    (x, index), shape, out = given, _shape(equation), tuple(_out(equation).shape)
    rows = _shape(equation, 1)[:-1]
    axes, starts = list(numbers.start_index_map), [0] * len(shape)
    for column, axis in enumerate(numbers.start_index_map):
        # Of known numbers that are the same everywhere, a part.
        if isinstance(index, np.ndarray) and (len(rows) == 0 or len(axes) > 1) and np.ptp(index[..., column]) == 0:
            starts[axis] = int(np.clip(index[..., column].flat[0], 0, shape[axis] - sizes[axis]))
            axes.remove(axis)
    # Along the axes of entries all of it is kept, along the others the part.
    part = tuple(shape[axis] if axis in axes else side for axis, side in enumerate(sizes))
    ends = [start + side if start else side for start, side in zip(starts, part, strict=True)]
    x = graph.cut(x, starts, ends, [1] * len(shape), shape)
    if not axes and not rows:
        return graph.reshape(x, part, out) if numbers.collapsed_slice_dims else x
    axis, lead = axes[0] if axes else -1, len(rows)
    order = tuple(i for i in range(len(out)) if not axis <= i < axis + lead)
    simple = len(axes) == 1 and sizes[axis] == 1 and tuple(numbers.collapsed_slice_dims) == (axis,)
    if not simple or tuple(numbers.offset_dims) != order or numbers.operand_batching_dims:
        raise FieldError("generator", "it computes a gather of many parts", "ONNX is written of whole rows of a table")
    if isinstance(index, np.ndarray):
        return graph.add("Gather", x, index[..., numbers.start_index_map.index(axis)].astype(np.int64), axis=axis)
    return graph.add("Gather", x, graph.add("Squeeze", index, np.array([lead], np.int64)), axis=axis)


TABLE: dict[str, Operator] = {
    "broadcast_in_dim": _broadcast,
    "reshape": _reshaped,
    "squeeze": _reshaped,
    "expand_dims": _reshaped,
    "transpose": lambda g, e, x: _transposed(g, x[0], e.params["permutation"]),
    "pad": _padded,
    "slice": _slice,
    "rev": _reversed,
    "concatenate": _joined,
    "stack": _stacked,
    "unstack": _unstacked,
    "split": _split,
    "reduce_sum": _summed,
    "reduce_max": _reduced,
    "reduce_min": _reduced,
    "reduce_prod": _reduced,
    "argmax": _place_of_most,
    "argmin": _place_of_most,
    "iota": _counted,
    "cumsum": _summed_up,
    "dot_general": _product,
    "conv_general_dilated": _convolved,
    "gather": _gathered,
}
