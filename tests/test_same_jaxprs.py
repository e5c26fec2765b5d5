"""The split of gan.py changes no program: the jaxprs of init, step and sample are those of the old file, letter by letter."""

import re

import jax
import jax.numpy as jnp
import old_gan
import optax
import pytest

from jaxgan.core import ada, augment, gan, losses, penalties, schedules
from jaxgan.core.types import Network
from jaxgan.nets import mlp, stylegan2
from jaxgan.nets.network import from_linen

KEY, SIDE, CHANNELS, LATENT = jax.random.key(0), 8, 3, 4
STYLE = from_linen(
    stylegan2.Generator(image_size=SIDE, w_dim=4, mapping_layers=1, channel_max=4, classes=2, style_mixing=0.5),
    jnp.zeros((1, LATENT)), jnp.zeros(1, jnp.int32),
)  # fmt: skip
CRITIC = from_linen(
    stylegan2.Discriminator(image_size=SIDE, mapping_layers=1, channel_max=4, classes=2, mbstd_group=2),
    jnp.zeros((2, SIDE, SIDE, CHANNELS)), jnp.zeros(2, jnp.int32), depends_on_batch=True,
)  # fmt: skip
PLAIN = from_linen(mlp.Discriminator(hidden=(8,)), jnp.zeros((1, SIDE, SIDE, CHANNELS)), jnp.zeros(1, jnp.int32))
COMMON = {
    "generator": STYLE, "discriminator": PLAIN, "loss": losses.non_saturating, "latent_dim": LATENT,
    "g_optimizer": schedules.scheduled(optax.adam, learning_rate=schedules.linear(1e-3, 1e-4, 1e4), b1=0.0),
    "d_optimizer": optax.adam(1e-3, b1=0.0),
}  # fmt: skip
STEERED = {"augment": augment.diff_augment(), "augment_strength": ada.adaptive(target=0.6, length=1000)}
PATHS = {"g_penalty": penalties.path_length(STYLE), "g_penalty_interval": 4}
LAZY = {"penalty": penalties.r1, "gamma": 1.0, "penalty_interval": 16}
COUPLED = {"discriminator": CRITIC, "share_z": True, "penalty": penalties.r1_r2, "gamma": schedules.cosine(1.0, 0.1, 1e4)}
SETTINGS = {
    "plain": {},
    "k = 3": {"disc_steps": 3, "penalty": penalties.gradient_penalty, "gamma": 10.0, "loss": losses.wasserstein},
    "relativistic": {"loss": losses.relativistic, "penalty": penalties.r1_r2, "gamma": 0.1},
    "shared z, D depends on the batch": COUPLED,
    "accumulation": {"accumulate": 2, "loss": losses.relativistic, "penalty": penalties.r1, "gamma": 0.1},
    "lazy penalty": LAZY,
    "adaptive augmentation": STEERED,
    "augmentation by a schedule": STEERED | {"augment_strength": schedules.linear(0.0, 1.0, 1e4)},
    "path lengths": PATHS,
    "path lengths at every step": PATHS | {"g_penalty_interval": 1},
    "all together": COUPLED | STEERED | PATHS | LAZY | {"disc_steps": 2, "accumulate": 2, "loss": losses.relativistic},
    "no averaging": {"ema_half_life": 0.0},
    "a half-life that grows": {"ema_half_life": schedules.ramp(1e4, 0.05)},
}


def text(function, *arguments, **options) -> str:
    made = jax.make_jaxpr(lambda *arguments: function(*arguments, **options))(*arguments)
    return re.sub(r" at 0x[0-9a-f]+", "", str(made))  # functions in the parameters of custom derivatives


@pytest.mark.parametrize("name", SETTINGS)
def test_the_jaxprs_are_those_of_the_old_file(name: str) -> None:
    new, old = (module.make_gan(**COMMON | SETTINGS[name]) for module in (gan, old_gan))
    assert text(new.init, KEY) == text(old.init, KEY)
    state = jax.eval_shape(new.init, KEY)
    assert jax.tree.structure(state) == jax.tree.structure(jax.eval_shape(old.init, KEY))
    shape = jax.ShapeDtypeStruct
    count = 12 * 4
    batch = {"image": shape((count, SIDE, SIDE, CHANNELS), jnp.float32), "label": shape((count,), jnp.int32)}
    assert text(new.step, state, batch, KEY) == text(old.step, state, batch, KEY)
    names = [jax.tree.structure(jax.eval_shape(each.step, state, batch, KEY)) for each in (new, old)]
    assert names[0] == names[1]
    labels = shape((5,), jnp.int32)
    for truncation in (None, 0.7):
        drawn = [text(each.sample, state.ema, KEY, labels, truncation=truncation) for each in (new, old)]
        assert drawn[0] == drawn[1]
    given = [text(each.sample, state.ema, KEY, labels, z=jnp.zeros((5, LATENT)), first=3) for each in (new, old)]
    assert given[0] == given[1]


def test_the_comparison_can_fail() -> None:
    state = jax.eval_shape(old_gan.make_gan(**COMMON).init, KEY)
    one, other = (gan.make_gan(**COMMON, ema_half_life=half_life) for half_life in (1e4, 2e4))
    batch = {"image": jnp.zeros((4, SIDE, SIDE, CHANNELS)), "label": jnp.zeros(4, jnp.int32)}
    assert text(one.step, state, batch, KEY) != text(other.step, state, batch, KEY)
    assert isinstance(STYLE, Network)
