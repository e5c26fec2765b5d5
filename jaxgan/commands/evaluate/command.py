"""How good is a run, or a folder of images: figures, each with how it was obtained and with what real images score."""

import json
import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from jaxgan import data, recipes
from jaxgan.commands.evaluate import comparison, coverage, report
from jaxgan.commands.evaluate.comparison import Comparison
from jaxgan.commands.evaluate.made import Made
from jaxgan.commands.evaluate.report import Result, Value
from jaxgan.evaluation import quality
from jaxgan.recipes import Data
from jaxgan.system import files
from jaxgan.system.messages import did_you_mean
from jaxgan.training import runs
from jaxgan.training.experiment import Experiment
from jaxgan.training.generate import truncating

log = logging.getLogger("jaxgan")

METRICS = (*quality.METRICS, "modes")


class Asked(NamedTuple):
    """What is to be done with each run or set of images."""

    metrics: tuple[str, ...]
    n: int | None
    features: str | None
    weights: str | Path | None
    data: str | None
    split: str | None
    seed: int
    batch: int
    averaged: bool
    truncation: float | None
    best: bool
    strict: bool


class Target(NamedTuple):
    """A run, or images that any program made."""

    path: Path
    run: runs.Run | None
    experiment: Experiment | None
    images: np.ndarray | None  # [N, H, W, C]
    metrics: tuple[str, ...]
    reference: Data  # the real images


def evaluate(path: str | Path, **options: Any) -> tuple[Path, dict[str, Value]]:
    """Measures one run or set of images; arguments, errors and file as of `compare`.

    Returns:
        The file, and the figures by name.
    """
    out, results = compare([path], **options)
    return out, results[0].values


def compare(
    paths: Sequence[str | Path],
    *,
    metrics: Sequence[str] = (),
    n: int | None = None,
    features: str | None = None,
    weights: str | Path | None = None,
    data: str | None = None,
    split: str | None = None,
    seed: int = 0,
    batch: int = 500,
    averaged: bool = True,
    truncation: float | None = None,
    out: str | Path | None = None,
    best: bool = False,
    strict: bool = False,
) -> tuple[Path, list[Result]]:
    """Measures what runs generate, or images of any origin, against real images, and writes what was found as JSON.

    Args:
        paths: run directories, folders of PNG, JPEG and WebP files, .npz files. Of a run of several GANs each is measured, on
            the same latents.
        metrics: names of `METRICS`. By default `modes` for mixtures and stacked_mnist; for other images `fid`, `kid`, `prdc`,
            `diversity`, and `memorisation` unless the features are of a published network.
        n: samples; by default 10,000 or as many as there are images, and for `modes` as many as PacGAN takes.
        features: an extractor, one of `features.NAMES`; by default that which suits the data.
        weights: file of a published network's weights, where it is not in the cache.
        data: the real images, as a recipe's `data.name`; by default what a run was trained on. Images need it.
        split: of the real images; by default that trained on, or `train`.
        seed: of the latents, 0 to 2^32 - 1.
        batch: samples generated at a time; it does not change them.
        averaged: of the averaged generator rather than of the one in training.
        truncation: as for `sample`.
        out: the JSON file; `evaluation.json` in the run by default, beside a set of images, and of several in the current
            folder. Pictures of the nearest real images come beside it where `memorisation` is measured.
        best: of the checkpoint that `keep_best` keeps rather than of the last.
        strict: refuse a damaged checkpoint rather than fall back to the one before.

    Returns:
        The file, and a `Result` for each path.

    Raises:
        ValueError, FileNotFoundError: when an argument is not allowed; nothing is written then.
    """
    asked = Asked(tuple(metrics), n, features, weights, data, split, seed, batch, averaged, truncation, best, strict)
    _check(asked)
    if not paths:
        raise ValueError("RUN: missing, but one or more are required")
    targets = [_target(Path(path).expanduser().absolute(), asked) for path in paths]
    out = _check_out(out, targets)
    for target in targets:
        if "modes" in target.metrics:
            _modes_n(target, asked)
    judged = _judged([target for target in targets if set(target.metrics) != {"modes"}], asked)
    results = []
    for i, target in enumerate(targets):
        beside = out.with_name(f"{out.stem}{'' if len(targets) == 1 else f'-{i}'}-nearest.png")
        results.append(_result(target, judged, asked, beside))
    content = results[0].content() if len(results) == 1 else report.together(results)
    files.write(out, json.dumps(content, indent=2) + "\n")
    return out, results


def _check(asked: Asked) -> None:
    for name in asked.metrics:
        if name not in METRICS:
            raise ValueError(f"metrics: {name!r} is not one of {', '.join(METRICS)}{did_you_mean(name, METRICS)}")
    if not 0 <= asked.seed < 2**32:
        raise ValueError(f"seed: {asked.seed}, but a seed is from 0 to {2**32 - 1}")
    if asked.batch < 1:
        raise ValueError(f"batch: {asked.batch}, but it must be at least 1")
    if asked.n is not None and asked.n < 2:
        raise ValueError(f"n: {asked.n}, but it must be at least 2")


