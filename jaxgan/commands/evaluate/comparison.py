"""Generated images against real ones: of each figure its value, its floors, and how it was obtained."""

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxgan import pictures
from jaxgan.commands.evaluate.made import Made
from jaxgan.commands.evaluate.report import Floor, Value, finite, value
from jaxgan.evaluation import quality
from jaxgan.evaluation.features.extractors import Extractor
from jaxgan.evaluation.features.references import Begin, picked
from jaxgan.evaluation.features.statistics import Batches, Rows, Statistics, features_of, gather, in_batches
from jaxgan.evaluation.metrics.memorisation import nearest
from jaxgan.evaluation.quality import FIGURES, Figures, Judge
from jaxgan.recipes import Data, Recipe
from jaxgan.training.experiment import open_data
from jaxgan.training.generate import over_devices

_SUSPECTS = 12  # generated images shown with the real ones nearest to them

Network = tuple[Extractor, Callable[[Batches], Iterator[Rows]]]  # the second is the first, compiled


class Comparison(NamedTuple):
    """Real images, what they score themselves, and what is compiled for each shape of generated ones."""

    judge: Judge
    floors: dict[str, Figures]
    networks: dict[tuple[int, ...], Network]
    weights: str | os.PathLike[str] | None


def prepare(
    wanted: Data,
    metrics: Sequence[str],
    *,
    n: int | None,
    given: Sequence[int] = (),
    extractor: str | None,
    weights: str | os.PathLike[str] | None,
    begin: Begin,
) -> Comparison:
    """Everything that does not depend on what is generated.

    Args:
        wanted: the real images.
        metrics: names of `quality.METRICS`; the usual ones when there are none.
        n: generated images; 10,000 or as many as there are when None.
        given: how many images there are in each set that is no run.
        extractor: one of `features.NAMES`; that which suits the data when None.
        weights: as for `features.extractor`.
        begin: is told what begins, and returns what is told of progress.

    Returns:
        A `Comparison`.

    Raises:
        ValueError, FileNotFoundError: when something asked for cannot be.
    """
    dataset = open_data(Recipe(data=wanted))
    least = min(given, default=None)
    if n is None and least is not None:
        n = min(least, quality.KEPT, dataset.size or least)
    elif n is not None and least is not None and n > least:
        raise ValueError(f"n: {n}, but it must be from 2 to {least}, the images given")
    protocol = quality.protocol(wanted, dataset, metrics=metrics, extractor=extractor, n=n)
    judge = quality.judge(protocol, dataset, placement=over_devices(), weights=weights, begin=begin)
    return Comparison(judge, quality.floors(judge), {}, weights)


def of_run(against: Comparison, made: Made, *, beside: Path, begin: Begin) -> tuple[dict[str, Value], tuple[str, ...]]:
    """The figures of each GAN of a run, and in words how they were obtained.

    Args:
        against: the real images.
        made: the run.
        beside: where the picture of the nearest real images goes, where `memorisation` is measured.
        begin: is told what begins, and returns what is told of progress.
    """
    judge, n = against.judge, against.judge.protocol.n
    extractor, features = _network(against, made.run.shape.sample)
    z, draw = made.latents(n), made.sampler(extractor.batch)
    labels = quality.labels(judge, made.run.recipe.data.name, made.run.shape.classes)
    found = []
    for weights in made.weights:
        tick = begin(f"images of {made.run.path.name}", n)
        found.append(_gathered(judge, features(draw(weights, jax.random.key(made.seed), z, labels)), tick))

    def images(indices: np.ndarray) -> np.ndarray:
        return made.images(made.weights[0], made.latents(n, indices), labels[indices])

    _show_nearest(judge, found[0], images, beside)
    return _values(against, found, extractor, made.how()), _words(judge, extractor)


def of_images(
    against: Comparison, images: np.ndarray, *, beside: Path, begin: Begin
) -> tuple[dict[str, Value], tuple[str, ...]]:
    """The figures of images `[N, H, W, C]`, uint8 or in [-1, 1], of any origin; the rest as `of_run`."""
    judge, n = against.judge, against.judge.protocol.n
    extractor, features = _network(against, images.shape[1:])
    batches = in_batches(images[:n], extractor.batch, judge.placement[0])
    found = _gathered(judge, features(batches), begin("images given", n))
    _show_nearest(judge, found, lambda indices: images[indices], beside)
    how = {"seed": None, "averaged": None, "truncation": None}
    return _values(against, [found], extractor, how), (f"the first {n:,} images given", *_words(judge, extractor))


