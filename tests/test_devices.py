"""One run on several devices: the same losses, whatever their number and however the state lies on them."""

import dataclasses
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec

from jaxgan import data
from jaxgan.nets.convolutions import grouped_conv
from jaxgan.recipes import Recipe, preset
from jaxgan.system import devices
from jaxgan.training import generate, loop
from jaxgan.training.dataset import open_data
from jaxgan.training.experiment import Experiment, build

WORDS = ["--generator", "mlp", "--generator.width", "128", "--generator.depth", "2", "--generator.latent-dim", "8"]
WORDS += ["--discriminator", "mlp", "--discriminator.width", "128", "--discriminator.depth", "2", "--batch-size", "16"]
WORDS += ["--log-interval", "1", "--sample-interval", "1000000"]


def trained(run: Path, count: int, steps: int, shard: str = "none") -> list[dict[str, float]]:
    """Trains a run up to a step on so many virtual devices, by the command line; the rows of metrics so far."""
    flags = f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count={count}"  # of two values XLA takes the last
    env = os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-m", "jaxgan", "train", "digits", "--run", str(run), *WORDS, "--steps", str(steps)]
    done = subprocess.run([*command, "--shard", shard], capture_output=True, text=True, timeout=300, check=False, env=env)
    assert done.returncode == 0, done.stderr
    assert f"on {count} cpu" in done.stderr.lower()
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def on_one(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, float]]:
    return trained(tmp_path_factory.mktemp("one") / "run", 1, 26)


def assert_same(found: list[dict[str, float]], expected: list[dict[str, float]], tolerance: float) -> None:
    for a, b in zip(found, expected, strict=True):
        for loss in ("d_loss", "g_loss"):
            np.testing.assert_allclose(a[loss], b[loss], rtol=tolerance, atol=tolerance, err_msg=f"step {a['step']}")


@pytest.mark.parametrize(("count", "shard"), [(2, "none"), (4, "optimizer"), (8, "none")])
def test_twenty_steps_on_several_devices_are_those_on_one(on_one, tmp_path, count, shard):
    assert_same(trained(tmp_path / "run", count, 20, shard), on_one[:20], 1e-6)


def test_a_run_goes_on_with_any_number_of_devices(on_one, tmp_path):
    run = tmp_path / "run"
    assert_same(trained(run, 8, 12, "state"), on_one[:12], 1e-6)
    trained(run, 1, 19)
    assert_same(trained(run, 4, 26, "optimizer"), on_one, 1e-5)  # later steps carry the rounding of those before


def test_a_leaf_is_cut_along_the_largest_axis_that_the_devices_divide():
    mesh = devices.line()
    assert mesh.size == 2
    assert devices.cut((129, 256), mesh).spec == PartitionSpec(None, "data")
    assert devices.cut((256, 64), mesh).spec == PartitionSpec("data")
    for small_or_odd in ((64, 64), (129, 255), ()):
        assert devices.cut(small_or_odd, mesh).spec == PartitionSpec()


@pytest.mark.parametrize("shard", ["optimizer", "state"])
def test_what_is_cut_lies_in_parts_before_and_after_a_step(tiny_recipe: Recipe, shard):
    wide = {
        name: dataclasses.replace(getattr(tiny_recipe, name), width=128, depth=2) for name in ("generator", "discriminator")
    }
    recipe = dataclasses.replace(tiny_recipe, shard=shard, **wide)
    experiment = build(recipe, dataset=open_data(recipe))
    prepared = loop.prepare(experiment)
    placed = jax.tree.map(lambda leaf: leaf.sharding, prepared.abstract)
    before = jax.jit(prepared.gan.init, out_shardings=placed)(experiment.key)
    after, _ = loop.program(prepared, experiment)(before, prepared.batches(0, 1), 1)

    def in_parts(tree):
        return [not leaf.sharding.is_fully_replicated for leaf in jax.tree.leaves(tree)]

    assert any(in_parts(after.d.opt))
    assert any(in_parts(after.ema))
    assert any(in_parts(after.d.params)) == (shard == "state")
    assert jax.tree.map(lambda leaf: leaf.sharding, after) == placed
    held = sum(leaf.addressable_shards[0].data.nbytes for leaf in jax.tree.leaves(after))
    assert held < 0.8 * sum(leaf.nbytes for leaf in jax.tree.leaves(after))


