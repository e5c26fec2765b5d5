"""Each primitive of JAX that a generator is made of, as operators of ONNX; what is not in the table is refused by name."""

import functools
import string
from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax.extend import core

from jaxgan.publishing.flatten import Flat, kind_of
from jaxgan.publishing.graph import Graph, Value
from jaxgan.system.messages import FieldError

Operator = Callable[[Graph, core.JaxprEqn, list[Value]], Any]
_SMALL = 1024  # elements: what is known is computed at once, unless it grows beyond this

# Element by element, between tensors that are broadcast to each other.
_ELEMENTWISE = {
    "add": "Add", "add_any": "Add", "sub": "Sub", "mul": "Mul", "div": "Div", "max": "Max", "min": "Min", "pow": "Pow",
    "neg": "Neg", "exp": "Exp", "log": "Log", "tanh": "Tanh", "logistic": "Sigmoid", "sin": "Sin", "cos": "Cos", "tan": "Tan",
    "sinh": "Sinh", "cosh": "Cosh", "asin": "Asin", "acos": "Acos", "atan": "Atan", "asinh": "Asinh", "acosh": "Acosh",
    "atanh": "Atanh", "sqrt": "Sqrt", "abs": "Abs", "sign": "Sign", "floor": "Floor", "ceil": "Ceil", "erf": "Erf",
    "eq": "Equal", "lt": "Less", "le": "LessOrEqual", "gt": "Greater", "ge": "GreaterOrEqual",
    "copy": "Identity", "copy_p": "Identity",
}  # fmt: skip
_LOGICAL = {"and": "And", "or": "Or", "xor": "Xor", "not": "Not"}
_UNCHANGED = ("optimization_barrier", "stop_gradient", "sharding_constraint", "reduce_precision", "mesh_cast", "reshard")
_REDUCED = {"reduce_max": "ReduceMax", "reduce_min": "ReduceMin", "reduce_prod": "ReduceProd"}


def translate(graph: Graph, flat: Flat, inputs: Sequence[str]) -> Value:
    """Appends a function's equations to a graph.

    Args:
        graph: with these inputs.
        flat: the function.
        inputs: names of its inputs.

    Returns:
        Its output, by name, or known.

    Raises:
        FieldError: when a primitive has no ONNX form here, by its name.
    """
    values: dict[Any, Value] = {each: np.asarray(x) for each, x in flat.constants.items()}
    values.update(zip(flat.inputs, inputs, strict=True))

    def of(each: Any) -> Value:
        return np.asarray(each.val, kind_of(each).dtype) if isinstance(each, core.Literal) else values[each]

    for equation in flat.equations:
        given = [of(each) for each in equation.invars]
        results = _known(equation, given)
        if results is None:
            found = _one(graph, equation, given)
            results = found if isinstance(found, list) else [found]
        values.update(zip(equation.outvars, results, strict=True))
    return graph.whole(of(flat.output))


def _known(equation: core.JaxprEqn, given: list[Value]) -> list[np.ndarray] | None:
    """The results where all inputs are known and they do not grow: computed now, not each time that the file is run."""
    shapes = [kind_of(each).shape for each in equation.outvars]
    if any(isinstance(each, str) for each in given) or not all(isinstance(n, int) for shape in shapes for n in shape):
        return None
    if sum(int(np.prod(shape)) for shape in shapes) > max(_SMALL, 2 * sum(each.size for each in given)):
        return None
    results = equation.primitive.bind(*map(jnp.asarray, given), **equation.params)
    return [np.asarray(each) for each in (results if equation.primitive.multiple_results else [results])]


def _one(graph: Graph, equation: core.JaxprEqn, given: list[Value]) -> Any:
    name = equation.primitive.name
    if name in _UNCHANGED:
        return given[: len(equation.outvars)]
    is_logical = equation.outvars and kind_of(equation.outvars[0]).dtype == bool
    operator = _ELEMENTWISE.get(name) or (_LOGICAL.get(name) if is_logical else None)
    if operator is not None:
        return _elementwise(graph, given, lambda *x: graph.add(operator, *x))
    if name in _COMPOSED:
        return _elementwise(graph, given, functools.partial(_COMPOSED[name], graph, equation))
    if name in _TABLE:
        return _TABLE[name](graph, equation, [graph.whole(each) for each in given])
    allowed = "its ONNX form is not known here; write .jaxgan, or put it in other words of jax.numpy"
    raise FieldError("generator", f"it computes {name}", allowed, link="; ")


