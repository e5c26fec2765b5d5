"""What a recipe would take: FLOPs against counts by hand, bytes against what XLA reserves."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgan import recipes
from jaxgan.commands import plan
from jaxgan.core import cost, losses
from jaxgan.nets import layers
from jaxgan.recipes import Data, DCGANDiscriminator, MLPDiscriminator, Penalty, Recipe
from jaxgan.training import loop
from jaxgan.training.dataset import Shape, open_data
from jaxgan.training.experiment import build

BATCH, LATENT, WIDTH, PIXELS = 6, 5, 7, 64
MLP = Recipe(
    data=Data("digits"),
    generator=recipes.MLP(width=WIDTH, depth=1, latent_dim=LATENT),
    discriminator=MLPDiscriminator(width=WIDTH, depth=1),
    loss="non_saturating",
    penalty=Penalty("none", 0.0),
    batch_size=BATCH,
)
DCGAN = dataclasses.replace(
    MLP,
    data=Data("mnist"),
    generator=recipes.DCGAN(width=8),
    discriminator=DCGANDiscriminator(width=8),
    penalty=Penalty("r1_r2", 1.0),
)
G, D, G_LAST, D_LAST = WIDTH * (LATENT + PIXELS), WIDTH * (PIXELS + 1), WIDTH * PIXELS, WIDTH  # multiplications of a sample


def shapes(*each: tuple[int, ...]) -> list[jax.ShapeDtypeStruct]:
    return [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in each]


def count(function, *arguments, platform: str | None = None) -> int:
    return cost.flops(cost.program(jax.make_jaxpr(function)(*arguments), platform=platform))


def test_an_mlp_by_hand():
    found = plan.plan(MLP, devices=1)
    assert found.sample_flops == 2 * G
    # D's step: G forward; D forward, its weights' gradients, and those of its inputs but for the first layer, on 2 B images.
    d_step = G + 2 * (D + D + D_LAST)
    # G's: both forward, D's inputs' gradients, G's weights' and inputs' but for the first layer. D(real) is not needed.
    g_step = G + D + D + G + G_LAST
    assert found.step_flops == 2 * BATCH * (d_step + g_step)
    assert found.image_flops == 2 * (d_step + g_step)
    assert (found.g_parameters, found.d_parameters) == (G + WIDTH + PIXELS, D + WIDTH + 1)


def test_one_z_for_both_players_is_one_pass_through_g_less():
    two, one = (plan.plan(dataclasses.replace(MLP, share_z=share), devices=1).step_flops for share in (False, True))
    assert two - one == 2 * BATCH * G


def test_a_real_pass_that_the_loss_does_not_use_is_not_counted():
    dead = plan.plan(MLP, devices=1).step_flops
    uses = losses.non_saturating._replace(g=lambda real, fake: losses.non_saturating.g(real, fake) + 1e-3 * real)
    alive = plan.plan(dataclasses.replace(MLP, loss=uses), devices=1).step_flops
    assert alive - dead == 2 * BATCH * D


@pytest.mark.parametrize(("stride", "out"), [(1, 12), (2, 6)])
def test_a_convolution_by_hand(stride, out):
    x, kernel = shapes((2, 12, 12, 3), (4 - stride % 2, 4 - stride % 2, 3, 5))

    def convolved(x, kernel):
        return layers.conv(x, kernel, stride=stride, padding=1)

    by_hand = 2 * 2 * out**2 * 5 * kernel.shape[0] ** 2 * 3
    assert count(convolved, x, kernel) == by_hand
    # Both gradients have as many products as the pass forward, the holes of a strided one left out.
    gradient = jax.grad(lambda x, kernel: jnp.square(convolved(x, kernel)).sum(), argnums=(0, 1))
    assert count(gradient, x, kernel) == 3 * by_hand


def test_flops_are_not_those_of_the_form_for_cpus():
    step, found = plan._step(build(DCGAN, shape=Shape((28, 28, 1), 0)), DCGAN.batch_size), []
    for platform in ("cpu", None):
        names = {operation.name for operation in cost.program(step, platform=platform).operations}
        assert ("conv_general_dilated" in names) == (platform is None)
        found.append(plan.plan(DCGAN, devices=1, memory=1e9, accelerator=platform is None))
    assert found[0].step_flops == found[1].step_flops
    assert found[0].step_flops == cost.flops(cost.program(step))


def test_loops_choices_and_what_is_done_again():
    (x,) = shapes((4, 4))
    product = 2 * 4**3

    def scanned(x):
        return jax.lax.scan(lambda carry, _: (carry @ x, None), x, length=5)[0]

    def chosen(x):
        return jax.lax.cond(x[0, 0] > 0, lambda x: x @ x @ x, lambda x: x @ x, x)

    def twice(x):
        return x @ x + x @ x

    assert count(scanned, x) == 5 * product
    assert count(chosen, x) == 2 * product
    assert cost.conditional_flops(cost.program(jax.make_jaxpr(chosen)(x))) == [product]
    assert count(twice, x) == product

    def squares(x):
        return jnp.sin(x @ x @ x).sum()

    assert count(jax.value_and_grad(squares), x) == 6 * product
    assert count(jax.value_and_grad(jax.checkpoint(squares)), x) == 8 * product
    assert count(jax.grad(jax.checkpoint(squares)), x) == 6 * product  # nobody asks for the first time


def test_a_lazy_penalty_counts_its_share():
    always = dataclasses.replace(MLP, penalty=Penalty("r1", 1.0))
    none, one, lazy = (
        plan.plan(each, devices=1).step_flops
        for each in (MLP, always, dataclasses.replace(MLP, penalty=Penalty("r1", 1.0, interval=4)))
    )
    assert none < lazy < one
    assert (lazy - none) * 4 <= 2.5 * (one - none)  # an update of its own has one more pass through G to draw for


def test_liveness_by_hand():
    (x,) = shapes((100, 100))
    size = 4 * 100**2

    def chain(x):  # a, then a and b, then b and c
        a = x @ x
        b = a @ x
        return (b @ x) @ x

    def kept(x):  # a is needed to the end
        a = x @ x
        return ((a @ x) @ x) @ a

    def fused(x):
        return jnp.exp(jnp.sin(x) * 2.0 + jnp.cos(x))

    assert [cost.peak(cost.program(jax.make_jaxpr(f)(x))) for f in (chain, kept, fused)] == [2 * size, 3 * size, 0]


@pytest.mark.parametrize(
    ("recipe", "shape"), [(dataclasses.replace(MLP, batch_size=512), Shape((8, 8, 1), 0)), (DCGAN, Shape((28, 28, 1), 0))]
)
def test_bytes_are_those_that_xla_reserves_within_a_factor_of_one_and_a_half(recipe, shape):
    experiment = build(recipe, shape=shape)
    gan, key, state, rows = experiment.gan, experiment.key, experiment.abstract, experiment.rows
    batch = {"image": shapes((rows, *shape.sample))[0], "label": jax.ShapeDtypeStruct((rows,), jnp.int32)}
    found = jax.jit(gan.step, donate_argnums=0).lower(state, batch, key).compile().memory_analysis()
    reserved = found.temp_size_in_bytes + found.argument_size_in_bytes + found.output_size_in_bytes - found.alias_size_in_bytes
    held = cost.peak(cost.program(plan._step(experiment, recipe.batch_size), platform="cpu"))
    predicted = cost.tree_bytes((state, batch)) + (1 + plan.COMPILED) * held
    assert reserved / 1.5 < predicted < reserved * 1.5


def test_what_does_not_fit_says_what_would():
    recipe = dataclasses.replace(MLP, batch_size=4096)
    whole = plan.plan(recipe, devices=1)
    assert whole.fits
    found = plan.plan(recipe, devices=1, memory=whole.needs.total - 1)
    assert not found.fits
    assert 2048 < found.largest < 4096
    told = plan.table(found)
    assert f"about {found.largest}" in told
    assert plan.REMEDIES in told
    assert plan.plan(dataclasses.replace(recipe, batch_size=found.largest), devices=1, memory=found.memory * 1.01).fits
    assert plan.plan(recipe, devices=1, memory=1.0).largest is None


def test_each_device_has_its_share():
    recipe = dataclasses.replace(MLP, batch_size=4096)
    one, four = (plan.plan(recipe, devices=devices) for devices in (1, 4))
    assert one.step_flops == four.step_flops
    assert one.needs.parameters == four.needs.parameters
    assert one.needs.batches == 4 * four.needs.batches
    assert four.needs.activations < one.needs.activations
    several = dataclasses.replace(recipe, seeds=4)
    apart, together = (plan.plan(several, devices=devices) for devices in (4, 1))
    assert apart.needs.parameters == one.needs.parameters
    assert together.needs.parameters == 4 * one.needs.parameters
    assert together.step_flops == 4 * one.step_flops


@pytest.mark.parametrize("name", [name for name in recipes.NAMES if name in ("digits", "mnist", "ring", "grid")])
def test_named_recipes_need_no_data(name):
    found = plan.plan(recipes.preset(name), devices=1)
    assert json.loads(json.dumps(plan.as_json(found)))["needs"]["total"] == found.needs.total


def test_accelerators_take_less_for_convolutions():
    recipe = dataclasses.replace(DCGAN, batch_size=512)
    here, there = (plan.plan(recipe, devices=1, memory=1e9, accelerator=accelerator) for accelerator in (False, True))
    assert (here.kind, there.kind) == ("CPU", "accelerator")
    assert here.step_flops == there.step_flops
    assert there.needs.activations < 0.7 * here.needs.activations
    with pytest.raises(ValueError, match="memory: None, but of devices of another kind"):
        plan.plan(recipe, devices=1, accelerator=jax.default_backend() == "cpu")


def test_samples_looked_at_may_be_what_does_not_fit():
    found = plan.plan(dataclasses.replace(DCGAN, batch_size=1), devices=1, memory=plan.STARTED + 2e7)
    assert found.largest is None
    assert "the 512 samples looked at together need" in plan.table(found)


def test_data_that_are_not_there_are_described_by_the_recipe(tmp_path):
    recipe = dataclasses.replace(DCGAN, data=Data(f"folder:{tmp_path}/none", image_size=32))
    assert plan.data_shape(recipe) == (Shape((32, 32, 3), 0), None)
    for data, field in (
        (Data("folder:none"), "image_size: None"),
        (Data("folder:none", image_size=32, conditional=True), "conditional: True"),
    ):
        with pytest.raises(ValueError, match=f"data.{field}, but folder:none is not there"):
            plan.data_shape(dataclasses.replace(DCGAN, data=data))
    known = plan.data_shape(dataclasses.replace(DCGAN, data=Data("cifar10", image_size=64, conditional=True)))
    assert known == (Shape((64, 64, 3), 10), 50_000)


def test_data_take_the_bytes_of_their_values_on_the_device(tmp_path):
    np.savez(tmp_path / "f.npz", images=np.zeros((40, 8, 8, 1), np.float64))
    np.savez(tmp_path / "b.npz", images=np.zeros((40, 8, 8, 1), np.uint8))
    for name, held in (
        (f"npz:{tmp_path}/f.npz", 40 * (64 * 4 + 4)),
        (f"npz:{tmp_path}/b.npz", 40 * (64 + 4)),
        ("table", 354 * (11 * 4 + 4)),
        ("digits", 1_797 * (64 + 4)),
    ):
        recipe = dataclasses.replace(MLP, data=Data(name, conditional=False))
        assert plan.plan(recipe, devices=1).needs.data == held
        of_itself = open_data(recipe)
        assert plan.stored(recipe).value_bytes == (1 if of_itself.units.are_bytes else 4)


def test_the_table_of_known_sets_is_true():
    found = open_data(Recipe(data=Data("digits")))
    assert plan.KNOWN["digits"] == (found.shape, len(found.class_names), found.size)


@pytest.mark.parametrize(
    ("fields", "told"),
    [({"devices": 0}, "devices: 0"), ({"devices": 4}, "multiple of the 4"), ({"memory": 0.0}, "memory: 0 GiB")],
)
def test_bad_input(fields, told):
    with pytest.raises(ValueError, match=told):
        plan.plan(MLP, **{"devices": 1, **fields})


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"batch_size": 5}, "batch_size: 5, but it must be a multiple of the 2 devices"),
        ({"accumulate": 2}, "accumulate: 2, but a microbatch, 3 images, must be a multiple of the 2 devices"),
    ],
)
def test_what_does_not_divide_among_the_devices_is_refused_as_training_refuses_it(monkeypatch, fields, told):
    recipe = dataclasses.replace(MLP, **fields)
    experiment = build(recipe, dataset=open_data(MLP))
    monkeypatch.setattr(plan, "build", None)  # before any network is built
    for refused in (lambda: plan.plan(recipe), lambda: loop.prepare(experiment)):
        with pytest.raises(ValueError) as error:
            refused()
        assert str(error.value) == told


def test_a_microbatch_divides_where_devices_are_fewer_or_gans_stand_side_by_side():
    recipe = dataclasses.replace(MLP, accumulate=2)
    assert plan.plan(recipe, devices=1).fits
    assert plan.plan(dataclasses.replace(recipe, seeds=2), devices=2).fits
    assert "batch 6 of images of side 8 needs about" in plan.told(recipe)  # of the two devices here it could not be planned


def test_the_largest_batch_can_be_cut_into_microbatches_that_divide():
    recipe = dataclasses.replace(MLP, batch_size=9 * 512, accumulate=9)
    found = plan.plan(recipe, devices=4, memory=plan.plan(recipe, devices=4).needs.total - 1)
    assert 0 < found.largest < recipe.batch_size
    assert plan.plan(dataclasses.replace(recipe, batch_size=found.largest), devices=4).fits


def test_out_of_memory_is_known_by_what_is_raised():
    with pytest.raises(jax.errors.JaxRuntimeError) as device:
        jax.jit(lambda x: jnp.sin(jnp.zeros(2**48) + x))(1.0).block_until_ready()
    assert plan.is_out_of_memory(device.value)
    assert plan.is_out_of_memory(MemoryError())
    assert not plan.is_out_of_memory(ValueError("RESOURCE_EXHAUSTED"))


def test_what_is_cut_over_the_devices_takes_its_part_on_each():
    wide = dataclasses.replace(MLP, discriminator=MLPDiscriminator(width=512, depth=2), batch_size=8)
    none, optimizer, state = (
        plan.plan(dataclasses.replace(wide, shard=shard), devices=8).needs for shard in ("none", "optimizer", "state")
    )
    cut = 512 * 512 + 64 * 512  # weights of the two matrices of D; biases and all of G stay whole
    assert none.optimizer - optimizer.optimizer == 2 * 4 * cut * 7 // 8
    assert (optimizer.parameters, state.optimizer) == (none.parameters, optimizer.optimizer)
    assert none.parameters - state.parameters == 4 * cut * 7 // 8
    assert (
        state.activations - none.activations == none.parameters
    )  # gathered while a step uses them; an MLP keeps no statistics