def test_a_microbatch_divides_among_the_devices(tiny_recipe: Recipe):
    recipe = dataclasses.replace(tiny_recipe, accumulate=tiny_recipe.batch_size)
    data = open_data(recipe)
    with pytest.raises(ValueError, match=r"accumulate: 8, but a microbatch, 1 images, must be a multiple of the 2 devices"):
        loop.prepare(build(recipe, dataset=data))


def test_on_cpu_xla_leaves_the_barriers_of_remat_where_they_are(tiny_recipe: Recipe):
    options = loop.compiler_options(dataclasses.replace(tiny_recipe, remat=True))
    assert options == {"xla_disable_hlo_passes": "cse_barrier_expander"}
    assert loop.compiler_options(tiny_recipe) is None


@pytest.fixture(params=["cpu", "accelerators"])
def forms(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Convolutions as on a CPU, and as on GPUs and TPUs."""
    if request.param == "accelerators":
        monkeypatch.setattr(jax.lax, "platform_dependent", lambda *arguments, default, **_: default(*arguments))
    return request.param


def sent(compiled: jax.stages.Compiled) -> dict[str, int]:
    """The numbers that each kind of collective leaves on a device."""
    kinds = "all-reduce|all-gather|reduce-scatter|all-to-all|collective-permute"
    found: dict[str, int] = {}
    for result, kind in re.findall(rf"^ *(?:ROOT )?%\S+ = (.*?) ({kinds})(?:-start)?\(", compiled.as_text(), re.MULTILINE):
        sizes = [np.prod([int(n) for n in dims.split(",") if n], dtype=int) for dims in re.findall(r"\w\[([\d,]*)\]", result)]
        found[kind] = found.get(kind, 0) + int(sum(sizes))
    return found


SMALL = {
    "cifar10": {"width": 4},
    "r3gan_small": {"widths": (16, 16), "groups": (2, 2), "bfloat16_levels": 0},
    "stylegan2_32": {"channel_base": 64, "channel_max": 8, "latent_dim": 8, "style_dim": 8},
}


def small(name: str, **changes: object) -> tuple[Experiment, loop.Prepared]:
    """A recipe's networks made narrow, for 8x8 pixels, among the devices."""
    recipe = preset(name)

    def narrow(part):
        names = {field.name for field in dataclasses.fields(part)}
        return dataclasses.replace(part, **{key: value for key, value in SMALL[name].items() if key in names})

    recipe = dataclasses.replace(
        recipe,
        data=dataclasses.replace(recipe.data, conditional=False),
        generator=narrow(recipe.generator),
        discriminator=narrow(recipe.discriminator),
        batch_size=8,
        augment="",
        augment_strength=1.0,
        final_augment_strength=None,
    )
    images = np.random.default_rng(0).integers(0, 256, (64, 8, 8, 3), np.uint8)
    dataset = data.from_array(images, name="noise")
    recipe = dataclasses.replace(recipe, **changes)
    experiment = build(recipe, dataset=dataset)
    return experiment, loop.prepare(experiment)


@pytest.mark.parametrize(("name", "forms"), [(n, "accelerators") for n in SMALL] + [("r3gan_small", "cpu")], indirect=["forms"])
@pytest.mark.usefixtures("forms")
def test_between_devices_a_step_sends_sums_of_gradients_and_no_images(name):
    experiment, prepared = small(name)
    compiled = loop.program(prepared, experiment).lower(prepared.abstract, prepared.batches(0, 1), 1).compile()
    parameters = sum(leaf.size for leaf in jax.tree.leaves((prepared.abstract.g.params, prepared.abstract.d.params)))
    found = sent(compiled)
    assert set(found) == {"all-reduce"}
    # Of D's loss and of its penalty XLA may sum the gradients apart; means, and the styles' own gradients, are small.
    assert parameters <= found["all-reduce"] < 2.2 * parameters


@pytest.mark.parametrize("shard", ["optimizer", "state"])
@pytest.mark.parametrize("forms", ["accelerators"], indirect=True)
@pytest.mark.usefixtures("forms")
def test_a_state_in_parts_is_gathered_once_an_update(shard, monkeypatch):
    monkeypatch.setitem(SMALL, "cifar10", {"width": 32})  # or nothing is large enough to be cut
    experiment, prepared = small("cifar10", disc_steps=2, shard=shard)
    found = sent(loop.program(prepared, experiment).lower(prepared.abstract, prepared.batches(0, 1), 1).compile())
    mesh = devices.line()
    g, d = (
        sum(leaf.size for leaf in jax.tree.leaves(player.params) if devices.cut(leaf.shape, mesh).spec != PartitionSpec())
        for player in (prepared.abstract.g, prepared.abstract.d)
    )
    assert set(found) == {"all-reduce", "all-gather"}
    # What each update changes; parameters that are cut also before they are used.
    assert found["all-gather"] == 2 * d + g + (d + g if shard == "state" else 0) > 0


@pytest.mark.parametrize(("name", "forms"), [("cifar10", "accelerators"), ("stylegan2_32", "accelerators")], indirect=["forms"])
@pytest.mark.usefixtures("forms")
def test_gans_side_by_side_send_each_other_nothing(name):
    experiment, prepared = small(name, seeds=2)
    assert not sent(loop.program(prepared, experiment).lower(prepared.abstract, prepared.batches(0, 1), 1).compile())


def test_gans_on_devices_of_their_own_are_those_on_one():
    experiment, prepared = small("cifar10", seeds=2)
    placed = jax.tree.map(lambda leaf: leaf.sharding, prepared.abstract)
    state = jax.jit(prepared.gan.init, out_shardings=placed)(experiment.key)
    batch = prepared.batches(0, 1)
    here = jax.device_get((state, jax.tree.map(lambda x: x[0], batch)))
    expected, told = jax.jit(prepared.gan.step)(*here, experiment.key)
    found, info = loop.program(prepared, experiment)(state, batch, 1)
    assert int(found.step) == 1
    (names,) = info
    for name, values in zip(names.split(), info[names], strict=True):
        np.testing.assert_allclose(values, told[name], rtol=1e-5, err_msg=name)
    for a, b in zip(jax.tree.leaves(found.d.params), jax.tree.leaves(expected.d.params), strict=True):
        assert not a.sharding.is_fully_replicated
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-5)


