"""Functions of the number of images shown to D, and optimizers that follow them.

Time is counted in images, not steps, so that a schedule survives a change of batch size.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from jaxgan.core.types import PyTree, Schedule


def cosine(start: float, end: float, images: float, warm: float = 0.0) -> Schedule:
    r"""Half a cosine from `start` to `end`, which then stays.

    `v(n) = start + (end - start) (1 - cos(pi t)) / 2` with `t = clip((n - warm) / (images - warm), 0, 1)`

    Args:
        start: value at the first image.
        end: value from image `images` on.
        images: length in images shown.
        warm: images during which the value stays at `start`.

    Returns:
        A schedule: images shown, scalar -> value, scalar float32.

    References:
        Loshchilov and Hutter 2017, SGDR, equation 5; Huang et al. 2024 (R3GAN), appendix on hyperparameters.
    """

    def value(shown: jax.Array) -> jax.Array:
        t = jnp.clip((shown - warm) / max(images - warm, 1.0), 0.0, 1.0)
        return start + (end - start) * jnp.sin(0.5 * jnp.pi * t) ** 2  # (1 - cos) / 2 would cancel near the start

    return value


def linear(start: float, end: float, images: float) -> Schedule:
    """A straight line from `start` to `end` over `images` images shown, which then stays at `end`.

    Args:
        start: value at the first image.
        end: value from image `images` on.
        images: length in images shown.

    Returns:
        A schedule: images shown, scalar -> value, scalar float32.
    """
    return lambda shown: start + (end - start) * jnp.clip(shown / max(images, 1.0), 0.0, 1.0)


def ramp(most: float, share: float) -> Schedule:
    """A fixed share of the images shown, up to a most: `min(most, share n)`.

    The half-life of the averaged generator starts so, or its first pictures would be the random initial weights'.

    Args:
        most: value reached in the end, in images.
        share: fraction of the images shown, in (0, 1].

    Returns:
        A schedule: images shown, scalar -> value, scalar float32.

    References:
        Karras et al. 2020 (StyleGAN2-ADA), `ema_rampup`, table of training configurations.
    """
    return lambda shown: jnp.minimum(most, share * shown)


def scheduled(
    factory: Callable[..., optax.GradientTransformation], **hyperparameters: Any
) -> optax.GradientTransformationExtraArgs:
    """An Optax optimizer whose hyperparameters are functions of the images shown.

    `make_gan` tells every optimizer the images shown as the extra argument `images`; plain ones ignore it.

    Args:
        factory: for instance `optax.adam`. Its state must not depend on the scheduled values.
        **hyperparameters: its arguments; a callable one is a schedule.

    Returns:
        The optimizer: `update(grads, opt, params, *, images)`.
    """

    def at(images: jax.Array) -> optax.GradientTransformation:
        return factory(**{name: value(images) if callable(value) else value for name, value in hyperparameters.items()})

    def init(params: PyTree) -> PyTree:
        return at(jnp.zeros((), jnp.float32)).init(params)

    def update(grads: PyTree, opt: PyTree, params: PyTree = None, *, images: jax.Array, **_: Any) -> tuple[PyTree, PyTree]:
        return at(images).update(grads, opt, params)

    return optax.GradientTransformationExtraArgs(init, update)
