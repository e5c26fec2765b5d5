"""A stranger's file through the whole machine: trained, killed, resumed, sampled, measured, changed, and what is refused."""

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxgan
from jaxgan import cli
from jaxgan.commands import options
from jaxgan.commands.arguments import Train
from jaxgan.recipes import MLP, Loader, Recipe, UserCodeError, code, formats, sources
from jaxgan.recipes.recipe import COLUMNS
from jaxgan.system.messages import FieldError
from jaxgan.training import checkpoint, runs
from jaxgan.training.checkpoint import checksums

EXAMPLES = Path(__file__).parent / "examples"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of the user's with the spiral's file in it, and a memory of what was named that is its own."""
    shutil.copy(EXAMPLES / "spiral.py", tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(code, "_store", lambda: tmp_path / "named-code.json")
    monkeypatch.setattr(cli, "_use_compile_cache", lambda: None)
    return tmp_path


@pytest.fixture(scope="module")
def spiral(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the spiral's file and its finished run, trained by a process of its own. Tests copy what they change."""
    folder = tmp_path_factory.mktemp("spiral")
    shutil.copy(EXAMPLES / "spiral.py", folder)
    done = jaxgan_in(folder, "train", "spiral.py", "--run", "run")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == str(folder / "run")
    assert "callback at step 10, 320 images" in done.stdout
    return folder


def environment(folder: Path) -> dict[str, str]:
    return os.environ | {"JAXGAN_CACHE": str(folder / "cache"), "JAX_PLATFORMS": "cpu"}


def jaxgan_in(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "jaxgan", *words, *(["--no-compile-cache"] if words[0] not in ("plan", "bench") else [])]
    return subprocess.run(
        command, cwd=folder, env=environment(folder), capture_output=True, text=True, timeout=300, check=False
    )


def main(*words: object) -> tuple[int, str]:
    """The status of a command in this process, and the last line that it says."""
    try:
        cli.main([str(word) for word in words])
    except SystemExit as stop:
        return int(stop.code or 0), ""
    return 0, ""


