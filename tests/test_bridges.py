"""The bridges from flax.nnx and equinox: modules of users' own, trained, sampled, saved and restored as ours are."""

import sys

import equinox as eqx
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

import jaxgan
from jaxgan import losses, penalties
from jaxgan.core.types import Network
from jaxgan.nets import from_equinox, from_linen, from_nnx, rematerialised, stages
from jaxgan.training import checkpoint

KEY = jax.random.key(0)
Z, X, LABELS = jnp.zeros((1, 3)), jnp.zeros((1, 2)), jnp.zeros(1, jnp.int32)


class NnxGenerator(nnx.Module):
    def __init__(self, rngs: nnx.Rngs):
        self.hidden = nnx.Linear(3, 8, rngs=rngs)
        self.norm = nnx.BatchNorm(8, rngs=rngs)
        self.out = nnx.Linear(8, 2, rngs=rngs)

    def __call__(self, z):
        return self.out(jax.nn.relu(self.norm(self.hidden(z))))


class NnxDiscriminator(nnx.Module):
    """Labels, statistics, noise, a list and a keyword."""

    def __init__(self, rngs: nnx.Rngs):
        self.label = nnx.Embed(3, 8, rngs=rngs)
        self.layers = nnx.List([nnx.Linear(2, 8, rngs=rngs), nnx.Linear(8, 8, rngs=rngs)])
        self.dropout = nnx.Dropout(0.5, rngs=rngs)
        self.norm = nnx.BatchNorm(8, rngs=rngs)
        self.end = nnx.Linear(8, 1, rngs=rngs)

    def __call__(self, x, labels, *, train):
        x = jax.nn.silu(self.layers[0](x)) + self.label(labels)
        x = self.norm(self.layers[1](x), use_running_average=not train)
        return self.end(self.dropout(jax.nn.silu(x)))[:, 0]


class EqxGenerator(eqx.Module):
    """One sample at a time, with batch statistics."""

    hidden: eqx.nn.Linear
    norm: eqx.nn.BatchNorm
    out: eqx.nn.Linear

    def __init__(self, key):
        first, second = jax.random.split(key)
        self.hidden = eqx.nn.Linear(3, 8, key=first)
        self.norm = eqx.nn.BatchNorm(8, axis_name="batch", mode="batch")
        self.out = eqx.nn.Linear(8, 2, key=second)

    def __call__(self, z, state):
        x, state = self.norm(self.hidden(z), state)
        return self.out(jax.nn.relu(x)), state


class EqxDiscriminator(eqx.Module):
    """One sample at a time: a label, a key of its own, an array that is no parameter."""

    label: eqx.nn.Embedding
    layers: list
    dropout: eqx.nn.Dropout
    order: jax.Array

    def __init__(self, key):
        keys = jax.random.split(key, 3)
        self.label = eqx.nn.Embedding(3, 8, key=keys[0])
        self.layers = [eqx.nn.Linear(2, 8, key=keys[1]), jax.nn.silu, eqx.nn.Linear(8, 1, key=keys[2])]
        self.dropout = eqx.nn.Dropout(0.5)
        self.order = jnp.array([1, 0])

    def __call__(self, x, label, *, key):
        x = self.layers[1](self.layers[0](x[self.order])) + self.label(label)
        return self.layers[2](self.dropout(x, key=key))[0]


def nnx_pair() -> tuple[Network, Network]:
    return from_nnx(NnxGenerator, Z), from_nnx(NnxDiscriminator, X, LABELS)


def equinox_pair() -> tuple[Network, Network]:
    return from_equinox(lambda key: eqx.nn.make_with_state(EqxGenerator)(key), Z), from_equinox(EqxDiscriminator, X, LABELS)


PAIRS = pytest.mark.parametrize("pair", [nnx_pair, equinox_pair], ids=["nnx", "equinox"])


def plain(tree) -> bool:
    """Nested dicts with string keys, and arrays."""
    if isinstance(tree, dict):
        return all(isinstance(name, str) and plain(branch) for name, branch in tree.items())
    return isinstance(tree, jax.Array)


