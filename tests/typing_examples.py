"""Functions of a user's, one and more for each protocol; mypy accepts every one (tests/test_typing.py)."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import optax

from jaxgan import make_gan
from jaxgan.core import ada, augment, latents, losses, penalties, schedules
from jaxgan.core import types as t

Array = jax.Array


def init(key: Array) -> tuple[dict[str, Array], dict[str, Array]]:
    return {"kernel": jax.random.normal(key, (2, 2))}, {}


def apply(params: Any, stats: Any, x: Array, labels: Array | None, key: Array, *, train: bool) -> tuple[Array, Any]:
    del labels, key, train
    return x @ params["kernel"], stats


def judged(params: Any, stats: Any, points: Array, labels: Array, noise: Array, *, train: bool = False) -> tuple[Array, Any]:
    del labels, noise, train
    return (points @ params["kernel"]).sum(axis=1), stats


def styles(
    params: Any, stats: Any, z: Array, labels: Array, key: Array, *, train: bool, truncation: float | None = None
) -> tuple[Array, Any]:
    del params, labels, key, train, truncation
    return z[:, None], stats


def images(params: Any, stats: Any, w: Array, key: Array, *, train: bool) -> Array:
    del params, stats, key, train
    return w.mean(axis=1)


class Module:
    """Bound methods are functions too."""

    def apply(self, params: Any, stats: Any, x: Array, labels: Array, key: Array, *, train: bool) -> tuple[Array, Any]:
        return apply(params, stats, x, labels, key, train=train)


def not_annotated(params, stats, x, labels, key, *, train):
    del params, labels, key, train
    return x, stats


generator = t.Network(init, apply, False, styles, images)
discriminator = t.Network(lambda key: ({"kernel": jax.random.normal(key, (2, 2))}, {}), judged, depends_on_batch=False)
networks: list[t.NetworkApply] = [apply, Module().apply, not_annotated, functools.partial(apply)]

soft = t.Loss(d=lambda real, fake: jnp.tanh(fake - real), g=lambda real, fake: jnp.tanh(real - fake), equilibrium=0.0)
own_losses: list[t.LossFunction] = [soft.d, losses.hinge.g, lambda real, _: -real]


def slope(critic: t.Critic, real: Array, fake: Array, key: Array) -> Array:
    del fake, key
    return jnp.abs(jax.grad(lambda x: critic(x).sum())(real)).sum(axis=-1)


def of_fewer_words(of: Any, x: Array, _: Array, __: Array) -> Array:
    return jnp.square(of(x))


def noisy(key: Array, x: Array, strength: Array) -> Array:
    return x + strength * jax.random.normal(key, x.shape)


def cube(key: Array, shape: tuple[int, ...]) -> Array:
    return jax.random.uniform(key, shape, minval=-1.0)


def halved(shown: Array) -> Array:
    return 0.5 ** (shown / 1000.0)


critics: list[t.Critic] = [lambda x: x.sum(axis=1)]
own_penalties: list[t.Penalty] = [slope, of_fewer_words, penalties.r1, penalties.none]
augmentations: list[t.Augment] = [noisy, augment.diff_augment(), ada.ada(), lambda key, x, strength: x]
distributions: list[t.LatentDistribution] = [cube, jax.random.normal, latents.sphere]
own_schedules: list[t.Schedule] = [halved, schedules.cosine(1.0, 0.1, 1e4), lambda shown: shown]
features: list[t.FeatureNet] = [lambda images: images.reshape(len(images), -1) / 255.0]
paths: list[t.GPenaltyApply] = [penalties.path_length(generator).apply]

gan = make_gan(
    generator=generator, discriminator=discriminator, loss=soft, penalty=slope, gamma=halved, latent=cube, latent_dim=2,
    augment=noisy, augment_strength=halved, ema_half_life=halved, g_optimizer=optax.sgd(0.1), d_optimizer=optax.sgd(0.1),
)  # fmt: skip
parts: tuple[t.GANInit, t.GANStep, t.GANSample] = (gan.init, gan.step, gan.sample)
