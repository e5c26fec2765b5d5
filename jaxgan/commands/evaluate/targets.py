"""Targets of an evaluation: runs and sets of images, with the options that apply to each, checked."""

from collections.abc import Sequence
from dataclasses import replace
from numbers import Integral, Real
from pathlib import Path
from types import NoneType
from typing import Any, NamedTuple

import numpy as np

from jaxgan import data
from jaxgan.commands.evaluate import coverage, smoothness
from jaxgan.data import folder
from jaxgan.evaluation import settings
from jaxgan.evaluation.features import NAMES as FEATURES
from jaxgan.evaluation.metric import Metric
from jaxgan.evaluation.metrics.named import NAMES, find
from jaxgan.recipes import Data, code
from jaxgan.recipes.record import Allowed, is_run, no_run
from jaxgan.recipes.table import unknown
from jaxgan.system import files
from jaxgan.system.messages import FieldError, shown
from jaxgan.training import runs
from jaxgan.training.experiment import Experiment
from jaxgan.training.generate import truncating
from jaxgan.training.run import Run, best_step
from jaxgan.training.values import metrics_of, own_metrics

OF_RUNS = (smoothness.NAME, "modes")  # figures of a run itself, not of samples beside real ones
METRICS = (*NAMES, *OF_RUNS)


class Asked(NamedTuple):
    """Options of an evaluation; they apply to every target."""

    metrics: tuple[str | Metric, ...]
    n: int | None
    features: settings.Asked
    weights: str | Path | None
    data: str | None
    split: str | None
    image_size: int | None
    seed: int
    batch: int
    averaged: bool
    truncation: float | None
    best: bool
    strict: bool
    allowed: Allowed


class Target(NamedTuple):
    """A run or a set of images to measure, with its metrics, features and real images."""

    path: Path
    run: Run | None
    experiment: Experiment | None
    images: np.ndarray | None  # [N, ...] in the units of whoever made them
    labels: tuple[np.ndarray, tuple[str, ...]] | None  # a label for each image, [N], and the names of the classes
    metrics: tuple[str | Metric, ...]
    features: settings.Asked
    wanted: Any  # the real images to compare with, in the form of a recipe's `data`


def checked(asked: Asked) -> Asked:
    """Returns the options with NumPy's numbers as Python's; refuses those that no target can have.

    Raises:
        FieldError: with the option, its value and what is allowed.
    """
    for name, kind, word in (
        ("n", Integral, "a whole number"),
        ("image_size", Integral, "a whole number"),
        ("seed", Integral, "a whole number"),
        ("batch", Integral, "a whole number"),
        ("truncation", Real, "a number"),
        ("data", str, "the name of data"),
        ("split", str, "the name of a split"),
    ):
        value = getattr(asked, name)
        if (value is None and name in ("seed", "batch")) or not isinstance(value, (kind, NoneType)) or isinstance(value, bool):
            raise FieldError(name, shown(value), f"it must be {word}")
    if not 0 <= asked.seed < 2**32:
        raise FieldError("seed", asked.seed, f"a seed is from 0 to {2**32 - 1}")
    if asked.batch < 1:
        raise FieldError("batch", asked.batch, "it must be at least 1")
    if asked.n is not None and asked.n < 2:
        raise FieldError("n", asked.n, "it must be at least 2")
    numbers = {name: value.item() for name, value in asked._asdict().items() if isinstance(value, np.number)}
    return asked._replace(**numbers)


def check_path(path: Path) -> None:
    """Refuses what is neither a run, nor a folder or .zip with a picture, nor an .npz.

    Raises:
        FieldError, FileNotFoundError: with the path and the reason.
    """
    if is_run(path) or _is_npz(path):
        return
    if not path.exists() or (path / "checkpoints").exists():
        raise no_run(path)
    if not path.is_dir() and path.suffix.lower() != ".zip":
        raise FieldError("run", f"{path} is no folder", "it must be a run, a folder or .zip of images, or an .npz")
    try:
        folder.check(path)
    except FieldError as error:
        why = error.allowed if error.link == " " else f"is damaged or no .zip: {error.allowed}"
        raise FieldError("run", path, f"is no run, and {why}", link=" ") from error


def target_of(path: Path, asked: Asked) -> Target:
    """Returns the run or the set of images at a path, with the options checked before anything is computed.

    Raises:
        ValueError, FileNotFoundError: when an option does not suit it.
    """
    if is_run(path):
        return _target_of_run(path, asked)
    if asked.data is None:
        told = "compare with --data NAME, such as cifar10, or with a folder of real images, --data folder:DIR"
        raise FieldError("data", "not given", f"{path} is no run, so the real images are not known: {told}")
    if of_run := [each for each in asked.metrics if each in OF_RUNS]:
        raise FieldError("metrics", of_run[0], f"it needs a run, and {path} is none")
    try:
        images, labels, names = data.arrays(
            f"npz:{path}" if _is_npz(path) else f"folder:{path}",
            image_size=None if _is_npz(path) else asked.image_size,
        )
    except FieldError as error:
        raise sized(error) from error
    metrics = tuple(_metric(each, ()) for each in asked.metrics)
    _check_labels(metrics, len(names), path.name)
    wanted = Data(asked.data, asked.split or "train", image_size=asked.image_size)
    return Target(path, None, None, images, (labels, names), metrics, _features(asked.features), wanted)


