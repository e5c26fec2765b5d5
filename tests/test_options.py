"""What every recipe may choose: bfloat16 rounds what it should and nothing else, microbatches have the gradient of the whole
batch, rematerialisation has the same numbers in less memory, and values that no run could use are refused."""

import dataclasses
import functools
import math
import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.extend.core import jaxprs_in_params

from jaxgan import cli, recipes
from jaxgan.core import gan, losses, penalties, play
from jaxgan.nets import layers
from jaxgan.recipes import (
    DCGAN,
    MLP,
    R3GAN,
    SNGAN,
    Data,
    DCGANDiscriminator,
    MLPDiscriminator,
    Penalty,
    R3GANDiscriminator,
    Recipe,
    SNGANDiscriminator,
    StyleGAN2,
    StyleGAN2Discriminator,
)
from jaxgan.training.dataset import Shape
from jaxgan.training.experiment import build

BATCH, WIDTH, CLASSES = 8, 4, 3
KEY, LABELS = jax.random.key(3), np.zeros(BATCH, np.int32)
SIZES = {"widths": (WIDTH, WIDTH), "groups": (2, 2), "blocks": (1, 1)}
PAIRS = {  # the networks at their smallest and the side of the images
    "mlp": (MLP(width=WIDTH, latent_dim=4), MLPDiscriminator(width=WIDTH), 8),
    "dcgan": (DCGAN(width=WIDTH, norm="batch", latent_dim=4), DCGANDiscriminator(width=WIDTH), 8),
    "sngan": (SNGAN(width=WIDTH, latent_dim=4), SNGANDiscriminator(width=WIDTH), 32),
    "r3gan": (R3GAN(latent_dim=4, **SIZES), R3GANDiscriminator(**SIZES), 8),
    "stylegan2": (
        StyleGAN2(latent_dim=4, style_dim=4, channel_max=WIDTH),
        StyleGAN2Discriminator(depth=1, channel_max=WIDTH),
        8,
    ),
}


def setting(name: str, classes: int = 0, **fields) -> tuple[Recipe, Shape]:
    generator, discriminator, side = PAIRS[name]
    data = Data("none", image_size=side, conditional=classes > 0)
    penalty = Penalty("r1_r2" if name == "mlp" else "none", 0.1)  # the others compile faster without
    common = {"loss": "non_saturating", "penalty": penalty, "batch_size": BATCH}
    return recipes.check(Recipe(data, generator, discriminator, **common | fields)), Shape((side, side, 3), classes)


def abstract(recipe: Recipe, shape: Shape):
    """The GAN of a recipe, and what its step takes, as shapes only."""
    experiment = build(recipe, shape=shape)
    made, rows = experiment.gan, experiment.rows
    key = jax.eval_shape(lambda: KEY)
    batch = {
        "image": jax.ShapeDtypeStruct((rows, *shape.sample), jnp.float32),
        "label": jax.ShapeDtypeStruct((rows,), jnp.int32),
    }
    return made, (jax.eval_shape(made.init, key), batch, key)


def batch_of(rows: int, sample: tuple[int, ...], seed: int = 0):
    images = np.random.default_rng(seed).uniform(-1.0, 1.0, (rows, *sample))
    return {"image": jnp.asarray(images, jnp.float32), "label": jnp.zeros(rows, jnp.int32)}


def drawn(shapes):
    rng = np.random.default_rng(1)
    return jax.tree.map(lambda leaf: rng.normal(0.0, 0.3, leaf.shape).astype(np.float32), shapes)


def started(made):
    """A state of weights of which none is zero; made here, for `init` takes as long to compile as half a step."""
    state = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), jax.eval_shape(made.init, KEY))
    g, d = (player._replace(params=drawn(player.params)) for player in (state.g, state.d))
    return state._replace(g=g, d=d)


@functools.cache
def stepped(name: str, **fields):
    """State and info after one step with these options, from a state that is the same for all of them."""
    recipe, shape = setting(name, **fields)
    experiment = build(recipe, shape=shape)
    made = experiment.gan
    return jax.jit(made.step)(started(made), batch_of(experiment.rows, shape.sample), KEY)


def assert_close(a, b, tolerance: float):
    """Equal leaf by leaf, to so much of the largest value in each."""
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_allclose(x, y, rtol=0, atol=tolerance * max(1e-3, float(jnp.abs(y).max())))


