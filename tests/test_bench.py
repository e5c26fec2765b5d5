"""What a benchmark says of itself; how fast anything is, no test asks."""

import dataclasses
import json

import jax
import pytest

from jaxgan.commands import bench, plan
from jaxgan.commands.bench import Bench, Spread, Timed
from jaxgan.training import loop
from jaxgan.training.dataset import open_data
from jaxgan.training.experiment import build


@pytest.fixture(scope="module")
def found(tiny_recipe) -> Bench:
    return bench.bench(tiny_recipe, steps=12)


def test_figures_follow_from_what_was_timed(found):
    seconds = found.step.seconds
    assert 0 < seconds.low <= seconds.median <= seconds.high
    assert found.steps == 10  # whole blocks
    assert found.images_per_second == pytest.approx(8 / seconds.median)
    assert found.flops_per_second == pytest.approx(found.plan.step_flops / seconds.median)
    assert found.shares == {"float32": pytest.approx(found.flops_per_second / found.peaks["float32"])}
    assert found.compile_seconds > 0
    assert found.peak_bytes > found.compiled_bytes > plan.plan(found.plan.recipe).needs.parameters


def test_everything_is_told(found):
    told = bench.report(found)
    for word in ("versions", jax.__version__, jax.devices()[0].device_kind, "batch 8, 10 steps", "float32", "nothing cached"):
        assert word in told
    content = json.loads(json.dumps(bench.as_json(found)))
    assert content["step"]["seconds"]["median"] == found.step.seconds.median
    assert content["plan"]["needs"]["total"] == found.plan.needs.total


def test_a_shared_machine_is_told(found):
    busy, idle = (found._replace(step=Timed(Spread(1.0, 1.0, 1.0), share * bench.machine()["cores"])) for share in (0.9, 0.5))
    assert "WARNING" not in bench.report(busy)
    assert "these figures count for nothing" in bench.report(idle)


def test_several_steps_in_a_dispatch_and_several_gans(tiny_recipe, monkeypatch):
    monkeypatch.setattr(bench, "_peaks", lambda: {"float32": 1.0})
    recipe = dataclasses.replace(tiny_recipe, steps_per_dispatch=3, seeds=2)
    found = bench.bench(recipe, steps=6)
    assert found.steps == 6
    assert found.images_per_second == pytest.approx(2 * 8 / found.step.seconds.median)


def test_what_is_timed_is_the_program_that_trains_cut_as_the_recipe_says(tiny_recipe, monkeypatch):
    lower, call = loop.Program.lower, loop.Program.__call__
    compiled, whole = [], []

    def lowered(program, *arguments):
        made = lower(program, *arguments)
        compiled.append(made.as_text())
        return made

    def called(program, *arguments):
        state, info = call(program, *arguments)
        whole.append(state.d.params["hidden_0"]["kernel"].sharding.is_fully_replicated)
        return state, info

    def trains(recipe):
        experiment = build(recipe, dataset=open_data(recipe))
        prepared = loop.prepare(experiment)
        return lower(loop.program(prepared, experiment), prepared.abstract, prepared.batches(0, 1), 1).as_text()

    monkeypatch.setattr(loop.Program, "lower", lowered)
    monkeypatch.setattr(loop.Program, "__call__", called)
    monkeypatch.setattr(bench, "_peaks", lambda: {"float32": 1.0})
    wide = dataclasses.replace(tiny_recipe.discriminator, width=256)  # narrower weights stay whole
    none, recipe = (dataclasses.replace(tiny_recipe, discriminator=wide, shard=shard) for shard in ("none", "state"))
    assert bench.bench(recipe, steps=3).steps == 3
    assert whole == [False] * 5  # two calls to warm up, three timed
    assert compiled == [trains(recipe)]
    assert compiled != [trains(none)]


def test_steps_out_of_range(tiny_recipe):
    with pytest.raises(ValueError, match="steps: 0, but it must be from 1 to"):
        bench.bench(tiny_recipe, steps=0)
