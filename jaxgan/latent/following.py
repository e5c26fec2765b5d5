"""Following the operations of a traced JAX function, one by one: what `first_layer` and `mixing` share."""

from typing import Any

from jax.extend.core import ClosedJaxpr, Jaxpr

# Operations that only call another program, which is followed into.
CALLS = {"jit", "pjit", "closed_call", "core_call", "checkpoint", "remat", "remat2", "custom_jvp_call", "custom_vjp_call"}


def called(params: dict[str, Any]) -> ClosedJaxpr | None:
    """Returns the program that an operation calls; None where it holds none."""
    for name in ("call_jaxpr", "jaxpr", "fun_jaxpr"):
        inner = params.get(name)
        if isinstance(inner, ClosedJaxpr):
            return inner
        if isinstance(inner, Jaxpr):
            return ClosedJaxpr(inner, ())
    return None


def computed(eqn: Any, inputs: list[Any]) -> list[Any]:
    """Returns what an operation makes of its inputs."""
    out = eqn.primitive.bind(*inputs, **eqn.primitive.get_bind_params(eqn.params))
    return list(out) if eqn.primitive.multiple_results else [out]