def assert_same(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    jax.tree.map(np.testing.assert_array_equal, a, b)


# --- bfloat16 ---------------------------------------------------------------------------------------------------------------

# Layers whose products are float32 all the same; those of every other layer are bfloat16, without exception.
FULL = {
    "mlp": "logit|label",  # D's last layer
    "dcgan": "logit|label",
    "sngan": "logit|label|spectral_norm",  # and what is of weights alone
    "r3gan": "linear|block_0_0",  # where z enters and the logit leaves; the resolution of 4x4
    "stylegan2": "map|mapping|affine|block_4",  # styles; the resolution of 4x4
}


def products(jaxpr, scope: str = ""):
    """Every product in a program, `(layers around it, dtypes, most values of an operand)`, as devices but the CPU have it.

    The CPU's own forms add up in float32 where XLA would not, so they round their operands up first.
    """
    for equation in jaxpr.eqns:
        here = f"{scope}/{equation.source_info.name_stack}"
        if equation.primitive.name in ("dot_general", "conv_general_dilated"):
            operands = [operand.aval for operand in equation.invars]
            path = "/".join(["", *re.findall(r"\w+", here), ""])
            yield path, {str(operand.dtype) for operand in operands}, max(operand.size for operand in operands)
        inner = jaxprs_in_params(equation.params)
        platforms = equation.params.get("branches_platforms")
        if platforms:
            inner = [equation.params["branches"][platforms.index(None)]]
        for each in inner:
            yield from products(getattr(each, "jaxpr", each), here)


@functools.cache
def traced(name: str):
    """A conditional step in bfloat16: its jaxpr, and the state before, the state after and the info as shapes."""
    made, arguments = abstract(
        *setting(name, CLASSES, precision="bfloat16", penalty=Penalty("none" if name == "sngan" else "r1", 0.1))
    )
    jaxpr, (after, info) = jax.make_jaxpr(made.step, return_shape=True)(*arguments)
    return jaxpr.jaxpr, arguments[0], after, info


@pytest.mark.parametrize("name", PAIRS)
def test_all_products_are_of_bfloat16_but_those_of_layers_named_here(name):
    seen = {"Generator": 0, "Discriminator": 0}
    for path, dtypes, size in products(traced(name)[0]):
        full = re.search(f"/({FULL[name]})/", path) is not None
        # Demodulation, which is of styles and kernels alone: no operand has pixels.
        full = full or (name == "stylegan2" and size <= BATCH * WIDTH)
        assert dtypes == {"float32" if full else "bfloat16"}, path
        for player in seen:
            seen[player] += not full and player in path
    # A layer has one product forwards and two backwards; the layers are two at the least.
    assert min(seen.values()) >= 6, seen


@pytest.mark.parametrize("name", PAIRS)
def test_all_that_is_kept_or_told_is_float32_in_a_step_of_bfloat16(name):
    _, before, after, info = traced(name)
    kinds = {str(leaf.dtype) for leaf in jax.tree.leaves((before, after))}
    assert kinds == {"float32", "int32"}  # step and optimizers count
    for tree in (after.g.params, after.g.stats, after.d.params, after.d.stats, after.ema, info):
        assert {str(leaf.dtype) for leaf in jax.tree.leaves(tree)} <= {"float32"}
    assert {leaf.shape for leaf in info.values()} == {()}
    assert jax.tree.map(lambda x: (x.shape, x.dtype), before) == jax.tree.map(lambda x: (x.shape, x.dtype), after)


@pytest.mark.parametrize("name", PAIRS)
def test_images_and_logits_are_float32_in_bfloat16(name):
    recipe, shape = setting(name, precision="bfloat16")
    experiment = build(recipe, shape=shape)
    g, d = experiment.generator, experiment.discriminator
    z, labels, x = jnp.zeros((BATCH, 4)), jnp.zeros(BATCH, jnp.int32), jnp.zeros((BATCH, *shape.sample))
    for network, entry, shape_of in ((g, z, x.shape), (d, x, (BATCH,))):
        variables = jax.eval_shape(network.init, KEY)
        y, stats = jax.eval_shape(lambda v, x, of=network: of.apply(*v, x, labels, KEY, train=True), variables, entry)
        assert (y.shape, y.dtype) == (shape_of, jnp.float32)
        assert {str(leaf.dtype) for leaf in jax.tree.leaves(stats)} <= {"float32"}


@pytest.mark.parametrize("name", ["mlp", "dcgan", "r3gan"])
def test_a_step_in_bfloat16_is_that_in_float32_to_its_precision(name):
    """bfloat16 rounds by 2 ** -9, 0.2 %. Losses may be 1 % off, norms of gradients and of their gradients 4 %."""
    (state, info), (_, exact) = stepped(name, precision="bfloat16"), stepped(name)
    assert all(bool(jnp.isfinite(leaf).all()) for leaf in jax.tree.leaves((state, info)))
    margins = {"d_loss": 0.01, "g_loss": 0.01, "d_grad_norm": 0.04, "g_grad_norm": 0.04}
    for figure, margin in (margins | ({"penalty": 0.04} if name == "mlp" else {})).items():
        assert float(info[figure]) == pytest.approx(float(exact[figure]), rel=margin), figure
    assert float(info["d_loss"]) != float(exact["d_loss"])  # so that there was something to round


def test_a_parameter_takes_the_dtype_of_the_activations_and_loses_nothing_to_wider_ones():
    weight, half = jnp.ones(2), jnp.ones(2, jnp.bfloat16)
    assert layers.matched(weight, half).dtype == jnp.bfloat16
    assert layers.matched(weight, weight).dtype == jnp.float32
    assert layers.matched(half, weight).dtype == jnp.float32
    assert layers.full_precision(half).dtype == jnp.float32
    assert layers.full_precision(weight).dtype == jnp.float32


def test_the_gradient_of_a_bias_is_added_up_in_float32():
    """By the program: some devices would add bfloat16 numbers up in bfloat16, where a sum of ones ends at 256."""
    x, bias = jnp.ones((4096, 1), jnp.bfloat16), jnp.zeros((1, 1), jnp.bfloat16)
    assert layers.in_full(jnp.add, x, bias).dtype == jnp.bfloat16

    def gradient(bias):
        return jax.vjp(lambda bias: layers.in_full(jnp.add, x, bias), bias)[1](x)[0]

    sums = [each for each in jax.make_jaxpr(gradient)(bias).jaxpr.eqns if each.primitive.name == "reduce_sum"]
    assert [str(each.invars[0].aval.dtype) for each in sums] == ["float32"]
    assert float(gradient(bias)[0, 0]) == 4096.0


def test_batch_statistics_of_bfloat16_are_computed_in_float32():
    x = (10.0 + jax.random.normal(KEY, (512, 3))).astype(jnp.bfloat16)
    norm = layers.BatchNorm(momentum=0.0)  # keeps nothing of the statistics before
    y, kept = jax.jit(lambda x: norm.init_with_output(KEY, x, train=False))(x)
    y, kept = jax.jit(lambda x: norm.apply(kept, x, train=True, mutable=["batch_stats"]))(x)
    given = np.asarray(x, np.float64)
    assert y.dtype == jnp.bfloat16
    np.testing.assert_allclose(kept["batch_stats"]["mean"], given.mean(0), rtol=1e-6)
    np.testing.assert_allclose(kept["batch_stats"]["var"], given.var(0, ddof=1), rtol=1e-4)
    exact = (given - given.mean(0)) / np.sqrt(given.var(0) + 1e-5)
    np.testing.assert_allclose(np.asarray(y, np.float64), exact, rtol=2.0**-8, atol=1e-4)  # rounded once


# --- accumulate -------------------------------------------------------------------------------------------------------------

ROWS = 8  # of one update
WAYS = {
    "plain": {},
    "r1_r2": {"penalty": penalties.r1_r2, "gamma": 0.5},
    "lazy r1_r2, two updates of D, relativistic": {
        "penalty": penalties.r1_r2,
        "gamma": 0.5,
        "penalty_interval": 2,
        "disc_steps": 2,
        "loss": losses.relativistic,
    },
}


@functools.cache
def networks(name: str):
    """G and D that treat samples one by one, a state to start from, and its optimizer: Adam would amplify rounding."""
    generator, discriminator, side = PAIRS[name]
    generator = dataclasses.replace(generator, norm="none")
    recipe, shape = Recipe(Data("none", image_size=side), generator, discriminator), Shape((side, side, 3), 0)
    experiment = build(recipe, shape=shape)
    common = {"generator": experiment.generator, "discriminator": experiment.discriminator}
    common |= {"latent_dim": 4, "g_optimizer": optax.sgd(0.1), "d_optimizer": optax.sgd(0.1), "ema_half_life": 8.0}
    return common, shape, started(gan.make_gan(**common, loss=losses.non_saturating))


@functools.cache
def sgd_step(name: str, way: str, accumulate: int):
    common, _, _ = networks(name)
    options = {"loss": losses.non_saturating} | common | WAYS[way]
    return jax.jit(gan.make_gan(**options, accumulate=accumulate).step)


def two_steps(name: str, way: str, accumulate: int, order=slice(None)):
    """State and infos after two steps on the same images, in this order."""
    _, shape, state = networks(name)
    parts = WAYS[way].get("disc_steps", 1) + (WAYS[way].get("loss") is losses.relativistic)
    infos = []
    for i in range(2):
        batch = batch_of(parts * ROWS, shape.sample, i)
        state, info = sgd_step(name, way, accumulate)(state, {field: x[order] for field, x in batch.items()}, KEY)
        infos.append(info)
    return state, infos


@pytest.mark.parametrize(("name", "way"), [*(("mlp", way) for way in WAYS), ("dcgan", "plain")])
def test_microbatches_have_the_losses_and_the_gradient_of_the_whole_batch(name, way):
    """Losses to 1e-6; weights to 4e-6, for the gradient of a kernel is a sum over all pixels, added up in another order."""
    (state, infos), (whole, expected) = (two_steps(name, way, accumulate) for accumulate in (4, 1))
    for info, other in zip(infos, expected, strict=True):
        assert info.keys() == other.keys()
        for figure in other:
            assert float(info[figure]) == pytest.approx(float(other[figure]), rel=2e-6, abs=1e-6), figure
        for figure in ("d_loss", "g_loss"):
            assert float(info[figure]) == pytest.approx(float(other[figure]), rel=1e-6), figure
    assert_close(state, whole, 4e-6)
    moved = jax.tree.map(lambda now, before: float(jnp.abs(now - before).max()), whole.g.params, networks(name)[2].g.params)
    assert min(jax.tree.leaves(moved)) > 1e-4  # so that there was a gradient to compare


def test_neither_the_number_of_microbatches_nor_who_is_in_which_matters():
    whole, _ = two_steps("mlp", "plain", 1)
    for order in (np.arange(ROWS), np.random.default_rng(0).permutation(ROWS)):
        assert_close(two_steps("mlp", "plain", 8, order)[0], whole, 4e-6)


def draw_of(rows: int) -> play.Draw:
    numbers = jnp.arange(rows, dtype=jnp.float32)
    return play.Draw(numbers, numbers, jnp.arange(rows), KEY, jnp.float32(0.0), jnp.float32(0.0), {})


def test_the_mean_is_of_cuts_that_hold_each_sample_once_with_what_belongs_to_it():
    def of(draw):
        assert draw.z.shape == (2,)
        here = jnp.zeros(6).at[draw.labels].set(1.0)
        return {"here": here, "apart": jnp.abs(draw.z - draw.real).max(), "tenth": jnp.float32(0.1), "drawn": jnp.float32(0.0)}

    mean = jax.jit(lambda: play.mean_over_microbatches(of, draw_of(6), 3))()
    np.testing.assert_allclose(mean["here"], np.full(6, 1 / 3), rtol=1e-6)
    assert float(mean["apart"]) == 0.0
    assert mean["tenth"] == jnp.float32(0.1)  # to the bit: statistics that are the same in all stay what they are


def test_what_is_drawn_besides_z_is_drawn_for_each_microbatch():
    mean = jax.jit(lambda: play.mean_over_microbatches(lambda draw: jax.random.normal(draw.key, (1000,)), draw_of(4), 4))()
    assert float(mean.std()) == pytest.approx(0.5, rel=0.1)  # 1 if all drew the same


def test_a_recipe_s_microbatches_reach_the_step():
    def loops(jaxpr):
        for equation in jaxpr.eqns:
            if equation.primitive.name == "scan":
                yield equation.params["length"]
            for inner in jaxprs_in_params(equation.params):
                yield from loops(getattr(inner, "jaxpr", inner))

    for accumulate, expected in ((1, []), (4, [4, 4])):  # an update of D and one of G
        made, arguments = abstract(*setting("mlp", accumulate=accumulate))
        assert [length for length in loops(jax.make_jaxpr(made.step)(*arguments).jaxpr) if length == 4] == expected


# --- remat ------------------------------------------------------------------------------------------------------------------

ROOMY = {  # deep enough for their layers to outweigh their inputs; only traced
    "mlp": (MLP(width=256, depth=4, norm="batch"), MLPDiscriminator(width=256, depth=4, norm="batch"), 8),
    "dcgan": (DCGAN(width=8, norm="batch"), DCGANDiscriminator(width=8, norm="batch"), 32),
}


def kept_for_gradients(name: str, player: str, remat: bool) -> int:
    """Bytes that the forward pass of a network leaves for the backward pass."""
    generator, discriminator, side = ROOMY.get(name, PAIRS[name])
    recipe, shape = Recipe(Data("none"), generator, discriminator, remat=remat), Shape((side, side, 3), 0)
    network = getattr(build(recipe, shape=shape), player)
    entry = jnp.zeros((256, generator.latent_dim) if player == "generator" else (256, *shape.sample))
    labels, (params, stats) = jnp.zeros(256, jnp.int32), jax.eval_shape(network.init, KEY)

    def backwards(params, stats, x):
        return jax.vjp(lambda params, x: network.apply(params, stats, x, labels, KEY, train=True)[0], params, x)[1]

    kept = jax.tree.leaves(jax.eval_shape(backwards, params, stats, entry))
    return sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in kept)


