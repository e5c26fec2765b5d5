"""Conditions of any form: in a batch, beside a data set, through a run to its end, and drawn from every form of a generator."""

import functools
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxgan
from jaxgan import cli, data, losses, recipes
from jaxgan.core import conditions
from jaxgan.core.gan import make_gan
from jaxgan.core.types import GAN, Network
from jaxgan.recipes import Recipe, code
from jaxgan.system import devices
from jaxgan.system.messages import FieldError
from jaxgan.training import runs
from jaxgan.training.dataset import Shape, given_of
from jaxgan.training.experiment import build

KEY = jax.random.key(0)
EXAMPLE = Path(__file__).parent / "examples" / "conditioned.py"
RANDOM = np.random.default_rng(0)
CONDITION = {"half": RANDOM.uniform(-1, 1, (12, 4, 4, 1)).astype(np.float32), "of": {"bright": np.arange(12)}}
IMAGES = RANDOM.uniform(-1, 1, (12, 4, 4, 1)).astype(np.float32)


def network(inputs: int, outputs: int | None) -> Network:
    """A linear map of the input and of every array of a condition."""

    def init(key: jax.Array) -> Any:
        return {"kernel": jax.random.normal(key, (inputs, outputs or 1))}, {}

    def apply(params: Any, stats: Any, x: jax.Array, given: Any, _key: jax.Array, *, train: bool) -> Any:
        del train
        leaves = [x, *jax.tree.leaves(given)]
        whole = jnp.concatenate([leaf.astype(jnp.float32).reshape(len(x), -1) for leaf in leaves], axis=1)
        y = jnp.tanh(whole @ params["kernel"])
        return (y[:, 0] if outputs is None else y.reshape(-1, 4, 4, 1)), stats

    return Network(init, apply, depends_on_batch=False)


@functools.cache
def gan(size: int = 17, coupled: bool = False, **options: Any) -> GAN:
    """A GAN whose networks take a condition of so many numbers."""
    d = network(16 + size, None)._replace(depends_on_batch=coupled)
    optimizers = {"g_optimizer": optax.sgd(0.1), "d_optimizer": optax.sgd(0.1)}
    return make_gan(
        generator=network(3 + size, 16), discriminator=d, loss=losses.relativistic, latent_dim=3, **optimizers, **options
    )


def stepped(made: GAN, batch: Any) -> Any:
    return jax.jit(made.step)(jax.jit(made.init)(KEY), batch, KEY)


def same(a: Any, b: Any, tolerance: float = 0.0) -> bool:
    pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return all(np.allclose(x, y, rtol=0.0, atol=tolerance) for x, y in pairs)


def test_a_step_on_a_condition_is_one_on_its_numbers_whatever_its_structure() -> None:
    vector = np.concatenate([CONDITION["half"].reshape(12, 16), CONDITION["of"]["bright"][:, None]], axis=1)
    nested = stepped(gan(), {"image": IMAGES, "condition": CONDITION, "label": np.zeros(12, np.int32)})
    assert same(nested, stepped(gan(), {"image": IMAGES, "condition": vector}), 1e-6)
    assert same(nested, stepped(gan(coupled=True), {"image": IMAGES, "condition": (vector[:, :9], [vector[:, 9:]])}), 1e-5)
    assert not same(nested, stepped(gan(), {"image": IMAGES, "condition": vector[::-1]}), 1e-3)
    cut = stepped(gan(accumulate=2), {"image": IMAGES, "condition": CONDITION})
    assert same(nested[0].d.params, cut[0].d.params, 1e-5)
    state = nested[0]
    whole = gan().sample(state, KEY, CONDITION)
    assert same(whole[5:7], gan().sample(state, KEY, conditions.each(lambda x: x[5:7], CONDITION), first=5), 1e-6)
    with pytest.raises(FieldError, match=r"^condition: condition for 12, n for 3, but they must be of one number of images$"):
        gan().sample(state, KEY, CONDITION, n=3)


@pytest.mark.parametrize(
    ("condition", "told"),
    [
        (
            {"a": np.zeros((12, 2)), "b": np.zeros((11, 2))},
            "batch.condition/b: an array of shape [11, 2], but it must hold one",
        ),
        (np.float32(1.0), "batch.condition: an array of shape [], but it must hold one for each of 12 samples"),
    ],
)
def test_a_condition_of_other_samples_is_refused_when_a_step_is_traced(condition: Any, told: str) -> None:
    batch = {"image": IMAGES, "condition": condition}
    with pytest.raises(FieldError) as error:
        jax.eval_shape(gan().step, jax.eval_shape(gan().init, KEY), batch, KEY)
    assert told in str(error.value)


