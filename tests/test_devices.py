"""One run on several devices: the same losses, whatever their number and however the state lies on them."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from jax.sharding import PartitionSpec

from jaxgan import build, devices, loop
from jaxgan.recipes import Recipe

WORDS = ["--generator.network", "mlp", "--generator.width", "128", "--generator.depth", "2", "--generator.latent-dim", "8"]
WORDS += ["--discriminator.network", "mlp", "--discriminator.width", "128", "--discriminator.depth", "2", "--batch-size", "16"]
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
    data = build.dataset(recipe)
    prepared = loop.prepare(recipe, data, build.shape_of(recipe, data))
    placed = jax.tree.map(lambda leaf: leaf.sharding, prepared.abstract)
    before = jax.jit(prepared.gan.init, out_shardings=placed)(build.key(recipe))
    after, _ = loop.program(prepared, recipe)(before, prepared.batches(0, 1), 1)

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
    data = build.dataset(recipe)
    with pytest.raises(ValueError, match=r"accumulate: 8, but a microbatch, 1 images, must be a multiple of the 2 devices"):
        loop.prepare(recipe, data, build.shape_of(recipe, data))


def test_on_cpu_xla_leaves_the_barriers_of_remat_where_they_are(tiny_recipe: Recipe):
    options = loop.compiler_options(dataclasses.replace(tiny_recipe, remat=True))
    assert options == {"xla_disable_hlo_passes": "cse_barrier_expander"}
    assert loop.compiler_options(tiny_recipe) is None
