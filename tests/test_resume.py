"""A run that was stopped, by a signal or by SIGKILL, ends as the one that was not: bit for bit."""

import dataclasses
import signal
import subprocess
from pathlib import Path

import kill_and_resume
import pytest

from jaxgan import recipes
from jaxgan.recipes import Recipe
from jaxgan.training import runs
from jaxgan.training.train import train


@pytest.mark.parametrize("steps_per_dispatch", [1, 4])
def test_training_in_two_parts_equals_training_in_one(tiny_recipe: Recipe, tmp_path: Path, steps_per_dispatch: int) -> None:
    recipe = dataclasses.replace(tiny_recipe, steps=11, steps_per_dispatch=steps_per_dispatch)
    train(recipe, tmp_path / "whole")
    train(dataclasses.replace(recipe, steps=7), tmp_path / "parts")
    train(recipe, tmp_path / "parts")
    assert kill_and_resume.differing_leaves(tmp_path / "whole", tmp_path / "parts") == []
    whole, parts = (runs.history(runs.read(tmp_path / name)) for name in ("whole", "parts"))
    assert [row["step"] for row in whole] == [4, 8, 11]
    assert [row["step"] for row in parts] == [4, 7, 8, 11]
    for row in (*whole, *parts):
        row.pop("seconds")
    assert whole[-1] == parts[-1]


def options(recipe: Recipe) -> list[str]:
    """The words of the command line that make this recipe out of digits."""
    base, words = recipes.to_dict(recipes.preset("digits")), []
    for name, value in recipes.to_dict(recipe).items():
        for inner, new in value.items() if isinstance(value, dict) else [("", value)]:
            if new != (base[name][inner] if inner else base[name]):
                words += [f"--{name}{'.' if inner else ''}{inner}".replace("_", "-"), str(new)]
    return words


@pytest.mark.slow
def test_killed_at_random_moments(tiny_recipe: Recipe, tmp_path: Path) -> None:
    words = options(dataclasses.replace(tiny_recipe, steps=400, checkpoint_interval=40))
    kill_and_resume.train_alone(tmp_path / "alone", words)
    steps = kill_and_resume.train_killed(tmp_path / "killed", words, [0.13, 0.31])
    assert 0 < min(steps) < 400
    assert kill_and_resume.differing_leaves(tmp_path / "alone", tmp_path / "killed") == []


@pytest.mark.slow
@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 129)])
def test_a_signal_saves_and_says_so(tiny_recipe: Recipe, tmp_path: Path, number: int, status: int) -> None:
    run = tmp_path / "run"
    words = kill_and_resume.command(run, options(dataclasses.replace(tiny_recipe, steps=100_000, checkpoint_interval=90_000)))
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    kill_and_resume.wait_for_metrics(run, process)
    process.send_signal(number)
    _, told = process.communicate(timeout=60)
    assert process.returncode == status, told
    step = int(runs.load(run)[1].step)
    assert f"stopped at step {step} and saved" in told.splitlines()[-1]
    assert (run / "curves.png").exists()