def test_a_data_set_gives_each_sample_its_own_condition_resident_streamed_and_over_devices(tmp_path: Path) -> None:
    named = conditions.named(CONDITION)
    np.savez(tmp_path / "set.npz", images=IMAGES, **named)
    elements = [{"image": IMAGES[i], "condition": conditions.each(lambda x, i=i: x[i], CONDITION)} for i in range(12)]
    sets = [
        data.from_array(IMAGES, condition=CONDITION),
        data.as_dataset({"image": IMAGES, "condition": CONDITION}),
        data.load(f"npz:{tmp_path / 'set.npz'}"),
        data.load(f"npz:{tmp_path / 'set.npz'}", stream=True),
        data.from_source(elements),
        data.with_condition(data.from_array(IMAGES), lambda numbers: conditions.take(CONDITION, numbers)),
    ]
    mesh = devices.line(jax.devices())
    for dataset in sets:
        assert conditions.words(dataset.condition) == "half float32 [4, 4, 1], of/bright int32 []"
        for draw in (dataset.batches(3, 4), dataset.batches(3, 4, devices.in_parts(mesh))):
            batch = jax.device_get(draw(2, 2))
            rows = [[int(np.abs(IMAGES - x).sum((1, 2, 3)).argmin()) for x in step] for step in batch["image"]]
            np.testing.assert_array_equal(batch["condition"]["of"]["bright"], rows)
            np.testing.assert_array_equal(batch["condition"]["half"], CONDITION["half"][np.array(rows)])
    prints = {dataset.facts().fingerprint for dataset in sets[:3] if dataset.facts is not None}
    other = data.from_array(IMAGES, condition=CONDITION | {"half": -CONDITION["half"]}).facts
    assert len(prints) == 1
    assert other is not None
    assert other().fingerprint not in prints


@pytest.mark.parametrize(
    ("condition", "told"),
    [
        (np.zeros((11, 3)), "condition: it is for 11 samples, but there are 12"),
        ({"a": np.zeros((12, 2)), "b": np.zeros(3)}, "condition/b: it is for 3 samples, but there are 12"),
        ({"a": [[1.0], [2.0, 3.0]]}, "condition/a: a list, but it must be an array [N, ...], or a dict of such"),
        (np.array([["x"]] * 12), "condition: an array of shape [12, 1] and dtype <U1, but it must be numbers"),
        (np.full((12, 2), 1e300), "condition: values to 1e+300, but they must fit into float32: at most 3.403e+38"),
        (np.full((12, 2), np.nan), "condition: nan at [0, 0], but it must be finite"),
        (np.full(12, 2**40), "condition: values from 1099511627776 to"),
        ({"a/b": np.zeros(12)}, "condition: the key 'a/b', but keys must be texts without /"),
    ],
)
def test_a_condition_that_no_data_set_can_have_is_one_line(condition: Any, told: str) -> None:
    with pytest.raises(FieldError) as error:
        data.from_array(IMAGES, condition=condition)
    assert told in str(error.value)
    assert len(str(error.value).splitlines()) == 1


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a user's file and its finished run."""
    place = tmp_path_factory.mktemp("conditioned")
    shutil.copy(EXAMPLE, place)
    recipe = code.named(f"{place / 'conditioned.py'}:recipe", "recipe")
    jaxgan.train(recipe, place / "run")
    return place


def main(*words: object) -> int:
    try:
        cli.main([str(word) for word in words])
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


def test_a_conditioned_run_resumes_bit_for_bit_and_knows_the_conditions_of_its_pictures(folder: Path) -> None:
    run = runs.read(folder / "run")
    recipe = run.recipe
    jaxgan.train(replace(recipe, steps=2), folder / "halves")
    halves = jaxgan.train(recipe, folder / "halves")
    assert same(*(runs.restore(each, each.experiment()) for each in (run, halves)))
    assert run.shown["half"].shape == (20, 4, 4, 1)
    assert conditions.form_of(run.shown) == run.shape.condition
    with pytest.raises(FieldError, match=r"data"):
        jaxgan.train(replace(recipe, data=code.named(f"{folder / 'conditioned.py'}:others", "data")), folder / "run")


