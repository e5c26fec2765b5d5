"""Every recipe honours the protocol: init, step and sample have the shapes they promise; and each architecture, at its
smallest, compiles once, changes only what a step should, and goes on from a checkpoint with the same bits."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgan import recipes
from jaxgan.recipes import (
    R3GAN,
    SNGAN,
    Data,
    Penalty,
    R3GANDiscriminator,
    Recipe,
    Schedules,
    SNGANDiscriminator,
    StyleGAN2,
    StyleGAN2Discriminator,
)
from jaxgan.training import checkpoint
from jaxgan.training.dataset import Shape, given_of
from jaxgan.training.experiment import build

POINTS = ("ring", "grid")
SIDES = {"digits": 8, "mnist": 28, "fashion_mnist": 28, "cifar10": 32}


def shape_of(recipe: Recipe) -> Shape:
    if recipe.data.name in POINTS:
        return Shape((2,), 0)
    if recipe.data.name == "halves":
        return Shape((8, 8, 1), 0, jax.ShapeDtypeStruct((8, 8, 1), jnp.float32))
    if recipe.data.name == "fields":
        return Shape((24, 40, 1), 0)
    side = recipe.data.image_size or SIDES.get(recipe.data.name, 28)
    channels = 1 if recipe.data.name in ("digits", "mnist", "fashion_mnist") else 3
    return Shape((side, side, channels), 10 if recipe.data.conditional else 0)


def batch_of(recipe: Recipe, shape: Shape, make) -> dict:
    rows = build(recipe, shape=shape).rows
    batch = {"image": make((rows, *shape.sample), jnp.float32), "label": make((rows,), jnp.int32)}
    return batch if shape.condition is None else batch | {"condition": given_of(shape, rows)}


@pytest.fixture
def _forms_of_accelerators(monkeypatch: pytest.MonkeyPatch) -> None:
    """Traces one form of each convolution instead of one for each platform: the CPU's take ten times as long to trace, and
    tests that compute with them are many."""
    monkeypatch.setattr(jax.lax, "platform_dependent", lambda *arguments, default, **_: default(*arguments))


@pytest.mark.usefixtures("_forms_of_accelerators")
@pytest.mark.parametrize("name", recipes.NAMES)
def test_shapes(name):
    recipe = recipes.check(recipes.preset(name))
    shape = shape_of(recipe)
    gan, key = build(recipe, shape=shape).gan, jax.eval_shape(lambda: jax.random.key(0))
    state = jax.eval_shape(gan.init, key)
    new, info = jax.eval_shape(gan.step, state, batch_of(recipe, shape, jax.ShapeDtypeStruct), key)
    assert jax.tree.map(lambda x: (x.shape, x.dtype), new) == jax.tree.map(lambda x: (x.shape, x.dtype), state)
    assert all(value.shape == () for value in info.values())
    images = jax.eval_shape(gan.sample, state.ema, key, given_of(shape, 5))
    assert (images.shape, images.dtype) == ((5, *shape.sample), jnp.float32)


NARROW = {"widths": (4, 4), "groups": (1, 1)}
SMALLEST = {  # the recipe, its networks at their smallest, and the side of the images
    "sngan_cifar10": (SNGAN(width=2, latent_dim=4), SNGANDiscriminator(width=2), 32),
    "r3gan_cifar10": (R3GAN(latent_dim=4, bfloat16_levels=1, **NARROW), R3GANDiscriminator(bfloat16_levels=1, **NARROW), 8),
    "stylegan2_64": (
        StyleGAN2(depth=2, latent_dim=4, style_dim=4, channel_max=4, style_mixing=0.9, bfloat16_levels=1),
        StyleGAN2Discriminator(depth=1, channel_max=4, bfloat16_levels=1),
        8,
    ),
}


@pytest.mark.usefixtures("_forms_of_accelerators")
@pytest.mark.parametrize("name", SMALLEST)
def test_one_compile_only_what_should_change_and_the_same_bits_again(name, tmp_path):
    named = recipes.preset(name)
    generator, discriminator, side = SMALLEST[name]
    data = Data("none", image_size=side, conditional=named.data.conditional)
    penalty = dataclasses.replace(named.penalty, interval=min(named.penalty.interval, 2), path_interval=2)
    smaller = {"data": data, "generator": generator, "discriminator": discriminator, "penalty": penalty, "batch_size": 4}
    recipe = recipes.check(dataclasses.replace(named, disc_steps=1, augment_images=1_000, decay_images=1_000, **smaller))
    shape = Shape((side, side, 3), 3 if data.conditional else 0)
    gan, key, traced = build(recipe, shape=shape).gan, jax.random.key(1), []

    def counted(*arguments):
        traced.append(1)
        return gan.step(*arguments)

    step = jax.jit(counted)
    rng = np.random.default_rng(0)
    batch = batch_of(recipe, shape, lambda size, dtype: jnp.asarray(rng.uniform(-1, 1, size), jnp.float32).astype(dtype))
    states = [jax.jit(gan.init)(key)]
    for _ in range(3):
        new, info = step(states[-1], batch, key)
        states.append(new)
        assert all(np.isfinite(value) for value in info.values())
    assert len(traced) == 1

    before, after = states[0], states[3]
    still = [
        jax.tree_util.keystr(path)
        for (path, x), y in zip(jax.tree.leaves_with_path(before), jax.tree.leaves(after), strict=True)
        if np.array_equal(x, y)
    ]
    # StyleGAN2's constant noise is drawn once; the layers before a kernel that starts at zero, and noise before it has a
    # strength, have no gradient at first.
    assert all("noise_const" in path or "stats" in path for path in still if ".opt" not in path and ".memory" not in path), (
        still
    )
    assert int(after.step) == 3
    with checkpoint.open_checkpoints(tmp_path / "checkpoints") as checkpoints:
        checkpoints.save(states[2], wait=True)
    restored = checkpoint.restore(tmp_path / "checkpoints", jax.eval_shape(gan.init, key))
    again, _ = step(jax.device_get(restored), batch, key)  # as arrays bound to no device: the program that there is
    jax.tree.map(np.testing.assert_array_equal, again, after)


def test_lazy_penalties_make_smaller_steps():
    lazy = dataclasses.replace(recipes.preset("stylegan2_64"), penalty=Penalty("r1", 1.0, interval=16, path_length=2.0))
    assert lazy.d_optimizer.beta2 == 0.99
    grads, opt = {"w": jnp.ones(3)}, None
    for share in (1.0, 16 / 17):
        adam = lazy.d_optimizer.build(Schedules(lazy.decay_images, share))
        opt = adam.init(grads)
        change, opt = adam.update(grads, opt, grads, images=jnp.float32(0.0))
        # Adam's first step is the learning rate, whatever beta2; its second moment shows beta2.
        np.testing.assert_allclose(change["w"], -2.5e-3 * share, rtol=1e-4)
        (moments,) = [each for each in jax.tree.leaves(opt, is_leaf=lambda x: hasattr(x, "nu")) if hasattr(each, "nu")]
        np.testing.assert_allclose(moments.nu["w"], 1.0 - 0.99**share, rtol=1e-3)
