"""Terms of G's loss: functions `(fake [B, ...], batch, key) -> [B]`, not scaled, for `Term` to weigh.

`batch` holds what the step was given, cut to the samples of this update (`image`, the real ones; `label`; `condition`; further
arrays of the user's), and where D has `features`, also `real_features` and `fake_features`: those of the real and of the
generated samples, by D held fixed.
"""

import jax
import jax.numpy as jnp

from jaxgan.core.types import Images, Key, TermBatch
from jaxgan.system.messages import FieldError


def l1(fake: Images, batch: TermBatch, _key: Key) -> jax.Array:
    """L1, the mean distance of a sample from the real one that has its condition: `mean |G(z, c) - x|`.

    Args:
        fake: `[B, ...]`.
        batch: with `image [B, ...]`.

    Returns:
        `[B]`, not negative.

    References:
        Isola et al. 2017, Image-to-image translation with conditional adversarial networks (pix2pix), equation 3.
    """
    return jnp.abs(fake - batch["image"]).mean(axis=tuple(range(1, fake.ndim)))


def l2(fake: Images, batch: TermBatch, _key: Key) -> jax.Array:
    """L2, the mean squared distance of a sample from the real one that has its condition: `mean (G(z, c) - x)^2`.

    Args:
        fake: `[B, ...]`.
        batch: with `image [B, ...]`.

    Returns:
        `[B]`, not negative.

    References:
        Pathak et al. 2016, Context encoders: feature learning by inpainting, equation 1.
    """
    return jnp.square(fake - batch["image"]).mean(axis=tuple(range(1, fake.ndim)))


def feature_matching(_fake: Images, batch: TermBatch, _key: Key) -> jax.Array:
    """Feature matching: `sum_layers mean_j (E_x f_j(x) - E_z f_j(G(z)))^2`, f the features of D, E the mean over the batch.

    Args:
        batch: with `real_features` and `fake_features`, trees of arrays `[B, ...]`.

    Returns:
        `[B]`, one value for the whole batch, not negative.

    Raises:
        FieldError: when D has no features.

    References:
        Salimans et al. 2016, Improved techniques for training GANs, section 3.1.
    """
    real, fake = (jax.tree.leaves(batch.get(name)) for name in ("real_features", "fake_features"))
    if not real:
        raise FieldError(
            "terms.feature_matching", "D has no features", "give its Network `features`, or let its module sow some"
        )
    distances = [jnp.square(x.mean(axis=0) - y.mean(axis=0)).mean() for x, y in zip(real, fake, strict=True)]
    return jnp.full(batch["image"].shape[0], jnp.stack(distances).sum())