@pytest.mark.parametrize("player", ["generator", "discriminator"])
@pytest.mark.parametrize("name", PAIRS)
def test_remat_keeps_less_for_the_gradients(name, player):
    assert kept_for_gradients(name, player, remat=True) < 0.8 * kept_for_gradients(name, player, remat=False)


@pytest.mark.parametrize("name", PAIRS)
def test_a_state_has_the_same_names_and_shapes_with_remat(name):
    (_, arguments), (_, plain) = abstract(*setting(name, remat=True)), abstract(*setting(name))
    assert arguments[0] == plain[0]


@pytest.mark.parametrize(("name", "player"), [("mlp", "discriminator"), ("sngan", "generator"), ("stylegan2", "generator")])
def test_a_network_with_remat_has_the_same_output_noise_and_statistics(name, player):
    """To 1e-6, for XLA may add up in another order."""

    def outcome(remat: bool):
        recipe, shape = setting(name, remat=remat)
        if name == "mlp":
            recipe = dataclasses.replace(recipe, discriminator=dataclasses.replace(recipe.discriminator, norm="spectral"))
        network = getattr(build(recipe, shape=shape), player)
        x = drawn(jax.ShapeDtypeStruct((BATCH, 4) if player == "generator" else (BATCH, *shape.sample), jnp.float32))
        return jax.jit(lambda variables: network.apply(*variables, x, LABELS, KEY, train=True))(
            drawn(jax.eval_shape(network.init, KEY))
        )

    assert_close(outcome(True), outcome(False), 1e-6)


