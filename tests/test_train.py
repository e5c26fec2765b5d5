"""Training: what a run leaves behind, and what it refuses."""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import jaxgan
from jaxgan import data
from jaxgan.recipes import DCGAN, MLP, Adam, Data, DCGANDiscriminator, MLPDiscriminator, Recipe
from jaxgan.system import environment
from jaxgan.system.messages import FieldError
from jaxgan.training import runs
from jaxgan.training.endings import Diverged
from jaxgan.training.train import train


def test_a_run_directory_holds_what_it_should(tiny_run: Path) -> None:
    rows = [json.loads(line) for line in (tiny_run / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [4, 8, 12]
    assert [row["images"] for row in rows] == [32, 64, 96]
    for name in ("d_loss", "g_loss", "real_logits", "fake_logits", "d_real", "d_fake", "penalty", "d_grad_norm", "g_grad_norm"):
        assert all(np.isfinite(row[name]) for row in rows)
    assert sorted(path.name for path in (tiny_run / "samples").iterdir()) == ["000000.png", "000006.png", "000012.png"]
    assert (tiny_run / "checkpoints").is_dir()
    with Image.open(tiny_run / "progress.webp") as film:
        assert getattr(film, "n_frames", 1) >= 3
    with Image.open(tiny_run / "curves.png") as curves:
        assert curves.width > 400
    content = json.loads((tiny_run / "recipe.json").read_text())
    assert content["recipe"]["generator"]["width"] == 8
    assert content["data"]["class_names"] == [str(i) for i in range(10)]
    assert content["device"]["count"] == 2


def test_a_finished_run_is_left_alone_and_given_more_goes_on(tiny_run: Path, tiny_recipe: Recipe, tmp_path: Path) -> None:
    shutil.copytree(tiny_run, tmp_path / "run")
    before = (tmp_path / "run" / "metrics.jsonl").read_text()
    train(tiny_recipe, tmp_path / "run")
    assert (tmp_path / "run" / "metrics.jsonl").read_text() == before
    train(dataclasses.replace(tiny_recipe, steps=14), tmp_path / "run")
    assert int(jaxgan.load(tmp_path / "run")[1].step) == 14
    (tmp_path / "run" / "mine.txt").write_text("mine")
    train(dataclasses.replace(tiny_recipe, steps=2), tmp_path / "run", overwrite=True)
    assert int(jaxgan.load(tmp_path / "run")[1].step) == 2
    assert (tmp_path / "run" / "mine.txt").read_text() == "mine"


def test_a_damaged_checkpoint_is_named_and_the_one_before_is_used(
    tiny_run: Path, tiny_recipe: Recipe, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = tmp_path / "run"
    shutil.copytree(tiny_run, run)
    for file in (run / "checkpoints" / "12").rglob("*"):
        if file.is_file() and file.stat().st_size > 1000:
            file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(jaxgan.checkpoint.CheckpointError, match="12"):
        jaxgan.load(run, strict=True)
    assert int(jaxgan.load(run)[1].step) == 6
    assert "12" in caplog.text
    train(tiny_recipe, run)
    assert int(jaxgan.load(run, strict=True)[1].step) == 12


def test_divergence_stops_and_keeps_the_last_checkpoint(tiny_recipe: Recipe, tmp_path: Path) -> None:
    wild = dataclasses.replace(tiny_recipe, loss="wasserstein", g_optimizer=Adam(10.0), d_optimizer=Adam(10.0), steps=400)
    wild = dataclasses.replace(wild, discriminator=DCGANDiscriminator(width=64), checkpoint_interval=1, log_interval=1)
    with pytest.raises(Diverged, match=r"is (nan|inf|-inf)"):
        train(wild, tmp_path / "run")
    _, state = jaxgan.load(tmp_path / "run", strict=True)
    assert int(state.step) >= 1


def test_a_handful_of_images_has_no_figures(tiny_recipe: Recipe, tmp_path: Path) -> None:
    np.savez(tmp_path / "few.npz", images=np.random.default_rng(0).integers(0, 256, (20, 8, 8, 1), np.uint8))
    few = dataclasses.replace(tiny_recipe, data=Data(f"npz:{tmp_path / 'few.npz'}"), steps=8)
    last = runs.history(train(few, tmp_path / "run"))[-1]
    assert "reach" not in last
    assert last["verdict"] is None
    assert "too early: 0 of the" in last["evidence"][0]


def test_points_and_arrays_of_one_s_own(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 3), np.uint8)
    np.savez(tmp_path / "mine.npz", images=images)
    small = {"batch_size": 8, "steps": 2, "log_interval": 1, "sample_interval": 2, "checkpoint_interval": 2}
    nets = {"generator": DCGAN(width=4, latent_dim=8), "discriminator": DCGANDiscriminator(width=4)}
    run = train(Recipe(data=Data(f"npz:{tmp_path / 'mine.npz'}"), **nets, **small), tmp_path / "mine")
    assert run.shape == ((8, 8, 3), 0, None)
    mlps = {"generator": MLP(8, 1, latent_dim=2), "discriminator": MLPDiscriminator(8, 1)}
    run = train(Recipe(data=Data("ring"), **mlps, **small, steps_per_dispatch=2), tmp_path / "ring")
    assert run.shape == ((2,), 0, None)
    assert len(runs.history(run)) == 2


def test_the_data_directory_is_not_touched_before_it_is_needed(tmp_path: Path) -> None:
    with pytest.raises((ValueError, FileNotFoundError), match="jaxgan data prepare mnist"):
        data.load("mnist", data_dir=tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_a_process_forked_from_one_that_computed_is_refused_rather_than_waited_for(
    tiny_recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environment, "_processes", {1})
    for _ in range(2):
        with pytest.raises(
            FieldError, match=r"^process: \d+, but it was forked from one that computed, whose threads it lacks"
        ):
            train(tiny_recipe, tmp_path / "run")
    assert not (tmp_path / "run").exists()