@pytest.mark.usefixtures("forms")
def test_a_convolution_in_groups_over_devices_is_that_on_one():
    mesh, random = devices.line(), np.random.default_rng(0)
    x, dx = random.normal(size=(2, 4, 8, 8, 16)).astype(np.float32)
    kernel, dkernel = random.normal(size=(2, 3, 3, 4, 16)).astype(np.float32)

    def over(x, kernel):
        with devices.known(mesh):
            return grouped_conv(x, kernel, 4)

    def alone(x, kernel):
        return grouped_conv(x, kernel, 4)

    def all_of(conv):
        def loss(x, kernel):
            return jnp.sum(jnp.tanh(conv(x, kernel)))

        def penalty(x, kernel):
            return jnp.sum(jnp.square(jax.grad(loss)(x, kernel)))

        def derivatives(x, kernel, dx, dkernel):
            forward = jax.jvp(jax.grad(loss, argnums=(0, 1)), (x, kernel), (dx, dkernel))
            return conv(x, kernel), forward, jax.grad(penalty, argnums=(0, 1))(x, kernel)

        return jax.jit(derivatives)

    cut, whole = devices.in_parts(mesh), devices.whole(mesh)
    placed = jax.device_put((x, kernel, dx, dkernel), (cut, whole, cut, whole))
    found, expected = all_of(over)(*placed), all_of(alone)(x, kernel, dx, dkernel)
    assert found[0].sharding.is_equivalent_to(cut, 4)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=2e-6 * np.abs(b).max())
    assert "all-gather" not in sent(jax.jit(over).lower(*placed[:2]).compile())


def test_a_convolution_in_groups_of_a_batch_that_does_not_divide_is_left_whole():
    x, kernel = jnp.ones((3, 8, 8, 16)), jnp.ones((3, 3, 4, 16))
    with devices.known(devices.line()):
        np.testing.assert_array_equal(jax.jit(grouped_conv, static_argnums=2)(x, kernel, 4), grouped_conv(x, kernel, 4))


def test_samples_come_from_devices_that_the_layers_know():
    _, prepared = small("r3gan_small")
    seen = []

    def sample(*arguments, **options):
        seen.append(jax.sharding.get_abstract_mesh().size)
        return prepared.gan.sample(*arguments, **options)

    key = jax.random.key(0)
    state = prepared.gan.init(key)
    z, labels = jax.random.normal(key, (6, 64)), np.zeros(6, np.int32)
    found = generate.generate(prepared.gan._replace(sample=sample), state.ema, key, z, labels, batch=4)
    assert seen == [jax.device_count()]
    np.testing.assert_allclose(found, jax.jit(prepared.gan.sample)(state.ema, key, labels, z=z), rtol=0, atol=1e-6)
