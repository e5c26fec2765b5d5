"""What a step does now and then, and what it remembers: lazy penalties, path lengths, an adaptive strength."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxgan import make_gan
from jaxgan.core import ada, losses, penalties, sweep
from jaxgan.core.types import Adaptive, Network

SIDE, LATENT, STYLE, LAYERS, BATCH, RATE = 3, 2, 4, 2, 6, 0.05
KEY = jax.random.key(0)


def g_init(key):
    keys = jax.random.split(key)
    mapping, synthesis = jax.random.normal(keys[0], (LATENT, STYLE)), jax.random.normal(keys[1], (LAYERS, STYLE, SIDE**2))
    return {"mapping": mapping, "synthesis": synthesis}, {}


def g_map(params, stats, z, labels, key, *, train, truncation=None):
    w = jnp.tanh(z @ params["mapping"]) * (1.0 if truncation is None else truncation)
    return jnp.repeat(w[:, None], LAYERS, axis=1), stats


def g_synthesize(params, stats, w, key, *, train):
    return jnp.tanh(jnp.einsum("bld,ldp->bp", w, params["synthesis"])).reshape(-1, SIDE, SIDE, 1)


def g_apply(params, stats, z, labels, key, *, train):
    w, stats = g_map(params, stats, z, labels, key, train=train)
    return g_synthesize(params, stats, w, key, train=train), stats


def d_apply(params, stats, x, labels, key, *, train):
    return jnp.square(x.reshape(len(x), -1) @ params["kernel"]).sum(axis=1) - 1.0, stats


G = Network(g_init, g_apply, False, g_map, g_synthesize)
D = Network(lambda key: ({"kernel": 0.3 * jax.random.normal(key, (SIDE**2, 3))}, {}), d_apply, False)
COMMON = {
    "generator": G, "discriminator": D, "loss": losses.non_saturating, "latent_dim": LATENT,
    "g_optimizer": optax.sgd(RATE), "d_optimizer": optax.sgd(RATE),
}  # fmt: skip
BATCH_0 = {"image": jax.random.normal(jax.random.key(9), (BATCH, SIDE, SIDE, 1)), "label": jnp.zeros(BATCH, jnp.int32)}


def steps_of(gan, count, state=None):
    """The states before and after each of the steps, and what each said."""
    step, states, infos = jax.jit(gan.step), [gan.init(KEY) if state is None else state], []
    for _ in range(count):
        state, info = step(states[-1], BATCH_0, KEY)
        states, infos = [*states, state], [*infos, info]
    return states, infos


def assert_equal(a, b, tolerance=1e-6):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=tolerance, atol=tolerance), a, b)


def test_a_lazy_penalty_acts_at_every_nth_step_and_n_times():
    lazy = make_gan(**COMMON, penalty=penalties.r1, gamma=0.3, penalty_interval=3)
    states, infos = steps_of(lazy, 5)
    plain = jax.jit(make_gan(**COMMON).step)
    assert "penalty" not in infos[0]
    for i, (before, after) in enumerate(itertools.pairwise(states)):
        without = plain(before, BATCH_0, KEY)[0]
        if i % 3:
            assert_equal(after, without)
            continue

        def total(params):
            return penalties.r1(lambda x: d_apply(params, {}, x, None, None, train=True)[0], BATCH_0["image"], None, KEY).mean()

        by_hand = jax.tree.map(lambda p, g: p - RATE * 3 * 0.3 * g, without.d.params, jax.grad(total)(without.d.params))
        assert_equal(after.d.params, by_hand)
        assert not np.allclose(after.d.params["kernel"], without.d.params["kernel"], atol=1e-4)


def test_path_length_is_that_of_the_whole_jacobian():
    w = jax.random.normal(jax.random.key(1), (BATCH, LAYERS, STYLE))
    params, _ = g_init(KEY)
    network = G._replace(map=lambda *_, train: (w[::2], {}))
    z, labels = jnp.zeros((BATCH, LATENT)), jnp.zeros(BATCH, jnp.int32)
    penalty = jax.jit(penalties.path_length(network, decay=0.25).apply)
    value, average = penalty(params, {}, z, labels, KEY, jnp.float32(2.0))
    noise = jax.random.normal(jax.random.split(KEY, 3)[2], (BATCH // 2, SIDE, SIDE, 1)) / SIDE
    jacobian = jax.vmap(jax.jacrev(lambda w: g_synthesize(params, {}, w[None], None, train=True)[0]))(w[::2])
    lengths = jnp.sqrt(jnp.square(jnp.einsum("bhwcld,bhwc->bld", jacobian, noise)).sum(-1).mean(-1))
    assert float(average) == pytest.approx(2.0 + 0.25 * (float(lengths.mean()) - 2.0), rel=1e-5)
    np.testing.assert_allclose(value, 2.0 * jnp.square(lengths - average), rtol=1e-4)


def test_path_lengths_move_g_at_every_nth_step_and_are_remembered():
    gan = make_gan(**COMMON, g_penalty=penalties.path_length(G), g_penalty_interval=2)
    states, infos = steps_of(gan, 4)
    plain = jax.jit(make_gan(**COMMON).step)
    averages = [float(state.memory["g_penalty"]) for state in states]
    assert averages[0] == 0.0 < averages[1] == averages[2] < averages[3] == averages[4]
    assert [float(info["path_length"]) for info in infos] == averages[1:]
    for i, (before, after) in enumerate(itertools.pairwise(states)):
        without = plain(before._replace(memory={}), BATCH_0, KEY)[0]
        assert_equal(after.d, without.d)
        same = np.allclose(after.g.params["synthesis"], without.g.params["synthesis"], atol=1e-7)
        assert same == bool(i % 2)


def test_path_length_needs_a_mapping():
    with pytest.raises(ValueError, match="generator: it has no mapping"):
        penalties.path_length(D)


def shifting(key, images, strength):
    return images + strength


def test_an_adaptive_strength_rises_while_d_is_sure_and_goes_on_when_resumed():
    steered = ada.adaptive(target=-0.9, length=60)
    gan = make_gan(**COMMON, augment=shifting, augment_strength=steered)
    states, infos = steps_of(gan, 4)
    strengths = np.array([float(state.memory["augment_strength"]) for state in states])
    moves = np.sign([float(info["real_sign"]) + 0.9 for info in infos]) * BATCH / 60
    np.testing.assert_allclose(strengths, np.clip(np.concatenate([[0.0], np.cumsum(moves)]), 0, 1), atol=1e-6)
    assert strengths[-1] > 0.3
    np.testing.assert_allclose([float(info["augment_strength"]) for info in infos], strengths[:-1])
    again, _ = steps_of(gan, 2, states[2])
    assert_equal(again[-1], states[-1], 0)


def test_it_falls_where_d_is_not_sure():
    never = Adaptive(lambda: jnp.float32(0.5), lambda p: p, ada.adaptive(target=0.99, length=60).update)
    states, infos = steps_of(make_gan(**COMMON, augment=shifting, augment_strength=never), 2)
    assert float(infos[0]["real_sign"]) < 0.99
    assert float(states[1].memory["augment_strength"]) == pytest.approx(0.5 - BATCH / 60)


def test_members_remember_apart():
    steered, path = ada.adaptive(target=-0.9, length=60), penalties.path_length(G)
    gan = make_gan(**COMMON, augment=shifting, augment_strength=steered, g_penalty=path, g_penalty_interval=2)
    keys = jnp.stack([KEY, jax.random.key(5)])
    several = sweep.side_by_side(lambda _: gan)
    batch = jax.tree.map(lambda x: jnp.stack([x, x]), BATCH_0)
    state, _ = jax.jit(several.step)(several.init(keys), batch, keys)
    alone, _ = jax.jit(gan.step)(gan.init(KEY), BATCH_0, KEY)
    assert_equal(sweep.member(state, 0), alone, 1e-5)


def test_truncation_is_for_a_generator_with_a_mapping():
    gan = make_gan(**COMMON)
    state, labels = gan.init(KEY), jnp.zeros(3, jnp.int32)
    np.testing.assert_allclose(gan.sample(state.ema, KEY, labels, truncation=1.0), gan.sample(state.ema, KEY, labels))
    assert float(jnp.abs(gan.sample(state.ema, KEY, labels, truncation=0.0)).max()) == 0.0
    plain = make_gan(**COMMON | {"generator": G._replace(map=None)})
    with pytest.raises(ValueError, match=r"truncation: 0\.5, but this generator has no mapping"):
        plain.sample(state.ema, KEY, labels, truncation=0.5)


@pytest.mark.parametrize("field", ["penalty_interval", "g_penalty_interval"])
def test_intervals_are_checked(field):
    with pytest.raises(ValueError, match=f"{field}: 0, but it must be a finite int, at least 1"):
        make_gan(**COMMON, **{field: 0})
