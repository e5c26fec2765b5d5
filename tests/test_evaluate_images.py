"""`jaxgan evaluate` of images: every figure is that of the images, says how it was obtained, and stands beside its floors."""

import dataclasses
import json
import shutil
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image

import jaxgan
from jaxgan import cli, data, recipes
from jaxgan.commands import evaluate
from jaxgan.commands.sample import sample
from jaxgan.evaluation import features, metrics, settings, verdict
from jaxgan.evaluation.metrics.frechet import frechet_distance
from jaxgan.evaluation.metrics.moments import moments
from jaxgan.evaluation.metrics.prdc import prdc
from jaxgan.recipes import Recipe
from jaxgan.recipes.table import METRICS
from jaxgan.training import runs
from jaxgan.training.train import train

PIXELS = {"features": "pixels", "metrics": ("fid", "prdc"), "n": 60}


def real_pixels(order: np.ndarray | None = None) -> np.ndarray:
    images, _, _ = data.arrays("digits")
    return images.reshape(len(images), -1) / 127.5 - 1


def generated(run: Path, folder: Path, n: int, seed: int = 0) -> tuple[np.ndarray, list[int]]:
    """What the run makes of the labels that real images have, by another command."""
    batch = data.load("digits").batches(0, n)(0)  # the fixed order that statistics are taken in
    labels = np.asarray(batch["label"][0]).tolist()
    with np.load(sample(run, n=n, seed=seed, labels=labels, out=folder / f"{seed}.npz")) as made:
        return made["images"], labels


def test_the_figures_are_those_of_the_images(tiny_run: Path, tmp_path: Path) -> None:
    found = evaluate.evaluate(tiny_run, **PIXELS, seed=3, out=tmp_path / "e.json")
    out, values = found.file, found.values
    images, _ = generated(tiny_run, tmp_path, 60, seed=3)
    fake, real = images.reshape(60, -1) / 127.5 - 1, real_pixels()
    assert values["fid"].mean == pytest.approx(frechet_distance(moments(real), moments(fake)), rel=1e-5)
    assert values["coverage"].mean == pytest.approx(prdc(real, fake).coverage, abs=1e-3)
    again = evaluate.evaluate(tiny_run, **PIXELS, seed=3, batch=7, out=tmp_path / "e.json").values
    assert again["fid"].mean == pytest.approx(values["fid"].mean, rel=1e-6)

    content = json.loads(out.read_text())
    fid = content["values"]["fid"]
    expected = {
        "n": 60, "n_real": 1797, "data": "digits", "split": "train", "resize": "8x8 as they are", "seed": 3, "averaged": True,
        "truncation": None, "better": "lower", "standard_error": None,
    }  # fmt: skip
    assert {name: fid[name] for name in expected} == expected
    assert fid["features"]["name"] == "pixels"
    assert fid["features"]["sha256"] == features.extractor("pixels", (8, 8, 1)).checksum
    for part in ("sample covariance", "60 generated against 1,797 images of digits/train", "pixels (64, sha256"):
        assert part in fid["definition"]
    assert (content["run"], content["step"]) == ("tiny", 12)
    (floor,) = fid["floors"]  # digits have one split only
    assert floor["words"] == "60 of digits/train against the rest"
    assert fid["floor"] == floor["value"] == values["fid"].floor
    order = data.load("digits").batches(0, 1797)(0)["image"][0].reshape(1797, -1)
    assert fid["floor"] == pytest.approx(
        frechet_distance(*(moments(np.asarray(x)) for x in (order[60:], order[:60]))), rel=1e-4
    )
    assert 0 < fid["floor"] < fid["mean"] / 2  # twelve steps have taught next to nothing


def test_what_it_prints_by_default(tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["evaluate", str(tiny_run), "--out", str(tmp_path / "e.json"), "--no-compile-cache"])
    shown = capsys.readouterr().out
    assert shown.splitlines()[0] == "tiny at step 12: the averaged generator, latents of seed 0"
    assert "898 images stand in for 1,797" in shown
    for word in ("1,797 of digits/train", "64 features digits, a classifier", "Frechet distance", "KID", "authenticity"):
        assert word in shown
    values = json.loads((tmp_path / "e.json").read_text())["values"]
    figures = {name for metric in settings.usual("digits") for name in metrics.find(metric).shown}
    assert set(values) == figures
    assert values["kid"]["deviation"] > 0
    with Image.open(tmp_path / "e-nearest.png") as picture:  # twelve columns, two rows
        assert picture.width > 5 * picture.height


def test_few_images_for_many_features_are_warned_of(tiny_run: Path, tmp_path: Path) -> None:
    _, (result,) = evaluate.compare([tiny_run], **PIXELS, out=tmp_path / "e.json")
    assert "n: 60 images are few for 64 features" in result.warnings[0]
    assert result.warnings[0] in evaluate.table([result])
    _, (result,) = evaluate.compare([tiny_run], **(PIXELS | {"n": 640}), out=tmp_path / "e.json")
    assert not result.warnings


