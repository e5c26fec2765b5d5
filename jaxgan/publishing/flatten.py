"""A JAX function as a flat list of primitives, in which random draws are inputs: the form that `operators` translates.

Calls are inlined, loops of a fixed length are unrolled, unused results are left out. Platform-specific variants are replaced by
the generic one, which is plain `conv_general_dilated` where a network has a convolution.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.extend import core

from jaxgan.system.messages import FieldError

# Primitives that call a function: their results are those of the function inside.
_CALLS = {
    "jit", "pjit", "closed_call", "core_call", "remat", "remat2", "checkpoint", "custom_jvp_call", "custom_vjp_call",
    "custom_vjp_call_jaxpr", "custom_lin",
}  # fmt: skip
# `jax.random.normal` and `.uniform`, on which most distributions rest, by the names of their programs.
_DRAWS = {"_normal": "normal", "_uniform": "uniform"}
_LONGEST = 256  # steps of a loop that is unrolled


class Noise(NamedTuple):
    """Random numbers that the function draws."""

    kind: str  # normal, of mean 0 and deviation 1; or uniform, in [0, 1)
    shape: tuple[Any, ...]


@dataclass(frozen=True, eq=False)
class Flat:
    """A function as primitives in order. Its inputs are those it was given, then its noise."""

    equations: tuple[core.JaxprEqn, ...]
    inputs: tuple[core.Var, ...]
    output: Any  # Var or Literal
    constants: dict[core.Var, Any]
    noise: tuple[Noise, ...]
    widened: bool  # it computed in bfloat16, and does in float32 here


Draw = Callable[[Noise, Callable[[], jax.Array]], jax.Array]


def flatten(function: Callable[..., jax.Array], given: Sequence[Any]) -> Flat:
    """Traces a function of a key and arrays.

    bfloat16 becomes float32, in which processors and browsers compute.

    Args:
        function: `(key, *arrays) -> array`.
        given: shapes and dtypes of the arrays; sides may be symbolic.

    Returns:
        The function of the arrays and its noise; the key has no part in it any more.

    Raises:
        FieldError: when it draws anything but normal and uniform numbers, or has a loop without a fixed length.
    """
    key = jax.ShapeDtypeStruct((), jax.random.key(0).dtype)
    traced = jax.make_jaxpr(function)(key, *given)
    noise: list[Noise] = []

    def found(wanted: Noise, _: Callable[[], jax.Array]) -> jax.Array:
        noise.append(wanted)
        return jnp.zeros(wanted.shape)

    def inlined(*inputs: Any) -> jax.Array:
        here = iter(inputs[1 + len(given) :])

        def take(_: Noise, __: Callable[[], jax.Array]) -> jax.Array:
            return next(here)

        draw = take if len(inputs) > 1 + len(given) else found
        return _Interpreter(draw).run(traced.jaxpr, traced.consts, inputs[: 1 + len(given)])[0]

    jax.make_jaxpr(inlined)(key, *given)
    drawn = [jax.ShapeDtypeStruct(each.shape, jnp.float32) for each in noise]
    flat = jax.make_jaxpr(inlined)(key, *given, *drawn)
    equations = _used(flat.jaxpr)
    _check_draws_nothing(equations)
    constants = dict(zip(flat.jaxpr.constvars, flat.consts, strict=True))
    widened = _computes_in_bfloat16(traced.jaxpr)
    return Flat(equations, tuple(flat.jaxpr.invars[1:]), flat.jaxpr.outvars[0], constants, tuple(noise), widened)


def values_drawn(function: Callable[..., jax.Array], key: jax.Array, given: Sequence[Any]) -> list[np.ndarray]:
    """Returns the noise that a function draws from a key, in the order of `Flat.noise`."""
    traced = jax.make_jaxpr(function)(key, *given)
    values: list[np.ndarray] = []

    def record(_: Noise, drawn: Callable[[], jax.Array]) -> jax.Array:
        value = drawn()
        values.append(np.asarray(value, np.float32))
        return value

    _Interpreter(record).run(traced.jaxpr, traced.consts, (key, *given))
    return values


class _Interpreter:
    """Runs the equations of a jaxpr, one by one, on arrays or on what stands for them while a function is traced."""

    def __init__(self, draw: Draw) -> None:
        self.draw = draw

    def run(self, jaxpr: core.Jaxpr, constants: Sequence[Any], inputs: Sequence[Any]) -> list[Any]:
        values: dict[Any, Any] = {}
        for variable, value in (*zip(jaxpr.constvars, constants, strict=True), *zip(jaxpr.invars, inputs, strict=True)):
            values[variable] = _widened(value)

        def of(each: Any) -> Any:
            return _widened(each.val) if isinstance(each, core.Literal) else values[each]

        for equation in jaxpr.eqns:
            results = self.one(equation, [of(each) for each in equation.invars])
            values.update(zip(equation.outvars, results, strict=True))
        return [of(each) for each in jaxpr.outvars]

    def one(self, equation: core.JaxprEqn, inputs: list[Any]) -> Sequence[Any]:
        name, about = equation.primitive.name, equation.params
        if name == "platform_index":
            return [None]  # whose branch is chosen below
        if name in _CALLS:
            return self._call(equation, inputs)
        if name == "cond" and about.get("branches_platforms") is not None:
            return self._inside(about["branches"][_of_any_platform(about["branches_platforms"])], inputs[1:])
        if name == "scan":
            return self._scan(equation, inputs)
        if name in ("while", "cond"):
            words = f"it has a {'loop of no fixed length' if name == 'while' else 'branch chosen by its data'}"
            raise FieldError("generator", words, "ONNX is written without; write .jaxgan instead", link="; ")
        if name == "pad" and any(inner for _, _, inner in about["padding_config"]):
            return [_spread(inputs[0], inputs[1], about["padding_config"])]
        result = equation.primitive.bind(*inputs, **{key: _widened_dtype(value) for key, value in about.items()})
        return result if equation.primitive.multiple_results else [result]

    def _call(self, equation: core.JaxprEqn, inputs: list[Any]) -> Sequence[Any]:
        called = next(each for each in equation.params.values() if isinstance(each, core.ClosedJaxpr | core.Jaxpr))
        name = str(equation.params.get("name", ""))
        if (kind := _DRAWS.get(name)) is None or not _is_key(equation.invars[0]):
            return self._inside(called, inputs)
        noise = Noise(kind, tuple(kind_of(equation.outvars[0]).shape))

        def drawn() -> jax.Array:
            values = inputs if kind == "normal" else [inputs[0], np.float32(0.0), np.float32(1.0)]
            return jnp.asarray(equation.primitive.bind(*values, **equation.params)[0])

        value = self.draw(noise, drawn)
        return [value if kind == "normal" else value * (inputs[2] - inputs[1]) + inputs[1]]

    def _inside(self, called: Any, inputs: Sequence[Any]) -> list[Any]:
        is_closed = isinstance(called, core.ClosedJaxpr)
        return self.run(called.jaxpr if is_closed else called, called.consts if is_closed else (), inputs)

    def _scan(self, equation: core.JaxprEqn, inputs: list[Any]) -> list[Any]:
        about, body = equation.params, equation.params["jaxpr"]
        length, inner = about["length"], body.jaxpr if isinstance(body, core.ClosedJaxpr) else body
        # JAX's versions say in different ways which are carried: those whose shape is the same within and without.
        carried = sum(_same_rank(*each) for each in zip(equation.outvars, inner.outvars, strict=True))
        fixed = sum(_same_rank(*each) for each in zip(equation.invars, inner.invars, strict=True)) - carried
        if not isinstance(length, int) or length > _LONGEST:
            raise FieldError("generator", f"it has a loop of {length} steps", f"up to {_LONGEST} are written out as ONNX")
        held, carry, rows = inputs[:fixed], inputs[fixed : fixed + carried], inputs[fixed + carried :]
        made: list[list[Any]] = [[] for _ in range(length)]
        for i in reversed(range(length)) if about["reverse"] else range(length):
            results = self._inside(body, [*held, *carry, *(lax.index_in_dim(each, i, keepdims=False) for each in rows)])
            carry, made[i] = results[:carried], results[carried:]
        stacked = [lax.concatenate([lax.expand_dims(y, (0,)) for y in each], 0) for each in zip(*made, strict=True)]
        return [*carry, *stacked]


def kind_of(variable: Any) -> Any:
    """Returns shape and dtype of a variable or literal of a jaxpr."""
    return variable.aval


def _of_any_platform(platforms: Sequence[Any]) -> int:
    return next((place for place, each in enumerate(platforms) if each is None), len(platforms) - 1)


def _same_rank(one: Any, other: Any) -> bool:
    return len(kind_of(one).shape) == len(kind_of(other).shape)


def _is_key(variable: Any) -> bool:
    return bool(jnp.issubdtype(kind_of(variable).dtype, jax.dtypes.prng_key))


def _widened(value: Any) -> Any:
    is_short = getattr(value, "dtype", None) == jnp.bfloat16
    return jnp.asarray(value, jnp.float32) if is_short else value


def _widened_dtype(value: Any) -> Any:
    is_short = isinstance(value, np.dtype | type) and value in (jnp.bfloat16, np.dtype(jnp.bfloat16))
    return np.dtype(np.float32) if is_short else value


def _spread(x: jax.Array, fill: jax.Array, config: Sequence[tuple[int, int, int]]) -> jax.Array:
    """`lax.pad` with padding between the elements, which ONNX has not: an axis of them, then one of the rest."""
    for axis, (_, _, inner) in enumerate(config):
        if inner:
            side = x.shape[axis]
            apart = lax.expand_dims(x, (axis + 1,))
            apart = lax.pad(apart, fill, [(0, inner if i == axis + 1 else 0, 0) for i in range(apart.ndim)])
            joined = lax.reshape(apart, (*x.shape[:axis], side * (inner + 1), *x.shape[axis + 1 :]))
            x = lax.slice_in_dim(joined, 0, side * (inner + 1) - inner, axis=axis)
    return lax.pad(x, fill, [(low, high, 0) for low, high, _ in config])


def _used(jaxpr: core.Jaxpr) -> tuple[core.JaxprEqn, ...]:
    """The equations that the results rest on, in order."""
    wanted = {each for each in jaxpr.outvars if isinstance(each, core.Var)}
    kept = []
    for equation in reversed(jaxpr.eqns):
        if not wanted.isdisjoint(equation.outvars):
            kept.append(equation)
            wanted.update(each for each in equation.invars if isinstance(each, core.Var))
    return tuple(reversed(kept))


def _check_draws_nothing(equations: Sequence[core.JaxprEqn]) -> None:
    """Refuses random numbers that remain: a file that drew them by itself would be another function."""
    for name in (each.primitive.name for each in _every(equations)):
        if name.startswith(("random_", "threefry", "rng_")):
            allowed = "as inputs of an .onnx file it can have jax.random.normal and .uniform; write .jaxgan instead"
            raise FieldError("generator", f"it draws random numbers by {name}", allowed, link="; ")


def _computes_in_bfloat16(jaxpr: core.Jaxpr) -> bool:
    made = (each for equation in _every(jaxpr.eqns) for each in equation.outvars)
    return any(getattr(each.aval, "dtype", None) == jnp.bfloat16 for each in made)


def _every(equations: Sequence[core.JaxprEqn]) -> Iterator[core.JaxprEqn]:
    """All equations, those of functions inside as well."""
    for equation in equations:
        yield equation
        for value in equation.params.values():
            for inner in value if isinstance(value, tuple | list) else (value,):
                if isinstance(inner, core.ClosedJaxpr | core.Jaxpr):
                    yield from _every((inner.jaxpr if isinstance(inner, core.ClosedJaxpr) else inner).eqns)
