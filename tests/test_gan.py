"""The alternating step against one written out by hand, and every promise `make_gan` makes."""

import functools
import math
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import typing_examples
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from jaxgan.core import schedules
from jaxgan.core.gan import make_gan
from jaxgan.core.types import GAN, Loss, Network, Weights
from jaxgan.nets.linen import from_linen

softplus = jax.nn.softplus
NON_SATURATING = Loss(d=lambda real, fake: softplus(-real) + softplus(fake), g=lambda real, fake: softplus(-fake))
RELATIVISTIC = Loss(d=lambda real, fake: softplus(fake - real), g=lambda real, fake: softplus(real - fake))

LATENT, CLASSES, UNITS, PART = 4, 3, 16, 8
KEY = jax.random.key(7)
INFO = {"d_loss", "g_loss", "real_logits", "fake_logits", "d_real", "d_fake", "d_grad_norm", "g_grad_norm"}


def network(inputs: int, outputs: int | None, norm: str = "none") -> Network:
    """A hidden layer and a class embedding in plain jnp; `outputs=None` is a D. Norms: none, batch, spectral."""

    def init(key):
        keys = jax.random.split(key, 3)
        params = {
            "hidden": jax.random.normal(keys[0], (inputs, UNITS)) / math.sqrt(inputs),
            "classes": jax.random.normal(keys[1], (CLASSES, UNITS)),
            "out": jax.random.normal(keys[2], (UNITS, outputs or 1)) / math.sqrt(UNITS),
        }
        stats = {"batch": {"mean": jnp.zeros(UNITS), "var": jnp.ones(UNITS)}, "spectral": {"u": jnp.ones(UNITS)}}
        return params, stats.get(norm, {})

    def apply(params, stats, x, labels, key, *, train):
        weight = params["hidden"]
        if norm == "spectral":
            u = stats["u"]
            v = weight @ u / jnp.linalg.norm(weight @ u)
            if train:
                u = v @ weight / jnp.linalg.norm(v @ weight)
            weight, stats = weight / (v @ weight @ u), {"u": jax.lax.stop_gradient(u)}
        h = x @ weight + params["classes"][labels]
        if norm == "batch":
            mean, var = (h.mean(0), h.var(0)) if train else (stats["mean"], stats["var"])
            h = (h - mean[None]) / jnp.sqrt(var[None] + 1e-5)
            if train:
                stats = {"mean": 0.9 * stats["mean"] + 0.1 * mean, "var": 0.9 * stats["var"] + 0.1 * var}
        y = jnp.where(h > 0, h, 0.2 * h) @ params["out"]
        return (y[:, 0] if outputs is None else y), stats

    return Network(init, apply, depends_on_batch=norm != "none")


def r1(critic, real, fake, key):
    return jnp.sum(jax.grad(lambda x: critic(x).sum())(real) ** 2, axis=-1)


def r2(critic, real, fake, key):
    return r1(critic, fake, real, key)


class Setting(NamedTuple):
    """A GAN and all that the step by hand must know of it."""

    loss: Loss = NON_SATURATING
    norm: str = "none"
    disc_steps: int = 1
    share_z: bool = False
    penalty: object = None
    gamma: object = 0.0
    half_life: object = 32.0
    # Plain gradient descent: Adam would amplify rounding.
    optimizer: object = optax.sgd(0.1, momentum=0.5)

    @property
    def parts(self) -> int:
        return self.disc_steps + (self.loss is RELATIVISTIC)

    def gan(self, **changes) -> GAN:
        options = {
            "generator": network(LATENT, 2, "batch" if self.norm == "batch" else "none"),
            "discriminator": network(2, None, self.norm),
            "loss": self.loss,
            "g_optimizer": self.optimizer,
            "d_optimizer": self.optimizer,
            "latent_dim": LATENT,
            "penalty": self.penalty,
            "gamma": self.gamma,
            "disc_steps": self.disc_steps,
            "share_z": self.share_z,
            "ema_half_life": self.half_life,
        }
        return make_gan(**options | changes)

    def batch(self, seed: int = 0) -> dict:
        rng, count = np.random.default_rng(seed), PART * self.parts
        image = rng.normal(1.0, 1.0, (count, 2)).astype(np.float32)
        return {"image": image, "label": rng.integers(0, CLASSES, count).astype(np.int32)}