def _network(against: Comparison, shape: tuple[int, ...]) -> Network:
    if shape not in against.networks:
        extractor = quality.for_images(against.judge, shape, weights=against.weights)
        against.networks[shape] = extractor, features_of(extractor, placement=against.judge.placement)
    return against.networks[shape]


def _gathered(judge: Judge, rows: Iterator[Rows], tick: Callable[[int], object]) -> Statistics:
    return gather(rows, [judge.protocol.n], keep=judge.keep, tick=tick)[0]


def _values(against: Comparison, found: Sequence[Statistics], extractor: Extractor, how: dict[str, Any]) -> dict[str, Value]:
    judge = against.judge
    scored = [quality.compare(judge, each) for each in found]
    network = {"name": extractor.name, "sha256": extractor.checksum, "size": extractor.size, "accuracy": extractor.accuracy}
    common = {
        "n": judge.protocol.n,
        "n_real": judge.reference.whole.n,
        "data": judge.protocol.data.name,
        "split": judge.protocol.data.split,
        "features": network,
        "resize": extractor.resize,
        "resize_real": judge.extractor.resize,
        **how,
    }
    values = {}
    for name, figure in scored[0].items():
        said = {**common, "definition": quality.definition(judge, name, resize=extractor.resize)}
        members, shown = [each[name].value for each in scored], FIGURES[name]
        floors = _floors(against, name)
        deviation = figure.deviation if len(scored) == 1 else None
        values[name] = value(members, floors, title=shown.title, better=shown.better, how=said, deviation=deviation)
    return values


def _floors(against: Comparison, name: str) -> list[Floor]:
    """The held-out split first, where there is one: it is as far from the real images as a perfect generator's would be."""
    reference, asked = against.judge.reference, against.judge.protocol.data
    parts = {"held_out": (reference.held_out, reference.held_out_split), "real": (reference.part, asked.split)}
    floors = []
    for kind, (part, split) in parts.items():
        if part is not None and name in against.floors[kind]:
            figure = against.floors[kind][name]
            others = "" if kind == "held_out" else " against the rest"
            words = f"{part.n:,} of {asked.name}/{split}{others}"
            floors.append(Floor(words, finite(figure.value), finite(figure.deviation), part.n))
    return floors


def _words(judge: Judge, extractor: Extractor) -> tuple[str, ...]:
    asked = judge.protocol
    right = "" if extractor.accuracy is None else f", a classifier, {100 * extractor.accuracy:.2f} % right on its test split"
    return (
        f"{asked.n:,} images against {judge.reference.whole.n:,} of {asked.data.name}/{asked.data.split}",
        f"{extractor.size:,} features {extractor.name}{right}, sha256 {extractor.checksum[:12]}; images {extractor.resize}",
    )


def _show_nearest(judge: Judge, found: Statistics, images: Callable[[np.ndarray], np.ndarray], path: Path) -> None:
    """Draws the generated images that come nearest to real ones, above these: copies are seen there, if there are any."""
    if "memorisation" not in judge.protocol.metrics:
        return
    near = nearest(found.features, judge.reference.whole.features)
    suspects = _nearest_of_each(near.distances, found.labels)[:_SUSPECTS]
    real = picked(judge.dataset, near.indices[suspects])
    generated = pictures.to_uint8(images(suspects))
    if generated.shape != real.shape:
        return  # of another size or colour: side by side they would not tell
    pictures.write(pictures.grid(np.concatenate([generated, pictures.to_uint8(real)]), columns=len(suspects)), path)


def _nearest_of_each(distances: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Images by their distance, the nearest of each class first: else a class of thin strokes would fill the picture."""
    order = np.argsort(distances, kind="stable")
    rank = np.empty(len(order), np.int64)
    for label in np.unique(labels):
        own = order[labels[order] == label]
        rank[own] = np.arange(len(own))
    return np.lexsort((distances, rank))