def refused(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    capsys.readouterr()
    status, _ = main(*words)
    told = capsys.readouterr()
    assert (status, told.out) == (2, "")
    return told.err.splitlines()[-1]


def state_of(run: Path) -> list[np.ndarray]:
    opened = runs.read(run)
    return jax.tree.leaves(runs.restore(opened, opened.experiment()))


def copied(spiral: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The run beside the file that it came from, as if both had been made here."""
    shutil.copytree(spiral / "run", home / "run")
    file = home / "run" / "recipe.json"
    content = json.loads(file.read_text())
    content["code"]["spiral.py"]["path"] = str(home / "spiral.py")
    file.write_text(json.dumps(content))
    code.remember(home / "spiral.py")
    return home / "run"


def test_a_run_says_what_it_was_made_of(spiral: Path) -> None:
    content = json.loads((spiral / "run" / "recipe.json").read_text())
    assert content["format"] == 2
    assert content["recipe"]["generator"] == {"type": "spiral.py:Mine", "width": 16, "latent_dim": 3}
    assert content["recipe"]["discriminator"]["type"] == "mlp"
    assert content["recipe"]["loss"] == "spiral.py:soft"
    assert content["recipe"]["penalty"]["name"] == "spiral.py:blurred_r1"
    assert content["recipe"]["eval_metrics"] == ["spiral.py:spread"]
    assert (spiral / "run" / "code" / "spiral.py").read_bytes() == (EXAMPLES / "spiral.py").read_bytes()
    assert content["code"]["spiral.py"]["path"] == str(spiral / "spiral.py")
    rows = [json.loads(line) for line in (spiral / "run" / "metrics.jsonl").read_text().splitlines()]
    assert rows[-1]["real"]["spread"] == pytest.approx(1.0, abs=0.1)
    assert [row["step"] for row in rows if "spread" in row] == [8, 16, 24]
    assert {name for row in rows for name in row} - {"spread"} <= set(COLUMNS)  # what no metric of a user's may be called


def test_killed_and_resumed_it_has_the_same_bits(spiral: Path, tmp_path: Path) -> None:
    shutil.copy(spiral / "spiral.py", tmp_path)
    command = [sys.executable, "-m", "jaxgan", "train", "spiral.py", "--run", "run", "--no-compile-cache"]
    with subprocess.Popen(command, cwd=tmp_path, env=environment(tmp_path), stdout=subprocess.DEVNULL, stderr=2) as process:
        ended = time.monotonic() + 240
        while not (tmp_path / "run" / "checkpoints" / "8").is_dir() and time.monotonic() < ended and process.poll() is None:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    assert (tmp_path / "run" / "checkpoints" / "8").is_dir()
    done = jaxgan_in(tmp_path, "train", "spiral.py", "--run", "run")
    assert done.returncode == 0, done.stderr
    code.remember(tmp_path / "spiral.py")
    code.remember(spiral / "spiral.py")
    for ours, theirs in zip(state_of(tmp_path / "run"), state_of(spiral / "run"), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_sampled_measured_and_walked(spiral: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = copied(spiral, home, monkeypatch)
    with np.load(jaxgan.sample(run, n=5, out=home / "s.npz")) as found:
        assert found["images"].shape == (5, 2)
    jaxgan.sample(run, n=40, best=True, out=home / "best.png")
    jaxgan.interpolate(run, frames=4, out=home / "way.png")
    result = jaxgan.evaluate(run, metrics=["spread"], n=60)
    assert result.values["spread"].better == "as real"
    gan, state = jaxgan.load(run)
    assert gan.sample(state.ema, jax.random.key(0), jnp.zeros(3, jnp.int32)).shape == (3, 2)
    jaxgan.export(run, out=home / "s.safetensors")
    assert jaxgan.plan("spiral.py").fits


def test_changed_code_is_refused_and_accepted(
    spiral: Path, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], caplog
) -> None:
    run = copied(spiral, home, monkeypatch)
    before = (run / "recipe.json").read_bytes()
    with (home / "spiral.py").open("a") as file:
        file.write("# a change\n")
    monkeypatch.setattr(code, "_executed", {})
    assert "code: spiral.py changed since" in refused(capsys, "train", "spiral.py", "--run", "run", "--steps", "26")
    assert "--accept-code" in refused(capsys, "train", "run", "--steps", "26")
    assert (run / "recipe.json").read_bytes() == before
    jaxgan.sample(run, n=2, out=home / "s.npz")
    assert "its code has changed since it was trained: spiral.py" in caplog.text
    assert main("train", "run", "--steps", "26", "--accept-code") == (0, "")
    assert (
        json.loads((run / "recipe.json").read_text())["code"]["spiral.py"]["sha256"]
        != json.loads(before)["code"]["spiral.py"]["sha256"]
    )


def test_a_run_goes_on_with_another_recipe_on_purpose(
    spiral: Path, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = copied(spiral, home, monkeypatch)
    words = ("train", "run", "--batch-size", "16", "--d-optimizer.learning-rate", "0.001", "--steps", "28")
    told = refused(capsys, *words)
    assert "batch_size: 32 -> 16" in told
    assert "d_optimizer.learning_rate: 0.002 -> 0.001" in told
    assert main(*words, "--change") == (0, "")
    content = json.loads((run / "recipe.json").read_text())
    (change,) = content["changes"]
    assert (change["step"], change["images"]) == (24, 24 * 32)
    assert change["fields"]["batch_size"] == [32, 16]
    last = json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])
    assert (last["step"], last["images"]) == (28, 24 * 32 + 4 * 16)
    # The same command again resumes, and a network of another form cannot be slipped in.
    assert main("train", "run", "--steps", "29") == (0, "")
    assert "callback at step 29" in capsys.readouterr().out  # the file's own callbacks, though the run was named
    assert json.loads((run / "recipe.json").read_text())["changes"] == [change]
    assert "of another network" in refused(capsys, "train", "run", "--generator.width", "17", "--change", "--steps", "30")


def test_code_that_is_gone_is_not_replaced_by_the_runs_copy_unless_it_is_trusted(
    spiral: Path, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = copied(spiral, home, monkeypatch)
    monkeypatch.setattr(code, "_executed", {})
    (home / "spiral.py").rename(home / "elsewhere.py")
    told = refused(capsys, "sample", "run", "--out", "s.npz")
    assert "its code is gone from" in told
    assert "--code DIR" in told
    assert "--trust-run-code" in told
    assert "code: nowhere, but there is no such file or folder" in refused(capsys, "sample", "run", "--code", "nowhere")
    assert main("sample", "run", "--out", "c.npz", "--code", "elsewhere.py") == (0, "")
    monkeypatch.setattr(code, "_executed", {})
    (home / "mine").mkdir()
    (home / "elsewhere.py").rename(home / "mine" / "spiral.py")
    assert main("sample", "run", "--out", "a.npz", "--code", "mine") == (0, "")
    assert main("sample", "run", "--out", "b.npz", "--trust-run-code") == (0, "")
    assert (home / "a.npz").is_file()
    assert run.is_dir()


def test_a_run_cannot_make_us_import_what_its_user_never_named(
    spiral: Path, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = copied(spiral, home, monkeypatch)
    (home / "canary.py").write_text("import pathlib\npathlib.Path('sang').touch()\nclass Mine: pass\n")
    monkeypatch.syspath_prepend(str(home))
    content = json.loads((run / "recipe.json").read_text())
    for name, listed in (("canary:Mine", {}), ("canary.py:Mine", {"path": str(home / "canary.py"), "sha256": "0" * 64})):
        content["recipe"]["generator"]["type"] = name
        if listed:
            content["code"]["canary.py"] = listed
        (run / "recipe.json").write_text(json.dumps(content))
        told = refused(capsys, "sample", "run", "--out", "s.npz")
        assert "canary" in told
        assert not (home / "sang").exists()


@pytest.mark.parametrize(("name", "steps"), [("in_nnx", 8), ("in_equinox", 8)])
def test_networks_of_other_libraries_train_resume_and_sample(name: str, steps: int, home: Path) -> None:
    if name == "in_nnx":
        pytest.importorskip("flax.nnx")
    shutil.copy(EXAMPLES / f"{name}.py", home)
    found = sources.find(f"{name}.py").recipe
    whole = jaxgan.train(found, home / "whole").path
    jaxgan.train(dataclasses.replace(found, steps=steps // 2), home / "half")
    half = jaxgan.train(found, home / "half").path
    for ours, theirs in zip(state_of(half), state_of(whole), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    with np.load(jaxgan.sample(whole, n=4, out=home / "s.npz")) as images:
        assert np.isfinite(images["images"]).all()


TINY = {"batch_size": 8, "steps": 4, "log_interval": 2, "sample_interval": 4, "checkpoint_interval": 2}
NETWORKS = {"generator": MLP(4, 1, latent_dim=2), "discriminator": MLP(4, 1)}


def test_arrays_labels_and_sources_read_by_number_train(tmp_path: Path) -> None:
    points = np.random.default_rng(0).normal(size=(64, 3)).astype(np.float32)
    seen: list[dict] = []
    recipe = Recipe(**NETWORKS, **TINY)
    run = jaxgan.train(recipe, tmp_path / "a", dataset=(points, np.arange(64) % 2), writers=[seen.append])
    assert (run.shape.sample, run.shape.classes) == ((3,), 2)
    assert [row["step"] for row in seen] == [2, 4]
    again = jaxgan.train(recipe, tmp_path / "b", dataset=Pairs(points))
    assert again.shape.classes == 2
    for ours, theirs in zip(state_of(tmp_path / "a"), state_of(tmp_path / "b"), strict=True):
        np.testing.assert_array_equal(ours, theirs)  # the same samples in the same order
    with pytest.raises(FieldError, match=r"data\.name: data given in Python, but they must be given again"):
        jaxgan.train(str(tmp_path / "a"))
    jaxgan.train(dataclasses.replace(recipe, steps=6), tmp_path / "a", dataset=(points, np.arange(64) % 2))


class Pairs:
    """A source that is read by number."""

    def __init__(self, points: np.ndarray) -> None:
        self.points = points

    def __len__(self) -> int:
        return len(self.points)

    def __getitem__(self, i: int) -> tuple[np.ndarray, int]:
        return self.points[i], i % 2


def test_callbacks_are_called_stop_and_may_raise(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    called: list[tuple[int, int, frozenset[str]]] = []

    def note(moment: jaxgan.Moment) -> str:
        called.append((moment.step, moment.images, moment.due))
        return "stop" if moment.step >= 3 else "Stop"

    recipe = Recipe(data="ring", **NETWORKS, **TINY)
    always = jaxgan.Callback(lambda moment: True, every_steps=1)
    run = jaxgan.train(recipe, tmp_path / "a", callbacks=[jaxgan.Callback(note, every_images=12), always])
    assert [each[:2] for each in called] == [(2, 16), (3, 24)]
    assert "row" in called[0][2]
    assert int(jaxgan.load(run.path)[1].step) == 3
    assert "callbacks: note returned 'Stop', which means nothing" in caplog.text
    assert caplog.text.count("callbacks: <lambda> returned True") == 1

    def fails(moment: jaxgan.Moment) -> None:
        raise RuntimeError("no space in the database")

    with pytest.raises(UserCodeError, match="callbacks: it raised RuntimeError: no space"):
        jaxgan.train(recipe, tmp_path / "b", callbacks=[jaxgan.Callback(fails, every_steps=3)])
    assert int(jaxgan.load(tmp_path / "b")[1].step) == 3
    with pytest.raises(FieldError, match="needs every_steps=N or every_images=N"):
        jaxgan.Callback(note)
    assert jaxgan.Callback(note, every_steps=np.int64(3)) == jaxgan.Callback(note, every_steps=3)
    for wrong in (True, 0, 1.5, -(10**5000)):
        with pytest.raises(FieldError, match=r"callbacks\.every_images: .* whole number of at least 1"):
            jaxgan.Callback(note, every_images=wrong)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"callbacks": [print]}, "callbacks: a builtin"),
        ({"callbacks": print}, "callbacks: <built-in function print>, but they must be a list or a tuple"),
        ({"writers": [jaxgan.Callback]}, "writers: the class Callback, but a writer is a function of a row"),
        ({"writers": None}, "writers: None, but they must be a list or a tuple"),
        ({"code": "nope"}, "code: nope, but there is no such folder or file"),
        ({"path": ""}, "run: '', but it must name a file or folder"),
        ({"path": "a\nb" * 200}, r"run: 'a\\nba.*, but names of files cannot be that long"),
    ],
)
def test_arguments_of_train_are_checked_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: dict[str, Any], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FieldError, match=message) as caught:
        jaxgan.train("digits", **given, overwrite=True)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_a_module_whose_getattr_raises_is_the_users_error(tmp_path: Path) -> None:
    (tmp_path / "lazy.py").write_text("def __getattr__(name):\n    raise RuntimeError('not today')\n")
    with pytest.raises(UserCodeError, match=r"lazy\.py: it raised RuntimeError: not today"):
        jaxgan.train(str(tmp_path / "lazy.py"), tmp_path / "run")


HEAD = (
    "import dataclasses, jaxgan, jax, jax.numpy as jnp, numpy as np\n"
    "from jaxgan.recipes import MLP, Recipe\n"
    "class Part:\n"
    "    latent_dim: int = 2\n"
    "    def build(self, shape): return MLP(4, 1, latent_dim=2).build(shape)\n"
    "def frozen(kind): return dataclasses.dataclass(frozen=True)(kind)\n"
    "def recipe_of(generator='mlp', **fields):\n"
    "    return Recipe(**{'data': 'ring', 'batch_size': 8} | fields, generator=generator, discriminator='mlp')\n"
)


def _network(init: str, apply: str) -> str:
    """A generator of two functions."""
    return (
        "@frozen\nclass G(Part):\n    latent_dim: int = 2\n    def build(self, shape):\n"
        f"        return jaxgan.Network(lambda key: {init}, lambda p, s, z, labels, key, *, train: {apply})\n"
        "recipe = recipe_of(G())\n"
    )


def _latent(returns: str, length: int = 2) -> str:
    return (
        f"@frozen\nclass G(Part):\n    latent_dim: int = {length}\n    def latent(self, key, shape): return {returns}\n"
        "recipe = recipe_of(G())\n"
    )


def _metric(of: str, name: str = "m") -> str:
    return f"{name} = {of}\nrecipe = recipe_of(eval_metrics=({name},))\n"


WRONG = {
    "augment_arguments": ("def a(key, x): return x\nrecipe = recipe_of(augment=a)\n", "augment: it raised TypeError"),
    "augment_shape": (
        "def a(key, x, s): return x[:, :1]\nrecipe = recipe_of(augment=a)\n",
        "augment: it maps (8, 2) to (8, 1)",
    ),
    "augment_number": ("recipe = recipe_of(augment=5)\n", "augment: an int, but it must be a name or a function"),
    "latent_shape": (_latent("jnp.zeros(3)"), "generator.latent: it returns (3,) for the shape (4, 2)"),
    "latent_length": (_latent("jnp.zeros(shape)", 0), "generator.latent_dim: 0, but it must be at least 1"),
    "parameter": (_network("({'n': jnp.zeros((), int)}, {})", "(z, s)"), "generator: parameter n is int32, but gradients"),
    "statistics": (_network("({}, {'n': jnp.zeros(3)})", "(z, {})"), "generator: its stats go from n float32[3] to none"),
    "loss_integer": (
        "l = jaxgan.Loss(d=lambda r, f: (r > f).astype(int), g=lambda r, f: -f)\nrecipe = recipe_of(loss=l)\n",
        "loss.d: it maps logits (8,) to int32 (8,), but it must return one real number each",
    ),
    "metric_function": ("def m(r, f): return 1.0\nrecipe = recipe_of(eval_metrics=(m,))\n", "eval_metrics: a function, but it"),
    "metric_fid": (_metric("jaxgan.Metric(lambda r, f: 1.0)", "fid"), "eval_metrics: 'fid', but the library has a figure"),
    "metric_step": (_metric("jaxgan.Metric(lambda r, f: 1.0, name='step')"), "eval_metrics: 'step', but the library has"),
    "array": ("recipe = recipe_of(data=np.zeros((30, 3)))\n", "data: an ndarray, but a recipe records its data by name"),
    "labels": ("def d(): return np.zeros((30, 2)), np.arange(20)\nrecipe = recipe_of(data=d)\n", "data.labels: int64 (20,)"),
    "pack": (
        "def d(): return np.zeros((30, 2)), np.arange(30) % 2\nrecipe = recipe_of(data=d, pack=2)\n",
        "pack: 2, but a pack",
    ),
    "option": (
        "@frozen\nclass O:\n    rate: float = 1.0\ndef o(): return O()\nrecipe = recipe_of(g_optimizer=o)\n",
        "a method build, an optax.GradientTransformation, or a name",
    ),
}
BAD = {
    "gone.py": (None, "there is no such file"),
    "none.py": ("x = 1\n", "defines no recipe"),
    "dict.py": ("recipe = {}\n", "recipe of dict.py is a dict, but it must be a jaxgan.Recipe"),
    "raises.py": ("import nowhere_at_all\n", "raises.py: it raised ModuleNotFoundError"),
    "syntax.py": ("def f(:\n", "syntax.py: it raised SyntaxError"),
    "nobuild.py": (
        "import dataclasses, jaxgan\n@dataclasses.dataclass(frozen=True)\nclass G:\n    latent_dim: int = 2\n"
        "recipe = jaxgan.Recipe(data='ring', generator=G())\n",
        "generator: a G, but it has no method build",
    ),
    "warm.py": (
        "import dataclasses, jaxgan\n@dataclasses.dataclass\nclass G:\n    latent_dim: int = 2\n"
        "    def build(self, shape): ...\nrecipe = jaxgan.Recipe(data='ring', generator=G(), discriminator='mlp')\n",
        "it must be frozen",
    ),
    "nothing.py": (
        "import dataclasses, jaxgan\n@dataclasses.dataclass(frozen=True)\nclass G:\n    latent_dim: int = 2\n"
        "    def build(self, shape): return 3\nrecipe = jaxgan.Recipe(data='ring', generator=G(), discriminator='mlp')\n",
        "generator: an int from G.build, but it must be a jaxgan.Network",
    ),
    "empty.py": (
        "import dataclasses, jaxgan, jax.numpy as jnp\n@dataclasses.dataclass(frozen=True)\nclass G:\n    latent_dim: int = 2\n"
        "    def build(self, shape): return jaxgan.Network(\n"
        "        init=lambda key: ({'w': jnp.zeros((0, 2))}, {}), apply=lambda p, s, z, labels, key, train: (z, s))\n"
        "recipe = jaxgan.Recipe(data='ring', generator=G(), discriminator='mlp')\n",
        "generator: w has the shape (0, 2), but it must hold a number",
    ),
    "shapes.py": (
        "import dataclasses, jaxgan, jax.numpy as jnp\nfrom jaxgan.recipes import MLP\n@dataclasses.dataclass(frozen=True)\n"
        "class G:\n    latent_dim: int = 2\n"
        "    def build(self, shape): return MLP(4, 1, latent_dim=2).build(shape._replace(sample=(3,)))\n"
        "recipe = jaxgan.Recipe(data='ring', generator=G(), discriminator='mlp')\n",
        "generator: it makes samples (3,), but those of the data are (2,)",
    ),
    "loss.py": (
        "import jaxgan\nloss = jaxgan.Loss(d=lambda r, f: (r - f).mean(), g=lambda r, f: f)\n"
        "recipe = jaxgan.Recipe(data='ring', generator='mlp', discriminator='mlp', loss=loss)\n",
        "loss.d: it maps logits (128,) to (), but it must return one real number each",
    ),
    "penalty.py": (
        "import jaxgan\ndef flat(critic, real, fake, key): return real\n"
        "recipe = jaxgan.Recipe(data='ring', generator='mlp', discriminator='mlp', penalty=flat)\n",
        "it must return one real number for each logit",
    ),
    "nameless.py": (
        "import jaxgan\ndef make(): return jaxgan.Loss(d=lambda r, f: f - r, g=lambda r, f: -f)\n"
        "recipe = jaxgan.Recipe(data='ring', generator='mlp', discriminator='mlp', loss=make())\n",
        "at the top level of a file give it one, `mine = ..`",
    ),
    **{f"{name}.py": (HEAD + own, told) for name, (own, told) in WRONG.items()},
    "data.py": (
        "import jaxgan\ndef rows(): return {'a': 1}\nrecipe = jaxgan.Recipe(data=rows, generator='mlp', discriminator='mlp')\n",
        "data: rows is a dict, but it must be a Dataset, arrays",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_file_that_is_wrong_is_told_in_one_line(name: str, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content, told = BAD[name]
    if content is not None:
        (home / name).write_text(content)
    assert told in refused(capsys, "train", name, "--run", "run")
    assert not (home / "run").exists()


def test_options_are_those_of_the_parts_in_use(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "--generator.style-dim: no such option" in refused(capsys, "train", "digits", "--generator.style-dim", "7")
    assert "choose a network with --generator NAME" in refused(capsys, "train", "digits", "--generator.network", "mlp")
    assert "did you mean 'dcgan'" in refused(capsys, "train", "digits", "--generator", "dcgann")
    told = refused(capsys, "train", "digits", "--generator", "stylegan2", "--generator.style-dim", "0")
    assert "generator.style_dim: 0, but it must be from 1 to 65,536" in told
    assert "adamw" in refused(capsys, "train", "digits", "--g-optimizer", "adamx")
    assert not (home / "runs").exists()


def test_a_notebook_s_run_says_who_can_load_it(tmp_path: Path) -> None:
    """Classes of a session live in `__main__`, and have no file."""
    program = (
        "import dataclasses, numpy as np, jaxgan\nfrom jaxgan.recipes import MLP, Recipe\n"
        "@dataclasses.dataclass(frozen=True)\nclass Mine:\n    latent_dim: int = 2\n"
        "    def build(self, shape): return MLP(4, 1, latent_dim=2).build(shape)\n"
        "recipe = Recipe(generator=Mine(), discriminator=MLP(4, 1), batch_size=8, steps=2)\n"
        "run = jaxgan.train(recipe, 'run', dataset=np.zeros((32, 2), np.float32) + np.arange(32)[:, None])\n"
        "print(jaxgan.sample(run.path, n=2, out='s.npz').name)\n"
    )
    done = subprocess.run(
        [sys.executable, "-"], input=program, cwd=tmp_path, env=environment(tmp_path), capture_output=True, text=True,
        timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "s.npz"
    told = jaxgan_in(tmp_path, "sample", "run", "--out", "t.npz")
    assert told.returncode == 2
    assert "written in a notebook" in told.stderr
    assert "--code FILE.py" in told.stderr
    (tmp_path / "mine.py").write_text(program.partition("recipe =")[0])
    mended = jaxgan_in(tmp_path, "sample", "run", "--out", "t.npz", "--code", "mine.py")
    assert mended.returncode == 0, mended.stderr


def test_begun_from_another_run_s_weights(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "jaxgan")
    recipe = Recipe(data="ring", generator=MLP(4, 2, latent_dim=2), discriminator=MLP(4, 2), **TINY)
    first = jaxgan.train(recipe, home / "first").path
    file = jaxgan.export(first, out=home / "first.safetensors")
    for source in (first, file):
        then = dataclasses.replace(recipe, data="grid", init_from=str(source), freeze_d=1, steps=2)
        second = jaxgan.train(then, home / f"from-{source.name}").path
        began, ended = (jaxgan.load(each)[1] for each in (first, second))
        name = sorted(began.d.params)[0]
        kept = [key for key in began.d.params if (began.d.params[key]["kernel"] == ended.d.params[key]["kernel"]).all()]
        assert kept == ["hidden_0"], name
    assert "6 of 6 tensors of G" in caplog.text
    wider = dataclasses.replace(recipe, generator=MLP(4, 3, latent_dim=2), init_from=str(first), steps=1)
    jaxgan.train(wider, home / "wider")
    assert "of 8 tensors of G; new: params/hidden_2" in caplog.text
    with pytest.raises(FieldError, match=r"freeze_d: 9, but D has 3 stages \(hidden_0, hidden_1, logit\)"):
        jaxgan.train(dataclasses.replace(recipe, freeze_d=9), home / "none")
    with pytest.raises(FileNotFoundError, match="init_from"):
        jaxgan.train(dataclasses.replace(recipe, init_from="nowhere"), home / "none")
    assert not (home / "none").exists()


FIXTURES = Path(__file__).parent / "fixtures"


@pytest.mark.parametrize("number", [1, 2])
def test_a_run_of_each_format_samples_and_goes_on(number: int, tmp_path: Path) -> None:
    """Format 1 was before recipes were parts. Rows to 1e-4, for another processor or version may round otherwise."""
    run = tmp_path / "run"
    shutil.copytree(FIXTURES / f"run_format_{number}", run)
    with (
        np.load(jaxgan.sample(run, n=20, out=tmp_path / "s.npz")) as found,
        np.load(FIXTURES / f"run_format_{number}_samples.npz") as before,
    ):
        assert (np.abs(found["images"].astype(int) - before["images"]) <= 1).all()
    recipe = runs.read(run).recipe
    assert type(recipe.generator) is MLP
    jaxgan.train(dataclasses.replace(recipe, steps=12), run)
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()][-2:]
    for row, line in zip(rows, (FIXTURES / f"run_format_{number}_rows.jsonl").read_text().splitlines(), strict=True):
        for name, value in json.loads(line).items():
            if isinstance(value, float) and name not in ("seconds", "reach"):  # reach is defined anew since
                assert row[name] == pytest.approx(value, rel=1e-3, abs=1e-4), name
    written = json.loads((run / "recipe.json").read_text())
    assert written["format"] == 2
    random = {"prng_impl": "threefry2x32", "threefry_partitionable": True, "seed_offset": 0}
    assert written["environment"] == random | {"x64": False, "matmul_precision": None}
    from jaxgan.training import tensors

    assert tensors.load(FIXTURES / f"format_{number}.safetensors").recipe.generator == recipe.generator


def test_a_newer_format_is_refused(tmp_path: Path) -> None:
    shutil.copytree(FIXTURES / "run_format_1", tmp_path / "run")
    file = tmp_path / "run" / "recipe.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"format": 99}))
    with pytest.raises(FieldError, match="format: 99, but this version of jaxgan reads 1 to 2"):
        jaxgan.sample(tmp_path / "run", out=tmp_path / "s.npz")


FIELDS = """
import dataclasses, enum, pathlib
from typing import Any, Callable
import jax, jax.numpy as jnp
import jaxgan
class Norm(enum.Enum):
    NONE = 1
    LAYER = 2
def double(x): return 2 * x
@dataclasses.dataclass(frozen=True)
class G:
    inner: jaxgan.recipes.MLP = dataclasses.field(default_factory=lambda: jaxgan.recipes.MLP(4, 1, latent_dim=2))
    norm: Norm = Norm.NONE
    act: Any = jnp.tanh
    other: Callable = jax.nn.gelu
    where: pathlib.Path = pathlib.Path("a/b")
    sizes: list[int] = dataclasses.field(default_factory=lambda: [4, 4])
    words: dict = dataclasses.field(default_factory=lambda: {"a": [1, 2]})
    latent_dim: int = 2
    def build(self, shape): return self.inner.build(shape)
recipe = jaxgan.Recipe(data="ring", generator=G(), discriminator=jaxgan.recipes.MLP(4, 1))
"""


def test_fields_of_every_kind_are_options_recorded_and_read_back(home: Path) -> None:
    (home / "kinds.py").write_text(FIELDS)
    found = sources.find("kinds.py").recipe
    words = ["--generator.norm", "LAYER", "--generator.act", "kinds.py:double", "--generator.inner.width", "5"]
    words += ["--eval-metrics", "spiral.py:spread", "--loss", "spiral.py:soft"]
    recipe = options.parse_with_recipe("train", Train, found, words).recipe
    assert recipe.generator.act(3) == 6
    assert recipe.generator.inner.width == 5
    assert isinstance(recipe.eval_metrics[0], jaxgan.Metric)
    for each in (found, recipe):
        content = json.loads(json.dumps(formats.to_dict(each)))
        recorded = code.origins(formats.references(content))
        assert set(recorded) <= {"kinds.py", "spiral.py"}  # nothing of jax or of this library
        assert formats.from_dict(content, resolve=Loader(recorded).value) == each
    assert content["generator"]["other"] == {"value": "jax.nn:gelu"}
    assert content["generator"]["inner"]["type"] == "jaxgan.recipes:MLP"
    with pytest.raises(options.Mistake, match=r"kinds\.py has no doubel; did you mean 'double'"):
        options.parse_with_recipe("train", Train, found, ["--generator.act", "kinds.py:doubel"])
    for foreign in ("os:getcwd", "jax.nn:nothing", "functools:os", "antigravity:fly"):
        content["generator"]["other"] = {"value": foreign}
        with pytest.raises(FieldError, match=r"generator\.other"):
            formats.from_dict(content, resolve=Loader(recorded).value)
    content["generator"]["inner"] = {"type": "kinds.py:double", "x": 3}  # a function is not called to make a part
    with pytest.raises(FieldError, match="it must be a frozen dataclass"):
        formats.from_dict(content, resolve=Loader(recorded).value)


def test_a_module_of_a_package_is_found_again_with_what_it_imports(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in (
        ("__init__", ""), ("sizes", "WIDTH = 4\n"), ("sub/__init__", ""), ("sub/parts", FIELDS + "from ..sizes import WIDTH\n"),
    ):  # fmt: skip
        (home / "own_package" / f"{name}.py").parent.mkdir(parents=True, exist_ok=True)
        (home / "own_package" / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(str(home))
    content = formats.to_dict(sources.find("own_package.sub.parts:recipe").recipe)
    recorded = code.origins(formats.references(content))
    others = {f"own_package/{name}.py" for name in ("__init__", "sizes", "sub/__init__")}
    assert set(recorded) == {"own_package.sub.parts", *others}

    def forget() -> None:
        for name in [each for each in sys.modules if each.startswith("own_package")]:
            monkeypatch.delitem(sys.modules, name)

    forget()
    loader = Loader(recorded)
    assert formats.from_dict(content, resolve=loader.value).generator.build is not None
    assert loader.changed == []
    (home / "own_package" / "sizes.py").write_text("WIDTH = 5\n")
    forget()
    loader = Loader(recorded)
    formats.from_dict(content, resolve=loader.value)
    assert loader.changed == ["own_package/sizes.py"]
    (home / "own_package").rename(home / "elsewhere")
    forget()
    with pytest.raises(FieldError, match=r"name the folder that holds own_package/sub/parts\.py with --code DIR"):
        formats.from_dict(content, resolve=Loader(recorded).value)


def test_two_files_of_one_name_are_told_apart(home: Path) -> None:
    loss = "import jaxgan\nl = jaxgan.Loss(d=lambda r, f: f - r, g=lambda r, f: -f)\n"
    for folder in ("a", "b"):
        (home / folder).mkdir()
        (home / folder / "mine.py").write_text(loss + f"# {folder}\n")
    for folder in ("a", "b", "a"):
        content = formats.to_dict(Recipe(data="ring", loss=f"{folder}/mine.py:l", **NETWORKS))
        assert content["loss"] == "mine.py:l"
        assert code.origins(formats.references(content))["mine.py"].path == str(home / folder / "mine.py")


def test_a_file_called_like_a_library_does_not_stand_for_it(tmp_path: Path) -> None:
    (tmp_path / "jax.py").write_text("import jax.numpy as jnp\nimport queue\none = jnp.ones(())\n")
    (tmp_path / "queue.py").write_text("raise SystemExit('not me')\n")
    program = f"from jaxgan.recipes import code; print(code.load_file({str(tmp_path / 'jax.py')!r}).one)"
    words = [sys.executable, "-c", program]
    done = subprocess.run(words, env=environment(tmp_path), capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "1.0"), done.stderr


@dataclasses.dataclass(frozen=True)
class Codes:
    """G of a code of whole numbers, made of two functions."""

    latent_dim: int = 2

    def latent(self, key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
        return jax.random.randint(key, shape, 0, 3)

    def build(self, shape) -> jaxgan.Network:
        def apply(params, stats, z, labels, key, *, train):
            return jax.nn.one_hot(z, 3).reshape(len(z), -1) @ params["w"], stats

        return jaxgan.Network(lambda key: ({"w": jax.random.normal(key, (6, *shape.sample))}, {}), apply)


def halves(samples: jax.Array) -> jax.Array:
    return samples / 2


def test_whole_numbers_for_latents_data_given_again_and_a_writer_that_leaves(tmp_path: Path) -> None:
    points = np.random.default_rng(0).normal(size=(64, 3)).astype(np.float32)
    recipe = Recipe(generator=Codes(), discriminator=MLP(4, 1), **TINY)

    def leaves(row: dict) -> None:
        sys.exit(3)

    with pytest.raises(UserCodeError, match="writers: it raised SystemExit: 3"):
        jaxgan.train(recipe, tmp_path / "run", dataset=points, writers=[leaves])
    assert int(jaxgan.load(tmp_path / "run")[1].step) == 2
    run = jaxgan.train(recipe, tmp_path / "run", dataset=points).path
    with np.load(jaxgan.sample(run, n=5, out=tmp_path / "s.npz")) as found:
        assert len(np.unique(found["images"], axis=0)) > 1
    with pytest.raises(FieldError, match=r"generator\.latent: it draws int32, but between whole numbers there is no way"):
        jaxgan.interpolate(run, out=tmp_path / "way.png")
    with pytest.raises(ValueError, match=r"truncation: 0\.5, but latents of int32 have no threshold"):
        jaxgan.sample(run, truncation=0.5, out=tmp_path / "t.npz")
    with pytest.raises(FieldError, match=r"given in Python, but they are not at hand: name them with --data npz:FILE"):
        jaxgan.evaluate(run, metrics=["fid"], n=32)
    result = jaxgan.evaluate(run, metrics=["fid"], n=32, dataset=points, features=halves)
    assert result.values["fid"].how["features"]["sha256"] == code.files.sha256(Path(__file__).read_bytes())
    with pytest.raises(FieldError, match="writers: <built-in function print>, but they must be a list"):
        jaxgan.train(recipe, tmp_path / "none", dataset=points, writers=print)
    with pytest.raises(FieldError, match=r"recipe: a Codes, but it must be a jaxgan\.Recipe, a name"):
        jaxgan.train(Codes(), tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_a_sample_that_cannot_be_read_is_named() -> None:
    class Broken(Pairs):
        def __getitem__(self, i: int) -> tuple[np.ndarray, int]:
            if i == 3:
                raise OSError("bad sector")
            return super().__getitem__(i)

    with pytest.raises(FieldError, match="data: element 3 of mine raised OSError: bad sector"):
        jaxgan.data.as_dataset(Broken(np.zeros((8, 2), np.float32)), name="mine")


def test_a_newer_format_of_a_checkpoint_is_refused_and_not_called_damaged(tmp_path: Path) -> None:
    shutil.copytree(FIXTURES / "run_format_2", tmp_path / "run")
    file = tmp_path / "run" / "checkpoints" / "6" / "_CHECKPOINT_METADATA"
    content = json.loads(file.read_text())
    kept = content["custom_metadata"]
    kept["format"] = 3
    file.write_text(json.dumps(content))
    with pytest.raises(checkpoint.CheckpointError, match="damaged"):  # the digest covers the number
        jaxgan.sample(tmp_path / "run", out=tmp_path / "s.npz")
    kept["digest"] = checksums.digest_of([3, kept["leaves"]])
    file.write_text(json.dumps(content))
    with pytest.raises(FieldError, match="format: 3, but this version of jaxgan reads 1 to 2; a newer one wrote checkpoint 6"):
        jaxgan.sample(tmp_path / "run", out=tmp_path / "s.npz")


def test_the_environment_does_not_change_a_seed(tmp_path: Path) -> None:
    """Neither the caller's settings of JAX nor those that a run says it was made with."""
    run, file = tmp_path / "run", tmp_path / "run" / "recipe.json"
    shutil.copytree(FIXTURES / "run_format_2", run)
    jax.config.update("jax_default_prng_impl", "rbg")
    try:
        with jax.enable_x64(True), jax.threefry_partitionable(False):
            jaxgan.sample(run, n=20, out=tmp_path / "s.npz")
            assert (jax.config.jax_enable_x64, jax.config.jax_threefry_partitionable) == (True, False)
        assert jax.config.jax_default_prng_impl == "rbg"
    finally:
        jax.config.update("jax_default_prng_impl", "threefry2x32")
    with np.load(tmp_path / "s.npz") as found, np.load(FIXTURES / "run_format_2_samples.npz") as before:
        assert (np.abs(found["images"].astype(int) - before["images"]) <= 1).all()
    content = json.loads(file.read_text())
    file.write_text(json.dumps(content | {"environment": {"x64": True}}))
    with pytest.raises(FieldError, match=r"environment\.x64: True, but this version of jaxgan"):
        jaxgan.load(run)
    file.write_text(json.dumps(content))
    recipe = runs.read(run).recipe
    with (
        jax.default_matmul_precision("bfloat16"),
        pytest.raises(FieldError, match=r"environment\.matmul_precision: None -> bfl"),
    ):
        jaxgan.train(recipe, run)