SETTINGS = {
    "plain": Setting(),
    "three D updates": Setting(disc_steps=3, penalty=r1, gamma=0.5),
    "three D updates, shared z, batch normalisation": Setting(disc_steps=3, share_z=True, norm="batch", penalty=r2, gamma=0.1),
    "relativistic, gamma schedule": Setting(RELATIVISTIC, penalty=r1, gamma=schedules.cosine(2.0, 0.1, 24.0)),
    "relativistic, two D updates, spectral, shared z": Setting(
        RELATIVISTIC, "spectral", disc_steps=2, share_z=True, penalty=r1, gamma=schedules.linear(1.0, 0.1, 40.0)
    ),
    "batch normalisation, scheduled Adam, EMA ramp": Setting(
        norm="batch",
        half_life=schedules.ramp(32.0, 0.5),
        optimizer=schedules.scheduled(optax.adam, learning_rate=schedules.linear(1e-2, 1e-3, 24.0), b1=0.0, eps=1e-2),
    ),
}


def step_by_hand(setting: Setting, state, batch):
    """Algorithm 1 of Goodfellow et al. 2014, each line of it, with nothing shared and nothing clever."""
    G, D = network(LATENT, 2, "batch" if setting.norm == "batch" else "none"), network(2, None, setting.norm)
    optimizer = optax.with_extra_args_support(setting.optimizer)
    shown = (state.step * setting.disc_steps * PART).astype(jnp.float32)
    images, labels = (batch[name].reshape(PART, setting.parts, *batch[name].shape[1:]) for name in ("image", "label"))
    keys = jax.random.split(jax.random.fold_in(KEY, state.step), setting.disc_steps + 1)
    z = [jax.random.normal(jax.random.fold_in(key, 4), (PART, LATENT)) for key in keys]
    gamma = setting.gamma(shown) if callable(setting.gamma) else setting.gamma
    g, d = state.g, state.d

    for i in range(setting.disc_steps):
        x, y = images[:, i], labels[:, i]
        fake, _ = G.apply(g.params, g.stats, z[i], y, None, train=True)

        def d_loss(params, d=d, x=x, y=y, fake=fake):
            real_logits, stats = D.apply(params, d.stats, x, y, None, train=True)
            fake_logits, stats = D.apply(params, stats, fake, y, None, train=True)
            value = setting.loss.d(real_logits, fake_logits).mean()
            if setting.penalty is not None:
                critic = lambda x: D.apply(params, d.stats, x, y, None, train=True)[0]  # noqa: E731
                value += gamma * setting.penalty(critic, x, fake, None).mean()
            return value, stats

        grads, stats = jax.grad(d_loss, has_aux=True)(d.params)
        change, opt = optimizer.update(grads, d.opt, d.params, images=shown)
        d = type(d)(jax.tree.map(jnp.add, d.params, change), stats, opt)
    d_norm = jnp.sqrt(sum(jnp.sum(x**2) for x in jax.tree.leaves(grads)))

    x, y = images[:, -1], labels[:, -1]
    g_z = z[setting.disc_steps - 1] if setting.share_z else z[setting.disc_steps]

    def g_loss(params):
        fake, stats = G.apply(params, g.stats, g_z, y, None, train=True)
        real_logits, _ = D.apply(d.params, d.stats, x, y, None, train=True)
        fake_logits, _ = D.apply(d.params, d.stats, fake, y, None, train=True)
        return setting.loss.g(real_logits, fake_logits).mean(), stats

    (value, stats), grads = jax.value_and_grad(g_loss, has_aux=True)(g.params)
    change, opt = optimizer.update(grads, g.opt, g.params, images=shown)
    g = type(g)(jax.tree.map(jnp.add, g.params, change), stats, opt)
    half_life = setting.half_life(shown) if callable(setting.half_life) else setting.half_life
    keep = 0.5 ** (setting.disc_steps * PART / jnp.maximum(half_life, 1e-8))
    ema = jax.tree.map(lambda old, new: keep * old + (1 - keep) * new, state.ema, Weights(g.params, g.stats))
    return type(state)(state.step + 1, g, d, ema, {}), {"g_loss": value, "d_grad_norm": d_norm}


def close(a, b, tolerance=1e-6):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance), a, b)


def same(a, b) -> bool:
    return jax.tree.all(jax.tree.map(lambda a, b: bool(jnp.array_equal(a, b)), a, b))


