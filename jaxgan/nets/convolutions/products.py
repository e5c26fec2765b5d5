"""Matrix products with many rows, whose gradients XLA is told how to order."""

import jax
import jax.numpy as jnp
from jax import lax


def full_precision(x: jax.Array) -> jax.Array:
    """Casts to float32 at least: for sums of many terms, and for the output of a network."""
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def fewer(count: int, least: int) -> bool:
    """True for a number of rows below a limit; a symbolic one, of a program for batches of any size, is never below."""
    return isinstance(count, int) and count < least


def product(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """`x @ kernel`, matrices or as many of both, where the rows of x are many.

    Args:
        x: `[..., N, I]`.
        kernel: `[..., I, O]`.

    Returns:
        `[..., N, O]`.
    """
    return lax.platform_dependent(x, kernel, cpu=tall_product, default=jnp.matmul)


def pointwise(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """`x @ kernel` over the last axis, `[..., I]` and `[I, O]` to `[..., O]`: of pixels, a convolution of size 1."""
    return product(x.reshape(-1, x.shape[-1]), kernel).reshape(*x.shape[:-1], kernel.shape[1])


@jax.custom_jvp
def tall_product(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """`x @ kernel`, `[.., N, K] [.., K, O]` with a large N, whose gradient in the kernel puts the narrower operand first.

    That gradient contracts the N rows of both operands, and XLA's CPU product makes 1.1 to 2 times as much of its time when
    the first has fewer columns, unless rows are fewer still. Only the linear map from the kernel's tangent is written
    otherwise, so forward mode, and derivatives of any order, are those of `x @ kernel`.
    """
    return x @ kernel


@tall_product.defjvp
def _tall_product_jvp(
    primals: tuple[jax.Array, jax.Array], tangents: tuple[jax.Array, jax.Array]
) -> tuple[jax.Array, jax.Array]:
    (x, kernel), (dx, dkernel) = primals, tangents
    y = tall_product(x, kernel)
    if kernel.shape[-2] <= kernel.shape[-1] or x.shape[-2] < kernel.shape[-2]:
        return y, tall_product(dx, kernel) + x @ dkernel
    # The barrier keeps XLA from taking the transpose back.
    across = lax.optimization_barrier(jnp.swapaxes(dkernel, -1, -2))
    last, batch = x.ndim - 1, tuple(range(x.ndim - 2))
    return y, tall_product(dx, kernel) + lax.dot_general(x, across, (((last,), (last,)), (batch, batch)))