def test_the_same_weights_are_drawn_with_remat():
    made = [setting("mlp", remat=remat) for remat in (True, False)]
    assert_same(*(jax.jit(build(recipe, shape=shape).gan.init)(KEY) for recipe, shape in made))


@pytest.mark.parametrize("name", ["mlp", "dcgan", "r3gan"])
def test_a_step_with_remat_is_the_step(name):
    (state, info), (exact, expected) = stepped(name, remat=True), stepped(name)
    assert_close(info, expected, 1e-6)
    assert_close(state, exact, 1e-6)


@functools.cache
def temporary_bytes(remat: bool) -> int | None:
    """Of the gradient of D's loss on 64 images of 8 by 8 pixels, of four residual blocks at each resolution."""
    sizes = {"widths": (8, 8), "groups": (2, 2), "blocks": (4, 4)}
    recipe = Recipe(Data("none"), R3GAN(**sizes), R3GANDiscriminator(**sizes), remat=remat)
    network = build(recipe, shape=Shape((8, 8, 3), 0)).discriminator
    params, stats = jax.eval_shape(network.init, KEY)

    def loss(params, x):
        return jax.nn.softplus(network.apply(params, stats, x, None, KEY, train=True)[0]).mean()

    # The CPU's compiler would first take away what keeps the second computation apart from the first, and merge them.
    options = {"xla_disable_hlo_passes": "cse_barrier_expander"}
    step = jax.jit(jax.grad(loss), compiler_options=options).lower(params, jax.ShapeDtypeStruct((64, 8, 8, 3), jnp.float32))
    analysis = step.compile().memory_analysis()
    return None if analysis is None else analysis.temp_size_in_bytes


