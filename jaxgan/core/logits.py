"""D's judgement of a sample: one logit, one for each patch, or those of several scales; only this file takes their mean.

D returns an array `[B, ...]`, or a tuple of arrays, one for each scale. Each place is a game of its own: a loss compares
the logits of one place over the batch, and its values are averaged over the places of a scale, then over the scales, so that
each scale counts the same. Penalties, the verdict and curves need one number per sample, and take the mean logit; ADA's
statistic is the mean sign. With one logit per sample, every mean here is the logit itself.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxgan.core import fits
from jaxgan.core.types import Judgement


def per_sample(function: Callable[..., jax.Array], *logits: Judgement) -> jax.Array:
    """Applies a function of logits `[B]` to the logits of each place, and takes the mean over places, then over scales.

    `mean_s mean_p f(l_1[s][:, p], l_2[s][:, p], ..)` for scales s and places p.

    Args:
        function: maps arrays `[B]` to `[B]`, such as a player's loss.
        *logits: arrays `[B, ...]` or tuples of arrays, all of the same structure.

    Returns:
        `[B]`.

    References:
        Isola et al. 2017, Image-to-image translation with conditional adversarial networks, section 3.2.2 (patches); Wang et
        al. 2018, High-resolution image synthesis with conditional GANs (pix2pixHD), equation 3 (scales).
    """
    scales = [scale if isinstance(scale, (tuple, list)) else (scale,) for scale in logits]
    means = [_over_places(function, *each) for each in zip(*scales, strict=True)]
    return means[0] if len(means) == 1 else jnp.stack(means).mean(axis=0)


def of_loss(player: str, function: Callable[..., Any], *logits: Judgement) -> jax.Array:
    """Applies a player's loss as `per_sample` does.

    Raises:
        FieldError: naming the loss, when it returns no real numbers.
    """
    return per_sample(lambda *each: fits.check_values(f"loss.{player}", function(*each)), *logits)


def mean(logits: Judgement) -> jax.Array:
    """Returns the mean logit of each sample, `[B]`; a single logit is returned unchanged."""
    return per_sample(lambda each: each, logits)


def apart(logits: Judgement, k: int, deal: Callable[[jax.Array, int], jax.Array]) -> tuple[Any, ...]:
    """Splits logits of k interleaved batches into k judgements of the same structure, scale by scale."""
    dealt = jax.tree.map(lambda each: tuple(deal(each, k)), logits)
    if not isinstance(logits, (tuple, list)):
        return tuple(dealt)
    return tuple(tuple(scale[i] for scale in dealt) for i in range(k))


def _over_places(function: Callable[..., jax.Array], *logits: jax.Array) -> jax.Array:
    if logits[0].ndim == 1:
        return function(*logits)
    places = [each.reshape(each.shape[0], -1) for each in logits]
    found: jax.Array = jax.vmap(function, in_axes=1, out_axes=1)(*places).mean(axis=1)
    return found
