"""What a function costs before anything is computed: its floating-point operations and its memory, read off its jaxpr."""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import numpy as np

# Values of these are the value they are given, in another order or under another shape: no memory of their own.
_SAME = ("reshape", "squeeze", "expand_dims", "transpose", "stop_gradient", "copy", "copy_p", "optimization_barrier")
# What a compiler computes again wherever it is used, rather than keep it: elementwise, or a choice of elements.
_FUSED = (
    "abs", "add", "add_any", "and", "atan2", "broadcast_in_dim", "cbrt", "ceil", "clamp", "convert_element_type", "cos",
    "cosh", "div", "eq", "erf", "erf_inv", "exp", "exp2", "expm1", "floor", "ge", "gt", "integer_pow", "iota", "is_finite",
    "le", "log", "log1p", "logistic", "lt", "max", "min", "mul", "ne", "neg", "not", "or", "pad", "population_count", "pow",
    "reduce_precision", "rem", "rev", "round", "rsqrt", "select_n", "shift_left", "shift_right_arithmetic",
    "shift_right_logical", "sign", "sin", "sinh", "slice", "split", "sqrt", "square", "sub", "tan", "tanh", "xor", "empty",
    "empty2", "real", "imag",
)  # fmt: skip
_REDUCTIONS = ("reduce_sum", "reduce_max", "reduce_min", "reduce_prod", "reduce_and", "reduce_or", "argmax", "argmin")


class Value(NamedTuple):
    """An array that a program holds."""

    number: int
    shape: tuple[int, ...]
    bytes: int


class Operation(NamedTuple):
    """One step of a program; loops and choices have programs of their own."""

    name: str
    params: dict[str, Any]
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    inner: tuple["Program", ...]
    times: int  # that each of them runs; of a choice one does


class Program(NamedTuple):
    """A function written out: what it is given, does and returns. What nobody asks for is not in it."""

    inputs: tuple[Value, ...]
    operations: tuple[Operation, ...]
    outputs: tuple[Value, ...]


def program(jaxpr: Any, *, platform: str | None = None) -> Program:
    """Writes out what `jax.make_jaxpr` has traced, on abstract arguments or others.

    Calls are inlined, operations whose result nobody asks for are left out, and one that is written twice is done once, as
    a compiler has it.

    Args:
        jaxpr: of any function.
        platform: where code differs by platform (`lax.platform_dependent`), the one taken: `cpu`, `cuda`, `tpu`; by default
            that of every platform without code of its own.

    Returns:
        A `Program`.
    """
    return _Writer(platform).program(_open(jaxpr))


def flops(of: Program) -> int:
    """Floating-point operations of matrix products and convolutions, 2 for each multiplication and addition.

    `2 B M K N` of a product `[B, M, K] [B, K, N]`; `2 B H W O K_h K_w I / groups` of a convolution with outputs `[B, H, W, O]`,
    in the direct form, its padding counted and the holes of a dilated input not. A loop counts as often as it runs, where that
    is known, and of a choice the greatest alternative. Everything else is left out: it is a small part of a network.

    Returns:
        A count.
    """
    return sum(_flops(operation) for operation in of.operations)


def conditional_flops(of: Program) -> list[int]:
    """Of each choice at the top of a program that has any, in order: by how much the greatest alternative exceeds the least."""
    spans = []
    for operation in of.operations:
        if operation.name == "cond":
            each = [flops(inner) for inner in operation.inner]
            spans.append(max(each) - min(each))
    return [span for span in spans if span]