def _is_npz(path: Path) -> bool:
    return path.suffix == ".npz" and path.is_file()


def sized(error: FieldError) -> FieldError:
    """Returns an error about a missing image size, completed by the option that gives the size."""
    if error.field.rpartition(".")[2] != "image_size" or error.value is not None:
        return error
    return FieldError("image_size", error.value, f"{error.allowed} with --image-size")


def _metric(asked: str | Metric, own: Sequence[Metric]) -> str | Metric:
    """Returns a metric that is asked for by name, by the name of one of the run's own, or by a reference to code.

    Raises:
        FieldError: when it is none of these.
    """
    if isinstance(asked, Metric):
        return metrics_of([asked])[0] if not asked.name else asked
    by_name = {each.name: each for each in own}
    if asked in by_name or asked in METRICS:
        return by_name.get(asked, asked)
    if not code.is_reference(asked):
        raise unknown("metrics", asked, [*METRICS, *by_name])
    found = code.named(asked, "metrics")
    if not isinstance(found, Metric):
        raise FieldError("metrics", asked, "it must be a jaxgan.Metric")
    return found.named(asked.rpartition(":")[2])


def _check_labels(asked: Sequence[str | Metric], classes: int, name: str) -> None:
    """Refuses metrics that need labels, of samples that have none.

    Raises:
        FieldError: with the metric.
    """
    found = [find(each) for each in asked if each not in OF_RUNS]
    if classes < 2 and (needy := [each.name for each in found if "labels" in each.needs]):
        raise FieldError("metrics", needy[0], f"the samples of {name} have no labels of several classes, which it needs")


def _features(asked: settings.Asked) -> settings.Asked:
    """Returns features that are asked for, loading the code of a reference."""
    known = not isinstance(asked, str) or asked in FEATURES
    return asked if known or not code.is_reference(asked) else code.named(str(asked), "features")


def _target_of_run(path: Path, asked: Asked) -> Target:
    run = runs.read(path, asked.allowed)
    experiment = run.experiment()
    if asked.best:
        best_step(run)
    wanted = run.recipe.data
    if isinstance(wanted, Data):
        wanted = replace(wanted, mirror=False, conditional=False)
    if asked.data is not None and asked.data != getattr(wanted, "name", None):
        wanted = _other(asked.data, wanted, run)
    if asked.image_size is not None and isinstance(wanted, Data):
        wanted = replace(wanted, image_size=asked.image_size)
    if asked.split is not None and isinstance(wanted, Data):
        wanted = replace(wanted, split=asked.split)
    own = own_metrics(run.recipe)
    chosen = tuple(_metric(each, own) for each in asked.metrics)
    _check_labels(chosen, run.shape.classes, path.name)
    if not chosen and isinstance(wanted, Data) and wanted.name in coverage.KNOWN:
        chosen = ("modes", *own)
    if smoothness.NAME in chosen:
        smoothness.check(run, experiment)
    truncating(experiment, asked.truncation)
    own_features = run.recipe.eval_features
    if own_features in FEATURES:  # one of ours is a choice for training alone
        own_features = None
    features = _features(asked.features or own_features or None)
    if not chosen and own:
        suitable = settings.suitable(getattr(wanted, "name", ""), run.shape.sample, run.units)
        chosen = (*settings.usual(settings.name_of(features or suitable)), *own)
    return Target(path, run, experiment, None, None, chosen, features, wanted)


def _other(name: str, own: Any, run: Run) -> Data:
    """Returns other real samples than those trained on, read in the same way: folders fitted, arrays in the run's units."""
    if not isinstance(own, Data):
        own = Data()
    kept = {"image_size": own.image_size, "fit": own.fit, "channels": own.channels} if name.startswith("folder:") else {}
    if name.endswith(".npz"):
        kept = {"dimensions": len(run.shape.sample) - 1, "measure": own.measure}
    return Data(name, **kept)


def file_for(out: str | Path | None, targets: Sequence[Target]) -> Path:
    """Returns the JSON file, as given or by default.

    Raises:
        FieldError: when it cannot be written.
    """
    if out is not None:
        out = files.home_expanded(out, "out").absolute()
    elif len(targets) > 1:
        out = Path("evaluation.json").absolute()
    elif targets[0].run is not None:
        out = targets[0].path / "evaluation.json"
    else:
        given = targets[0].path
        out = given.with_name(f"{given.name if given.is_dir() else given.stem}-evaluation.json")
    if out.suffix != ".json" or not out.parent.is_dir() or out.is_dir():
        raise FieldError("out", out, "it must be a .json file in a folder that exists")
    files.check_writable("out", out)
    return out


def compares(target: Target) -> bool:
    """Tells whether any of the figures is of samples beside real ones."""
    return not target.metrics or any(each not in OF_RUNS for each in target.metrics)


def modes_n(target: Target, asked: Asked) -> int:
    """Returns the number of samples of which the modes are counted."""
    assert target.run is not None
    modes, usual = coverage.modes_and_n(getattr(target.run.recipe.data, "name", "data of one's own"))
    n = usual if asked.n is None else asked.n
    if n < modes:
        raise FieldError("n", n, f"{modes} modes need at least as many samples")
    return n
