"""`jaxgan export`: a run's weights for whoever has safetensors and not this library."""

import dataclasses
import hashlib
import json
import shutil
import subprocess
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy

import jaxgan
from jaxgan import cli, recipes
from jaxgan.commands.export import export
from jaxgan.core.types import Weights
from jaxgan.recipes import Recipe
from jaxgan.training import checkpoint, runs, starting
from jaxgan.training import tensors as weights
from jaxgan.training.dataset import open_data
from jaxgan.training.experiment import build


def files(*folders: Path) -> list[tuple[Path, int]]:
    return sorted((path, path.stat().st_mtime_ns) for folder in folders for path in folder.rglob("*"))


def exported(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, list[str], list[str]]:
    """Runs the command here: `(status, lines of stdout, lines of stderr)`."""
    capsys.readouterr()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cli, "_use_compile_cache", lambda: None)
        try:
            cli.main(["export", *map(str, words)])
            status = 0
        except SystemExit as stop:
            status = int(stop.code or 0)
    out, told = capsys.readouterr()
    return status, out.splitlines(), told.splitlines()


def test_a_run_in_a_file(tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = files(tiny_run)
    out = tmp_path / "tiny.safetensors"
    status, lines, _ = exported(capsys, tiny_run, "--out", out)
    assert status == 0
    assert lines[-1] == str(out)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "tiny.recipe.json",
        "tiny.safetensors",
        "tiny.safetensors.sha256",
    ]
    assert files(tiny_run) == before

    _, state = jaxgan.load(tiny_run)
    found = safetensors.numpy.load_file(out)
    parts = {"G": state.ema.params, "D": state.d.params}
    assert not state.ema.stats
    assert not state.d.stats
    wanted = {
        f"{name}/params/{module}/{leaf}": x
        for name, part in parts.items()
        for module, m in part.items()
        for leaf, x in m.items()
    }
    assert set(found) == set(wanted)
    for name, x in wanted.items():
        np.testing.assert_array_equal(found[name], x)
    assert any((found[f"G/params/{m}/{leaf}"] != x).any() for m, part in state.g.params.items() for leaf, x in part.items())

    run = runs.read(tiny_run)
    recipe, shape, names, generator, discriminator = weights.load(out)
    assert names == run.class_names
    assert (recipe, shape) == (run.recipe, run.shape)
    assert discriminator is not None
    for ours, theirs in ((generator, state.ema), (discriminator, Weights(state.d.params, state.d.stats))):
        assert jax.tree.structure(ours) == jax.tree.structure(theirs)
    beside = json.loads((tmp_path / "tiny.recipe.json").read_text())
    assert beside == json.loads((tiny_run / "recipe.json").read_text()) | {"step": 12}


def test_sha256sum_agrees(tiny_run: Path, tmp_path: Path) -> None:
    out = export(tiny_run, out=tmp_path / "tiny.safetensors")
    seal = (tmp_path / "tiny.safetensors.sha256").read_text()
    assert seal.split() == [hashlib.sha256(out.read_bytes()).hexdigest(), "tiny.safetensors"]
    if shutil.which("sha256sum"):
        subprocess.run(["sha256sum", "--check", "--status", "tiny.safetensors.sha256"], cwd=tmp_path, check=True, timeout=60)
    again = export(tiny_run, out=tmp_path / "again.safetensors")
    assert again.read_bytes() == out.read_bytes()
    assert export(tiny_run, out=out) == out  # one that is there is replaced


def test_one_of_several(tiny_recipe: Recipe, tmp_path: Path) -> None:
    recipe = recipes.check(dataclasses.replace(tiny_recipe, seeds=2))
    experiment = build(recipe, dataset=open_data(recipe))
    run = starting.start(tmp_path / "run", experiment)
    rng = np.random.default_rng(0)
    shapes = experiment.abstract
    state = jax.tree.map(lambda x: jnp.asarray(rng.normal(size=x.shape), x.dtype), shapes)._replace(step=jnp.asarray(3))
    with checkpoint.open_checkpoints(run.checkpoints) as checkpoints:
        checkpoints.save(state, wait=True)
    found = weights.load(export(run.path, out=tmp_path / "one.safetensors", member=1))
    assert found.recipe == recipes.members(recipe)[1]
    for x, every in zip(jax.tree.leaves(found.generator), jax.tree.leaves(state.ema), strict=True):
        np.testing.assert_array_equal(x, every[1])
    assert json.loads((tmp_path / "one.recipe.json").read_text())["recipe"]["seed"] == recipe.seed + 1


def test_a_relative_path(tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert export(tiny_run, out="tiny.safetensors") == tmp_path / "tiny.safetensors"


MISTAKES = [
    ("TINY", "--out: missing"),
    ("nowhere --out x.safetensors", "nowhere is not a run: there is no such folder"),
    ("TINY --out x.pth", "out: x.pth ends in '.pth', but it must be .safetensors, weights that"),
    ("TINY --out x --form pages", "form: 'pages' is not one of"),
    ("TINY --out x.jaxgan --precision int8", "precision: int8, but it is for .onnx and --form page"),
    ("TINY --out x.onnx --precision int4", "precision: 'int4' is not one of"),
    ("TINY --out x.jaxgan --license mit", "license: mit, but it is for --form hub"),
    ("TINY --out x.jaxgan --push me/x", "push: me/x, but it is for --form hub"),
    ("TINY --out x.jaxgan --runtime .", "runtime: ., but it is for --form page"),
    ("TINY --out x.jaxgan --overwrite", "overwrite: True, but it is for folders"),
    ("TINY --out x.onnx --form page", "out: x.onnx ends in '.onnx', but --form page writes a folder"),
    ("TINY --out full --form hub", "it is not empty; --overwrite replaces"),
    ("TINY --out TINY --form hub --overwrite", "that is a run, whose recipe.json would be replaced"),
    ("TINY --out TINY/checkpoints --form hub --overwrite", "that is a run, whose recipe.json would be replaced"),
    ("TINY --out full/file --form hub", "it is a file; --form hub writes a folder"),
    ("TINY --out x", "out: x ends in '', but it must be .safetensors, weights that"),
    ("TINY --out new/x.jaxgan", "does not exist"),
    ("TINY --out x.jaxgan --member 1", "member: 1, but the run's members are 0 to 0"),
    ("TINY --out new/x.safetensors", "does not exist"),
    ("TINY --out taken.safetensors", "is a folder"),
    ("TINY --out x.safetensors --member 1", "member: 1, but the run's members are 0 to 0"),
    ("TINY --out x.safetensors --best", "keeps no best checkpoint"),
    ("TINY --out x.safetensors --outt y", "--outt: no such option"),
]


@pytest.mark.parametrize(("words", "told"), MISTAKES, ids=[words for words, _ in MISTAKES])
def test_mistakes_cost_one_line(
    words: str, told: str, tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken.safetensors").mkdir()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("mine")
    before = files(tmp_path, tiny_run)
    status, out, lines = exported(capsys, *words.replace("TINY", str(tiny_run)).split())
    assert status == 2
    assert out == []
    assert len(lines) == 1
    assert lines[0].startswith("jaxgan export: ")
    assert told in lines[0]
    assert files(tmp_path, tiny_run) == before