def plain(state):
    return jax.tree.map(np.asarray, jax.device_get(state))


@functools.cache
def _first_state(norm: str, optimizer):
    return jax.jit(Setting(norm=norm, optimizer=optimizer).gan().init)(jax.random.key(1))


def first_state(setting: Setting):
    return _first_state(setting.norm, setting.optimizer)


@pytest.fixture(scope="module")
def compiled():
    """`compiled(setting, **changes)` -> the GAN with step and sample jitted, once for the whole file."""
    made = {}

    def get(setting: Setting, **changes) -> GAN:
        name = (setting, *changes.items())
        if name not in made:
            gan = setting.gan(**changes)
            made[name] = GAN(gan.init, jax.jit(gan.step), jax.jit(gan.sample))
        return made[name]

    return get


def run(gan: GAN, setting: Setting, state, steps):
    for i in steps:
        state, info = gan.step(state, setting.batch(i), KEY)
    return state, info


@pytest.mark.parametrize("name", SETTINGS)
def test_a_step_is_the_step_by_hand(name, compiled):
    setting = SETTINGS[name]
    gan = compiled(setting)
    state = first_state(setting)
    by_hand = jax.jit(step_by_hand, static_argnums=0)
    for i in range(3):
        expected, figures = by_hand(setting, state, setting.batch(i))
        state, info = gan.step(state, setting.batch(i), KEY)
        close(state, expected, 3e-6)
        for figure in figures:
            close(info[figure], figures[figure], 3e-6)


def test_each_player_moves_in_its_own_update_only(compiled):
    setting = SETTINGS["three D updates, shared z, batch normalisation"]
    gan = compiled(setting)
    start = first_state(setting)
    both, _ = gan.step(start, setting.batch(), KEY)
    g_rests, _ = compiled(setting, g_optimizer=optax.set_to_zero()).step(
        start._replace(g=start.g._replace(opt=optax.set_to_zero().init(start.g.params))), setting.batch(), KEY
    )
    d_rests, _ = compiled(setting, d_optimizer=optax.set_to_zero()).step(
        start._replace(d=start.d._replace(opt=optax.set_to_zero().init(start.d.params))), setting.batch(), KEY
    )
    assert same(g_rests.g.params, start.g.params)
    assert same(d_rests.d.params, start.d.params)
    assert same(g_rests.d, both.d), "D's update must not see what G does afterwards"
    # G's update meets the D that has just moved: with a D at rest it comes out otherwise.
    assert not same(d_rests.g.params, both.g.params)
    # G's statistics move once, in its own update, though it was called four times; they depend on z alone.
    close(d_rests.g.stats, both.g.stats, 0)
    assert not same(both.g.stats, start.g.stats)


def test_g_descends_against_the_updated_d(compiled):
    setting = SETTINGS["plain"]
    gan = compiled(setting)
    start = first_state(setting)
    state, _ = gan.step(start, setting.batch(), KEY)
    # The simultaneous update: G against the D of the start. It must differ by far more than rounding.
    resting = compiled(setting, d_optimizer=optax.set_to_zero())
    opt = optax.set_to_zero().init(start.d.params)
    simultaneous, _ = resting.step(start._replace(d=start.d._replace(opt=opt)), setting.batch(), KEY)
    # And with the updated D put in by hand it is the alternating one.
    after, _ = resting.step(start._replace(d=state.d._replace(opt=opt)), setting.batch(), KEY)
    difference = jax.tree.map(lambda a, b: jnp.abs(a - b).max(), simultaneous.g.params, state.g.params)
    assert max(jax.tree.leaves(difference)) > 1e-4
    close(after.g.params, state.g.params, 1e-7)


def test_a_shared_z_is_that_of_the_last_d_update(compiled):
    fresh, shared = Setting(disc_steps=2), Setting(disc_steps=2, share_z=True)
    start = first_state(fresh)
    a, _ = compiled(fresh).step(start, fresh.batch(), KEY)
    b, _ = compiled(shared).step(start, fresh.batch(), KEY)
    assert same(a.d, b.d)
    assert not same(a.g.params, b.g.params)

    def one_z(key, shape):  # every update has the same z: then nothing is left of the difference
        return jax.random.normal(jax.random.key(3), shape)

    a, _ = compiled(fresh, latent=one_z).step(start, fresh.batch(), KEY)
    b, _ = compiled(shared, latent=one_z).step(start, fresh.batch(), KEY)
    assert same(a.g, b.g)


