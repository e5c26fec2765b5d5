"""Penalties on D's gradient with respect to the images: functions of a critic, added to D's loss.

Each takes `(critic, real [B, ...], fake [B, ...], key)` and returns `[B]`, not scaled: `gan.py` multiplies by gamma. All
the gradients of a batch come from one backward pass, through the *sum* of the logits. Where D's output for a sample
depends on its batch, the penalty is defined on that sum: the gradient of sample i then holds its effect on the others.

A critic that judges packs of m samples (`nets.pack`) returns `[B / m]`, and so does each penalty but `none`: a
sample below then means a pack, and the norm of the gradient is over all of it.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import overload

import jax
import jax.numpy as jnp

from jaxgan.core.types import Critic, GPenalty, Images, Key, Labels, Latents, Network, Penalty, PyTree
from jaxgan.system.messages import FieldError


def none(_critic: Critic, real: Images, _fake: Images, _key: Key) -> jax.Array:
    """No penalty: zeros.

    Returns:
        `[B]`.
    """
    return jnp.zeros(real.shape[0], jnp.float32)


def r1(critic: Critic, real: Images, _fake: Images, _key: Key) -> jax.Array:
    """R1, the squared gradient of D on real images: `|grad_x D(x)|^2 / 2`.

    Args:
        critic: images `[B, ...]` -> logits `[B]`.
        real: real images, `[B, ...]`.

    Returns:
        `[B]`, not negative.

    References:
        Mescheder et al. 2018, Which Training Methods for GANs do actually Converge?, equation 9.
    """
    return 0.5 * _squared_norm(critic, real)


def r2(critic: Critic, _real: Images, fake: Images, _key: Key) -> jax.Array:
    """R2, the squared gradient of D on generated images: `|grad_y D(y)|^2 / 2`, y = G(z).

    Args:
        critic: images `[B, ...]` -> logits `[B]`.
        fake: generated images, `[B, ...]`.

    Returns:
        `[B]`, not negative.

    References:
        Mescheder et al. 2018, Which Training Methods for GANs do actually Converge?, equation 10.
    """
    return 0.5 * _squared_norm(critic, fake)


def r1_r2(critic: Critic, real: Images, fake: Images, _key: Key) -> jax.Array:
    """R1 + R2 in one backward pass: `|grad_x D(x)|^2 / 2 + |grad_y D(y)|^2 / 2`, y = G(z).

    Args:
        critic: images `[2B, ...]`, real and generated in turns -> logits `[2B]`.
        real: real images, `[B, ...]`.
        fake: generated images, `[B, ...]`.

    Returns:
        `[B]`, not negative.

    References:
        Huang et al. 2024 (R3GAN), section 2.2; Mescheder et al. 2018, equations 9 and 10.
    """
    both = jnp.stack([real, fake], axis=1).reshape(-1, *real.shape[1:])
    # Of packs too: 2m adjacent images are a real pack and a generated one, dealt in turns.
    return 0.5 * _squared_norm(critic, both).reshape(-1, 2).sum(axis=1)


@overload
def r1_r2_approximate(sigma: float, /) -> Penalty: ...


@overload
def r1_r2_approximate(critic: Critic, real: Images, fake: Images, key: Key, /) -> jax.Array: ...


def r1_r2_approximate(
    critic: Critic | float, real: Images | None = None, fake: Images | None = None, key: Key | None = None, /
) -> Penalty | jax.Array:
    """R1 + R2 from differences: `((D(x) - D(x + s e)) / s)^2 + ((D(y) - D(y + s e)) / s)^2`, y = G(z), e ~ N(0, 1).

    For small s the mean over e is `|grad_x D(x)|^2 + |grad_y D(y)|^2`, twice `r1_r2`. There is no gradient of a gradient:
    D is differentiated once, on twice as many images.

    Args:
        critic: images `[2B, ...]`, real and generated in turns -> logits `[2B]`. Or s alone, for a penalty with that s;
            as a penalty itself the function takes s = 0.01.
        real: real images, `[B, ...]`.
        fake: generated images, `[B, ...]`.
        key: draws e, one for each value.

    Returns:
        `[B]`, not negative; given s alone, the penalty.

    Raises:
        ValueError: when s is not positive.

    References:
        GAT, ICML 2026, which takes s = 0.01 and gamma = 0.1.
    """
    if not callable(critic):
        if not critic > 0.0:
            raise FieldError("sigma", critic, "it must be positive")
        return partial(_r1_r2_by_differences, critic)
    assert real is not None
    assert fake is not None
    assert key is not None
    return _r1_r2_by_differences(0.01, critic, real, fake, key)


def _r1_r2_by_differences(sigma: float, critic: Critic, real: Images, fake: Images, key: Key) -> jax.Array:
    both = jnp.stack([real, fake], axis=1).reshape(-1, *real.shape[1:])
    noise = jax.random.normal(key, both.shape, both.dtype)
    # The first call is the very one that D's loss makes, so that XLA computes it once.
    slopes = (critic(both) - critic(both + sigma * noise)) / sigma
    return jnp.square(slopes).reshape(-1, 2).sum(axis=1)


def gradient_penalty(critic: Critic, real: Images, fake: Images, key: Key) -> jax.Array:
    """WGAN-GP: pulls the slope of D to one on the lines from real to generated images, `(|grad D(u)| - 1)^2`.

    `u = e x + (1 - e) G(z)` with `e ~ U[0, 1]`, one for each pair.

    Args:
        critic: images `[B, ...]` -> logits `[B]`.
        real: real images, `[B, ...]`.
        fake: generated images, `[B, ...]`.
        key: draws e.

    Returns:
        `[B]`, not negative.

    References:
        Gulrajani et al. 2017, Improved Training of Wasserstein GANs, equation 3.
    """
    packs = jax.eval_shape(critic, real).shape[0]
    mix = jax.random.uniform(key, (packs,) + (1,) * (real.ndim - 1), real.dtype)
    mix = jnp.repeat(mix, real.shape[0] // packs, axis=0)  # one line for a whole pack
    return jnp.square(_norm(critic, mix * real + (1.0 - mix) * fake) - 1.0)


def dragan(critic: Critic, real: Images, _fake: Images, key: Key) -> jax.Array:
    """DRAGAN: pulls the slope of D to one around the real images, `(|grad D(x + d)| - 1)^2`.

    `d = 0.5 std U` with `std` the deviation of all values of the batch and `U ~ U[0, 1]`, one for each value, as in
    the authors' experiments.

    Args:
        critic: images `[B, ...]` -> logits `[B]`.
        real: real images, `[B, ...]`.
        key: draws U.

    Returns:
        `[B]`, not negative.

    References:
        Kodali et al. 2017, On Convergence and Stability of GANs (DRAGAN).
    """
    noise = 0.5 * real.std() * jax.random.uniform(key, real.shape, real.dtype)
    return jnp.square(_norm(critic, real + noise) - 1.0)


def path_lengths(synthesize: Callable[[jax.Array], Images], w: jax.Array, noise: jax.Array) -> jax.Array:
    """Change of an image for a step in w, along one random direction of images: `l = sqrt(mean over layers |J^T n|^2)`.

    J is the derivative of the image with respect to one layer's style, and `n = noise / sqrt(H W)`.

    Args:
        synthesize: styles `[B, L, D]` to images `[B, H, W, C]`, each depending on its own styles only.
        w: `[B, L, D]`.
        noise: `[B, H, W, C]`, drawn from N(0, 1).

    Returns:
        `[B]`.

    References:
        Karras et al. 2020, Analyzing and improving the image quality of StyleGAN (StyleGAN2), equation 4 and appendix B.
    """
    scale = 1.0 / math.sqrt(noise.shape[1] * noise.shape[2])
    gradient = jax.grad(lambda w: (synthesize(w) * noise).sum() * scale)(w)
    return jnp.sqrt(jnp.square(gradient).sum(axis=2).mean(axis=1))


def path_length(generator: Network, *, weight: float = 2.0, decay: float = 0.01, shrink: int = 2) -> GPenalty:
    """Path-length regularisation, a penalty on G: a step in w should change the image as much at every w, `weight (l - a)^2`.

    l comes from `path_lengths`. a is the running average of l, which first moves by `decay` towards this batch's mean.

    Args:
        generator: with a mapping: `map` and `synthesize`.
        weight: of the penalty.
        decay: share of a that one batch replaces.
        shrink: every `shrink`-th latent of the batch is used, to save time.

    Returns:
        A `GPenalty`: values `[ceil(B / shrink)]`, not negative.

    Raises:
        ValueError: when the generator has no mapping.

    References:
        Karras et al. 2020, Analyzing and improving the image quality of StyleGAN (StyleGAN2), section 3.2, equation 4.
    """
    styles_of, synthesize = generator.map, generator.synthesize
    if styles_of is None or synthesize is None:
        raise FieldError("generator", "it has no mapping", "path lengths are smoothed in w; stylegan2 has one")

    def apply(
        params: PyTree, stats: PyTree, z: Latents, labels: Labels, key: Key, average: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        keys = jax.random.split(key, 3)
        w, _ = styles_of(params, stats, z[::shrink], jax.tree.map(lambda c: c[::shrink], labels), keys[0], train=True)

        def image(w: jax.Array) -> Images:
            return synthesize(params, stats, w, keys[1], train=True)

        noise = jax.random.normal(keys[2], jax.eval_shape(image, w).shape, w.dtype)
        lengths = path_lengths(image, w, noise)
        average = average + decay * (lengths.mean() - average)
        return weight * jnp.square(lengths - average), average

    return GPenalty(lambda: jnp.zeros(()), apply)


def _squared_norm(critic: Critic, images: Images) -> jax.Array:
    """The squared norm of each logit's gradient, over the one image or the pack of adjacent images that it judges."""

    def total(x: Images) -> tuple[jax.Array, jax.Array]:
        logits = critic(x)
        return logits.sum(), logits

    gradient, logits = jax.grad(total, has_aux=True)(images)
    return jnp.square(gradient).reshape(logits.shape[0], -1).sum(axis=1)


def _norm(critic: Critic, images: Images) -> jax.Array:
    """The root of `_squared_norm`. Its derivative at zero is taken as zero, where that of sqrt is infinite."""
    squared = _squared_norm(critic, images)
    flat = squared == 0.0
    return jnp.where(flat, 0.0, jnp.sqrt(jnp.where(flat, 1.0, squared)))
