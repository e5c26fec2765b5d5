"""Descent through a generator: an image of it comes back, codes do not disturb each other, ends of the range are free."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from jaxgan.core import latents
from jaxgan.latent import inversion
from jaxgan.latent.law import law_of

KEY = jax.random.key(0)
WEIGHTS = jax.random.normal(KEY, (4, 24)) * 0.6


def images(codes: jax.Array) -> jax.Array:
    return jnp.tanh(codes @ WEIGHTS).reshape(-1, 4, 6, 1) * 1.2


def found(codes: jax.Array, targets: jax.Array, steps: int = 150) -> inversion.Search:
    law = law_of(latents.normal(KEY, (1_000, 4)))
    step = jax.jit(functools.partial(inversion.step, images, clipped=True))
    going = inversion.start(codes)
    for number in range(steps):
        going = step(law, going, targets, jnp.float32(number / steps))
    return going


def test_an_image_comes_back_and_each_code_goes_its_own_way() -> None:
    true = latents.normal(jax.random.key(5), (3, 4))
    targets = jnp.clip(images(true), -1.0, 1.0)
    begin = latents.normal(jax.random.key(6), (3, 4))
    together = found(begin, targets)
    assert float(inversion.errors(images(together.codes), targets, clipped=True).max()) < 4e-3  # 30 dB
    alone = found(begin[1:2], targets[1:2])
    np.testing.assert_allclose(alone.codes, together.codes[1:2], atol=1e-3)


def test_what_lies_beyond_black_and_white_is_right() -> None:
    made, target = jnp.array([[1.3, -1.2, 0.5]]), jnp.array([[1.0, -1.0, 0.0]])
    np.testing.assert_allclose(inversion.errors(made, target, clipped=True), [0.25 / 3], rtol=1e-6)
    np.testing.assert_allclose(inversion.errors(made, target, clipped=False), [(0.09 + 0.04 + 0.25) / 3], rtol=1e-6)


def test_the_rate_rises_and_falls() -> None:
    rates = [float(inversion.rate(jnp.float32(share))) for share in (0.0, 0.05, 0.5, 0.75, 1.0)]
    assert rates[0] < 0.02 * inversion.RATE
    np.testing.assert_allclose(rates[1:], [inversion.RATE, inversion.RATE, inversion.RATE / 2, 0.0], atol=1e-6)


def test_the_nearest_of_some_images() -> None:
    made = images(latents.normal(KEY, (20, 4)))
    near = inversion.nearest(made, made[jnp.array([7, 3])], 3, clipped=False)
    assert near[:, 0].tolist() == [7, 3]
    off = jnp.square(made - made[7][None]).mean(axis=(1, 2, 3))
    assert near[0].tolist() == jnp.argsort(off)[:3].tolist()
