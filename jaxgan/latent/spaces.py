"""The latent spaces of a generator: z, and where it maps z to styles first, W and W+."""

from typing import Any

import jax
import jax.numpy as jnp

from jaxgan.core import gan
from jaxgan.core.types import Draws, Images, Key, Latents, Weights
from jaxgan.system.messages import FieldError, not_one_of

NAMES = ("z", "w", "w+")


def check(draws: Draws, space: str) -> None:
    """Refuses a space that a generator does not have.

    Raises:
        FieldError: with the spaces that it has.
    """
    if space not in NAMES:
        raise not_one_of("space", space, NAMES)
    if space != "z" and (draws.generator.map is None or draws.generator.synthesize is None):
        raise FieldError("space", space, "this generator has no mapping to styles; its space is z")
    z = jax.eval_shape(lambda: draws.latent(jax.random.key(0), (draws.latent_dim,)))
    if space == "z" and not jnp.issubdtype(z.dtype, jnp.floating):
        raise FieldError("space", space, f"this generator's z are {z.dtype}, between which there is no way")


def codes_of(draws: Draws, space: str, weights: Weights, key: Key, z: Latents, given: Any) -> jax.Array:
    """Returns the latents in a space that belong to z.

    Args:
        draws: whatever holds the generator.
        space: z, w (one style for all layers) or w+ (one for each).
        weights: of the generator.
        key: for noise within the generator.
        z: `[N, D]`.
        given: labels `[N]` int32, or conditions.

    Returns:
        `[N, D]` of z, `[N, D_w]` of w, `[N, L, D_w]` of w+.
    """
    if space == "z":
        return z
    assert draws.generator.map is not None
    w, _ = draws.generator.map(*weights, z, given, _noise(key), train=False)
    return w if space == "w+" else w[:, 0]


def layers_of(draws: Draws, weights: Weights, z: Latents, given: Any) -> int:
    """Returns the number of styles of a generator that has a mapping."""
    styles = jax.eval_shape(lambda: codes_of(draws, "w+", weights, jax.random.key(0), z, given))
    return int(styles.shape[1])


def images_of(draws: Draws, space: str, weights: Weights, key: Key, codes: jax.Array, given: Any, layers: int = 1) -> Images:
    """Maps latents of a space to images, as sampling does.

    Args:
        draws: whatever holds the generator.
        space: of the latents.
        weights: of the generator.
        key: for noise within the generator.
        codes: `[N, ...]`, as `codes_of` returns them.
        given: labels `[N]` int32, or conditions; styles hold theirs already.
        layers: number of styles, for w.

    Returns:
        Images `[N, ...]` as the generator makes them.
    """
    if space == "z":
        return gan.sample(draws, weights, key, given, z=codes)
    assert draws.generator.synthesize is not None
    w = codes if space == "w+" else jnp.broadcast_to(codes[:, None], (len(codes), layers, codes.shape[-1]))
    return draws.generator.synthesize(*weights, w, _noise(key), train=False)


def _noise(key: Key) -> Key:
    """Returns the key that `gan.sample` hands to the generator, so that an image of a style is that of its z."""
    return jax.random.fold_in(key, 2**32 - 1)
