"""The strength of augmentation, steered by D's logits on real images."""

import jax
import jax.numpy as jnp

from jaxgan.core.types import Adaptive
from jaxgan.system.messages import FieldError, shown


def adapt(
    strength: jax.Array | float,
    sign_mean: jax.Array | float,
    *,
    images: int,
    target: float = 0.6,
    length: int = 500_000,
) -> jax.Array:
    """Moves the strength up where D is right on real images more often than the target says, for then D overfits; else down.

    Args:
        strength: in [0, 1], a scalar.
        sign_mean: mean sign of D's logits on real images since the last time, from -1 to 1; nearer to 1 D overfits.
        images: real images that D was shown since the last time.
        target: where the mean sign should stay.
        length: images in which the strength can go from 0 to 1.

    Returns:
        The strength moved by `images / length` up or down. It is clipped to [0, 1]: above 1, where
        probabilities end, nothing would change with multipliers of 1, and the way back would take as long.

    References:
        Karras et al. 2020, Training generative adversarial networks with limited data, section 3.1, r_t of equation 1.
    """
    return jnp.clip(strength + jnp.sign(sign_mean - target) * (images / length), 0.0, 1.0)


def adaptive(target: float = 0.6, length: int = 500_000) -> Adaptive:
    """A strength that starts at 0 and is moved by `adapt` after each step. Its memory is the strength.

    Args:
        target: where the mean sign of D's logits on real images should stay, in (-1, 1).
        length: images in which the strength can go from 0 to 1.

    Returns:
        An `Adaptive`, for `make_gan`'s `augment_strength`.

    Raises:
        ValueError: when a number is out of range.
    """
    if not -1.0 < target < 1.0:
        raise FieldError("target", shown(target), "a mean of signs to keep to must lie between -1 and 1")
    if not length >= 1:
        raise FieldError("length", shown(length), "it is a number of images and must be at least 1")

    def update(strength: jax.Array, sign_mean: jax.Array, images: int) -> jax.Array:
        return adapt(strength, sign_mean, images=images, target=target, length=length)

    return Adaptive(lambda: jnp.zeros(()), lambda strength: strength, update)
