"""The latent of an image: gradient descent through the generator, from many starts at once.

    u* = argmin_u |G(c(u)) - x|^2,   c(u) = mean + deviation u

Latents c are measured in standard deviations and stay in the region that their distribution draws from, so that one step size
suits z, W and W+ of every generator. Nothing here is jitted: a caller compiles `step` once for all images and starts.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxgan.core.types import Images
from jaxgan.latent.law import Law, kept

B1, B2 = 0.9, 0.999  # of Adam
RATE = 0.1  # standard deviations of the latents, the largest step
_RISE, _FALL = 0.05, 0.5  # shares of the steps in which the rate rises and falls


class Search(NamedTuple):
    """Latents under optimisation, with Adam's moments of each."""

    codes: jax.Array  # [N, *shape]
    mean: jax.Array  # [N, *shape], of the gradient
    square: jax.Array  # [N, *shape], of its square
    number: jax.Array  # int32, of steps made
    error: jax.Array  # [N], of the latents before the last step: mean square over the sample's numbers


def start(codes: jax.Array) -> Search:
    """Returns a search that begins at latents `[N, *shape]`."""
    # Arrays of their own: buffers that are shared could not be donated.
    zeros = [jnp.zeros_like(codes) for _ in range(2)]
    return Search(codes, zeros[0], zeros[1], jnp.zeros((), jnp.int32), jnp.full(len(codes), jnp.inf))


def errors(made: Images, targets: Images, *, clipped: bool) -> jax.Array:
    """Returns the mean squared difference of each image from its target, `[N]`.

    Args:
        made: `[N, ...]` as the generator makes them.
        targets: `[N, ...]` in [-1, 1].
        clipped: values outside the range are clipped, as in a picture's file: where a target is white or black, a value
            beyond it is right, and has no gradient.
    """
    off = made - targets
    if clipped:
        beyond = ((targets >= 1.0) & (made > 1.0)) | ((targets <= -1.0) & (made < -1.0))
        off = jnp.where(beyond, 0.0, off)
    return jnp.square(off).reshape(len(off), -1).mean(axis=1)


def step(
    images: Callable[[jax.Array], Images], law: Law, search: Search, targets: Images, share: jax.Array, *, clipped: bool
) -> Search:
    """Moves every latent one step of Adam towards its image.

    Args:
        images: maps latents `[N, *shape]` to images.
        law: of the latents.
        search: the latents.
        targets: an image for each latent, `[N, ...]`.
        share: share of the steps that are done, from 0 to 1, which sets the step size.
        clipped: as for `errors`.

    Returns:
        The search after the step.

    References:
        Abdal et al. 2019, Image2StyleGAN; Karras et al. 2020 (StyleGAN2), appendix D, for the schedule of the step size.
    """

    def total(codes: jax.Array) -> tuple[jax.Array, jax.Array]:
        each = errors(images(codes), targets, clipped=clipped)
        return each.sum(), each  # a sum: the gradient of one latent does not depend on the others

    gradient, error = jax.grad(total, has_aux=True)(search.codes)
    gradient = gradient * law.deviation[None]  # by u
    number = search.number + 1
    mean = B1 * search.mean + (1 - B1) * gradient
    square = B2 * search.square + (1 - B2) * jnp.square(gradient)
    unbiased = mean / (1 - B1**number), square / (1 - B2**number)
    moved = search.codes - rate(share) * law.deviation[None] * unbiased[0] / (jnp.sqrt(unbiased[1]) + 1e-8)
    return Search(kept(law, moved), mean, square, number, error)


def rate(share: jax.Array) -> jax.Array:
    """Returns the step size: it rises to `RATE` in the first twentieth of the steps and falls as a cosine in the last half."""
    rise = jnp.minimum(share / _RISE + 1e-2, 1.0)
    fall = 0.5 - 0.5 * jnp.cos(math.pi * jnp.minimum((1.0 - share) / _FALL, 1.0))
    return RATE * rise * fall


def nearest(made: Images, targets: Images, count: int, *, clipped: bool) -> jax.Array:
    """Returns the numbers of the images that are nearest to each target, `[T, count]`.

    Args:
        made: `[M, ...]`.
        targets: `[T, ...]`.
        count: at most M.
        clipped: as for `errors`.
    """
    of_one = jax.lax.map(lambda target: errors(made, jnp.broadcast_to(target, made.shape), clipped=clipped), targets)
    return jnp.argsort(of_one, axis=1)[:, :count]
