"""The bridge to flax: what a linen module of any make becomes; and packing."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxgan import toy
from jaxgan.core import penalties
from jaxgan.core.gan import make_gan
from jaxgan.core.types import Loss, Network
from jaxgan.nets import dcgan, mlp, r3gan, sngan, stylegan2
from jaxgan.nets.linen import from_linen
from jaxgan.nets.transforms import pack, rematerialised, stages

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
    assert not net.depends_on_batch
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
    assert not net.depends_on_batch


def test_batch_statistics_move_in_training_only():
    net = from_linen(Normalised(), X[:1], LABELS[:1])
    params, stats = net.init(KEY)
    assert net.depends_on_batch
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
    assert from_linen(Plain(), X[:1], depends_on_batch=True).depends_on_batch
    assert not from_linen(Normalised(), X[:1], LABELS[:1], depends_on_batch=False).depends_on_batch


@pytest.mark.parametrize("example", [(), (X, LABELS, LABELS)])
def test_an_example_of_no_network_is_refused(example):
    with pytest.raises(ValueError, match=rf"^example: {len(example)} arrays, but a network takes") as error:
        from_linen(Plain(), *example)
    assert "\n" not in str(error.value)


# ----------------------------------------------------------------------------------------------------------------- packing


class Pairs(nn.Module):
    """A D of any samples, with curvature and labels."""

    @nn.compact
    def __call__(self, x, labels):
        h = jnp.tanh(nn.Dense(5)(x.reshape(x.shape[0], -1)) + 0.3 * labels[:, None])
        return nn.Dense(1)(h)[:, 0]


def packed(m, shape):
    """A D for samples of this shape, alone and packing m."""
    wide = from_linen(Pairs(), jnp.zeros((1, *shape[:-1], m * shape[-1])), LABELS[:1])
    return wide, pack(wide, m)


@pytest.mark.parametrize("shape", [(2,), (4, 3, 2)], ids=str)
@pytest.mark.parametrize("m", [2, 3])
def test_a_pack_is_its_samples_side_by_side(shape, m):
    wide, packs = packed(m, shape)
    params, stats = packs.init(KEY)
    assert jax.tree.all(jax.tree.map(jnp.array_equal, (params, stats), wide.init(KEY)))
    x = jax.random.normal(KEY, (6, *shape))
    labels = jnp.arange(6, dtype=jnp.int32)
    logits, _ = packs.apply(params, stats, x, labels, KEY, train=True)
    by_hand = np.stack([np.concatenate(x[i : i + m], axis=-1) for i in range(0, 6, m)])
    expected, _ = wide.apply(params, stats, by_hand, np.arange(0, 6, m), KEY, train=True)
    assert logits.shape == (6 // m,)
    np.testing.assert_allclose(logits, expected, rtol=1e-6)


def test_a_pack_needs_no_labels_and_keeps_statistics():
    net = pack(from_linen(Spectral(), X[:1]), 2)
    params, stats = net.init(KEY)
    y, new = net.apply(params, stats, jnp.ones((4, 1)), None, KEY, train=True)
    assert y.shape == (2, 2)
    np.testing.assert_allclose(new["vectors"]["u"], 2.0)


def test_a_pack_of_one_is_the_network_itself():
    net = from_linen(Plain(), X[:1])
    assert pack(net, 1) is net
    assert pack(net, 2).depends_on_batch, "real and generated samples must pass apart"


RELATIVISTIC = Loss(lambda real, fake: jax.nn.softplus(fake - real), lambda real, fake: jax.nn.softplus(real - fake))


def test_no_pack_holds_real_and_generated_samples():
    """A D that returns the greatest difference within a pack, real samples of 1 and generated ones of -1."""

    def spread(params, stats, x, labels, key, *, train):
        return x.max(axis=1) - x.min(axis=1), stats

    seen = jnp.array([[1.0, -1.0]]).repeat(4, axis=0).reshape(-1, 1)
    np.testing.assert_array_equal(
        pack(Network(lambda key: ({}, {}), spread), 2).apply({}, {}, seen, None, KEY, train=True)[0], 2
    )

    def critic_sees(critic, real, fake, key):
        return critic(jnp.stack([real, fake], axis=1).reshape(-1, 1))

    gan = make_gan(
        generator=Network(lambda key: ({}, {}), lambda params, stats, z, *_, train: (jnp.full((z.shape[0], 1), -1.0), stats)),
        discriminator=pack(Network(lambda key: ({}, {}), spread, depends_on_batch=False), 2),
        loss=Loss(d=lambda real, fake: jnp.abs(real) + jnp.abs(fake), g=lambda real, fake: jnp.abs(real) + jnp.abs(fake)),
        penalty=critic_sees,
        gamma=1.0,
        g_optimizer=optax.sgd(0.1),
        d_optimizer=optax.sgd(0.1),
        latent_dim=1,
    )
    _, info = jax.jit(gan.step)(gan.init(KEY), {"image": jnp.ones((8, 1)), "label": jnp.zeros(8, jnp.int32)}, KEY)
    for name in ("d_loss", "g_loss", "penalty", "real_logits", "fake_logits"):
        assert float(info[name]) == 0.0, name


@pytest.mark.parametrize("name", ["r1", "r2", "r1_r2", "gradient_penalty", "dragan"])
@pytest.mark.parametrize("m", [2, 3])
def test_a_penalty_is_that_of_the_whole_pack(name, m):
    """Against the gradient of each pack on its own, at the points the penalties' docstrings give."""
    wide, packs = packed(m, (2, 2, 1))
    params, stats = wide.init(KEY)
    params = jax.tree.map(lambda x: 3.0 * x, params)  # so that curvature matters
    real, fake = jax.random.normal(jax.random.key(5), (2, 12, 2, 2, 1))
    labels = jnp.zeros(12, jnp.int32)

    def critic(x):  # as in a step: k batches in turns pass apart, and the logits come in turns
        batches = x.reshape(12, -1, *x.shape[1:])
        logits = [packs.apply(params, stats, batches[:, i], labels, KEY, train=True)[0] for i in range(batches.shape[1])]
        return jnp.stack(logits, axis=1).reshape(-1)

    def logit(x):
        return wide.apply(params, stats, x[None], LABELS[:1], KEY, train=True)[0][0]

    def norms(images):
        as_packs = jnp.stack([jnp.concatenate(list(images[i : i + m]), axis=-1) for i in range(0, 12, m)])
        return jnp.stack([jnp.linalg.norm(gradient) for gradient in jax.vmap(jax.grad(logit))(as_packs)])

    mix = jax.random.uniform(KEY, (12 // m,)).repeat(m)[:, None, None, None]  # one line from pack to pack
    noise = 0.5 * real.std() * jax.random.uniform(KEY, real.shape)
    expected = {
        "r1": lambda: norms(real) ** 2 / 2,
        "r2": lambda: norms(fake) ** 2 / 2,
        "r1_r2": lambda: norms(real) ** 2 / 2 + norms(fake) ** 2 / 2,
        "gradient_penalty": lambda: (norms(mix * real + (1 - mix) * fake) - 1) ** 2,
        "dragan": lambda: (norms(real + noise) - 1) ** 2,
    }[name]
    expected = jax.jit(expected)()
    found = jax.jit(lambda: getattr(penalties, name)(critic, real, fake, KEY))()
    assert found.shape == (12 // m,)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_a_step_of_pacgan_on_the_ring():
    """Two samples a pack, relativistic, R1 and R2: logits and penalty by hand, traced once, both players move."""
    count, gamma, traces = 8, 0.1, []
    wide = from_linen(mlp.Discriminator(hidden=(8,)), jnp.zeros((1, 4)))
    generator = from_linen(mlp.Generator(hidden=(8,)), jnp.zeros((1, 3)))
    gan = make_gan(
        generator=generator,
        discriminator=pack(wide, 2),
        loss=RELATIVISTIC,
        penalty=penalties.r1_r2,
        gamma=gamma,
        g_optimizer=optax.sgd(0.1),
        d_optimizer=optax.sgd(1.0),  # so that the change of the parameters is minus their gradient
        latent_dim=3,
    )

    def traced(*arguments):
        traces.append(0)
        return gan.step(*arguments)

    start, step = gan.init(jax.random.key(1)), jax.jit(traced)
    draw = toy.dataset(toy.ring(), name="ring").batches(0, 2 * count)  # relativistic: half for each player
    batch = {name: value[0] for name, value in draw(0).items()}
    state, info = step(start, batch, KEY)
    for i in (1, 2):
        later, after = step(state, {name: value[0] for name, value in draw(i).items()}, KEY)
        assert all(bool(jnp.isfinite(value)) for value in after.values())
    assert len(traces) == 1
    assert int(later.step) == 2

    z = jax.random.normal(jax.random.fold_in(jax.random.split(jax.random.fold_in(KEY, 0))[0], 4), (count, 3))
    fake, _ = generator.apply(start.g.params, start.g.stats, z, None, KEY, train=True)
    real_packs, fake_packs = (x.reshape(count // 2, 4) for x in (batch["image"][::2], fake))

    def by_hand(params):
        logits = lambda x: wide.apply(params, {}, x, None, KEY, train=True)[0]  # noqa: E731
        slopes = jax.vmap(jax.grad(lambda x: logits(x[None])[0]))
        penalty = 0.5 * ((slopes(real_packs) ** 2).sum(1) + (slopes(fake_packs) ** 2).sum(1)).mean()
        real, fake = logits(real_packs), logits(fake_packs)
        return jax.nn.softplus(fake - real).mean() + gamma * penalty, (penalty, real.mean(), fake.mean())

    grads, expected = jax.jit(jax.grad(by_hand, has_aux=True))(start.d.params)
    for name, value in zip(("penalty", "real_logits", "fake_logits"), expected, strict=True):
        np.testing.assert_allclose(info[name], value, rtol=1e-5, atol=1e-6)
    change = jax.tree.map(jnp.subtract, start.d.params, state.d.params)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), change, grads)
    assert float(info["g_grad_norm"]) > 1e-4


@pytest.mark.parametrize("m", [0, -1, 2.0, True, "2", None])
def test_an_odd_pack_is_refused(m):
    with pytest.raises(ValueError, match=rf"^m: {m!r}, but it must be an integer of at least 1$"):
        pack(from_linen(Plain(), X[:1]), m)


def test_a_batch_that_leaves_a_rest_is_refused_in_one_line():
    net = pack(from_linen(Plain(), jnp.zeros((1, 8))), 4)
    params, stats = net.init(KEY)
    with pytest.raises(ValueError, match=r"^batch: 6 samples, but packs of 4 need a multiple of 4$"):
        net.apply(params, stats, jnp.zeros((6, 2)), jnp.zeros(6, jnp.int32), KEY, train=True)


STAGES = {
    "mlp": (mlp.Discriminator(hidden=(8, 8), classes=3), 8, "hidden_0 hidden_1 logit label"),
    "dcgan 8": (dcgan.Discriminator(8, width=4), 8, "down_0 dense_0 dense_norm_0 dense_1 dense_norm_1 logit"),
    "dcgan 32": (dcgan.Discriminator(32, width=4, norm="batch"), 32, "down_0 down_1 norm_1 down_2 norm_2 logit"),
    "sngan": (sngan.Discriminator(width=4, classes=3), 32, "block_0 block_1 block_2 block_3 logit label"),
    "r3gan": (
        r3gan.Discriminator(widths=(4, 8), groups=(1, 1), blocks=1, classes=3), 8,
        "from_image block_1_0 change_1 block_0_0 basis label linear",
    ),
    "stylegan2": (
        stylegan2.Discriminator(16, channel_max=4, mapping_layers=1, classes=3, remat=True), 16,
        "block_16 block_8 block_4 mapping",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", STAGES)
def test_stages_of_d_run_from_the_images_to_the_logit(name):
    module, side, expected = STAGES[name]
    network = from_linen(module, jnp.zeros((4, side, side, 3)), jnp.zeros(4, jnp.int32), depends_on_batch=True)
    assert stages(network) == tuple(expected.split())
    assert stages(pack(network, 2)) == stages(network)


def test_stages_need_a_dict():
    with pytest.raises(ValueError, match="network: its parameters are of type list, but stages need a dict"):
        stages(Network(lambda key: ([key], {}), lambda *_, train: None))


def test_a_rematerialised_network_has_the_same_gradients_and_keeps_less():
    network = from_linen(mlp.Discriminator(hidden=(8, 8)), X[:1], LABELS[:1])
    params, stats = network.init(KEY)

    def loss(of):
        return lambda params: of.apply(params, stats, X, LABELS, KEY, train=True)[0].sum()

    again = rematerialised(network)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6),
        jax.grad(loss(again))(params), jax.grad(loss(network))(params),
    )  # fmt: skip
    kept = [len(jax.tree.leaves(jax.eval_shape(lambda of=of: jax.vjp(loss(of), params)[1]))) for of in (again, network)]
    assert kept[0] < kept[1]
    assert again.depends_on_batch == network.depends_on_batch
