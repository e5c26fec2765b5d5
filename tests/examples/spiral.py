"""Points on a spiral, with every part but D of one's own: jaxgan train spiral.py --generator.width 48"""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

import jaxgan
from jaxgan.recipes import MLP, Penalty, Recipe


class Warp(nn.Module):
    width: int

    @nn.compact
    def __call__(self, z, labels):
        return nn.Dense(2)(nn.gelu(nn.Dense(self.width)(z)))


@dataclasses.dataclass(frozen=True)
class Mine:
    """G: a warp of uniform noise."""

    width: int = 16
    """Hidden units."""
    latent_dim: int = 3
    """Length of z."""

    def latent(self, key, shape):
        return jax.random.uniform(key, shape, minval=-1.0)

    def build(self, shape):
        assert shape.sample == (2,)
        return jaxgan.from_linen(Warp(self.width), jnp.zeros((1, self.latent_dim)), jnp.zeros(1, jnp.int32))


@dataclasses.dataclass(frozen=True)
class Clipped:
    """AdamW behind a bound on the gradient's norm."""

    learning_rate: float = 2e-3
    """Step size."""

    def build(self):
        return optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(self.learning_rate, b1=0.0))


def spiral():
    turn = np.linspace(1.0, 9.0, 400)
    points = np.stack([np.cos(turn), np.sin(turn)], axis=1) * (turn / 9.0)[:, None]
    return jaxgan.data.from_array(points, name="spiral")


def blurred_r1(critic, real, fake, key):
    return jaxgan.penalties.r1(critic, real + 0.05 * jax.random.normal(key, real.shape), fake, key)


def note(moment):
    print(f"callback at step {moment.step}, {moment.images} images", flush=True)


spread = jaxgan.Metric(
    lambda real, fake: fake.std() / real.std(), better="as real", definition="ratio of deviations", of="samples"
)
soft = jaxgan.Loss(d=lambda real, fake: nn.softplus(1 - real) + nn.softplus(1 + fake), g=lambda real, fake: -fake)
recipe = Recipe(
    data=spiral,
    generator=Mine(),
    discriminator=MLP(width=16, depth=1),
    loss=soft,
    penalty=Penalty(blurred_r1, gamma=0.1),
    d_optimizer=Clipped(),
    eval_metrics=(spread,),
    eval_every=256,
    keep_best="spread",
    batch_size=32,
    steps=24,
    log_interval=4,
    sample_interval=8,
    checkpoint_interval=8,
)
callbacks = (jaxgan.Callback(note, every_steps=10),)
