"""`jaxgan evaluate`: what the JSON says, and what is refused before anything is written."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from jaxgan import cli, toy
from jaxgan.commands import evaluate
from jaxgan.commands.evaluate import made
from jaxgan.commands.sample import sample
from jaxgan.evaluation import features
from jaxgan.recipes import MLP, Data, MLPDiscriminator, Recipe
from jaxgan.training.train import train

RING = Recipe(
    data=Data("ring"),
    generator=MLP(width=8, depth=1, latent_dim=4),
    discriminator=MLPDiscriminator(width=8, depth=1),
    batch_size=16,
    steps=2,
    log_interval=1,
    sample_interval=2,
    checkpoint_interval=2,
)


@pytest.fixture(scope="module")
def ring(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(RING, tmp_path_factory.mktemp("runs") / "ring").path


def test_the_figures_are_those_of_the_run_s_samples(ring: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["evaluate", str(ring), "--n", "300", "--seed", "7", "--out", str(tmp_path / "e.json"), "--no-compile-cache"])
    shown = capsys.readouterr().out.splitlines()
    assert shown[-1] == str(tmp_path / "e.json")
    assert shown[0] == "ring at step 2: the averaged generator, latents of seed 7"
    assert shown[2].split()[:2] == ["figure", "value"]
    content = json.loads((tmp_path / "e.json").read_text())
    with np.load(sample(ring, n=300, seed=7, out=tmp_path / "s.npz")) as drawn:
        seen = toy.coverage(drawn["images"], toy.ring())
    floor = toy.coverage_floor(toy.ring(), 300)
    for name in ("modes", "high_quality"):
        value = content["values"][name]
        assert value["mean"] == pytest.approx(seen._asdict()[name])
        assert value["floor"] == pytest.approx(floor.mean._asdict()[name])
        assert {key: value[key] for key in ("n", "seed", "averaged", "split", "features", "resize", "truncation")} == {
            "n": 300, "seed": 7, "averaged": True, "split": "train", "features": None, "resize": None, "truncation": None,
        }  # fmt: skip
        assert value["standard_error"] is None
    assert content["step"] == 2
    assert content["recipe"]["data"]["name"] == "ring"


def test_a_figure_that_is_not_finite_is_null(ring: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    far = lambda *_, **__: np.full((50, 2), 9.0)  # noqa: E731
    monkeypatch.setattr(made, "generate", far)
    out, results = evaluate.compare([ring], n=50, out=tmp_path / "e.json")
    assert results[0].values["reverse_kl"].mean is None
    assert json.loads(out.read_text())["values"]["reverse_kl"]["members"] == [None]
    assert "reverse KL" in evaluate.table(results)


def test_modes_of_stacked_digits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a judge that reads the mode off the first pixel: the classifier has tests of its own."""
    images = np.zeros((2_000, 28, 28, 3), np.uint8)
    np.savez(tmp_path / "stand_in.npz", images=images[:64])
    small = {"batch_size": 8, "steps": 1, "log_interval": 1, "sample_interval": 1, "checkpoint_interval": 1}
    nets = {"generator": MLP(8, 1, latent_dim=4), "discriminator": MLPDiscriminator(8, 1)}
    run = train(Recipe(data=Data(f"npz:{tmp_path / 'stand_in.npz'}"), **nets, **small), tmp_path / "run").path
    content = json.loads((run / "recipe.json").read_text())
    content["recipe"]["data"]["name"] = "stacked_mnist"
    (run / "recipe.json").write_text(json.dumps(content))
    judge = features.Classifier("mnist", (28, 28, 1), 10, lambda x: x, lambda x: x, {}, 0.99, "0123", lambda *_: None)
    monkeypatch.setattr(features, "classifier", lambda name: judge)
    modes = np.random.default_rng(0).integers(1000, size=2_000)
    monkeypatch.setattr(features.stacked, "stacked_mnist_modes", lambda images, judge: modes)
    values = evaluate.evaluate(run, n=2_000).values
    assert values["modes"].mean == len(np.unique(modes))
    assert values["modes"].floor == pytest.approx(values["modes"].mean, abs=30)  # 1000 (1 - 1/e^2) = 865, give or take
    assert values["reverse_kl"].mean == pytest.approx(values["reverse_kl"].floor, rel=0.15)
    found = json.loads((run / "evaluation.json").read_text())["values"]["modes"]
    assert found["features"] == {"name": "mnist", "sha256": "0123", "accuracy": 0.99}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"metrics": ("fdi",)}, "metrics: 'fdi' is not one of fid, .*modes; did you mean 'fid'"),
        ({"metrics": ("fid",), "features": "pixels"}, r"features: pixels, but samples of shape \(2,\) are no images"),
        ({"n": 1}, "n: 1, but it must be at least 2"),
        ({"n": 7}, "n: 7, but 8 modes need at least as many samples"),
        ({"seed": -1}, "seed: -1, but"),
        ({"batch": 0}, "batch: 0, but it must be at least 1"),
        ({"out": "e.txt"}, r"but it must be a \.json file"),
        ({"best": True}, "keeps no best checkpoint"),
        ({"n": np.arange(3)}, r"n: array\(\[0, 1, 2\]\), but it must be a whole number"),
        ({"seed": "x"}, "seed: 'x', but it must be a whole number"),
        ({"batch": 1.5}, "batch: 1.5, but it must be a whole number"),
        ({"truncation": "a"}, "truncation: 'a', but it must be a number"),
        ({"data": 5}, "data: 5, but it must be the name of data"),
        ({"metrics": "fid"}, "metrics: 'fid', but they must be a list or a tuple"),
    ],
)
def test_bad_input(ring: Path, options: dict, message: str) -> None:
    before = sorted(ring.iterdir())
    with pytest.raises(ValueError, match=message):
        evaluate.evaluate(ring, **options)
    assert sorted(ring.iterdir()) == before


