"""How good is a run: figures of its samples, each with how it was obtained and with its floor."""

import json
import logging
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxgan import build, features, recipes, runs, toy
from jaxgan.generate import drawn, generate
from jaxgan.metrics.modes import ModeCoverage, mode_coverage_floor
from jaxgan.sweep import summary

log = logging.getLogger("jaxgan")

METRICS = ("modes",)


class Value(NamedTuple):
    """A figure of a run."""

    mean: float | None  # over the GANs of the run; None where the figure of one is not finite
    standard_error: float | None  # of several
    members: tuple[float | None, ...]  # of each
    floor: float  # the mean of what as many samples of the data's own distribution score
    floor_deviation: float  # of one such sampling around that mean


class Measure(NamedTuple):
    """How the modes of one kind of data are counted."""

    judge: Callable[[np.ndarray], dict[str, float]]  # samples -> figures
    floor: Callable[[int], dict[str, tuple[float, float]]]  # n -> mean and deviation of each
    how: dict[str, Any]  # how it was obtained


def evaluate(
    path: str | Path,
    *,
    metrics: Sequence[str] = METRICS,
    n: int | None = None,
    seed: int = 0,
    batch: int = 500,
    out: str | Path | None = None,
    best: bool = False,
    strict: bool = False,
) -> tuple[Path, dict[str, Value]]:
    """Measures samples of a run's averaged generator, and writes what was found as JSON.

    Args:
        path: the run directory; of several GANs each is measured, on the same latents.
        metrics: `modes`: the modes found and the reverse Kullback-Leibler divergence of their shares, and for mixtures
            the share of high-quality samples (`toy.coverage`, `features.stacked_mnist_coverage`).
        n: samples; by default as many as PacGAN takes.
        seed: of the latents, 0 to 2^32 - 1.
        batch: samples generated at a time; it does not change them.
        out: the JSON file; `evaluation.json` in the run by default.
        best: of the checkpoint that `keep_best` keeps rather than of the last.
        strict: refuse a damaged checkpoint rather than fall back to the one before.

    Returns:
        The file, and the figures by name.

    Raises:
        ValueError, FileNotFoundError: when an argument is not allowed; nothing is written then.

    References:
        Lin et al. 2018, PacGAN, sections 4.1 and 4.2.
    """
    for name in metrics:
        if name not in METRICS:
            raise ValueError(f"metrics: {name!r} is not one of {', '.join(METRICS)}{recipes.did_you_mean(name, METRICS)}")
    if not 0 <= seed < 2**32:
        raise ValueError(f"seed: {seed}, but a seed is from 0 to {2**32 - 1}")
    if batch < 1:
        raise ValueError(f"batch: {batch}, but it must be at least 1")
    run = runs.read(path)
    step = runs.best_step(run) if best else None
    out = Path(out).expanduser().absolute() if out is not None else run.path / "evaluation.json"
    if out.suffix != ".json" or not out.parent.is_dir():
        raise ValueError(f"out: {out}, but it must be a .json file in a folder that exists")
    modes, usual = _protocol(run)
    n = usual if n is None else n
    if n < modes:
        raise ValueError(f"n: {n} samples cannot show {modes} modes; it must be at least that many")

    run, gan, every = runs.load_generators(path, step=step, strict=strict)
    measure = _mixture(run) if run.recipe.data.name in build.MIXTURES else _stacked_mnist(run)
    z, labels = drawn(run.recipe, seed, np.arange(n)), np.resize(np.arange(max(run.shape.classes, 1), dtype=np.int32), n)
    found = [measure.judge(generate(gan, weights, jax.random.key(seed), z, labels, batch=batch)) for weights in every]
    floor = measure.floor(n)
    values = {name: _value([each[name] for each in found], *floor[name]) for name in found[0]}
    how = {"n": n, "split": run.recipe.data.split, "seed": seed, "averaged": True, "truncation": None} | measure.how
    content = {
        "run": run.path.name,
        "recipe": recipes.to_dict(run.recipe),
        "step": runs.latest_step(run) if step is None else step,
        "values": {name: value._asdict() | how for name, value in values.items()},
    }
    runs.write_atomically(out, json.dumps(content, indent=2) + "\n")
    return out, values


def table(values: dict[str, Value]) -> str:
    """The figures as lines to read: value, standard error, floor."""
    count = max(len(value.members) for value in values.values())
    rows: list[tuple[str, ...]] = [
        ("figure", f"mean of {count}" if count > 1 else "value", "standard error", "floor", "its deviation")
    ]
    for name, value in values.items():
        figures = (value.mean, value.standard_error, value.floor, value.floor_deviation)
        rows.append((name, *("-" if figure is None else f"{figure:.4g}" for figure in figures)))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)


def _value(members: list[float], floor: float, deviation: float) -> Value:
    there = tuple(value if math.isfinite(value) else None for value in members)
    mean, error = (None, None) if None in there else summary(members)  # a mean without the infinite ones would flatter
    return Value(mean, error, there, floor, deviation)


def _protocol(run: runs.Run) -> tuple[int, int]:
    """The modes there are to find, and how many samples the field looks at."""
    name = run.recipe.data.name
    if name in build.MIXTURES:
        return len(build.MIXTURES[name]().centres), 2_500
    if name == "stacked_mnist":
        return features.stacked.MODES, 26_000
    known = ", ".join([*build.MIXTURES, "stacked_mnist"])
    raise ValueError(f"metrics: modes, but the modes of {name} are not known; those of {known} are")


def _mixture(run: runs.Run) -> Measure:
    density = build.MIXTURES[run.recipe.data.name]()

    def judge(points: np.ndarray) -> dict[str, float]:
        return _without_n(toy.coverage(points, density))

    def floor(n: int) -> dict[str, tuple[float, float]]:
        found = toy.coverage_floor(density, n)
        return _pairs(found.mean, found.deviation)

    return Measure(judge, floor, {"features": None, "resize": None})


def _stacked_mnist(run: runs.Run) -> Measure:
    classifier = features.classifier("mnist")
    log.info("modes told by the classifier mnist, %.2f %% right on its test set", 100 * classifier.accuracy)

    def judge(images: np.ndarray) -> dict[str, float]:
        return _without_n(features.stacked_mnist_coverage(images, classifier))

    def floor(n: int) -> dict[str, tuple[float, float]]:
        found = mode_coverage_floor(features.stacked.MODES, n, drawn=features.stacked.mode_shares())
        return _pairs(found.mean, found.deviation)

    about = {"name": "mnist", "sha256": classifier.checksum, "accuracy": classifier.accuracy}
    resize = "none: the padding of 2 pixels is cut away" if run.shape.sample[0] == 32 else None
    return Measure(judge, floor, {"features": about, "resize": resize})


def _without_n(found: toy.Coverage | ModeCoverage) -> dict[str, float]:
    return {name: value for name, value in found._asdict().items() if name != "n"}


def _pairs(mean: toy.Coverage | ModeCoverage, deviation: toy.Coverage | ModeCoverage) -> dict[str, tuple[float, float]]:
    deviations = _without_n(deviation)
    return {name: (value, deviations[name]) for name, value in _without_n(mean).items()}
