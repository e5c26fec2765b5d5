"""The bridge to flax: what a linen module of any make becomes."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgan.network import from_linen

KEY = jax.random.key(0)
X = jnp.arange(6.0).reshape(3, 2)
LABELS = jnp.array([0, 1, 2], jnp.int32)


class Plain(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Dense(1)(x)[:, 0]


class Conditional(nn.Module):
    @nn.compact
    def __call__(self, x, labels):
        return nn.Dense(4)(x) + nn.Embed(3, 4)(labels)


class Normalised(nn.Module):
    @nn.compact
    def __call__(self, x, labels, *, train):
        return nn.BatchNorm(use_running_average=not train, momentum=0.9)(x + labels[:, None])


class Noisy(nn.Module):
    @nn.compact
    def __call__(self, x, *, train=False):
        return nn.Dense(2)(x) + jax.random.normal(self.make_rng("noise"), x.shape)


class Spectral(nn.Module):
    """Two collections, one of them left alone by every call."""

    @nn.compact
    def __call__(self, x, *, train):
        u = self.variable("vectors", "u", jnp.ones, (1, 2))
        self.variable("constants", "two", lambda: jnp.float32(2.0))
        y = x * u.value + self.get_variable("constants", "two")
        if train:
            u.value = u.value + 1.0
        return y


class Silent(nn.Module):
    """No parameters at all."""

    def __call__(self, x):
        return x.sum(-1)


def test_a_module_of_x():
    net = from_linen(Plain(), X[:1])
    params, stats = net.init(KEY)
    assert stats == {}
    assert set(params) == {"Dense_0"}
    assert type(params) is dict
    assert not net.couples
    for train in (True, False):
        y, new = net.apply(params, stats, X, LABELS, KEY, train=train)
        assert y.shape == (3,)
        assert new == {}
        np.testing.assert_allclose(y, (X @ params["Dense_0"]["kernel"])[:, 0], rtol=1e-6)


def test_a_module_of_x_and_labels():
    net = from_linen(Conditional(), X[:1], LABELS[:1])
    params, stats = net.init(KEY)
    y, _ = net.apply(params, stats, X, LABELS, KEY, train=True)
    expected = X @ params["Dense_0"]["kernel"] + params["Embed_0"]["embedding"][LABELS]
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-6)
    assert not net.couples


def test_batch_statistics_move_in_training_only():
    net = from_linen(Normalised(), X[:1], LABELS[:1])
    params, stats = net.init(KEY)
    assert net.couples
    mean = stats["batch_stats"]["BatchNorm_0"]["mean"]
    np.testing.assert_allclose(mean, 0.0)  # init leaves no trace of the example

    y, new = net.apply(params, stats, X, LABELS, KEY, train=True)
    x = np.asarray(X + LABELS[:, None])
    np.testing.assert_allclose(y, (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-5), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(new["batch_stats"]["BatchNorm_0"]["mean"], 0.1 * x.mean(0), rtol=1e-6)
    np.testing.assert_allclose(new["batch_stats"]["BatchNorm_0"]["var"], 0.9 + 0.1 * x.var(0), rtol=1e-6)
    np.testing.assert_allclose(stats["batch_stats"]["BatchNorm_0"]["mean"], 0.0)  # and nothing is changed in place

    y, kept = net.apply(params, new, X, LABELS, KEY, train=False)
    running = jax.tree.map(np.asarray, new["batch_stats"]["BatchNorm_0"])
    np.testing.assert_allclose(y, (x - running["mean"]) / np.sqrt(running["var"] + 1e-5), rtol=1e-5)
    np.testing.assert_array_equal(kept["batch_stats"]["BatchNorm_0"]["mean"], running["mean"])


def test_every_collection_is_carried_on():
    net = from_linen(Spectral(), X[:1])
    params, stats = net.init(KEY)
    assert params == {}
    assert set(stats) == {"vectors", "constants"}
    y, new = net.apply(params, stats, X, LABELS, KEY, train=True)
    np.testing.assert_allclose(y, X + 2.0)
    np.testing.assert_allclose(new["vectors"]["u"], 2.0)
    assert jax.tree.structure(new) == jax.tree.structure(stats)
    _, same = net.apply(params, new, X, LABELS, KEY, train=False)
    np.testing.assert_allclose(same["vectors"]["u"], 2.0)
    assert jax.tree.structure(same) == jax.tree.structure(stats)


def test_noise_comes_from_the_key():
    net = from_linen(Noisy(), X[:1])
    params, stats = net.init(KEY)
    assert set(params) == {"Dense_0"}
    for train in (True, False):
        one, _ = net.apply(params, stats, X, LABELS, KEY, train=train)
        again, _ = net.apply(params, stats, X, LABELS, KEY, train=train)
        other, _ = net.apply(params, stats, X, LABELS, jax.random.key(1), train=train)
        np.testing.assert_array_equal(one, again)
        assert float(jnp.abs(one - other).min()) > 1e-4


def test_no_parameters():
    net = from_linen(Silent(), X[:1])
    assert net.init(KEY) == ({}, {})
    np.testing.assert_allclose(net.apply({}, {}, X, LABELS, KEY, train=True)[0], X.sum(-1))


def test_the_initial_weights_come_from_the_key_and_from_shapes_only():
    a, _ = from_linen(Plain(), X[:1]).init(KEY)
    b, _ = from_linen(Plain(), 100.0 * X).init(KEY)
    c, _ = from_linen(Plain(), X[:1]).init(jax.random.key(1))
    np.testing.assert_array_equal(a["Dense_0"]["kernel"], b["Dense_0"]["kernel"])
    assert float(jnp.abs(a["Dense_0"]["kernel"] - c["Dense_0"]["kernel"]).min()) > 0


def test_couples_can_be_said():
    assert from_linen(Plain(), X[:1], couples=True).couples
    assert not from_linen(Normalised(), X[:1], LABELS[:1], couples=False).couples


@pytest.mark.parametrize("example", [(), (X, LABELS, LABELS)])
def test_an_example_of_no_network_is_refused(example):
    with pytest.raises(ValueError, match=rf"^example: {len(example)} arrays, but a network takes") as error:
        from_linen(Plain(), *example)
    assert "\n" not in str(error.value)
