"""A run directory: the recipe, the checkpoints and the logs of one training. The one door to it."""

import json
import os
import shutil
import zlib
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from platform import python_version
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxgan import recipes
from jaxgan.core import sweep
from jaxgan.core.types import GAN, Dataset, GANState, Weights
from jaxgan.evaluation import verdict
from jaxgan.evaluation.settings import better_of
from jaxgan.recipes import Recipe
from jaxgan.system import hosts
from jaxgan.training import build, checkpoint
from jaxgan.training.build import Shape, shape_of

Writer = Callable[[dict[str, Any]], None]  # takes one row of metrics; that is all a logger has to be

_OURS = (
    "recipe.json",
    "metrics.jsonl",
    "samples",
    "progress.webp",
    "curves.png",
    "checkpoints",
    "tensorboard",
    "evaluation.json",
    "evaluation-nearest.png",
)
_PACKAGES = ("jaxgan", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")


class Run(NamedTuple):
    """What a run directory says of itself."""

    path: Path
    recipe: Recipe
    shape: Shape
    class_names: tuple[str, ...]

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def metrics(self) -> Path:
        return self.path / "metrics.jsonl"

    @property
    def samples(self) -> Path:
        return self.path / "samples"


def start(path: str | Path, recipe: Recipe, dataset: Dataset, *, overwrite: bool = False) -> Run:
    """Makes a run directory, or opens the one there to go on with.

    Args:
        path: the directory; made with its parents when it is not there.
        recipe: a checked recipe.
        dataset: what it trains on.
        overwrite: remove what an earlier run left in it.

    Returns:
        The run, its `recipe.json` written.

    Raises:
        ValueError: when the path is not a run's, or is that of a run with another recipe: every difference is named.
    """
    run = _run(path, recipe, dataset)
    path = run.path
    if path.exists() and not path.is_dir():
        raise ValueError(f"run: {path} is a file, but it must be a folder")
    if (path / "recipe.json").exists():
        if not overwrite:
            _check_same(read(path), run)
    elif path.exists() and any(path.iterdir()):
        raise ValueError(f"run: {path} holds files but no recipe.json, so it is not a run; name another folder")
    try:
        path.mkdir(parents=True, exist_ok=True)
        if overwrite:
            _remove(path)
        run.samples.mkdir(exist_ok=True)
        _write_recipe(run, dataset)
    except OSError as error:
        raise ValueError(f"run: {path} cannot be written: {error.strerror}") from error
    return run


def join(path: str | Path, recipe: Recipe, dataset: Dataset) -> Run:
    """The run that process 0 started, as each of several processes sees it.

    Args:
        path: as for `start`, and so the others.
        recipe: the same.
        dataset: the same.

    Raises:
        ValueError: when the directory is not that of process 0: it must lie on a file system that all of them share.
    """
    run = _run(path, recipe, dataset)
    file = run.path / "recipe.json"
    if jax.process_count() > 1:
        content = file.read_bytes() if file.is_file() else b""
        if zlib.crc32(content) != int(hosts.told(np.uint32(zlib.crc32(content)))):
            raise ValueError(
                f"run: {run.path}, but process {jax.process_index()} does not see what process 0 wrote there; "
                "it must lie on a file system that all of them share"
            )
    return run


def _run(path: str | Path, recipe: Recipe, dataset: Dataset) -> Run:
    class_names = dataset.class_names if recipe.data.conditional else ()
    return Run(Path(path).expanduser().absolute(), recipe, shape_of(recipe, dataset), class_names)


def read(path: str | Path) -> Run:
    """Opens a run directory.

    Raises:
        FileNotFoundError: when there is no run.
        ValueError: when its `recipe.json` cannot be understood.
    """
    path = Path(path).expanduser().absolute()
    file = path / "recipe.json"
    if not file.is_file():
        raise FileNotFoundError(f"run: {path} is not a run: it has no recipe.json")
    try:
        content = json.loads(file.read_text())
        data = content["data"]
        shape = Shape(tuple(int(n) for n in data["shape"]), int(data["classes"]))
        return Run(path, recipes.from_dict(content["recipe"]), shape, tuple(data["class_names"]))
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise ValueError(f"run: {file} is damaged or of another version: {error}") from error


def load(path: str | Path, *, step: int | None = None, member: int | None = None, strict: bool = False) -> tuple[GAN, GANState]:
    """Loads a run, ready to sample or to go on training.

    Args:
        path: the run directory.
        step: which checkpoint; the latest when None.
        member: of a run of several GANs, the one to take, as if it had been trained alone; None for all of them, side
            by side (`sweep.side_by_side`).
        strict: refuse a damaged checkpoint rather than fall back to the one before.

    Returns:
        `(gan, state)`.

    Raises:
        FileNotFoundError: when there is no run, or no checkpoint in it.
        CheckpointError: when no checkpoint can be read.
    """
    run = read(path)
    state = checkpoint.restore(run.checkpoints, abstract_state(run.recipe, run.shape), step=step, strict=strict)
    if member is None:
        return build.build(run.recipe, run.shape), state
    alone = member_of(run, member)
    return build.build(alone, run.shape), state if alone is run.recipe else sweep.member(state, member)


def member_of(run: Run, member: int) -> Recipe:
    """The recipe of one GAN of a run, as if it had been trained alone.

    Raises:
        ValueError: when there is no such member.
    """
    every = recipes.members(run.recipe)
    if not 0 <= member < len(every):
        raise ValueError(f"member: {member}, but the run's members are 0 to {len(every) - 1}")
    return every[member]


def load_generator(
    path: str | Path, *, step: int | None = None, member: int = 0, strict: bool = False
) -> tuple[Run, GAN, Weights]:
    """Loads the averaged generator of a run and nothing else.

    Args:
        path: the run directory.
        step: which checkpoint; the latest when None.
        member: of a run of several GANs, the one to take.
        strict: refuse a damaged checkpoint rather than fall back to the one before.

    Returns:
        `(run, gan, weights)`.

    Raises:
        As `load`.
    """
    run, gan, every, _ = load_generators(path, step=step, strict=strict)
    member_of(run, member)
    return run, gan, every[member]


def load_generators(
    path: str | Path, *, step: int | None = None, averaged: bool = True, strict: bool = False
) -> tuple[Run, GAN, list[Weights], int]:
    """Loads the generators of all GANs of a run, of most runs one, reading the checkpoint once.

    Args:
        path: the run directory.
        step: which checkpoint; the latest when None.
        averaged: the averaged ones rather than those in training.
        strict: refuse a damaged checkpoint rather than fall back to the one before.

    Returns:
        `(run, gan, weights, step)`, the weights of each member, and the step they are from; the gan is that of one, and
        samples alike for all.

    Raises:
        As `load`.
    """
    run = read(path)
    every = recipes.members(run.recipe)
    abstract = abstract_state(run.recipe, run.shape)
    if averaged:
        weights, found = checkpoint.restore_generator(run.checkpoints, abstract.ema, step=step, strict=strict)
    else:
        state = checkpoint.restore(run.checkpoints, abstract, step=step, strict=strict)
        weights, found = Weights(state.g.params, state.g.stats), int(state.step)
    apart = [weights] if len(every) == 1 else [jax.tree.map(lambda x, i=i: x[i], weights) for i in range(len(every))]
    return run, build.build(every[0], run.shape), apart, found


def best_step(run: Run) -> int:
    """The step of the checkpoint that `keep_best` keeps.

    Raises:
        ValueError: when the run keeps none, or has none yet.
    """
    figure = run.recipe.keep_best
    if figure == "none":
        raise ValueError(f"best: {run.path} keeps no best checkpoint; train with --keep-best FIGURE")
    saved = checkpoint.saved_steps(run.checkpoints)
    found = verdict.best([row for row in history(run) if row["step"] in saved], figure, better_of(figure))
    if found is None:
        raise ValueError(f"best: {run.path} has no checkpoint at which {figure} was measured")
    return found


def abstract_state(recipe: Recipe, shape: Shape) -> GANState:
    """The shapes and dtypes of the state of a recipe's training; nothing is computed."""
    gan = build.build(recipe, shape)
    return jax.eval_shape(lambda: gan.init(build.key(recipe)))


def history(run: Run, *, until: int | None = None) -> list[dict[str, Any]]:
    """The rows of `metrics.jsonl` up to step `until`; a last line that a kill cut short is left out."""
    rows = []
    for line in run.metrics.read_text().splitlines() if run.metrics.exists() else []:
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            break
        if until is None or row["step"] <= until:
            rows.append(row)
    return rows


def forget_after(run: Run, step: int) -> list[dict[str, Any]]:
    """Drops the metrics and samples after a step, which the resumed run makes again; returns the rows kept."""
    rows = history(run, until=step)
    write_atomically(run.metrics, "".join(json.dumps(row) + "\n" for row in rows))
    for file in run.samples.glob("*.png"):
        if file.stem.isdigit() and int(file.stem) > step:
            file.unlink()
    return rows


def jsonl_writer(run: Run) -> Writer:
    """Appends each row to `metrics.jsonl` as one JSON object."""

    def write(row: dict[str, Any]) -> None:
        with run.metrics.open("a") as file:
            file.write(json.dumps(row) + "\n")

    return write


def tensorboard_writer(run: Run) -> Writer:
    """Writes each row's numbers to `tensorboard/`, over images shown; needs the `tensorboard` extra."""
    from tensorboardX import SummaryWriter

    summary = SummaryWriter(str(run.path / "tensorboard"))

    def write(row: dict[str, Any]) -> None:
        for name, value in row.items():
            if name not in ("step", "images") and isinstance(value, (int, float)):
                summary.add_scalar(name, value, row["images"])
        if row.get("verdict"):
            summary.add_text("verdict", f"{row['verdict']}: {'; '.join(row.get('evidence', ()))}", row["images"])
        summary.flush()

    return write


def write_atomically(path: Path, text: str) -> None:
    """Writes a text file whole or not at all."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    part.write_text(text)
    part.replace(path)


def _write_recipe(run: Run, dataset: Dataset) -> None:
    device = jax.devices()[0]
    content = {
        "recipe": recipes.to_dict(run.recipe),
        "data": {
            "shape": list(run.shape.sample),
            "classes": run.shape.classes,
            "class_names": list(run.class_names),
            "size": dataset.size,
        },
        "versions": {"python": python_version()} | {name: version(name) for name in _PACKAGES},
        "device": {
            "kind": device.device_kind,
            "platform": device.platform,
            "count": jax.device_count(),
            "processes": jax.process_count(),
        },
    }
    write_atomically(run.path / "recipe.json", json.dumps(content, indent=2) + "\n")


def _check_same(old: Run, new: Run) -> None:
    found = recipes.differences(old.recipe, new.recipe)
    if not found and (old.shape, old.class_names) != (new.shape, new.class_names):
        found = [f"data: shape {old.shape.sample}, {old.shape.classes} classes -> {new.shape.sample}, {new.shape.classes}"]
    if found:
        raise ValueError(
            f"run: {old.path} was trained with another recipe ({'; '.join(found)}): "
            "name another folder with --run, or start anew with --overwrite"
        )


def _remove(path: Path) -> None:
    """Only what a run writes: a stranger's file in the folder stays."""
    for name in _OURS:
        if (path / name).is_dir():
            shutil.rmtree(path / name)
        else:
            (path / name).unlink(missing_ok=True)
