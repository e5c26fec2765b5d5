"""Several GANs in one program: each is the one trained alone, and what is made of a run follows."""

import dataclasses
import json
import shutil
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

import jaxgan
from jaxgan import recipes
from jaxgan.commands.evaluate import evaluate
from jaxgan.commands.sample import sample
from jaxgan.core import sweep
from jaxgan.core.sweep import summary
from jaxgan.recipes import MLP, Data, MLPDiscriminator, Penalty, Recipe
from jaxgan.training import loop, runs
from jaxgan.training.assembly import assemble
from jaxgan.training.dataset import Shape, open_data
from jaxgan.training.experiment import Experiment, build
from jaxgan.training.train import outcome, train

RING = Recipe(
    data=Data("ring"),
    generator=MLP(width=8, depth=1, latent_dim=4),
    discriminator=MLPDiscriminator(width=8, depth=1),
    penalty=Penalty("r1_r2", 0.1),
    batch_size=16,
    steps=8,
    seed=3,
    steps_per_dispatch=4,
    log_interval=2,
    sample_interval=4,
    checkpoint_interval=4,
)
SWEEP = dataclasses.replace(RING, seeds=2, penalty=Penalty("r1_r2", gammas=(0.1, 1.0)))


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four GANs: two seeds for each of two weights of the penalty."""
    return train(SWEEP, tmp_path_factory.mktemp("runs") / "sweep").path


def test_members_are_recipes_of_their_own() -> None:
    assert recipes.members(RING) == [RING]
    every = recipes.members(SWEEP)
    assert [(each.seed, each.penalty.gamma) for each in every] == [(3, 0.1), (4, 0.1), (3, 1.0), (4, 1.0)]
    assert all(recipes.members(each) == [each] for each in every)
    assert recipes.from_dict(json.loads(json.dumps(recipes.to_dict(SWEEP)))) == SWEEP


@pytest.mark.parametrize("member", [0, 3])
def test_a_member_is_the_gan_trained_alone(swept: Path, tmp_path: Path, member: int) -> None:
    alone = train(recipes.members(SWEEP)[member], tmp_path / "alone").path
    _, one = jaxgan.load(swept, member=member)
    _, other = jaxgan.load(alone)
    # Equal but for the order of sums: Adam turns a rounding error of a gradient near zero into one of its step.
    for x, y in zip(jax.tree.leaves(one.ema), jax.tree.leaves(other.ema), strict=True):
        np.testing.assert_allclose(x, y, atol=2e-5)
    row, last = runs.history(runs.read(swept))[-1], runs.history(runs.read(alone))[-1]
    assert row["members"]["d_loss"][member] == pytest.approx(last["d_loss"], abs=1e-5)


def test_members_differ_and_rows_hold_mean_and_standard_error(swept: Path) -> None:
    rows = runs.history(runs.read(swept))
    assert [row["step"] for row in rows] == [2, 4, 6, 8]
    for row in rows:
        each = row["members"]["d_loss"]
        assert len(set(each)) == 4
        assert row["d_loss"] == pytest.approx(np.mean(each))
        assert row["standard_error"]["d_loss"] == pytest.approx(np.std(each, ddof=1) / 2.0)
    assert "reach" in rows[1]
    assert "reach" not in rows[0]
    with Image.open(swept / "samples" / "000008.png") as picture:
        assert picture.width == 640  # two by two


def ended(path: Path) -> tuple[runs.Run, Experiment]:
    run = runs.read(path)
    return run, run.experiment()


def test_what_is_told_at_the_end(swept: Path, tiny_run: Path) -> None:
    lines = outcome(*ended(swept))
    assert [line.split(",")[0] for line in lines] == ["gamma 0.1", "gamma 1"]
    each = runs.history(runs.read(swept))[-1]["members"]["d_loss"]
    error = abs(each[0] - each[1]) / 2.0
    assert f"d_loss {(each[0] + each[1]) / 2.0:.4g} +- {error:.2g}" in lines[0]
    assert "2 too early" in lines[0]
    assert outcome(*ended(tiny_run)) == []


def test_resuming_gives_the_same_bits(swept: Path, tmp_path: Path) -> None:
    half = dataclasses.replace(SWEEP, steps=4)
    train(half, tmp_path / "run")
    train(SWEEP, tmp_path / "run")
    _, one = jaxgan.load(swept)
    _, other = jaxgan.load(tmp_path / "run")
    assert jax.tree.all(jax.tree.map(lambda x, y: bool((x == y).all()), one, other))


def test_nothing_of_one_reaches_another() -> None:
    experiment = build(SWEEP, dataset=open_data(SWEEP))
    prepared = loop.prepare(experiment)
    state = jax.jit(prepared.gan.init)(experiment.key)
    batch = jax.tree.map(lambda x: x[0], prepared.batches(0))
    step = jax.jit(prepared.gan.step)
    _, info = step(state, batch, experiment.key)
    spoilt = batch | {"image": batch["image"].at[1].set(jnp.nan)}
    _, without = step(state, spoilt, experiment.key)
    others = np.array([0, 2, 3])
    assert np.isnan(without["d_loss"][1])
    np.testing.assert_array_equal(np.asarray(info["d_loss"])[others], np.asarray(without["d_loss"])[others])


def test_the_compiled_step_of_divided_members_holds_no_communication() -> None:
    experiment = build(SWEEP, dataset=open_data(SWEEP))
    prepared = loop.prepare(experiment)
    assert len(prepared.abstract.g.params["out"]["kernel"].sharding.device_set) == jax.device_count() == 2
    batch = jax.eval_shape(lambda: jax.tree.map(lambda x: x[0], prepared.batches(0)))
    text = jax.jit(prepared.gan.step).lower(prepared.abstract, batch, experiment.key).compile().as_text()
    assert not any(word in text for word in ("all-reduce", "all-gather", "all-to-all", "collective-permute"))


def test_sampling_and_measuring_follow(swept: Path, tmp_path: Path) -> None:
    drawn = []
    for member in (0, 1):
        with np.load(sample(swept, n=40, seed=5, member=member, out=tmp_path / f"{member}.npz")) as arrays:
            drawn.append(arrays["images"])
    assert not np.array_equal(*drawn)
    gan, state = jaxgan.load(swept)
    assert jax.jit(gan.sample)(state.ema, jax.random.key(5), jnp.zeros(40, jnp.int32))[1] == pytest.approx(drawn[1], abs=1e-5)
    values = evaluate(swept, n=100).values
    out = swept / "evaluation.json"
    content = json.loads(out.read_text())
    assert len(content["values"]["modes"]["members"]) == 4
    assert content["values"]["modes"]["n"] == 100
    assert values["reverse_kl"].floor > 0.0
    assert None not in values["high_quality"].members
    assert values["high_quality"].mean == pytest.approx(np.mean(values["high_quality"].members))
    with pytest.raises(ValueError, match="member: 4, but the run's members are 0 to 3"):
        sample(swept, member=4, out=tmp_path / "none.npz")
    assert not (tmp_path / "none.npz").exists()


def test_a_member_that_breaks_does_not_stop_the_others(tmp_path: Path) -> None:
    wild = dataclasses.replace(RING, penalty=Penalty("r1", gammas=(0.1, 1e6)), loss="wasserstein", steps=60)
    wild = dataclasses.replace(wild, d_optimizer=dataclasses.replace(wild.d_optimizer, learning_rate=5.0), sample_interval=60)
    rows = runs.history(train(wild, tmp_path / "run"))
    assert rows[-1]["step"] == 60
    broken = [i for i, value in enumerate(rows[-1]["members"]["d_loss"]) if value is None]
    for i in broken:
        assert rows[-1]["members"]["verdict"][i] == "diverged"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seeds": 0}, "seeds: 0, but it must be from 1"),
        ({"seed": 2**32 - 2, "seeds": 3}, "seeds: 3 from seed"),
        ({"penalty": Penalty("none", gammas=(0.1,))}, "penalty.gammas: 0.1, but name none"),
        ({"penalty": Penalty("r1", final_gamma=1.0, gammas=(0.1,))}, "penalty.gammas: 0.1, but final_gamma"),
        ({"penalty": Penalty("r1", gammas=(0.1, 0.1))}, "may stand there once"),
        ({"penalty": Penalty("r1", gammas=(0.1, -1.0))}, "penalty.gammas: -1.0, but it must be from 0"),
    ],
)
def test_bad_input(change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        recipes.check(dataclasses.replace(RING, **change))


def test_a_run_of_one_has_a_member_too(tiny_run: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_run, tmp_path / "run")
    _, one = jaxgan.load(tmp_path / "run", member=0)
    _, other = jaxgan.load(tmp_path / "run")
    assert jax.tree.all(jax.tree.map(lambda x, y: bool((x == y).all()), one, other))
    with pytest.raises(ValueError, match="member: 1, but"):
        jaxgan.load(tmp_path / "run", member=1)


def test_summary_leaves_out_what_is_not_finite() -> None:
    assert summary([1.0, 3.0, np.nan]) == (2.0, 1.0)
    assert summary([1.0, np.inf]) == (1.0, None)
    assert summary([np.nan]) == (None, None)


def test_side_by_side_by_hand() -> None:
    """The transform on its own: a varied hyperparameter reaches its member."""
    recipe = recipes.members(RING)[0]
    experiment = build(recipe, shape=Shape((2,), 0))
    made = {"loss": experiment.loss, "pair": (experiment.generator, experiment.discriminator), "counted_from": (0, 0)}
    parts = {"recipe": recipe, "shape": experiment.shape, **made}
    many = sweep.side_by_side(lambda gamma: assemble(**parts, gamma=gamma), jnp.array([0.0, 2.0]))
    keys = jnp.stack([jax.random.key(0), jax.random.key(0)])
    state = many.init(keys)
    images = jax.random.normal(jax.random.key(1), (32, 2))
    batch = {"image": jnp.stack([images, images]), "label": jnp.zeros((2, 32), jnp.int32)}
    step = jax.jit(many.step)
    after, info = step(state, batch, keys)
    assert info["d_loss"][0] == pytest.approx(info["d_loss"][1])  # the first step starts from the same weights
    after, _ = step(after, batch, keys)  # and moves by its gradients' signs, Adam's way
    first, second = (sweep.member(after, i).d.params["hidden_0"]["kernel"] for i in (0, 1))
    assert float(jnp.abs(first - second).max()) > 0.0
    assert int(after.step) == 2