def peak(of: Program) -> int:
    """Bytes of the intermediate values that a program holds at once, at most, an estimate.

    Values live from the operation that makes them to the last that needs them, in the order in which they are written.
    Elementwise results are taken to be fused into what uses them, unless a matrix product or a convolution does, so that not
    they are held, but what they are computed of. What the program is given and what it returns is not counted.

    Returns:
        Bytes.
    """
    held = _held(of)
    sizes = {value.number: value.bytes for operation in of.operations for value in operation.outputs}
    needs: dict[int, frozenset[int]] = {}  # value -> those in memory that it is computed of
    reads = []  # of each operation: the values in memory that it needs
    for operation in of.operations:
        read = frozenset[int]().union(*(needs.get(value.number, frozenset()) for value in operation.inputs))
        made = [value.number for value in operation.outputs]
        needs |= {number: frozenset([number]) if number in held else read for number in made}
        reads.append(read if not held.isdisjoint(made) or operation.name not in _FUSED else frozenset())
    last = {number: i for i, read in enumerate(reads) for number in read}
    outside = {value.number for value in of.outputs}
    ends: dict[int, list[int]] = {}
    for number, i in last.items():
        ends.setdefault(i, []).append(number)
    live = most = 0
    for i, operation in enumerate(of.operations):
        new = [n for v in operation.outputs if (n := v.number) in held and n in last and n not in outside]
        live += sum(sizes[number] for number in new)
        within = max((peak(inner) for inner in operation.inner), default=0)
        most = max(most, live + within)
        live -= sum(sizes[number] for number in ends.get(i, ()) if number not in outside)
    return most


def tree_bytes(tree: Any) -> int:
    """Bytes of the arrays in a pytree, abstract ones too."""
    return sum(_bytes(leaf) for leaf in jax.tree.leaves(tree))


def _held(of: Program) -> set[int]:
    """The values that come to lie in memory."""
    held = set()
    for operation in of.operations:
        if operation.name not in _FUSED:
            held |= {value.number for value in operation.outputs}
            if operation.name not in _REDUCTIONS:  # these read what they need as it is computed
                held |= {value.number for value in operation.inputs}
    return held | {value.number for value in of.outputs}


def _flops(operation: Operation) -> int:
    if operation.inner:
        each = [flops(inner) for inner in operation.inner]
        return max(each) if operation.name == "cond" else operation.times * sum(each)
    if operation.name == "dot_general":
        contracting = operation.params["dimension_numbers"][0][0]
        left = operation.inputs[0].shape
        return 2 * math.prod(operation.outputs[0].shape) * math.prod(left[axis] for axis in contracting)
    if operation.name == "conv_general_dilated":
        kernel, numbers = operation.inputs[1].shape, operation.params["dimension_numbers"]
        taps = math.prod(kernel[axis] for axis in numbers.rhs_spec[1:])  # of inputs of the group, rows, columns
        holes = math.prod(operation.params["lhs_dilation"])
        return 2 * math.prod(operation.outputs[0].shape) * taps // holes
    return 0