def test_the_gradient_of_r3gan_with_remat_needs_less_than_half_of_the_memory():
    if temporary_bytes(False) is None:
        pytest.skip("no analysis of memory on this device")
    assert temporary_bytes(True) < 0.5 * temporary_bytes(False)


# --- values that are refused ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "value", "allowed"),
    [
        ("precision", "float16", "'float16' is not one of float32, bfloat16"),
        ("precision", None, "None is not one of float32, bfloat16"),
        ("accumulate", 0, "0, but it must be from 1 to 1,048,576"),
        ("accumulate", -1, "-1, but it must be from 1 to 1,048,576"),
        ("accumulate", 2.0, "2.0, but it must be of type int"),
        ("accumulate", True, "True, but it must be of type int"),
        ("accumulate", 3, "3, but it must divide the batch size, 8"),
        ("accumulate", 16, "16, but it must divide the batch size, 8"),
        ("remat", 1, "1, but it must be of type bool"),
        ("remat", "yes", "'yes', but it must be of type bool"),
    ],
)
def test_a_bad_value_is_refused_in_one_line(field, value, allowed):
    with pytest.raises(ValueError, match=re.escape(f"{field}: {allowed}")) as caught:
        setting("mlp", **{field: value})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "accumulate", "told"),
    [
        ({"pack": 4}, 4, "pack, 4, does not divide the 2 images of a microbatch"),
        (
            {"discriminator": StyleGAN2Discriminator(group=3)},
            2,
            "discriminator.group, 3, does not divide the 4 images of a microbatch",
        ),
    ],
)
def test_a_microbatch_must_hold_whole_packs_and_groups(fields, accumulate, told):
    recipe = Recipe(**fields, batch_size=BATCH)
    assert recipes.check(recipe) is recipe
    with pytest.raises(ValueError, match=f"^accumulate: {accumulate}, but {told}$"):
        recipes.check(Recipe(**fields, batch_size=BATCH, accumulate=accumulate))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("--accumulate 0", "accumulate: 0, but it must be from 1 to 1,048,576"),
        ("--accumulate 3", "accumulate: 3, but it must divide the batch size, 128"),
        ("--precision float16", "'float16' is not one of float32, bfloat16"),
    ],
)
def test_the_command_line_refuses_it_likewise(capsys, monkeypatch, tmp_path, words, told):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cli, "_use_compile_cache", lambda: None)
    with pytest.raises(SystemExit) as stop:
        cli.main(["train", "digits", *words.split()])
    (line,) = capsys.readouterr().err.splitlines()
    assert stop.value.code == 2
    assert words.split()[0].strip("-") in line
    assert told in line
    assert not list(tmp_path.iterdir())