def test_relativistic_g_gets_real_images_of_its_own(compiled):
    setting = Setting(RELATIVISTIC, disc_steps=2)
    gan = compiled(setting)
    start, batch = first_state(setting), setting.batch()
    mine = jnp.arange(3 * PART) % 3 == 2  # image i goes to part i modulo 3, G's is the last
    state, _ = gan.step(start, batch, KEY)
    other, _ = gan.step(start, batch | {"image": batch["image"] + mine[:, None]}, KEY)
    assert same(other.d, state.d)
    assert not same(other.g.params, state.g.params)
    other, _ = gan.step(start, batch | {"image": batch["image"] + ~mine[:, None]}, KEY)
    assert not same(other.d.params, state.d.params)


@pytest.mark.parametrize(("setting", "count"), [(Setting(disc_steps=3), 8), (Setting(RELATIVISTIC), 9)])
def test_a_batch_that_does_not_divide_is_refused(setting, count):
    gan = setting.gan()
    state = jax.eval_shape(gan.init, KEY)
    batch = {"image": jax.ShapeDtypeStruct((count, 2), "float32"), "label": jax.ShapeDtypeStruct((count,), "int32")}
    with pytest.raises(ValueError, match=rf"^batch: {count} images, but .* needs {setting.parts} equal parts") as error:
        jax.eval_shape(gan.step, state, batch, KEY)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["three D updates", "batch normalisation, scheduled Adam, EMA ramp"])
def test_traced_once_and_donated(name):
    setting, traces = SETTINGS[name], []
    gan = setting.gan()

    def counted(state, batch, key):
        traces.append(0)
        return gan.step(state, batch, key)

    step = jax.jit(counted, donate_argnums=0)
    state = jax.tree.map(jnp.copy, first_state(setting))
    for i in range(4):
        old = state
        state, _ = step(state, setting.batch(i), KEY)  # a leaf that could not be donated warns, and warnings are errors
        assert all(leaf.is_deleted() for leaf in jax.tree.leaves(old))
    assert len(traces) == 1
    assert int(state.step) == 4

    state = gan.init(jax.random.key(1))  # not jitted: every leaf must still be a buffer of its own
    state, _ = step(state, setting.batch(), KEY)
    assert len(traces) == 1


@pytest.mark.parametrize("penalty", [None, r1])
def test_info_is_flat_and_finite(penalty, compiled):
    setting = Setting(RELATIVISTIC, penalty=penalty, gamma=0.5)
    gan = compiled(setting)
    start = first_state(setting)
    _, info = gan.step(start, setting.batch(), KEY)
    assert set(info) == INFO | ({"penalty"} if penalty else set())
    for name, value in info.items():
        assert value.shape == (), name
        assert value.dtype == jnp.float32, name
        assert math.isfinite(value), name
    # What the names say, from D's point of view before its update.
    D, x = network(2, None), setting.batch()
    logits, _ = D.apply(start.d.params, {}, x["image"][::2], x["label"][::2], None, train=True)
    close(info["real_logits"], logits.mean())
    close(info["d_real"], jax.nn.sigmoid(logits).mean())
    if penalty:
        critic = lambda images: D.apply(start.d.params, {}, images, x["label"][::2], None, train=True)[0]  # noqa: E731
        close(info["penalty"], penalty(critic, x["image"][::2], None, None).mean())  # unscaled by gamma


def test_the_ema_forgets_half_in_its_half_life(compiled):
    setting = Setting(disc_steps=2, norm="batch", half_life=4.0 * 2 * PART)
    gan = compiled(setting, g_optimizer=optax.set_to_zero())
    start = first_state(setting)
    far = jax.tree.map(lambda x: x + 1.0, start.g.params)
    state = start._replace(g=start.g._replace(params=far))
    state, _ = run(gan, setting, state, range(4))  # 4 steps of 2 D updates of 8 images: one half-life
    close(state.ema.params, jax.tree.map(lambda a, b: (a + b) / 2, start.ema.params, far))
    state, _ = run(gan, setting, state, range(4, 8))
    close(state.ema.params, jax.tree.map(lambda a, b: a / 4 + 3 * b / 4, start.ema.params, far))
    assert not same(state.ema.stats, start.ema.stats), "statistics are averaged too"