@PAIRS
def test_a_pair_trains_under_r1_and_r2_and_its_state_survives_a_checkpoint(pair, tmp_path):
    generator, discriminator = pair()
    gan = jaxgan.make_gan(
        generator=generator,
        discriminator=discriminator,
        loss=losses.relativistic,
        penalty=penalties.r1_r2,
        gamma=0.1,
        g_optimizer=optax.adam(1e-2),
        d_optimizer=optax.adam(1e-2),
        latent_dim=3,
    )
    first = state = jax.jit(gan.init)(KEY)
    step = jax.jit(gan.step)
    batch = {"image": jax.random.normal(KEY, (16, 2)) + 1, "label": jnp.arange(16, dtype=jnp.int32) % 3}
    for _ in range(3):
        state, info = step(state, batch, KEY)
    assert all(np.isfinite(value) for value in info.values())
    assert all(plain(part) for player in (state.g, state.d) for part in (player.params, player.stats))
    for before, after in ((first.g.params, state.g.params), (first.d.params, state.d.params), (first.g.stats, state.g.stats)):
        # The bias before a normalisation has no gradient but rounding; all the rest has moved.
        moved = [bool((a != b).any()) for a, b in zip(jax.tree.leaves(before), jax.tree.leaves(after), strict=True)]
        assert sum(moved) >= len(moved) - 1
    images = gan.sample(state.ema, KEY, batch["label"])
    np.testing.assert_array_equal(images, gan.sample(state.ema, KEY, batch["label"]))
    np.testing.assert_allclose(images[3:5], gan.sample(state.ema, KEY, batch["label"][3:5], first=3), rtol=1e-5, atol=1e-6)

    with checkpoint.open_checkpoints(tmp_path) as checkpoints:
        checkpoints.save(state, wait=True)
    found = checkpoint.restore(tmp_path, jax.eval_shape(gan.init, KEY))
    assert jax.tree.structure(found) == jax.tree.structure(state)
    jax.tree.map(np.testing.assert_array_equal, found, state)


@PAIRS
def test_dropout_follows_the_key_and_is_off_out_of_training(pair):
    _, network = pair()
    params, stats = network.init(KEY)
    x, labels = jax.random.normal(KEY, (4, 2)), jnp.array([0, 1, 2, 0])

    def logits(seed, train):
        return np.asarray(network.apply(params, stats, x, labels, jax.random.key(seed), train=train)[0])

    np.testing.assert_array_equal(logits(1, True), logits(1, True))
    assert (logits(1, True) != logits(2, True)).all()
    np.testing.assert_array_equal(logits(1, False), logits(2, False))
    other = network.apply(params, stats, x, labels + 1 % 3, KEY, train=False)[0]
    assert (np.asarray(other) != logits(1, False)).any()


@PAIRS
def test_init_is_a_function_of_its_key(pair):
    for network in pair():
        first, again, other = (network.init(jax.random.key(seed))[0] for seed in (0, 0, 1))
        jax.tree.map(np.testing.assert_array_equal, first, again)
        assert any((a != b).any() for a, b in zip(jax.tree.leaves(first), jax.tree.leaves(other), strict=True))


@PAIRS
def test_statistics_change_in_training_only(pair):
    network, _ = pair()
    params, stats = network.init(KEY)
    z = jax.random.normal(KEY, (8, 3))
    _, kept = network.apply(params, stats, z, LABELS, KEY, train=False)
    jax.tree.map(np.testing.assert_array_equal, kept, stats)
    _, new = network.apply(params, stats, z, LABELS, KEY, train=True)
    assert jax.tree.structure(new) == jax.tree.structure(stats)
    assert any((a != b).any() for a, b in zip(jax.tree.leaves(new), jax.tree.leaves(stats), strict=True))


def test_by_default_statistics_tell_that_a_network_depends_on_its_batch():
    assert all(network.depends_on_batch for network in nnx_pair())
    assert [network.depends_on_batch for network in equinox_pair()] == [True, False]
    assert not from_nnx(NnxGenerator, Z, depends_on_batch=False).depends_on_batch
    assert from_equinox(EqxDiscriminator, X, LABELS, depends_on_batch=True).depends_on_batch


@pytest.mark.parametrize("key", [0, 7])
def test_a_module_that_exists_begins_with_its_own_weights(key):
    module = NnxGenerator(nnx.Rngs(3))
    params, _ = from_nnx(module, Z).init(jax.random.key(key))
    np.testing.assert_array_equal(params["hidden"]["kernel"], module.hidden.kernel[...])
    model, state = eqx.nn.make_with_state(EqxGenerator)(jax.random.key(3))
    network = from_equinox((model, state), Z)
    params, stats = network.init(jax.random.key(key))
    np.testing.assert_array_equal(params["hidden"]["weight"], model.hidden.weight)
    jax.block_until_ready(jax.jit(lambda tree: jax.tree.map(lambda x: x + 1, tree), donate_argnums=0)(params))
    assert not model.hidden.weight.is_deleted()
    z = jax.random.normal(KEY, (4, 3))
    wanted = jax.vmap(eqx.nn.inference_mode(model), (0, None), (0, None), axis_name="batch")(z, state)[0]
    params, _ = network.init(KEY)
    np.testing.assert_allclose(network.apply(params, stats, z, LABELS, KEY, train=False)[0], wanted, rtol=1e-5, atol=1e-6)


