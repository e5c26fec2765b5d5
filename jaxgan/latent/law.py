"""Statistics of latents estimated from draws: moments, range and norms, whatever distribution they are drawn from."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

DRAWN = 4_096  # latents from which the statistics are estimated
_CONCENTRATED = 1 / 3  # deviation of the norms over their mean; of N(0, I) below this from 5 dimensions on


class Law(NamedTuple):
    """Moments, range and norms of latents `[*shape]`; a latent is the last axis, the axes before are layers."""

    mean: jax.Array  # [*shape]
    deviation: jax.Array  # [*shape], of each coordinate
    low: jax.Array  # [*shape], the minimum of each coordinate
    high: jax.Array  # [*shape]
    norms: tuple[jax.Array, jax.Array]  # [*shape[:-1], 1], minimum and maximum
    concentrated: jax.Array  # bool, norms hardly vary, as those of N(0, I) in many dimensions


def law_of(codes: jax.Array) -> Law:
    """Returns the statistics of a sample of latents.

    Args:
        codes: `[N, *shape]`, a few thousand.
    """
    norms = jnp.linalg.norm(codes, axis=-1, keepdims=True)
    deviation = codes.std(axis=0)
    spread = (norms.std(axis=0) / jnp.maximum(norms.mean(axis=0), 1e-12)).max()
    return Law(
        codes.mean(axis=0),
        jnp.where(deviation > 0, deviation, 1.0),
        codes.min(axis=0),
        codes.max(axis=0),
        (norms.min(axis=0), norms.max(axis=0)),
        spread < _CONCENTRATED,
    )


def kept(law: Law, codes: jax.Array) -> jax.Array:
    """Moves latents back into the region that their distribution draws from: clips coordinates to their range, then norms.

    So uniform latents stay in their cube, those of a sphere on it, and normal ones near their usual norm, and the user need
    not name the distribution.

    Args:
        law: of the latents.
        codes: `[N, *shape]`.

    Returns:
        The same shape.
    """
    codes = jnp.clip(codes, law.low[None], law.high[None])
    norms = jnp.linalg.norm(codes, axis=-1, keepdims=True)
    return codes * (jnp.clip(norms, law.norms[0][None], law.norms[1][None]) / jnp.maximum(norms, 1e-12))
