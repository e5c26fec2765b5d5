"""ONNX operators for each JAX primitive that a generator uses; a primitive that is not in the table is refused by name."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax.extend import core

from jaxgan.publishing.flatten import Flat, kind_of
from jaxgan.publishing.graph import Graph, Value
from jaxgan.publishing.layouts import TABLE, cast
from jaxgan.system.messages import FieldError

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
    if name in TABLE:
        return TABLE[name](graph, equation, [graph.whole(each) for each in given])
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
    "convert_element_type": lambda g, e, x: cast(g, x, e.params["new_dtype"]),
    "is_finite": lambda g, _, x: g.add("Not", g.add("Or", g.add("IsNaN", x), g.add("IsInf", x))),
}