def test_a_sample_depends_on_its_condition_in_every_form_of_the_generator(folder: Path, capsys: Any) -> None:
    run = runs.read(folder / "run")
    asked = conditions.each(lambda x: x[:5], run.shown)
    usual = run.sample(5)
    assert same(usual.images, run.sample(condition=asked).images)
    assert same(usual.condition, asked)
    assert not same(usual.images, run.sample(condition=asked | {"bright": 1.0 - asked["bright"]}).images)
    gan, state = jaxgan.load(folder / "run")
    made = np.asarray(gan.sample(state.ema, jax.random.key(0), jax.tree.map(jnp.asarray, asked)))
    assert same(usual.images, made, 1e-5)
    np.savez(folder / "asked.npz", **conditions.named(asked))
    assert main("sample", folder / "run", "--conditions", folder / "asked.npz", "--out", folder / "x.npz") == 0
    with np.load(folder / "x.npz") as found:
        assert same(found["images"], usual.images, 1e-5)
        np.testing.assert_array_equal(found["condition/half"], asked["half"])
    for suffix in (".safetensors", ".jaxgan"):
        held = jaxgan.load_sampler(jaxgan.export(folder / "run", out=folder / f"g{suffix}"))
        assert same(held(condition=asked).images, usual.images, 1e-5)
        with pytest.raises(
            ValueError, match=r"^condition: none given, but the generator needs one, bright \(float32 \[N, 1\]\), half"
        ):
            held(3)
    jaxgan.sample(folder / "run", out=folder / "x.png")
    jaxgan.interpolate(folder / "run", frames=3, out=folder / "way.png")
    capsys.readouterr()


def test_a_conditioned_run_is_measured_planned_and_trained_over_seeds_with_conditions_of_the_data(folder: Path) -> None:
    result = jaxgan.evaluate(folder / "run", metrics=["prdc"], n=20)
    assert 0 <= result.values["coverage"].mean <= 1
    recipe = runs.read(folder / "run").recipe
    assert jaxgan.plan(recipe).fits
    side_by_side = jaxgan.train(replace(recipe, seeds=2, steps=1), folder / "seeds")
    assert len(runs.history(side_by_side)[-1]["members"]["d_loss"]) == 2
    assert side_by_side.sample(3, member=1).shape == (3, 4, 4, 1)


FORM = {"half": np.zeros((2, 4, 4, 1), np.float32), "bright": np.zeros((2, 1), np.float32)}


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"condition": FORM["half"]}, "condition: a value of type ndarray, but it must be a dict of"),
        (
            {"condition": FORM | {"half": np.zeros((2, 4, 4))}},
            "condition/half: float64 [2, 4, 4], but it must be float32 [N, 4, 4, 1]",
        ),
        ({"condition": FORM | {"bright": np.zeros((3, 1))}}, "condition: arrays for 2 and 3 samples, but they must agree"),
        ({"condition": FORM | {"bright": [["a"], ["b"]]}}, "condition/bright: a value of type list, but it must be float32"),
        ({"condition": FORM | {"bright": np.full((2, 1), np.inf)}}, "condition/bright: it holds values that are not finite"),
        ({"labels": 3}, "labels: given, but the generator takes a condition and no classes"),
    ],
)
def test_a_sampler_refuses_another_condition_in_one_line(folder: Path, options: Any, told: str) -> None:
    with pytest.raises(ValueError, match=r"^(condition|labels)") as error:
        runs.read(folder / "run").sample(**options)
    assert told in str(error.value)
    assert len(str(error.value).splitlines()) == 1


def test_files_of_conditions_and_networks_that_do_not_fit_are_refused_before_anything_is_written(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "broken.npz").write_bytes(b"PK nothing")
    np.savez(tmp_path / "none.npz", images=IMAGES)
    np.savez(tmp_path / "objects.npz", condition=np.array([{}], object))
    wanted = {
        "missing.npz": "conditions: ",
        "broken.npz": "is damaged or no .npz of plain arrays",
        "none.npz": "it holds images, but no condition or condition/NAME",
        "objects.npz": "Python objects, which are not unpickled",
    }
    for name, told in wanted.items():
        capsys.readouterr()
        status = main("sample", folder / "run", "--conditions", tmp_path / name, "--out", tmp_path / "x.npz")
        line = capsys.readouterr().err.splitlines()[-1]
        assert (status, told in line) == (2, True), line
    assert not (tmp_path / "x.npz").exists()
    form = Shape((4, 4, 1), 0, conditions.form_of(FORM))
    assert jax.tree.map(lambda x: x.shape, given_of(form, 3)) == {"half": (3, 4, 4, 1), "bright": (3, 1)}
    with pytest.raises(FieldError, match=r"^generator: MLP, but it takes classes alone, and the data have a condition"):
        build(recipes.check(Recipe(generator="mlp", discriminator="mlp")), shape=form)
    with pytest.raises(FieldError, match=r"^pack: 2, but a pack has no condition of its own"):
        build(Recipe(generator="mlp", discriminator="mlp", pack=2), shape=form)
