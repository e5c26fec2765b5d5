"""The command line: what it answers, and that a mistake costs one line, status 2, and nothing else."""

import io
import json
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgan import cli, recipes
from jaxgan.commands import arguments
from jaxgan.commands.help import documented
from jaxgan.system import hosts
from jaxgan.training import bar, checkpoint, endings, loop


def run(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, list[str]]:
    """Runs a command here: `(status, last line of stdout, lines of stderr)`."""
    try:
        cli.main([str(word) for word in words])
        status = 0
    except SystemExit as stop:
        status = int(stop.code or 0)
    out, told = capsys.readouterr()
    return status, (out.splitlines() or [""])[-1], told.splitlines()


@pytest.fixture(autouse=True)
def _here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cli, "_use_compile_cache", lambda: None)


LONG = "a" * 300  # longer than the name of a file can be

MISTAKES = [
    ("trian", "trian: no such command", "did you mean 'train'?"),
    ("train digitz", "'digitz' is not one of digits,", "did you mean 'digits'?"),
    ("train --generator.widht 3", "--generator.widht: no such option", "did you mean --generator.width?"),
    ("train --loss hing", "'hing' is not one of minimax,", "did you mean 'hinge'?"),
    ("train --steps abc", "--steps: 'abc'", "is not a whole number"),
    ("train --steps", "--steps: a value is missing", ""),
    ("train --data.image-size 32x32", "--data.image-size: '32x32' is not a whole number", "; write 32"),
    ("train --disc-steps two", "--disc-steps: 'two'", "is not a whole number"),
    ("plan mnist --memory 80GB", "--memory: '80GB' is not a number", "; write 80"),
    ("train --ema nan", "--ema: no such option", "did you mean --ema-half-life or --ema-"),
    ("train --no-log", "--no-log: no such option", ""),
    ("train --no-steps", "--no-steps: no such option", ""),
    ("train --init-from=", "--init-from: '' is not allowed", "name a file or folder"),
    ("train --run=", "--run: '' is not allowed", "name a file or folder"),
    ("train --data", "--data: a value is missing", ""),
    ("train --eval fid", "--eval: no such option", "--eval-features or --eval-n?"),
    ("train --width 3", "--width: no such option", "did you mean --generator.width or --discriminator.width?"),
    ("sample --run TINY", "--run: no such option", "the run stands first, without an option"),
    ("train --lr 1e-3", "--lr: no such option", "--g-optimizer.learning-rate and --d-optimizer.learning-rate"),
    ("train --epochs 3", "--epochs: no such option", "training is counted in --steps"),
    ("train --out here", "--out: no such option", "the run directory is --run here"),
    ("train --generatr.width 3", "--generatr.width: no such option", "did you mean --generator.width?"),
    ("train --no-data.conditional", "--no-data.conditional: no such option", "did you mean --data.no-conditional?"),
    ("train --data.no-conditionl", "--data.no-conditionl: no such option", "did you mean --data.no-conditional?"),
    ("train --generator.no-periodic", "--generator.no-periodic: no such option", "resnet has it: --generator resnet"),
    ("train --g-optimizer.momentum 0.9", "--g-optimizer.momentum: no such option", "sgd has it: --g-optimizer sgd"),
    ("train digits mnist", "mnist: one word too many", "the recipe or run comes first and alone"),
    ("train --steps 8k --batch-size 2k", "batch_size: 2000", "digits/train holds 1797 images"),
    (f"train --data.measure {'9' * 900}", "--data.measure: '999", "9..999"),
    ("train --batch-size 2e3", "batch_size: 2000", "digits/train holds 1797 images"),
    ("train --steps 1.5", "--steps: '1.5' is not a whole number", ""),
    ("train --steps 1,000,000", "--steps: '1,000,000' is not a whole number", "; write 1000000"),
    ("train --steps 1.000", "--steps: '1.000' is not a whole number", ""),
    ("train --steps 40 40", "40: one word too many", "options, which begin with --"),
    ("train --seed 0 --steps 5 0", "0: one word too many", ""),
    ("train --penalty.gamma 2GB", "--penalty.gamma: '2GB' is not a number", ""),
    ("train --steps 0,5k", "--steps: '0,5k' is not a whole number", "; write 500"),
    ("train --code nowhere", "code: nowhere, but there is no such folder or file", ""),
    ("train --ema-half-life 0,500", "--ema-half-life: '0,500' is not a number", "; write 0.5"),
    (f"train {LONG}", "recipe: 'aaa", "cannot be that long"),
    (f"train s/{LONG[:253]}", "run: s/aaa", "there is no such folder"),
    (f"train --run {LONG}", "run: 'aaa", "cannot be that long"),
    (f"train --init-from {LONG}", "init_from: 'aaa", "cannot be that long"),
    (f"evaluate {LONG}", "run: 'aaa", "cannot be that long"),
    (f"sample TINY --out {LONG}.png", "out: 'aaa", "cannot be that long"),
    (f"export {LONG} --out x.jaxgan", "run: 'aaa", "cannot be that long"),
    ("train mine", "recipe: 'mine' is no recipe, no file and no run", "did you mean mine.py?"),
    ("train ./mine:other", "no file and no run", "did you mean ./mine.py:other?"),
    ("evaluate afile.zip", "afile.zip is no run, and is damaged or no .zip", ""),
    ("train occupied.py", "recipe: occupied.py, but it is a folder", ""),
    ("train --data.name folder:some.npz", "some.npz is a file, but it must be a folder of images or a .zip of one", ""),
    ("evaluate mine.py", "mine.py is no folder", "a run, a folder or .zip of images, or an .npz"),
    ("evaluate TINY nowhere --metrics fid", "nowhere is not a run", ""),
    ("train --steps 2e4x", "--steps: '2e4x' is not a whole number", ""),
    ("train --penalty.gamma 0,5", "--penalty.gamma: '0,5' is not a number", "; write 0.5"),
    ("train runs/nothing", "run: runs/nothing is not a run", "there is no such folder"),
    ("train --data.conditional false", "--data.conditional: it takes no value", "--data.no-conditional"),
    ("train --data.conditional=false", "--data.conditional: it takes no value", "--data.no-conditional"),
    ("train --loss wgan-gp", "loss: 'wgan-gp'", "wasserstein with --penalty.name gradient_penalty"),
    ("train --loss Hinge", "loss: 'Hinge'", "did you mean 'hinge'?"),
    ("train --generator StyleGAN", "generator: 'StyleGAN'", "did you mean 'stylegan2'?"),
    ("train --penalty r1", "--penalty: no such option", "--penalty.name r1"),
    ("train --generator r3gan --discriminator r3gan", "generator.widths, generator.groups: none", "discriminator.groups: none"),
    ("evaluate TINY --metrics FID", "metrics: 'FID'", "did you mean 'fid'?"),
    ("evaluate occupied", "occupied is no run, and holds no readable PNG, JPEG or WebP image", "thesis.tex"),
    ("export TINY --out d.pth", "d.pth ends in '.pth'", "weights that PyTorch and JAX read"),
    ("help trian", "trian: no such command", "did you mean 'train'?"),
    ("train --steps 0", "steps: 0", "from 1 to"),
    ("train ring --seeds 0", "seeds: 0", "from 1 to 1,000"),
    ("train --stop-on colapse", "stop_on: 'colapse' is not one of collapse,", "did you mean 'collapse'?"),
    ("train --keep-best reech", "'reech' is not one of none, reach,", "did you mean 'reach'?"),
    ("train --keep-best modes", "keep_best: modes", "ring, grid only"),
    ("train --augment colour", "augment: 'colour'", "did you mean 'color'?"),
    ("train --pack 2", "pack: 2", "--data.no-conditional"),
    ("train ring --penalty.gammas 0.1 -1", "penalty.gammas: -1.0", "from 0 to"),
    ("evaluate", "RUN", "required"),
    ("evaluate nowhere", "nowhere is not a run", "there is no such folder"),
    ("train --steps -3", "steps: -3", "from 1 to"),
    ("train --batch-size 4096", "batch_size: 4096", "digits/train holds 1797 images"),
    ("train --batch-size 7", "batch_size: 7", "multiple of the 2 devices"),
    ("train --penalty.gamma nan", "penalty.gamma: nan", "from 0 to"),
    ("train --g-optimizer.learning-rate 1e30", "g_optimizer.learning_rate: 1e+30", "from 0 to 10"),
    ("train --seed -1", "seed: -1", "from 0 to 4,294,967,295"),
    ("train --generator dcgan --data.image-size 20", "data.image_size: 20", "dcgan makes images of side 8, 28, 32"),
    ("train --generator r3gan --data.image-size 20", "data.image_size: 20", "r3gan makes images of side 16 or 32"),
    ("train --data.name rong", "data.name: 'rong' is not one of ring, grid, digits,", "tfds:NAME"),
    ("train --data.split tset", "data.split: 'tset'", "train"),
    ("train --data.channels 2", "data.channels: 2", "1, 3 or 4"),
    ("train --data.name folder:nowhere", "nowhere", ""),
    ("train --data.name tfds:mnistt", "mnistt", "did you mean"),
    ("train mnist", "mnist", "jaxgan data prepare mnist"),
    ("train ring --data.conditional", "data.conditional: True", "no labels"),
    ("train ring --generator dcgan", "generator.type: dcgan", "use mlp"),
    ("train --run afile", "run: ", "is a file"),
    ("train --run afile/below", "run: ", "cannot be written"),
    ("train --run occupied", "run: ", "holds files but no recipe.json"),
    ("sample", "RUN: missing", ""),
    ("evaluate", "RUN: missing", "one or more are required"),
    ("sample nowhere", "nowhere is not a run", "there is no such folder"),
    ("sample afile", "afile is not a run", "it is a file"),
    ("sample occupied", "occupied is not a run", "it has no recipe.json"),
    ("sample TINY --n 0", "n: 0", "from 1 to"),
    ("sample TINY --n 20000", "n: 20000", "at most 10,000"),
    ("sample TINY --batch 0", "batch: 0", "from 1 to"),
    ("sample TINY --seed -1", "seed: -1", "4294967295"),
    ("sample TINY --seed 4294967296", "seed: 4294967296", "4294967295"),
    ("sample TINY --labels 10", "labels: 10", "0 to 9"),
    ("sample TINY --labels -1", "labels: -1", "0 to 9"),
    ("sample TINY --truncation 0", "0", ""),
    ("sample TINY --truncation nan", "nan", ""),
    ("sample TINY --out new/x.png", "out: the folder", "does not exist"),
    ("sample TINY --out x.bmp", "'.bmp'", ".png, .npz, a folder"),
    ("sample TINY --out afile", "afile is a file", "folder"),
    ("interpolate TINY", "--out: missing", ""),
    ("interpolate TINY --out x.mov", "'.mov'", ".png, .gif, .webp"),
    ("interpolate TINY --out x.png --seeds 3", "seeds: 1 given", "at least 2"),
    ("interpolate TINY --out x.png --frames 1", "frames: 1", "from 2 to"),
    ("interpolate TINY --out x.png --path sleep", "'sleep' is not one of slerp, lerp", "did you mean 'slerp'?"),
    ("interpolate TINY --out x.png --labels 11", "labels: 11", "0 to 9"),
    ("plan digitz", "'digitz' is not one of digits,", "did you mean 'digits'?"),
    ("plan digits --memory nan", "memory: nan", "above 0"),
    ("plan digits --accelerator", "memory: None", "must be given"),
    ("plan digits --devices 3", "batch_size: 128", "multiple of the 3 devices"),
    ("plan digits --data.name folder:nowhere", "data.image_size: None", "must be given"),
    ("plan digits --data.name digitz", "data.name: 'digitz'", "did you mean 'digits'?"),
    ("plan mnist --generator stylegan2", "data.image_size: 28", "stylegan2 makes images of side 16 or 32"),
    ("plan digits --out new/x.json", "out: new/x.json", "folder that exists"),
    ("bench digits --steps 0", "steps: 0", "from 1 to"),
    ("bench digits --out .", "out: .", "must be a file"),
    ("data prepare minst", "minst", "did you mean"),
    ("data prepare mnist --from nowhere", "nowhere", ""),
]