@pytest.mark.parametrize("half_life", [0.0, lambda shown: 0.0 * shown])
def test_no_half_life_no_averaging(half_life, compiled):
    setting = Setting(norm="batch", half_life=half_life)
    state, _ = run(compiled(setting), setting, first_state(setting), range(2))
    assert same(state.ema, Weights(state.g.params, state.g.stats))


def test_a_half_life_that_grows_starts_from_the_present_weights(compiled):
    setting = Setting(half_life=schedules.ramp(1e6, 1.0))
    gan = compiled(setting)
    first, _ = gan.step(first_state(setting), setting.batch(), KEY)
    assert same(first.ema.params, first.g.params)  # nothing shown yet: half-life 0
    second, _ = gan.step(first, setting.batch(1), KEY)  # 8 images shown: half-life 8, and this step shows 8
    close(second.ema.params, jax.tree.map(lambda a, b: (a + b) / 2, first.g.params, second.g.params))


def test_images_are_counted_on_when_the_batch_size_changes():
    """A run of batches of 8 goes on with batches of 16 after its third step."""
    remembers = optax.GradientTransformationExtraArgs(
        lambda params: jnp.zeros(()),
        lambda grads, opt, params=None, *, images, **_: (jax.tree.map(jnp.zeros_like, grads), images),
    )
    setting, seen = Setting(disc_steps=2, optimizer=remembers), []
    state = setting.gan().init(KEY)
    for gan, size in ((setting.gan(), 8), (setting.gan(counted_from=(3, 3 * 2 * 8)), 16)):
        batch = {"image": jnp.zeros((2 * size, 2)), "label": jnp.zeros(2 * size, jnp.int32)}
        for _ in range(3):
            state, _ = jax.jit(gan.step)(state, batch, KEY)
            seen.append((float(state.d.opt), float(state.g.opt)))
    assert seen == [(n, n) for n in (0.0, 16.0, 32.0, 48.0, 80.0, 112.0)]


@pytest.mark.parametrize("counted_from", [(-1, 0), (0, -8), (0, 1.5)])
def test_counted_from_is_checked(counted_from):
    with pytest.raises(ValueError, match=r"^counted_from\[[01]\]: .*, but it must be a finite int, at least 0"):
        Setting().gan(counted_from=counted_from)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_counts_and_flags_among_statistics_are_not_averaged(accumulate):
    made = network(LATENT, 2)

    def apply(params, stats, x, labels, key, *, train):
        y, _ = made.apply(params, {}, x, labels, key, train=train)
        return y, {"count": stats["count"] + 1, "seen": ~stats["seen"]} if train else stats

    counting = Network(lambda key: (made.init(key)[0], {"count": jnp.int32(0), "seen": jnp.array(False)}), apply)
    gan = Setting().gan(generator=counting, accumulate=accumulate)
    state, _ = jax.jit(gan.step)(gan.init(KEY), Setting().batch(), KEY)
    for stats in (state.g.stats, state.ema.stats):
        assert jax.tree.map(lambda x: x.item(), stats) == {"count": 1, "seen": True}


@pytest.mark.parametrize("norm", ["batch", "spectral"])
def test_d_keeps_the_statistics_of_its_own_update(norm, compiled):
    setting = Setting(norm=norm, optimizer=optax.set_to_zero(), penalty=r1, gamma=1.0)
    gan = compiled(setting)
    start, batch = first_state(setting), setting.batch()
    state, info = gan.step(start, batch, KEY)
    G, D = network(LATENT, 2, "batch" if norm == "batch" else "none"), network(2, None, norm)
    z = jax.random.normal(jax.random.fold_in(jax.random.split(jax.random.fold_in(KEY, 0))[0], 4), (PART, LATENT))
    fake, _ = G.apply(start.g.params, start.g.stats, z, batch["label"], None, train=True)
    # Real, then fake, each with statistics of its own; then neither the penalty nor G's update adds to them.
    real_logits, stats = D.apply(start.d.params, start.d.stats, batch["image"], batch["label"], None, train=True)
    fake_logits, stats = D.apply(start.d.params, stats, fake, batch["label"], None, train=True)
    close(state.d.stats, stats)
    close(info["real_logits"], real_logits.mean(), 3e-6)
    close(info["fake_logits"], fake_logits.mean(), 3e-6)
    _, after = D.apply(start.d.params, stats, fake, batch["label"], None, train=True)
    assert not np.allclose(jax.tree.leaves(after)[0], jax.tree.leaves(stats)[0], atol=1e-5), "one more pass would show"