def test_nnx_computes_what_the_module_computes():
    module, network = NnxGenerator(nnx.Rngs(3)), from_nnx(NnxGenerator(nnx.Rngs(3)), Z)
    params, stats = network.init(KEY)
    z = jax.random.normal(KEY, (8, 3))
    module.train()
    wanted = module(z)
    y, stats = network.apply(params, stats, z, LABELS, KEY, train=True)
    np.testing.assert_allclose(y, wanted, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(stats["state"]["norm"]["mean"], module.norm.mean[...], rtol=1e-5, atol=1e-6)
    module.eval()
    np.testing.assert_allclose(network.apply(params, stats, z, LABELS, KEY, train=False)[0], module(z), rtol=1e-5, atol=1e-6)


def test_equinox_modules_that_take_a_batch():
    class Sum(eqx.Module):
        weight: jax.Array

        def __call__(self, x, *, key, train):
            assert key.shape == ()
            return (x @ self.weight).sum(axis=-1) * (2 if train else 1)

    network = from_equinox(Sum(jnp.ones((2, 5))), X, batched=True)
    params, stats = network.init(KEY)
    assert stats == {}
    for train, wanted in ((False, 10.0), (True, 20.0)):
        y, _ = network.apply(params, stats, jnp.ones((4, 2)), LABELS, KEY, train=train)
        np.testing.assert_array_equal(y, jnp.full(4, wanted))


def test_two_halves_of_an_nnx_generator():
    class Styled(nnx.Module):
        def __init__(self, rngs):
            self.mapping = nnx.Linear(3, 4, rngs=rngs)
            self.synthesis = nnx.Linear(4, 2, rngs=rngs)

        def __call__(self, z, labels, *, train):
            return self.synthesize(self.map(z, labels, train=train, truncation=None), train=train)

        def map(self, z, labels, *, train, truncation):
            return self.mapping(z)[:, None, :] * (1.0 if truncation is None else truncation)

        def synthesize(self, w, *, train):
            return self.synthesis(w[:, 0])

    for network in (from_nnx(Styled, Z, LABELS), rematerialised(from_nnx(Styled, Z, LABELS))):
        params, stats = network.init(KEY)
        z = jax.random.normal(KEY, (4, 3))
        w, _ = network.map(params, stats, z, None, KEY, train=True)
        half, _ = network.map(params, stats, z, None, KEY, train=False, truncation=0.5)
        np.testing.assert_allclose(half, w / 2, rtol=1e-6)
        images = network.synthesize(params, stats, w, KEY, train=False)
        wanted = network.apply(params, stats, z, jnp.zeros(4, jnp.int32), KEY, train=False)[0]
        np.testing.assert_allclose(images, wanted, rtol=1e-5, atol=1e-6)


@PAIRS
def test_stages_are_in_the_order_of_the_attributes(pair):
    generator, discriminator = pair()
    assert stages(generator) == ("hidden", "norm", "out")
    assert stages(discriminator) == (("label", "layers", "norm", "end") if pair is nnx_pair else ("label", "layers"))


@pytest.mark.parametrize("bridge", [from_nnx, from_equinox])
@pytest.mark.parametrize("example", [(), (X, LABELS, X)])
def test_an_example_is_one_array_or_two(bridge, example):
    with pytest.raises(ValueError, match=rf"^example: {len(example)} arrays, but a network takes \(x\) or \(x, labels\)$"):
        bridge(NnxGenerator, *example)


def test_equinox_missing_is_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "equinox", None)
    with pytest.raises(ImportError, match=r"^equinox: not installed, .*: pip install 'jaxgan\[equinox\]'$"):
        from_equinox(EqxDiscriminator, X, LABELS)


def test_an_nnx_that_does_not_import_is_one_line(monkeypatch):
    import flax

    monkeypatch.delattr(flax, "nnx", raising=False)
    monkeypatch.setitem(sys.modules, "flax.nnx", None)
    with pytest.raises(
        ImportError, match=r"^flax\.nnx of flax [\d.]+ does not import with jax [\d.]+; take flax 0\.12\.9 or later"
    ):
        from_nnx(NnxGenerator, Z)


def test_linen_s_own_dropout_finds_its_random_stream() -> None:
    class Dropped(nn.Module):
        @nn.compact
        def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
            noise = jax.random.normal(self.make_rng("noise"), x.shape)
            return noise, nn.Dropout(0.5, deterministic=not train)(x)

    network = from_linen(Dropped(), jnp.ones((1, 64)))
    params, stats = network.init(jax.random.key(0))
    labels = jnp.zeros(4, jnp.int32)

    def drawn(seed: int, train: bool) -> tuple[jax.Array, jax.Array]:
        return network.apply(params, stats, jnp.ones((4, 64)), labels, jax.random.key(seed), train=train)[0]

    (noise, dropped), (_, again), (_, other) = drawn(1, True), drawn(1, True), drawn(2, True)
    assert set(np.unique(dropped)) == {0.0, 2.0}
    np.testing.assert_array_equal(dropped, again)
    assert (dropped != other).any()
    assert (drawn(1, False)[1] == 1).all()
    assert abs(np.corrcoef(np.ravel(noise), np.ravel(dropped))[0, 1]) < 0.3  # a stream of its own