def test_images_of_any_program(tiny_run: Path, tmp_path: Path) -> None:
    """The same images, as a folder and as an archive: the same figures."""
    values = evaluate.evaluate(tiny_run, **PIXELS, out=tmp_path / "e.json").values
    images, _ = generated(tiny_run, tmp_path, 60)
    folder = tmp_path / "made"
    folder.mkdir()
    for i, image in enumerate(images):
        Image.fromarray(image[..., 0]).save(folder / f"{i:03d}.png")
    for path in (folder, tmp_path / "0.npz"):
        found = evaluate.evaluate(path, **PIXELS, data="digits")
        assert found.values["fid"].mean == pytest.approx(values["fid"].mean, rel=1e-6)
        assert found.values["coverage"].mean == values["coverage"].mean
        assert found.file == path.with_name(f"{path.stem}-evaluation.json")
        assert json.loads(found.file.read_text())["images"] == str(path)
    larger = tmp_path / "larger.npz"
    np.savez(larger, images=images.repeat(2, 1).repeat(2, 2).repeat(3, 3))
    found = evaluate.evaluate(larger, **PIXELS, data="digits").values["fid"]
    assert found.how["resize"] == "16x16 to 8x8, bicubic with antialiasing; RGB to grey, ITU-R 601-2"
    assert found.how["resize_real"] == "8x8 as they are"
    assert found.mean == pytest.approx(values["fid"].mean, rel=0.5)


