"""Objectives: the loss of each player, a pure function of D's logits for real and for generated images.

Every function takes `(real_logits [B], fake_logits [B])` and returns `[B]`; `gan.py` takes the mean. `s` is the
sigmoid, D(x) = s(logit). `-log s(l)` is computed as `softplus(-l)` and `-log(1 - s(l))` as `softplus(l)`: exact at any
logit, where the logarithm of a sigmoid is not.
"""

import math

import jax
import jax.numpy as jnp
from jax.nn import softplus

from jaxgan.core.types import Logits, Loss


def _cross_entropy_d(real_logits: Logits, fake_logits: Logits) -> jax.Array:
    """D tells real from fake: `-log D(x) - log(1 - D(G(z)))`; 2 log 2 where it cannot.

    References:
        Goodfellow et al. 2014, Generative Adversarial Nets, equation 1.
    """
    return softplus(-real_logits) + softplus(fake_logits)


def _minimax_g(_real_logits: Logits, fake_logits: Logits) -> jax.Array:
    """G plays the same game: `log(1 - D(G(z)))`. Its gradient, -D(G(z)), vanishes where D is sure: it saturates.

    References:
        Goodfellow et al. 2014, Generative Adversarial Nets, equation 1.
    """
    return -softplus(fake_logits)


def _non_saturating_g(_real_logits: Logits, fake_logits: Logits) -> jax.Array:
    """G is told to be called real: `-log D(G(z))`. The same fixed point, and a gradient where D is sure.

    References:
        Goodfellow et al. 2014, Generative Adversarial Nets, section 3, last paragraph.
    """
    return softplus(-fake_logits)


def _relativistic_d(real_logits: Logits, fake_logits: Logits) -> jax.Array:
    """D tells which of a pair is real: `-log s(D(x) - D(G(z)))`.

    References:
        Jolicoeur-Martineau 2018, The relativistic discriminator, section 4.1 (RSGAN); Huang et al. 2024 (R3GAN), equation 2.
    """
    return softplus(fake_logits - real_logits)


def _relativistic_g(real_logits: Logits, fake_logits: Logits) -> jax.Array:
    """G makes the generated one of a pair look the more real: `-log s(D(G(z)) - D(x))`.

    References:
        Jolicoeur-Martineau 2018, The relativistic discriminator, section 4.1 (RSGAN); Huang et al. 2024 (R3GAN), equation 2.
    """
    return softplus(real_logits - fake_logits)


def _relativistic_average_d(real_logits: Logits, fake_logits: Logits) -> jax.Array:
    """D sets real above the average fake and fake below the average real.

    `-log s(D(x) - mean D(G(z))) - log(1 - s(D(G(z)) - mean D(x)))`, means over the batch.

    References:
        Jolicoeur-Martineau 2018, The relativistic discriminator, section 4.3 (RaSGAN).
    """
    return softplus(fake_logits.mean() - real_logits) + softplus(fake_logits - real_logits.mean())


def _relativistic_average_g(real_logits: Logits, fake_logits: Logits) -> jax.Array:
    """G sets fake above the average real and real below the average fake.

    `-log s(D(G(z)) - mean D(x)) - log(1 - s(D(x) - mean D(G(z))))`, means over the batch.

    References:
        Jolicoeur-Martineau 2018, The relativistic discriminator, section 4.3 (RaSGAN).
    """
    return _relativistic_average_d(fake_logits, real_logits)


def _hinge_d(real_logits: Logits, fake_logits: Logits) -> jax.Array:
    """D keeps a margin: `max(0, 1 - D(x)) + max(0, 1 + D(G(z)))`.

    References:
        Lim and Ye 2017, Geometric GAN; Miyato et al. 2018 (SNGAN), equation 16.
    """
    return jnp.maximum(0.0, 1.0 - real_logits) + jnp.maximum(0.0, 1.0 + fake_logits)


def _raise_logit_g(_real_logits: Logits, fake_logits: Logits) -> jax.Array:
    """G raises D's logit: `-D(G(z))`.

    References:
        Arjovsky et al. 2017 (Wasserstein GAN), equation 2; Miyato et al. 2018 (SNGAN), equation 17.
    """
    return -fake_logits


def _least_squares_d(real_logits: Logits, fake_logits: Logits) -> jax.Array:
    """D regresses real to 1 and fake to 0: `(D(x) - 1)^2 / 2 + D(G(z))^2 / 2`, of the logits as they are.

    References:
        Mao et al. 2017, Least Squares GAN, equation 9 (0-1 coding).
    """
    return 0.5 * jnp.square(real_logits - 1.0) + 0.5 * jnp.square(fake_logits)


def _least_squares_g(_real_logits: Logits, fake_logits: Logits) -> jax.Array:
    """G pulls fake to 1: `(D(G(z)) - 1)^2 / 2`.

    References:
        Mao et al. 2017, Least Squares GAN, equation 9 (0-1 coding).
    """
    return 0.5 * jnp.square(fake_logits - 1.0)


def _wasserstein_d(real_logits: Logits, fake_logits: Logits) -> jax.Array:
    """D parts the means: `D(G(z)) - D(x)`, the Wasserstein distance where D is 1-Lipschitz, which a penalty must see to.

    References:
        Arjovsky et al. 2017, Wasserstein GAN, equation 2.
    """
    return fake_logits - real_logits


_LARGEST = 100.0  # chosen on runs made to fail and on good ones (tests/verdict_quality.py)

# Equilibria are two terms of log 2, or one of a difference of logits that is 0; the other losses have none. A logit of its own
# at equilibrium has D only where the loss is of single logits, not of their differences: 0, half way between the targets 0 and
# 1, or for the hinge anywhere from -1 to 1.
minimax = Loss(_cross_entropy_d, _minimax_g, equilibrium=2.0 * math.log(2.0), largest=_LARGEST, logit=0.0)
non_saturating = Loss(_cross_entropy_d, _non_saturating_g, equilibrium=2.0 * math.log(2.0), largest=_LARGEST, logit=0.0)
relativistic = Loss(_relativistic_d, _relativistic_g, equilibrium=math.log(2.0), largest=_LARGEST)
relativistic_average = Loss(_relativistic_average_d, _relativistic_average_g, equilibrium=2.0 * math.log(2.0), largest=_LARGEST)
hinge = Loss(_hinge_d, _raise_logit_g, largest=_LARGEST)
least_squares = Loss(_least_squares_d, _least_squares_g, largest=_LARGEST, logit=0.5)
wasserstein = Loss(_wasserstein_d, _raise_logit_g)  # the critic's values have no scale