@pytest.mark.parametrize(("words", "names", "allows"), MISTAKES, ids=[row[0].replace(" ", "_") for row in MISTAKES])
def test_mistakes(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, tiny_run: Path, words: str, names: str, allows: str
) -> None:
    (tmp_path / "afile").write_text("mine")
    (tmp_path / "mine.py").write_text("recipe = None")
    (tmp_path / "occupied.py").mkdir()
    for name in ("afile.zip", "some.npz"):
        (tmp_path / name).write_text("mine")
    (tmp_path / "occupied").mkdir()
    (tmp_path / "occupied" / "thesis.tex").write_text("mine")
    before = sorted((path, path.stat().st_mtime_ns) for root in (tmp_path, tiny_run) for path in root.rglob("*"))
    status, _, told = run(capsys, *[tiny_run if word == "TINY" else word for word in words.split()])
    assert status == 2
    assert len(told) == 1, told
    assert told[0].startswith("jaxgan")
    assert names in told[0]
    assert allows in told[0]
    assert before == sorted((path, path.stat().st_mtime_ns) for root in (tmp_path, tiny_run) for path in root.rglob("*"))


def test_a_run_of_another_recipe_is_refused_with_the_differences(
    capsys: pytest.CaptureFixture[str], tiny_run: Path, tmp_path: Path
) -> None:
    shutil.copytree(tiny_run, tmp_path / "run")
    status, _, told = run(capsys, "train", "digits", "--run", "run")
    assert status == 2
    assert len(told) == 1
    assert "generator.width: 8 -> 256" in told[0]
    assert "batch_size: 8 -> 128" in told[0]
    assert "`jaxgan train run` goes on with its own recipe" in told[0]
    assert "steps" not in told[0]
    (tmp_path / "run" / "recipe.json").write_text("{")
    status, _, told = run(capsys, "sample", "run")
    assert status == 2
    assert "recipe.json is damaged" in told[0]