def _target(path: Path, asked: Asked) -> Target:
    if (path / "recipe.json").is_file():
        run = runs.read(path)
        experiment = run.experiment()
        if asked.best:
            runs.best_step(run)
        of_run = run.recipe.data
        wanted = Data(of_run.name, of_run.split, of_run.image_size, of_run.channels)
        if asked.data is not None and asked.data != of_run.name:
            wanted = Data(asked.data)
        wanted = wanted if asked.split is None else Data(wanted.name, asked.split, wanted.image_size, wanted.channels)
        chosen = asked.metrics or (("modes",) if wanted.name in coverage.KNOWN else ())
        truncating(experiment, asked.truncation)
        return Target(path, run, experiment, None, chosen, wanted)
    if not path.exists() or (path.is_dir() and (path / "checkpoints").exists()):
        raise FileNotFoundError(f"run: {path} is not a run: it has no recipe.json")
    if path.is_file() and path.suffix != ".npz":
        raise ValueError(f"run: {path} is a file, but it must be a run, a folder of images or an .npz")
    if asked.data is None:
        raise ValueError(f"data: None, but {path} is no run and does not say what it is to be compared with; name it")
    if "modes" in asked.metrics:
        raise ValueError(f"metrics: modes, but {path} is no run")
    images, _, _ = data.arrays(f"npz:{path}" if path.is_file() else f"folder:{path}")
    return Target(path, None, None, images, asked.metrics, Data(asked.data, asked.split or "train"))


def _check_out(out: str | Path | None, targets: Sequence[Target]) -> Path:
    if out is not None:
        out = Path(out).expanduser().absolute()
    elif len(targets) > 1:
        out = Path("evaluation.json").absolute()
    elif targets[0].run is not None:
        out = targets[0].path / "evaluation.json"
    else:
        out = targets[0].path.with_name(f"{targets[0].path.stem}-evaluation.json")
    if out.suffix != ".json" or not out.parent.is_dir():
        raise ValueError(f"out: {out}, but it must be a .json file in a folder that exists")
    return out


def _modes_n(target: Target, asked: Asked) -> int:
    """How many samples the modes are counted of."""
    assert target.run is not None
    modes, usual = coverage.protocol(target.run.recipe.data.name)
    n = usual if asked.n is None else asked.n
    if n < modes:
        raise ValueError(f"n: {n} samples cannot show {modes} modes; it must be at least that many")
    return n


def _judged(targets: Sequence[Target], asked: Asked) -> Comparison | None:
    """The real images that all of these are compared with, when there are any to compare."""
    if not targets:
        return None
    first, wanted = targets[0], targets[0].reference
    for target in targets[1:]:
        if target.reference != wanted:
            others = f"{target.path.name} with {target.reference.name}/{target.reference.split}"
            raise ValueError(
                f"data: {first.path.name} is compared with {wanted.name}/{wanted.split}, but {others}; name one for all of them"
            )
    metrics = [name for name in first.metrics if name != "modes"]
    given = [len(target.images) for target in targets if target.images is not None]
    return comparison.prepare(
        wanted, metrics, n=asked.n, given=given, extractor=asked.features, weights=asked.weights, begin=_bar
    )


def _result(target: Target, judged: Comparison | None, asked: Asked, beside: Path) -> Result:
    """Measures one of them."""
    if target.run is None:
        assert target.images is not None
        assert judged is not None
        found, how = comparison.of_images(judged, target.images, beside=beside, begin=_bar)
        return Result(target.path.name, {"images": str(target.path)}, how, found, tuple(quality.warnings(judged.judge)))
    run, experiment = target.run, target.experiment
    assert experiment is not None
    best = runs.best_step(run) if asked.best else None
    every, step = runs.generators(run, experiment, step=best, averaged=asked.averaged, strict=asked.strict)
    made = Made(run, experiment, tuple(every), asked.seed, asked.batch, asked.averaged, asked.truncation)
    values: dict[str, Value] = {}
    headline: tuple[str, ...] = (f"{run.path.name} at step {step:,}: {made.words()}",)
    warnings: tuple[str, ...] = ()
    if "modes" in target.metrics:
        values |= coverage.of_run(made, _modes_n(target, asked))
    if set(target.metrics) != {"modes"}:
        assert judged is not None
        found, how = comparison.of_run(judged, made, beside=beside, begin=_bar)
        values, headline, warnings = values | found, (*headline, *how), tuple(quality.warnings(judged.judge))
    about = {"run": run.path.name, "recipe": recipes.to_dict(run.recipe), "step": step}
    return Result(run.path.name, about, headline, values, warnings)


def _bar(what: str, count: int) -> Callable[[int], object]:
    """Progress: a bar on a terminal, else a line."""
    if not sys.stderr.isatty():
        log.info("%s: %d images", what, count)
        return lambda _: None
    bar = tqdm(total=count, desc=what, unit="image", dynamic_ncols=True, file=sys.stderr)

    def tick(done: int) -> None:
        bar.update(done)
        if bar.n >= count:
            bar.close()

    return tick