def test_a_damaged_checkpoint_is_not_named_as_the_one_measured(tiny_run: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(tiny_run, run)
    for file in (run / "checkpoints" / "12").rglob("*"):
        if file.is_file() and file.stat().st_size > 1000:
            file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    out, results = evaluate.compare([run], **PIXELS)
    assert json.loads(out.read_text())["step"] == 6
    assert results[0].headline[0].startswith("run at step 6:")


@pytest.fixture(scope="module")
def pair(tiny_run: Path, tiny_recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two runs that differ in their seed, and one that differs in another way."""
    other = tmp_path_factory.mktemp("runs") / "other"
    for name, change in (("seed", {"seed": 1}), ("loss", {"loss": "hinge", "steps": 2})):
        train(dataclasses.replace(tiny_recipe, **change), other.with_name(name))
    return [tiny_run, other.with_name("seed"), other.with_name("loss")]


def test_several_runs_side_by_side(pair: list[Path], tmp_path: Path) -> None:
    out, results = evaluate.compare(pair, **PIXELS, out=tmp_path / "e.json")
    content = json.loads(out.read_text())
    assert [each["run"] for each in content["results"]] == ["tiny", "seed", "loss"]
    (group,) = content["groups"]
    assert group["runs"] == ["tiny", "seed"]
    fids = [each["values"]["fid"]["mean"] for each in content["results"]]
    assert group["values"]["fid"]["members"] == fids[:2]
    assert group["values"]["fid"]["mean"] == pytest.approx(np.mean(fids[:2]))
    assert group["values"]["fid"]["standard_error"] == pytest.approx(abs(fids[0] - fids[1]) / 2)
    alone = evaluate.evaluate(pair[1], **PIXELS, out=tmp_path / "alone.json").values
    assert alone["fid"].mean == pytest.approx(fids[1], rel=1e-6)
    head = evaluate.table(results).splitlines()
    (line,) = [line for line in head if line.startswith("figure")]
    assert line.split() == ["figure", "tiny", "seed", "loss", "mean", "of", "2", "seeds", "better", "real"]


def test_the_generator_in_training_and_truncation(tiny_run: Path, tmp_path: Path) -> None:
    usual, raw, cut = (
        evaluate.evaluate(
            tiny_run, metrics=("diversity", "fid"), features="pixels", n=60, out=tmp_path / "e.json", **more
        ).values
        for more in ({}, {"averaged": False}, {"truncation": 0.1})
    )
    assert (raw["fid"].how["averaged"], cut["fid"].how["truncation"]) == (False, 0.1)
    assert raw["fid"].mean != usual["fid"].mean
    assert cut["vendi_within"].mean < usual["vendi_within"].mean


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n": 1798}, "n: 1798, but it must be from 7 to 1797, the images that digits/train holds"),
        ({"features": "pixel"}, "features: 'pixel' is not one of pixels, .*; did you mean 'pixels'?"),
        ({"metrics": ("is",)}, "metrics: is, but pixels has no classes"),
        ({"metrics": ("prdc",), "n": 5}, "n: 5, but it must be from 7 to 1797"),
        ({"data": "mnits"}, "data.name: 'mnits' is not one of"),
        ({"split": "test"}, "data.split: 'test', but tfds:digits has train"),
        ({"weights": "w.pth"}, "weights: w.pth, but pixels takes none"),
    ],
)
def test_bad_input(tiny_run: Path, tmp_path: Path, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        evaluate.evaluate(tiny_run, **(PIXELS | options), out=tmp_path / "e.json")
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_bad_images(tiny_run: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    np.savez(tmp_path / "few.npz", images=np.zeros((9, 8, 8, 1), np.uint8))
    for name, options, message in (
        ("empty", {"data": "digits"}, "holds no readable PNG, JPEG or WebP image"),
        ("few.npz", {}, "data: not given, but .*few.npz is no run"),
        ("few.npz", {"data": "digits"}, "n: 60, but it must be from 2 to 9, the images given"),
        ("few.npz", {"data": "digits", "metrics": ("modes",)}, "metrics: modes, but it needs a run, and .*few.npz is none"),
    ):
        with pytest.raises(ValueError, match=message):
            evaluate.evaluate(tmp_path / name, **(PIXELS | options))
    with pytest.raises(FileNotFoundError, match="is not a run"):
        evaluate.evaluate(tmp_path / "nowhere", data="digits")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "few.npz"]


def test_images_that_are_not_finite_are_refused(tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load = runs.generators

    def broken(*arguments, **options):
        every, step = load(*arguments, **options)
        return [jax.tree.map(lambda x: x * np.nan, each) for each in every], step

    monkeypatch.setattr(runs, "generators", broken)
    with pytest.raises(ValueError, match="images: 60 of a batch of 60 hold values that are not finite"):
        evaluate.evaluate(tiny_run, **PIXELS, out=tmp_path / "e.json")
    assert not list(tmp_path.iterdir())


def test_a_run_is_measured_while_it_trains(tiny_recipe: Recipe, tiny_run: Path, tmp_path: Path) -> None:
    """Every 40 images shown: at the rows of 48 and 96, and at the end; and nothing of the training changes by it."""
    measured = dataclasses.replace(
        tiny_recipe, log_interval=2, eval_every=40, eval_features="pixels", eval_n=60, keep_best="coverage"
    )
    run = train(measured, tmp_path / "run")
    rows = runs.history(run)
    there = [row for row in rows if "fid" in row or "coverage" in row]
    assert [row["images"] for row in there] == [48, 80, 96]
    assert all("60 generated against 1,797" in row["definitions"]["coverage"] for row in there)
    assert runs.best_step(run) == max(there, key=lambda row: (row["coverage"], -row["step"]))["step"]
    last = evaluate.evaluate(tmp_path / "run", **(PIXELS | {"metrics": ("prdc",)})).values
    assert there[-1]["coverage"] == pytest.approx(last["coverage"].mean, abs=1e-6)
    states = [jaxgan.load(path)[1] for path in (tmp_path / "run", tiny_run)]
    assert jax.tree.all(jax.tree.map(np.array_equal, *states))
    shutil.rmtree(tmp_path / "run" / "checkpoints" / "12")
    resumed = train(dataclasses.replace(measured, eval_every=1_000), tmp_path / "run")  # how often is no matter of the training
    assert runs.history(resumed)[-1]["coverage"] == there[-1]["coverage"]


def test_several_gans_are_measured_each(tiny_recipe: Recipe, tmp_path: Path) -> None:
    two = dataclasses.replace(tiny_recipe, seeds=2, steps=4, eval_metrics=("fid",), eval_features="pixels", eval_n=60)
    run = train(two, tmp_path / "run")
    last = runs.history(run)[-1]
    values = evaluate.evaluate(run.path, **PIXELS).values
    assert last["members"]["fid"] == pytest.approx(values["fid"].members, rel=1e-4)
    assert last["fid"] == pytest.approx(values["fid"].mean, rel=1e-4)
    assert values["fid"].standard_error == pytest.approx(np.std(values["fid"].members, ddof=1) / np.sqrt(2))


def test_when_a_run_is_measured_and_by_what() -> None:
    asked = [
        ({}, (0, ())),
        ({"eval_every": 500}, (500, ())),
        ({"keep_best": "kid"}, (recipes.EVAL_EVERY, ("kid",))),
        ({"keep_best": "recall", "eval_metrics": ("fid", "kid"), "eval_every": 9}, (9, ("fid", "kid", "prdc"))),
        ({"keep_best": "reach"}, (0, ())),
    ]
    for fields, expected in asked:
        assert recipes.evaluation(dataclasses.replace(recipes.preset("digits"), **fields)) == expected
    assert set(recipes.LOOKED_AT) == set(verdict.SHOWN)
    for name, row in METRICS.items():  # what is known without jax is true of the records
        found = metrics.find(name)
        told = [figure for figure, shown in found.shown.items() if shown.better != "as real"]
        assert (found.name, tuple(told)) == (name, row.figures)
        assert found.definition


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"eval_n": 1798, "eval_metrics": ("fid",)}, "eval_n: 1798, but it must be from 2 to 1797"),
        ({"eval_features": "digit", "eval_every": 8}, "eval_features: 'digit' is not one of"),
        ({"eval_every": 0}, "eval_every: 0, but it must be from 1 to"),
        ({"keep_best": "modes"}, "keep_best: modes, but it is measured on ring, grid only"),
    ],
)
def test_what_it_cannot_be_measured_by_is_said_first(tiny_recipe: Recipe, tmp_path: Path, fields: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        train(dataclasses.replace(tiny_recipe, **fields), tmp_path / "run")
    assert not (tmp_path / "run").exists()