def test_make_gan_refuses_microbatches_that_are_none_or_do_not_divide():
    common, shape, state = networks("mlp")
    options = common | {"loss": losses.non_saturating}
    with pytest.raises(ValueError, match=r"^accumulate: 0, but it must be a finite int, at least 1$"):
        gan.make_gan(**options, accumulate=0)
    step = gan.make_gan(**options, accumulate=3).step
    with pytest.raises(ValueError, match=r"^accumulate: 3, but it must divide the 8 images of an update"):
        jax.eval_shape(step, state, batch_of(ROWS, shape.sample), KEY)


def test_bfloat16_is_refused_where_it_is_too_coarse_or_said_twice():
    points = Recipe(Data("ring"), PAIRS["mlp"][0], PAIRS["mlp"][1], precision="bfloat16")
    with pytest.raises(ValueError, match=r"^precision: bfloat16, but the data are vectors"):
        build(points, shape=Shape((2,), 0))
    sizes = {"widths": (WIDTH,) * 3, "groups": (1,) * 3, "bfloat16_levels": 1}
    twice = Recipe(Data("none"), R3GAN(**sizes), R3GANDiscriminator(**sizes), precision="bfloat16")
    with pytest.raises(
        ValueError, match=r"^generator\.bfloat16_levels: 1, but precision bfloat16 means all 2 resolutions above 4x4"
    ):
        build(twice, shape=Shape((16, 16, 3), 0))
