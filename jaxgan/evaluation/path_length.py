"""Perceptual path length: how much an image changes for a small step between two codes, by the distance of its features.

    E[ |f(G(c(t))) - f(G(c(t + e)))|^2 / e^2 ],   c(t) the path from one random code to another, t uniform on [0, 1]

Smaller is smoother. A generator that jumps between its images, or remembers them, has long paths. There is no floor: real
images do not lie on a path.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from jaxgan.core.latents import Path
from jaxgan.evaluation.metric import Score
from jaxgan.system.messages import FieldError

EPSILON = 1e-3  # of the whole path
_CUT = (0.01, 0.99)  # shares of the lengths beyond which they do not count, as in StyleGAN's own


def lengths(
    features: Callable[[jax.Array], jax.Array],
    starts: jax.Array,
    ends: jax.Array,
    t: jax.Array,
    path: Path,
    epsilon: float = EPSILON,
) -> jax.Array:
    """Returns the squared length of the path of features at a place of each, per unit of t.

    The features are of images that are not rounded: a step so small would vanish among bytes.

    Args:
        features: of the images of codes, `[N, D]` to `[N, F]`.
        starts: codes `[N, D]`.
        ends: codes `[N, D]`.
        t: places, `[N]` in [0, 1].
        path: `latents.slerp` for z, `latents.lerp` for styles.
        epsilon: the step. StyleGAN's is 1e-4, at which float32 rounds the fourth digit of a difference; here it is ten times
            that, and the result the same within the error of the mean.

    Returns:
        `[N]`.

    References:
        Karras et al. 2019, A style-based generator architecture for GANs, section 4.1, there with LPIPS.
    """
    # Within the path: beyond its end it would not be one.
    t = t * (1.0 - epsilon)
    before, after = (features(path(starts, ends, place)) for place in (t, t + epsilon))
    return jnp.square(after - before).reshape(len(t), -1).sum(axis=1) / epsilon**2


def score(found: np.ndarray) -> Score:
    """Returns the mean of lengths without the smallest and the largest hundredth, and the standard error of it.

    Raises:
        FieldError: when a length is not finite.
    """
    if not np.isfinite(found).all():
        raise FieldError("path_length", "lengths that are not finite", "the generator or the features overflow", link="; ")
    low, high = np.quantile(found, _CUT[0], method="lower"), np.quantile(found, _CUT[1], method="higher")
    kept = found[(found >= low) & (found <= high)].astype(np.float64)
    return Score(float(kept.mean()), float(kept.std() / np.sqrt(len(kept))))