def test_modes_must_be_known(tiny_run: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="the modes of digits are not known; those of ring, grid, stacked_mnist are"):
        evaluate.evaluate(tiny_run, metrics=("modes",), out=tmp_path / "e.json")
    with pytest.raises(FileNotFoundError, match="is not a run"):
        evaluate.evaluate(tmp_path / "none")
    assert not (tmp_path / "e.json").exists()


def test_a_run_without_a_checkpoint(ring: Path, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "recipe.json").write_text((ring / "recipe.json").read_text())
    with pytest.raises(FileNotFoundError):
        evaluate.evaluate(tmp_path / "run")


def test_packed_and_augmented_recipes_train(tiny_recipe: Recipe, tmp_path: Path) -> None:
    """What a recipe can say reaches the step: D sees pairs, and what it sees was augmented."""
    packed = dataclasses.replace(
        tiny_recipe, data=Data("digits"), discriminator=MLPDiscriminator(8, 1), pack=2, augment="color,translation,cutout",
        steps=2, log_interval=1,
    )  # fmt: skip
    run = train(packed, tmp_path / "run")
    assert run.recipe.augment == "color,translation,cutout"
    with pytest.raises(ValueError, match="augment: 'colour' is not one of color, translation, cutout; did you mean 'color'"):
        train(dataclasses.replace(packed, augment="colour"), tmp_path / "other")
    with pytest.raises(ValueError, match=r"pack: 3, but it must divide the batch size, 8"):
        train(dataclasses.replace(packed, pack=3), tmp_path / "other")
    with pytest.raises(ValueError, match=r"pack: 2, but a pack has no label of its own"):
        train(dataclasses.replace(packed, data=Data("digits", conditional=True)), tmp_path / "other")
    with pytest.raises(ValueError, match="augment: 'color', but the data are points in the plane"):
        train(dataclasses.replace(RING, augment="color"), tmp_path / "other")
    assert not (tmp_path / "other").exists()