def test_d_judges_in_training_mode_in_both_updates():
    def apply(params, stats, x, labels, key, *, train):
        assert train, "a loss must never see the running averages"
        return network(2, None, "batch").apply(params, stats, x, labels, key, train=train)

    setting = Setting(RELATIVISTIC, "batch", penalty=r1, gamma=1.0)
    gan = setting.gan(discriminator=Network(network(2, None, "batch").init, apply))
    jax.eval_shape(gan.step, jax.eval_shape(gan.init, KEY), setting.batch(), KEY)


def test_augment_is_what_d_sees(compiled):
    setting = Setting(RELATIVISTIC, penalty=r1, gamma=0.5)
    D = network(2, None)

    def apply(params, stats, x, *rest, train):
        return D.apply(params, stats, 0.5 * x + 1.0, *rest, train=train)

    inside = compiled(setting, discriminator=Network(D.init, apply, depends_on_batch=False))
    outside = compiled(setting, augment=lambda key, x, strength: strength * x + 1.0, augment_strength=0.5)
    start = first_state(setting)
    close(outside.step(start, setting.batch(), KEY), inside.step(start, setting.batch(), KEY))


def test_augment_strength_follows_its_schedule_and_g_feels_it(compiled):
    setting = Setting()
    gan = compiled(
        setting,
        augment=lambda key, x, strength: strength * x,
        augment_strength=schedules.linear(0.0, 1.0, 1.0),
        discriminator=from_linen(_D(), jnp.zeros((1, 2))),
    )
    state, info = gan.step(gan.init(jax.random.key(1)), setting.batch(), KEY)
    assert float(info["g_grad_norm"]) == 0.0  # at strength 0 D sees nothing, so neither does G
    close(info["real_logits"], info["fake_logits"], 0)
    _, info = gan.step(state, setting.batch(1), KEY)
    assert float(info["g_grad_norm"]) > 1e-4
    assert float(info["real_logits"]) != float(info["fake_logits"])


def test_augment_draws_anew_for_real_and_fake_and_each_update(compiled):
    setting = Setting(optimizer=optax.set_to_zero())
    D = network(2, None)
    gan = compiled(setting, augment=lambda key, x, strength: jax.random.normal(key, x.shape), discriminator=D)
    state, first = gan.step(first_state(setting), setting.batch(), KEY)
    _, second = gan.step(state, setting.batch(), KEY)
    # The images are gone and only the draws are left, so four equal draws would give four equal means.
    seen = {float(info[name]) for info in (first, second) for name in ("real_logits", "fake_logits")}
    assert len(seen) == 4


def test_a_sample_depends_on_its_own_index_only(compiled):
    setting = Setting(norm="batch")
    gan = compiled(setting)
    state, _ = run(gan, setting, first_state(setting), range(2))
    labels = jnp.arange(12, dtype=jnp.int32) % CLASSES
    images = gan.sample(state.ema, KEY, labels)
    assert images.shape == (12, 2)
    assert same(images, gan.sample(state.ema, KEY, labels))
    close(images[5:9], gan.sample(state.ema, KEY, labels[5:9], first=5))
    close(images[11:], gan.sample(state.ema, KEY, labels[11:], first=jnp.int32(11)))
    others = gan.sample(state.ema, jax.random.key(8), labels)
    assert float(jnp.abs(images - others).max(axis=1).min()) > 1e-4
    rolled = gan.sample(state.ema, KEY, (labels + 1) % CLASSES)
    assert float(jnp.abs(images - rolled).max(axis=1).min()) > 1e-4


def test_labels_of_samples_may_be_one_for_all_or_left_out_and_a_state_stands_for_its_average(compiled):
    setting = Setting()
    gan, state = compiled(setting), first_state(setting)
    every = functools.partial(setting.gan().sample, state, KEY)
    assert same(every(2, n=5), gan.sample(state.ema, KEY, jnp.full(5, 2)))
    assert same(every(n=5), gan.sample(state.ema, KEY, jnp.zeros(5, jnp.int32)))
    z = jax.random.normal(KEY, (3, LATENT))
    assert same(every(z=z), gan.sample(state.ema, KEY, jnp.zeros(3, jnp.int32), z=z))
    assert every().shape == (1, 2)
    with pytest.raises(ValueError, match=r"^labels: labels for 4, z for 3, but they must be of one number of images$"):
        every(jnp.zeros(4, jnp.int32), z=z)
    with pytest.raises(ValueError, match=r"^condition/b: an array of shape \[2\], but it must hold one for each of 3 samples$"):
        every({"a": jnp.zeros((3, 2)), "b": jnp.zeros(2)})


