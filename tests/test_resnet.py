"""The residual pair of signals, fields and volumes: any sides, channels and conditions, by definition and in a step."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax import lax

import jaxgan
from jaxgan import losses, make_gan, penalties
from jaxgan.nets import from_linen, resnet
from jaxgan.nets.convolutions import conv_same
from jaxgan.nets.layers import doubled, halved
from jaxgan.recipes import MLP, Recipe, ResNet, ResNetDiscriminator
from jaxgan.system.messages import FieldError
from jaxgan.training.dataset import Shape

SHAPES = {"signals": (13, 2), "fields": (5, 10, 1), "volumes": (3, 5, 7, 3)}
SMALL = {"width": 4, "max_width": 8, "embedding": 5}
LABELS = {"none": None, "classes": jnp.array([0, 2, 1]), "vector": jnp.array([[0.0, 0.0], [1.0, -2.0], [0.5, 3.0]])}


def pair(shape, condition=None, **options):
    """Both networks and their parameters, with all kernels and biases moved from zero, so that each counts."""
    labels = (condition,) if condition is not None else ()
    classes = 3 if condition is not None and condition.ndim == 1 else 0
    made = []
    for kind, x in ((resnet.Generator, jnp.zeros((3, 4))), (resnet.Discriminator, jnp.zeros((3, *shape)))):
        network = from_linen(kind(shape, classes=classes, **SMALL | options), x, *labels, depends_on_batch=False)
        made.append((network, moved(network)))
    return made


def moved(network):
    """Parameters as they begin, and noise."""
    drawn, stats = jax.jit(network.init)(jax.random.key(0))
    assert not stats
    rng = np.random.default_rng(1)
    return jax.tree.map(lambda x: x + 0.2 * rng.normal(size=x.shape).astype(x.dtype), drawn)


@functools.partial(jax.jit, static_argnums=0)
def run(network, params, x, labels=None):
    return network.apply(params, {}, x, labels, jax.random.key(0), train=True)[0]


@pytest.mark.parametrize(
    ("kind", "condition"),
    [("signals", "none"), ("signals", "vector"), ("fields", "classes"), ("volumes", "none"), ("volumes", "vector")],
)
def test_shapes_conditions_and_gradients(kind, condition):
    shape, labels = SHAPES[kind], LABELS[condition]
    options = {"none": {"patch": 2}, "classes": {"norm": "group", "expansion": 2}, "vector": {"blocks": 2}}[condition]
    (g, g_params), (d, d_params) = pair(shape, labels, **options)
    z = jax.random.normal(jax.random.key(2), (3, 4))

    def both(params, labels):
        samples = g.apply(params[0], {}, z, labels, jax.random.key(0), train=True)[0]
        logits = d.apply(params[1], {}, samples, labels, jax.random.key(0), train=True)[0]
        return logits.sum(), (samples, logits)

    (_, (samples, logits)), grads = jax.jit(jax.value_and_grad(both, has_aux=True))((g_params, d_params), labels)
    assert (samples.shape, logits.shape, logits.dtype) == ((3, *shape), (3,), jnp.float32)
    assert all(bool(jnp.isfinite(x).all() & (x != 0).any()) for x in jax.tree.leaves(grads))
    if labels is not None:  # other conditions, other samples and logits
        turned = jax.jit(both)((g_params, d_params), labels[::-1])[1]
        assert bool((jnp.abs(turned[0] - samples)[0].max() > 1e-3) & (jnp.abs(turned[1] - logits)[0] > 1e-4))
    elif kind == "signals":  # the same without jit
        np.testing.assert_allclose(both((g_params, d_params), None)[1][0], samples, rtol=1e-4, atol=1e-5)


def test_sides_halve_rounded_up_and_grow_back_the_same_way():
    assert resnet.levels((24, 40, 1)) == [(24, 40), (12, 20), (6, 10), (3, 5)]
    assert resnet.levels((37, 2)) == [(37,), (19,), (10,), (5,)]
    assert resnet.levels((3, 64, 64, 1), patch=2) == [(2, 32, 32), (2, 16, 16), (2, 8, 8), (2, 4, 4)]
    x = jnp.arange(10.0).reshape(1, 5, 2)
    np.testing.assert_array_equal(halved(x, 1)[0, :, 0], [1, 5, 8])
    np.testing.assert_array_equal(doubled(x, 1)[0, :4, 0], [0, 0.5, 1.5, 2.5])
    patches = jax.random.normal(jax.random.key(0), (2, 5, 4, 7, 3))
    there = resnet._to_patches(patches, 3)
    assert there.shape == (2, 2, 2, 3, 81)
    np.testing.assert_array_equal(resnet._from_patches(there, patches.shape[1:], 3), patches)


@pytest.mark.parametrize("shape", [(7,), (6, 5), (4, 3, 6)])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_convolution_is_xlas_in_both_derivatives(shape, dtype):
    axes = "DHW"[3 - len(shape) :]
    x = jax.random.normal(jax.random.key(0), (2, *shape, 3)).astype(dtype)
    kernel = jax.random.normal(jax.random.key(1), (*(3,) * len(shape), 3, 5)).astype(dtype)

    def of_xla(x, kernel):
        layout = (f"N{axes}C", f"{axes}IO", f"N{axes}C")
        return lax.conv_general_dilated(x, kernel, (1,) * len(shape), "SAME", dimension_numbers=layout)

    def measured(function):
        def squared(x, kernel):
            slope = jax.grad(lambda x: jnp.sin(function(x, kernel).astype(jnp.float32)).sum())(x)
            return jnp.square(slope.astype(jnp.float32)).sum()

        return function(x, kernel).astype(jnp.float32), jax.grad(squared, argnums=1)(x, kernel).astype(jnp.float32)

    for ours, theirs in zip(*jax.jit(lambda: (measured(conv_same), measured(of_xla)))(), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=(1e-5 if dtype == "float32" else 0.05) * float(jnp.abs(theirs).max()))


@pytest.mark.parametrize("shape", [(7,), (6, 4), (4, 3, 6)])
def test_a_periodic_network_moves_with_its_samples(shape):
    space = range(1, 1 + len(shape))
    x = jax.random.normal(jax.random.key(0), (2, *shape, 3))
    kernel = jax.random.normal(jax.random.key(1), (*(3,) * len(shape), 3, 5))
    moves = [(axis, by) for axis in space for by in (1, 2)]
    y = conv_same(x, kernel, periodic=True)
    inside = (slice(None), *(slice(1, -1) for _ in shape))
    np.testing.assert_allclose(y[inside], conv_same(x, kernel)[inside], atol=1e-5)
    for axis, by in moves:
        np.testing.assert_allclose(conv_same(jnp.roll(x, by, axis), kernel, periodic=True), jnp.roll(y, by, axis), atol=1e-5)
        grown = doubled(x, axis, periodic=True)
        np.testing.assert_array_equal(doubled(jnp.roll(x, by, axis), axis, periodic=True), jnp.roll(grown, 2 * by, axis))


def test_latents_for_each_place_move_the_samples_with_them():
    shape, labels = (12, 8, 1), LABELS["classes"]  # 3x4 places, each of 4x2
    options = {"periodic": True}
    g = from_linen(resnet.Generator(shape, classes=3, spatial_latents=True, **SMALL | options), jnp.zeros((3, 12)), labels)
    d = from_linen(resnet.Discriminator(shape, classes=3, pool="mean", **SMALL | options), jnp.zeros((3, *shape)), labels)
    g_params, d_params = moved(g), moved(d)
    z = jax.random.normal(jax.random.key(2), (3, 12))
    made = run(g, g_params, z, labels)
    turned = jnp.roll(z.reshape(3, 3, 4), (1, 1), (1, 2)).reshape(3, 12)
    np.testing.assert_allclose(run(g, g_params, turned, labels), jnp.roll(made, (4, 2), (1, 2)), rtol=1e-4, atol=1e-5)
    logits = run(d, d_params, made, labels)
    np.testing.assert_allclose(run(d, d_params, jnp.roll(made, (4, 4), (1, 2)), labels), logits, rtol=1e-4, atol=1e-5)
    assert float(jnp.abs(run(d, d_params, jnp.roll(made, (4, 4), (1, 2)), labels[::-1]) - logits)[0]) > 1e-4
    with pytest.raises(
        FieldError, match="latent_dim: 13, but spatial_latents divides z among 3x4 places: take a multiple of 12"
    ):
        run(g, g_params, jnp.zeros((3, 13)), labels)


@pytest.mark.parametrize("norm", ["none", "group"])
def test_what_it_makes_at_first_is_of_the_size_of_data(norm):
    network = from_linen(resnet.Generator((12, 20, 2), width=16, norm=norm), jnp.zeros((1, 32)))
    params, _ = jax.jit(network.init)(jax.random.key(0))
    made = run(network, params, jax.random.normal(jax.random.key(1), (64, 32)))
    assert 0.2 < float(made.std()) < 1.2
    double = run(network, params, 2 * jax.random.normal(jax.random.key(1), (64, 32)))
    np.testing.assert_allclose(double, 2 * made, rtol=1e-3, atol=1e-4)  # blocks begin as the identity
    critic = from_linen(resnet.Discriminator((12, 20, 2), width=16, norm=norm), made)
    logits = run(critic, jax.jit(critic.init)(jax.random.key(0))[0], made)
    assert 0.01 < float(logits.std()) < 3.0


@pytest.mark.parametrize("kind", ["signals", "volumes"])
def test_bfloat16_is_the_same_network_rounded(kind):
    shape = Shape(SHAPES[kind], 0)
    for part, x in ((ResNet(width=4, latent_dim=4), (3, 4)), (ResNetDiscriminator(width=4, norm="group"), (3, *shape.sample))):
        full, rounded = part.build(shape), part.build(shape, precision="bfloat16", remat=True)
        params = moved(full)
        given = jax.random.normal(jax.random.key(1), x)
        wanted, found = run(full, params, given), run(rounded, params, given)
        assert found.dtype == jnp.float32
        assert 0 < float(jnp.abs(found - wanted).max()) < 0.05 * float(jnp.abs(wanted).max())


def test_a_step_with_r1_and_r2_moves_every_parameter():
    shape, labels = SHAPES["signals"], LABELS["classes"]
    (g, _), (d, _) = pair(shape, labels)
    gan = make_gan(
        generator=g, discriminator=d, loss=losses.relativistic, penalty=penalties.r1_r2, gamma=0.1, latent_dim=4,
        g_optimizer=optax.adam(1e-2), d_optimizer=optax.adam(1e-2),
    )  # fmt: skip
    key = jax.random.key(0)
    state = jax.jit(gan.init)(key)
    batch = {"image": jax.random.normal(key, (6, *shape)), "label": jnp.tile(labels, 2)}
    step = jax.jit(gan.step)
    after, info = step(step(state, batch, key)[0], batch, key)
    assert all(bool(jnp.isfinite(x)) for x in info.values())
    for player in ("g", "d"):
        old, new = (getattr(each, player).params for each in (state, after))
        assert all(bool((a != b).any()) for a, b in zip(jax.tree.leaves(old), jax.tree.leaves(new), strict=True))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: resnet.Generator((3,)), r"shape: \(3,\), but it must be \(T, C\)"),
        (lambda: resnet.Generator((3.5, 1)), r"shape: \(3.5, 1\), but it must be a tuple of whole numbers"),
        (lambda: resnet.Generator(3), "shape: 3, but it must be a tuple of whole numbers"),
        (lambda: resnet.Generator((3, 1), width=0), "width: 0, but it must be at least 1"),
        (lambda: resnet.Discriminator((3, 1), norm="batch"), "norm: 'batch' is not one of none, group"),
        (lambda: ResNet().build(Shape((5,), 0)), "type: resnet, but the data are vectors; use mlp"),
        (lambda: MLP().build(Shape((5,), 0), precision="bfloat16"), "precision: bfloat16, but the data are vectors"),
        (lambda: run(*pair((5, 1))[1], jnp.zeros((1, 6, 1))), r"samples: \(1, 6, 1\), but this discriminator sees"),
        (lambda: pair((5, 1), jnp.zeros((3, 2, 2))), r"condition: numbers of shape \(3, 2, 2\), but resnet takes classes"),
    ],
)
def test_what_does_not_fit_is_told_in_one_line(call, message):
    with pytest.raises(ValueError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_a_recipe_trains_it_on_vectors_of_numbers_and_samples_of_any(tmp_path):
    rng = np.random.default_rng(0)
    level = rng.normal(size=(32, 2)).astype(np.float32)
    signals = rng.normal(size=(32, 6, 1)).astype(np.float32) + level[:, None, :1]
    small = {"width": 4, "max_width": 8, "periodic": True}
    recipe = Recipe(
        generator=ResNet(**small, spatial_latents=True, latent_dim=6),
        discriminator=ResNetDiscriminator(**small, pool="mean"),
        batch_size=8,
        steps=2,
        log_interval=1,
        sample_interval=2,
        checkpoint_interval=2,
    )
    done = jaxgan.train(recipe, tmp_path / "run", dataset=jaxgan.data.from_array(signals, condition=level, dimensions=1))
    asked = np.float32([[0.0, 0.0], [3.0, -1.0]])
    held = jaxgan.load_sampler(jaxgan.export(done.path, out=tmp_path / "g.jaxgan"))
    made = done.sample(condition=asked, seed=1).images
    np.testing.assert_allclose(held(condition=asked, seed=1).images, made, atol=1e-5)
    assert np.abs(made - done.sample(condition=asked[::-1], seed=1).images).max() > 1e-3
    uneven = dataclasses.replace(recipe, generator=dataclasses.replace(recipe.generator, latent_dim=7))
    with pytest.raises(FieldError, match=r"^generator.latent_dim: 7, but spatial_latents divides z among 3 places"):
        jaxgan.train(uneven, tmp_path / "none", dataset=jaxgan.data.from_array(signals, dimensions=1))
    for condition in (signals, {"level": level}, level.astype(int)):
        with pytest.raises(FieldError, match=r"generator.type: resnet, but it takes classes, or for each sample one vector"):
            jaxgan.train(recipe, tmp_path / "none", dataset=jaxgan.data.from_array(signals, condition=condition, dimensions=1))