def _elementwise(graph: Graph, given: list[Value], made: Callable[..., str]) -> Value:
    """A result of operands that are broadcast where they are used; where all would be, so is the result later."""
    thin = [each for each in given if isinstance(each, str) and each in graph.broadcast]
    numbers = sum(isinstance(each, np.ndarray) and each.ndim == 0 for each in given)
    if len(thin) + numbers < len(given):
        return made(*given)
    if len(thin) == 1:
        result = made(*given)
        graph.broadcast[result] = graph.broadcast[thin[0]]
        return result
    return made(*(graph.whole(each) for each in given))


def _shape(equation: core.JaxprEqn, place: int = 0) -> tuple[Any, ...]:
    return tuple(kind_of(equation.invars[place]).shape)


def _out(equation: core.JaxprEqn) -> Any:
    return kind_of(equation.outvars[0])


def _onnx_type(dtype: Any) -> int:
    from onnx import helper

    return int(helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))


def _cast(graph: Graph, value: Value, dtype: Any) -> Value:
    return graph.add("Cast", value, to=_onnx_type(dtype))


def _one_of(equation: core.JaxprEqn, number: float) -> np.ndarray:
    return np.asarray(number, kind_of(equation.invars[0]).dtype)


def _integer_power(graph: Graph, equation: core.JaxprEqn, x: Value) -> str:
    power = equation.params["y"]
    return graph.add("Mul", x, x) if power == 2 else graph.add("Pow", x, _one_of(equation, power))


def _chosen(graph: Graph, equation: core.JaxprEqn, which: Value, *cases: Value) -> str:
    if len(cases) != 2 or kind_of(equation.invars[0]).dtype != bool:
        raise FieldError("generator", f"it computes select_n of {len(cases)} cases", "ONNX is written of two")
    leak = _leak(graph, which, *cases)
    return graph.add("Where", which, cases[1], cases[0]) if leak is None else graph.add("LeakyRelu", cases[1], alpha=leak)


def _leak(graph: Graph, which: Value, negative: Value, positive: Value) -> float | None:
    """The slope a of `where(x > 0, x, a x)`, which is one operator; None of any other choice."""
    above, scaled = graph.made_by(which), graph.made_by(negative)
    if above is None or scaled is None or (above.op_type, scaled.op_type) != ("Greater", "Mul"):
        return None
    zero, (first, second) = graph.arrays.get(above.input[1]), scaled.input
    slope = graph.arrays.get(first if second == positive else second)
    if (
        above.input[0] != positive
        or positive not in (first, second)
        or slope is None
        or slope.ndim
        or zero is None
        or zero.any()
    ):
        return None
    return float(slope)


def _rounded(graph: Graph, equation: core.JaxprEqn, x: Value) -> str:
    if int(equation.params["rounding_method"]) == 1:
        return graph.add("Round", x)
    half = graph.add("Floor", graph.add("Add", graph.add("Abs", x), _one_of(equation, 0.5)))
    return graph.add("Mul", graph.add("Sign", x), half)


# Element by element too, of several operators.
_COMPOSED: dict[str, Callable[..., str]] = {
    "square": lambda g, _, x: g.add("Mul", x, x),
    "integer_pow": _integer_power,
    "rsqrt": lambda g, _, x: g.add("Reciprocal", g.add("Sqrt", x)),
    "exp2": lambda g, e, x: g.add("Exp", g.add("Mul", x, _one_of(e, np.log(2.0)))),
    "log1p": lambda g, e, x: g.add("Log", g.add("Add", x, _one_of(e, 1.0))),
    "expm1": lambda g, e, x: g.add("Sub", g.add("Exp", x), _one_of(e, 1.0)),
    "erfc": lambda g, e, x: g.add("Sub", _one_of(e, 1.0), g.add("Erf", x)),
    "ne": lambda g, _, x, y: g.add("Not", g.add("Equal", x, y)),
    "rem": lambda g, _, x, y: g.add("Mod", x, y, fmod=1),
    "clamp": lambda g, _, low, x, high: g.add("Min", g.add("Max", x, low), high),
    "select_n": _chosen,
    "round": _rounded,
    "convert_element_type": lambda g, e, x: _cast(g, x, e.params["new_dtype"]),
    "is_finite": lambda g, _, x: g.add("Not", g.add("Or", g.add("IsNaN", x), g.add("IsInf", x))),
}


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
    return _cast(graph, found, equation.params["index_dtype"])


def _counted(graph: Graph, equation: core.JaxprEqn, _: list[Value]) -> Value:
    shape, axis = tuple(equation.params["shape"]), equation.params["dimension"]
    zero, one = np.array(0, np.int64), np.array(1, np.int64)
    side = graph.sides([shape[axis]])
    end = side[0] if isinstance(side, np.ndarray) else graph.add("Squeeze", side)
    places = _cast(graph, graph.add("Range", zero, end, one), equation.params["dtype"])
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


_TABLE: dict[str, Operator] = {
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