def test_a_batch_may_leave_labels_out() -> None:
    gan, images = typing_examples.gan, jnp.ones((4, 2))
    state = gan.init(KEY)
    with_zeros, _ = gan.step(state, {"image": images, "label": jnp.zeros(4, jnp.int32)}, KEY)
    same(gan.step(state, {"image": images}, KEY)[0], with_zeros)


def test_a_state_counts_its_numbers_instead_of_printing_them(compiled):
    shown = repr(first_state(Setting()))
    assert shown.startswith("GANState(step=0, g=Player(params: ")
    assert len(shown) < 400
    assert "in 3 arrays" in shown


def test_samples_come_from_the_averaged_generator_in_test_mode(compiled):
    setting = Setting(norm="batch", half_life=100.0)
    gan = compiled(setting)
    state, _ = run(gan, setting, first_state(setting), range(2))
    z = jax.random.normal(jax.random.key(5), (6, LATENT))
    labels = jnp.zeros(6, jnp.int32)
    expected, _ = network(LATENT, 2, "batch").apply(state.ema.params, state.ema.stats, z, labels, None, train=False)
    close(gan.sample(state.ema, KEY, labels, z=z), expected)
    index = jax.vmap(lambda i: jax.random.normal(jax.random.fold_in(KEY, i), (LATENT,)))(jnp.arange(6))
    close(gan.sample(state.ema, KEY, labels, z=index), gan.sample(state.ema, KEY, labels))


def test_a_generators_noise_is_not_its_latents():
    def noise_less_latents(params, stats, x, labels, key, *, train):
        return jax.random.normal(key, x.shape) - x, stats

    setting = Setting()
    gan = setting.gan(generator=Network(network(LATENT, 2).init, noise_less_latents))
    for count in (1, 5):
        images = gan.sample(first_state(setting).ema, KEY, jnp.zeros(count, jnp.int32))
        assert float(jnp.abs(images).max(axis=1).min()) > 1e-3


def test_the_players_start_apart_and_the_average_at_g():
    twin = network(2, 2)
    state = Setting().gan(generator=twin, discriminator=twin, latent_dim=2).init(jax.random.key(1))
    for g, d in zip(jax.tree.leaves(state.g.params), jax.tree.leaves(state.d.params), strict=True):
        assert float(jnp.abs(g - d).min()) > 0
    assert same(state.ema, Weights(state.g.params, state.g.stats))
    assert int(state.step) == 0


def test_going_on_is_bit_for_bit_never_having_stopped(compiled):
    setting = SETTINGS["batch normalisation, scheduled Adam, EMA ramp"]
    gan = compiled(setting)
    start = first_state(setting)
    through, _ = run(gan, setting, start, range(5))
    saved = plain(run(gan, setting, start, range(3))[0])
    resumed, _ = run(gan, setting, jax.tree.map(jnp.asarray, saved), range(3, 5))
    assert same(through, resumed)
    assert not same(through.g.params, saved.g.params)


def test_every_step_has_draws_of_its_own(compiled):
    setting = Setting()
    gan = compiled(setting)
    start = first_state(setting)
    _, info = gan.step(start, setting.batch(), KEY)
    for state, key in ((start._replace(step=jnp.int32(1)), KEY), (start, jax.random.key(8))):
        _, other = gan.step(state, setting.batch(), key)
        assert float(other["fake_logits"]) != float(info["fake_logits"])
        assert float(other["real_logits"]) == float(info["real_logits"])


@pytest.mark.parametrize("norm", ["none", "batch"])
def test_two_devices_give_what_one_gives(norm, compiled):
    assert len(jax.devices()) == 2
    setting = Setting(RELATIVISTIC, norm, penalty=r1, gamma=0.5)
    gan = compiled(setting)
    mesh = Mesh(np.array(jax.devices()), ("data",), axis_types=(AxisType.Auto,))
    everywhere, apart = NamedSharding(mesh, PartitionSpec()), NamedSharding(mesh, PartitionSpec("data"))
    start = first_state(setting)
    one, info = gan.step(start, setting.batch(), KEY)
    both, figures = gan.step(jax.device_put(start, everywhere), jax.device_put(setting.batch(), apart), KEY)
    assert len(figures["d_loss"].sharding.device_set) == 2
    # Gradient descent, so equal parameters are equal gradients. Margin: the order of a sum in float32.
    close(plain(both), plain(one), 1e-6)
    close(plain(figures), plain(info), 1e-6)