def test_help_is_quick_and_loads_neither_jax_nor_tfds() -> None:
    for words in (["--help"], ["train", "--help"], ["recipes"]):
        command = [sys.executable, "-X", "importtime", "-m", "jaxgan", *words]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        loaded = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()}
        assert "tyro" in loaded
        assert not loaded & {"jax", "jaxlib", "tensorflow_datasets", "numpy", "flax", "optax", "orbax"}


def test_none_can_be_given_for_a_number_in_any_letters(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    found = {}
    for word in ("None", "none", "2", "1"):  # None is 2 layers at 8 pixels
        words = ("--generator", "dcgan", "--generator.dense", word, "--out", out := tmp_path / f"{word}.json")
        assert run(capsys, "plan", "digits", *words)[0] == 0
        found[word] = json.loads(out.read_text())["g_parameters"]
    assert found["None"] == found["none"] == found["2"] > found["1"]


def test_help_is_short_and_names_the_recipe(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    for words, there in (
        (("train", "--help"), ("RECIPE", "--steps 2400", "--generator.width 256", "mlp; --generator NAME", "--help-all")),
        (("train", "ring", "--generator", "dcgan", "-h"), ("--generator.width 64", "--data.name ring", "generator: dcgan")),
        (("plan", "mnist", "--help"), ("--memory ..", "--batch-size 64", "RECIPE")),
        (("bench", "--help"), ("RECIPE", "--out ..", "JSON file to write the table to as well.")),
    ):
        with pytest.raises(SystemExit) as stop:
            cli.main([*words])
        told = capsys.readouterr().out
        assert stop.value.code == 0
        assert all(each in told for each in there), told
        assert max(map(len, told.splitlines())) <= 80
        assert len(told.splitlines()) < 90
        assert "--rollback-factor" not in told
    with pytest.raises(SystemExit):
        cli.main(["train", "--help-all"])
    told = capsys.readouterr().out
    assert "jaxgan train [RECIPE]" in told
    assert "--rollback-factor" in told
    with pytest.raises(SystemExit):
        cli.main(["sample", "--help-all"])
    assert "--truncation" in capsys.readouterr().out


def test_the_text_of_an_option_stands_once() -> None:
    texts = [text for kind, _ in cli.COMMANDS.values() for text in documented(kind).values()]
    assert len(texts) > 50
    assert {each for each in texts if texts.count(each) > 1} == set()
    assert (arguments.Member, arguments.Best) == tuple(arguments.Sample.__annotations__[name] for name in ("member", "best"))


def test_recipes_fit_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["recipes"])
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert [line.split()[0] for line in lines if not line.startswith(" ")] == list(recipes.NAMES)


COMPLETED = [
    ("tr", "train"),
    ("data ", "prepare"),
    ("train sty", "stylegan2_32 stylegan2_64"),
    ("train --loss h", "hinge"),
    ("train --penalty.name r1", "r1 r1_r2 r1_r2_approximate"),
    ("train --precision ", "bfloat16 float32"),
    ("train ring --generator dcgan --generator.w", "--generator.width"),
    ("train --generator.de", "--generator.depth"),
    ("train --help", "--help --help-all"),
    ("sample --trunc", "--truncation"),
    ("sample ", "runs/mine"),
    ("train runs/", "runs/mine"),
    ("project ", "runs/mine"),
    ("convert x --as r", "r3gan"),
    ("export x --li", "--license"),
    ("interpolate x --path ", "lerp slerp"),
    ("completion ", ""),
    ("sample x --out ", ""),
    ("nonsense ", ""),
]


@pytest.mark.parametrize(("typed", "offered"), COMPLETED, ids=[row[0].replace(" ", "_") for row in COMPLETED])
def test_tab_completes(capsys: pytest.CaptureFixture[str], tmp_path: Path, typed: str, offered: str) -> None:
    (tmp_path / "runs" / "mine").mkdir(parents=True)
    (tmp_path / "runs" / "mine" / "recipe.json").write_text("{}")
    with pytest.raises(SystemExit) as stop:
        cli.main(["--complete", *typed.split(" ")])
    assert (stop.value.code, capsys.readouterr().out.split()) == (0, offered.split())


def test_a_shell_understands_the_completion(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    cli.main(["completion", "bash"])
    (tmp_path / "c.sh").write_text(capsys.readouterr().out)
    words = f'source c.sh; jaxgan() {{ {sys.executable} -m jaxgan "$@"; }}; COMP_WORDS=(jaxgan train --loss hi); COMP_CWORD=3'
    command = ["bash", "-c", words + "; compopt() { :; }; _jaxgan; echo ${COMPREPLY[@]}"]
    done = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "hinge"
    assert run(capsys, "completion", "tcsh")[0] == 2


def test_an_interrupt_outside_training_is_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tiny_run: Path
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setitem(cli.COMMANDS, "sample", (arguments.Sample, interrupted))
    assert run(capsys, "sample", tiny_run) == (130, "", ["jaxgan sample: interrupted"])


TINY = ("digits", "--generator", "mlp", "--generator.width", 8, "--discriminator", "mlp")
TINY += ("--discriminator.width", 8, "--batch-size", 8, "--steps", 12)
TINY += ("--log-interval", 3, "--sample-interval", 12, "--checkpoint-interval", 6)


def test_a_run_goes_on_to_its_own_steps_and_says_what_comes_next(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture, tiny_run: Path
) -> None:
    short = (*TINY[: TINY.index("--steps")], "--steps", 4, *TINY[TINY.index("--steps") + 2 :])
    without = tuple(word for i, word in enumerate(TINY) if "--steps" not in TINY[max(i - 1, 0) : i + 1])
    assert run(capsys, "train", *short, "--run", "run")[:2] == (0, str(Path("run").absolute()))
    assert "next: jaxgan sample run\n      jaxgan evaluate run" in caplog.text
    assert "samples: run/samples/000004.png" in caplog.text
    caplog.clear()
    assert run(capsys, "train", *without, "--run", "run")[0] == 0
    assert "run: 4 steps, as it was given before; --steps N for another number" in caplog.text
    assert "is finished: 4 of 4 steps" in caplog.text
    caplog.clear()
    assert run(capsys, "train", "run", "--steps", 2)[0] == 0
    assert "is finished: 4 steps, more than the 2 asked for" in caplog.text
    assert json.loads(Path("run/recipe.json").read_text())["recipe"]["steps"] == 4
    assert run(capsys, "train", "run")[0] == 0  # by its own recipe
    assert run(capsys, "train", "run", "--steps", 6)[0] == 0
    assert checkpoint.saved_steps(Path("run/checkpoints").absolute())[-1] == 6
    shutil.copytree(tiny_run, "tiny")
    for verb in ("sample", "evaluate"):
        assert run(capsys, verb)[2][0].endswith("; there are run, tiny")
    assert run(capsys, "train", "tiny", "--steps", 13)[0] == 0
    assert checkpoint.saved_steps(Path("tiny/checkpoints").absolute())[-1] == 13


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("columns", [80, 160])
def test_the_bar_fits_its_terminal(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("LINES", "24")
    terminal = Terminal()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", terminal)
        with bar.shown(0, 100_000) as shown:
            assert "compiling" in terminal.getvalue()
            shown.update(99_000)
            row = {"d_loss": 10.653, "g_loss": 10.798, "d_real": 0.578, "d_fake": 0.555, "verdict": "discriminator wins"}
            shown.show(row)
    lines = [line for line in terminal.getvalue().replace("\n", "\r").split("\r") if line]
    last = next(line for line in reversed(lines) if line.strip())
    assert max(map(len, lines)) <= columns
    assert "discriminator wins" in last
    assert "compiling" not in last
    assert "#" * 8 in last or "█" * 8 in last


def test_signals_say_what_they_do_at_once(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    signals = hosts.Signals()
    signals.handle(signal.SIGINT, None)
    assert capfd.readouterr().err.split("\n")[1] == "Ctrl-C: saving, then ending; once more ends at once"
    ended: list[int] = []
    monkeypatch.setattr(hosts.os, "_exit", ended.append)
    signals.lost = lambda: endings.lost(1_234, [500, 1_000])
    signals.handle(signal.SIGTERM, None)
    assert ended == [143]
    told = capfd.readouterr().err
    assert "SIGTERM again: ended at once; checkpoint 1000 is intact, the 234 steps since are lost" in told
    assert endings.lost(7, []) == "7 steps are lost: there was no checkpoint yet"


def exhausted() -> None:
    """What XLA raises where memory ends."""
    jax.jit(lambda x: jnp.sin(jnp.zeros(2**48) + x))(1.0).block_until_ready()


def test_out_of_memory_while_training_is_one_line_and_the_checkpoint_stays(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare = loop.prepare

    def short(*arguments: Any) -> loop.Prepared:
        prepared = prepare(*arguments)

        def batches(step: int, steps: int = 1) -> Any:
            if step == 8:
                exhausted()
            return prepared.batches(step, steps)

        return prepared._replace(batches=batches)

    with monkeypatch.context() as patch:
        patch.setattr(loop, "prepare", short)
        status, made, told = run(capsys, "train", *TINY, "--run", "run")
    assert (status, made) == (1, "")
    assert re.match(
        r"jaxgan train: out of memory: batch 8 of images of side 8 needs about [\d.]+ MiB, the device has [\d.]+ GiB; ",
        told[-1],
    )
    for remedy in ("--batch-size", "--accumulate", "--remat", "--precision bfloat16"):
        assert remedy in told[-1]
    assert not any("Traceback" in line for line in told)
    assert checkpoint.saved_steps(Path("run/checkpoints").absolute()) == [6]
    status, made, _ = run(capsys, "train", *TINY, "--run", "run")
    assert (status, made) == (0, str(Path("run").absolute()))
    assert "going on from step 6" in caplog.text


@pytest.mark.parametrize("error", [exhausted, lambda: np.zeros(2**58)], ids=["device", "host"])
def test_out_of_memory_while_sampling_is_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tiny_run: Path, error: Any
) -> None:
    monkeypatch.setattr("jaxgan.weights.portable.Sampler.__call__", lambda *_, **__: error())
    status, made, told = run(capsys, "sample", tiny_run, "--batch", "32", "--out", "x.npz")
    assert (status, made, len(told)) == (1, "", 1)
    assert "out of memory: 32 images of side 8 at a time need about" in told[0]
    assert "smaller --batch" in told[0]


def test_plan_and_bench(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("jaxgan.commands.plan._LONG", 600.0)  # however busy the machine is
    status, made, told = run(capsys, "plan", *TINY, "--out", "plan.json")
    assert (status, made, told) == (0, "plan.json", [])
    assert json.loads((tmp_path / "plan.json").read_text())["fits"] is True
    cli_out = run(capsys, "plan", *TINY, "--memory", "0.1")
    assert cli_out[0] == 0
    monkeypatch.setattr("jaxgan.commands.bench._peaks", lambda: {"float32": 1e9})
    status, made, _ = run(capsys, "bench", *TINY, "--out", "bench.json")
    assert (status, made) == (0, "bench.json")
    assert json.loads((tmp_path / "bench.json").read_text())["steps"] == 10


def test_train_sample_interpolate(capsys: pytest.CaptureFixture[str], tmp_path: Path, tiny_run: Path) -> None:
    shutil.copytree(tiny_run, tmp_path / "run")
    content = json.loads((tmp_path / "run" / "recipe.json").read_text())
    assert content["versions"]["jax"]
    assert content["device"]["count"] == 2
    status, made, told = run(capsys, "sample", "run", "--n", "12", "--out", "x.npz")
    assert (status, made, told) == (0, str(tmp_path / "x.npz"), [])
    status, made, _ = run(capsys, "sample", "run", "--n", "3", "--out", "x")
    assert (status, made) == (0, str(tmp_path / "x"))
    assert sorted(path.name for path in (tmp_path / "x").iterdir()) == ["000000.png", "000001.png", "000002.png"]
    status, made, _ = run(capsys, "sample", "run")
    assert (status, made) == (0, str(tmp_path / "run" / "sample-0.png"))
    for suffix in ("png", "gif", "webp"):
        status, made, _ = run(capsys, "interpolate", "run", "--out", f"way.{suffix}", "--frames", "3", "--labels", "0", "4")
        assert (status, made) == (0, str(tmp_path / f"way.{suffix}"))
        assert Path(made).stat().st_size > 0