class _Writer:
    """Writes jaxprs out, from the outermost inwards."""

    def __init__(self, platform: str | None) -> None:
        self.platform = platform
        self.count = 0
        self.scopes = 0
        self.constants: dict[tuple[str, str], Value] = {}

    def program(self, jaxpr: Any) -> Program:
        operations: list[Operation] = []
        names: dict[Any, Value] = {var: self.value(var) for var in (*jaxpr.constvars, *jaxpr.invars)}
        inputs = tuple(names.values())
        self.write(jaxpr, names, operations, {}, 0)
        outputs = tuple(self.read(atom, names) for atom in jaxpr.outvars)
        return Program(inputs, tuple(_asked_for(operations, outputs)), outputs)

    def value(self, of: Any) -> Value:
        self.count += 1
        return Value(self.count, tuple(getattr(of.aval, "shape", ())), _bytes(of.aval))

    def read(self, atom: Any, names: dict[Any, Value]) -> Value:
        if not _is_literal(atom):
            return names[atom]
        # A constant of the code is a value that nothing makes, the same one wherever it stands.
        key = (str(atom), str(atom.aval))
        if key not in self.constants:
            self.constants[key] = self.value(atom)
        return self.constants[key]

    def write(
        self, jaxpr: Any, names: dict[Any, Value], operations: list[Operation], known: dict[Any, Any], scope: int
    ) -> None:
        """Appends a jaxpr's operations, and names its values."""
        for equation in jaxpr.eqns:
            inputs = tuple(self.read(atom, names) for atom in equation.invars)
            name = equation.primitive.name
            body, given = self.body(equation, inputs)
            if body is not None:
                inside = scope
                if name in ("remat", "remat2", "checkpoint"):  # what it does again is not to be merged with the first time
                    self.scopes += 1
                    inside = self.scopes
                self.call(body, given, equation.outvars, names, operations, known, inside)
                continue
            if name in _SAME:
                names |= {var: self.alias(var, value) for var, value in zip(equation.outvars, inputs, strict=False)}
                continue
            key = _key(equation, inputs, scope)
            if key not in known or key is None:
                made = tuple(self.value(var) for var in equation.outvars)
                inner, times = self.inner(equation)
                operations.append(Operation(name, equation.params, inputs, made, inner, times))
                known[key] = made
            names |= dict(zip(equation.outvars, known[key], strict=True))

    def alias(self, var: Any, value: Value) -> Value:
        return value._replace(shape=tuple(var.aval.shape))

    def call(
        self,
        body: Any,
        given: tuple[Value, ...],
        outvars: Any,
        names: dict[Any, Value],
        operations: list[Operation],
        known: dict[Any, Any],
        scope: int,
    ) -> None:
        inner = dict(zip(body.invars, given, strict=True)) | {var: self.value(var) for var in body.constvars}
        self.write(body, inner, operations, known, scope)
        names |= {var: self.read(atom, inner) for var, atom in zip(outvars, body.outvars, strict=True)}

    def body(self, equation: Any, inputs: tuple[Value, ...]) -> tuple[Any, tuple[Value, ...]]:
        """The jaxpr that an operation only calls, and what it is called with; None of loops, choices and plain ones."""
        params = equation.params
        if (platforms := params.get("branches_platforms")) is not None:
            chosen = next(i for i, names in enumerate(platforms) if names is None or self.platform in names)
            return _open(params["branches"][chosen]), inputs[1:]
        if equation.primitive.name in ("scan", "while", "cond"):
            return None, ()
        found = [params[name] for name in ("jaxpr", "call_jaxpr", "fun_jaxpr") if name in params]
        return (_open(found[0]), inputs) if found else (None, ())

    def inner(self, equation: Any) -> tuple[tuple[Program, ...], int]:
        name, params = equation.primitive.name, equation.params
        if name == "scan":
            return (self.program(_open(params["jaxpr"])),), params["length"]
        if name == "while":
            return tuple(self.program(_open(params[part])) for part in ("cond_jaxpr", "body_jaxpr")), 1
        if name == "cond":
            return tuple(self.program(_open(branch)) for branch in params["branches"]), 1
        return (), 1


def _asked_for(operations: list[Operation], outputs: tuple[Value, ...]) -> Iterator[Operation]:
    wanted = {value.number for value in outputs}
    kept = []
    for operation in reversed(operations):
        if any(value.number in wanted for value in operation.outputs):
            wanted |= {value.number for value in operation.inputs}
            kept.append(operation)
    return reversed(kept)


def _key(equation: Any, inputs: tuple[Value, ...], scope: int) -> Any:
    """Returns what two operations that compute the same have in common; None where that cannot be told."""
    given = tuple((value.number, value.shape) for value in inputs)
    key = (equation.primitive.name, given, tuple(sorted(equation.params.items())), scope)
    try:
        hash(key)
    except TypeError:  # a parameter that is an array, or a dict
        return None
    return key


def _is_literal(atom: Any) -> bool:
    return hasattr(atom, "val")


def _open(jaxpr: Any) -> Any:
    """The jaxpr itself, of a closed one too."""
    return getattr(jaxpr, "jaxpr", jaxpr)


def _bytes(of: Any) -> int:
    """Of an array or what stands for one; a key is two words."""
    dtype = getattr(of, "dtype", None)
    if dtype is None:
        return 0
    size = 8 if jax.dtypes.issubdtype(dtype, jax.dtypes.extended) else np.dtype(dtype).itemsize
    return math.prod(of.shape) * size