def test_seeds_side_by_side():
    setting = Setting(norm="batch", penalty=r1, gamma=0.5)
    gan = setting.gan()
    keys = jax.random.split(jax.random.key(1), 3)
    starts = jax.jit(jax.vmap(gan.init))(keys)
    states, info = jax.jit(jax.vmap(gan.step, (0, None, 0)))(starts, setting.batch(), keys)
    assert info["d_loss"].shape == (3,)
    start = jax.jit(gan.init)(keys[1])
    close(jax.tree.map(lambda x: x[1], starts), start)
    state, alone = jax.jit(gan.step)(start, setting.batch(), keys[1])
    close(jax.tree.map(lambda x: x[1], states), state, 1e-5)
    close(jax.tree.map(lambda x: x[1], info), alone, 1e-5)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("latent_dim", 0),
        ("latent_dim", -3),
        ("disc_steps", 0),
        ("gamma", math.nan),
        ("gamma", -1),
        ("gamma", math.inf),
        ("augment_strength", -0.5),
        ("ema_half_life", -1),
        ("ema_half_life", math.nan),
        ("latent_dim", 2.5),
        ("latent_dim", True),
        ("disc_steps", "2"),
        ("gamma", "0.1"),
        ("ema_half_life", None),
    ],
)
def test_a_number_out_of_range_is_refused_in_one_line(field, value):
    with pytest.raises(ValueError, match=f"^{field}: {value!r}, but .* at least ") as error:
        Setting(penalty=r1, gamma=1.0).gan(**{field: value})
    assert "\n" not in str(error.value)


def test_a_penalty_needs_its_weight():
    with pytest.raises(ValueError, match=r"^gamma: None, but a penalty needs its weight$"):
        Setting().gan(penalty=r1, gamma=None)


class _G(nn.Module):
    @nn.compact
    def __call__(self, z, labels, *, train=False):
        h = nn.relu(nn.BatchNorm(use_running_average=not train, momentum=0.9)(nn.Dense(UNITS)(z)))
        return nn.Dense(2)(h + nn.Embed(CLASSES, UNITS)(labels))


class _D(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Dense(1)(nn.leaky_relu(nn.Dense(UNITS)(x), 0.2))[:, 0]


def test_the_protocol_learns_a_distribution_with_modules_of_ones_own():
    gan = make_gan(
        generator=from_linen(_G(), jnp.zeros((1, LATENT)), jnp.zeros(1, jnp.int32)),
        discriminator=from_linen(_D(), jnp.zeros((1, 2))),
        loss=RELATIVISTIC,
        penalty=r1,
        gamma=0.05,
        g_optimizer=optax.adam(5e-3, b1=0.0, b2=0.9),
        d_optimizer=optax.adam(5e-3, b1=0.0, b2=0.9),
        latent_dim=LATENT,
        ema_half_life=1_000.0,
    )
    state = jax.jit(gan.init)(jax.random.key(0))
    labels = jnp.zeros(512, jnp.int32)
    mean, scale = jnp.array([[1.5, -1.0]]), jnp.array([[0.3, 0.6]])

    @jax.jit
    def train(state, key):
        def body(state, step):
            image = mean + scale * jax.random.normal(jax.random.fold_in(key, step), (128, 2))
            return gan.step(state, {"image": image, "label": labels[:128]}, key)

        return jax.lax.scan(body, state, jnp.arange(600))

    before = gan.sample(state.ema, jax.random.key(1), labels)
    state, info = train(state, jax.random.key(2))
    after = gan.sample(state.ema, jax.random.key(1), labels)
    assert all(bool(jnp.isfinite(value).all()) for value in info.values())
    # Margin: a third of the narrower side; before training the mean is off by more than 1.
    assert float(jnp.linalg.norm(before.mean(0) - mean[0])) > 1.0
    np.testing.assert_allclose(after.mean(0), mean[0], atol=0.1)
    np.testing.assert_allclose(after.std(0), scale[0], atol=0.2)
