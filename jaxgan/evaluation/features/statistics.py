"""What a metric needs to know of a set of images: moments of their features, and some of the features themselves.

Images stream through the extractor, on all devices, and their features into sums on the host, in float64.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding

from jaxgan.core.types import PyTree
from jaxgan.evaluation.features.extractors import Extracted, Extractor
from jaxgan.evaluation.features.inputs import quantised
from jaxgan.evaluation.metrics.moments import Moments, merge, moments

_ROWS = 2_000  # features summed at a time: more is no faster

# Batches of images on the devices, [B, H, W, C], their labels [B], and how many of each count, from the first on.
Batches = Iterable[tuple[jax.Array, np.ndarray, int]]


class Rows(NamedTuple):
    """What is known of some images, one after the other."""

    features: np.ndarray  # [B, F] float32
    logits: np.ndarray | None  # [B, K] float32, of a classifier
    labels: np.ndarray  # [B] int32


class Statistics(NamedTuple):
    """Of n images."""

    n: int
    moments: Moments  # of the features of all
    features: np.ndarray  # [k, F] float32, of the first
    logits: np.ndarray | None  # [k, K] float32, likewise
    labels: np.ndarray  # [n] int32


def features_of(
    extractor: Extractor, *, placement: tuple[NamedSharding, NamedSharding] | None = None
) -> Callable[[Batches], Iterator[Rows]]:
    """A function from batches of images to their features, compiled once.

    Args:
        extractor: of images of that shape.
        placement: how a batch and what is the same for all lie on the devices, `generate.over_devices`; as they come when None.

    Returns:
        `batches -> rows`, an iterator that is one batch behind the devices. It raises ValueError for images that are not
        finite: as bytes they would be grey, and have a score.
    """
    params = extractor.params if placement is None else jax.device_put(extractor.params, placement[1])

    @jax.jit
    def run(params: PyTree, images: jax.Array) -> tuple[Extracted, jax.Array]:
        broken = ~jnp.isfinite(images.astype(jnp.float32)).all(axis=(1, 2, 3))
        return extractor.apply(params, quantised(images)), broken

    def features(batches: Batches) -> Iterator[Rows]:
        pending: list[tuple[Extracted, jax.Array, np.ndarray, int]] = []
        for images, labels, count in batches:
            pending.append((*run(params, images), labels, count))
            if len(pending) > 1:
                yield _fetched(*pending.pop(0))
        for each in pending:
            yield _fetched(*each)

    return features


def gather(
    stream: Iterator[Rows], bounds: Sequence[int], *, keep: int, tick: Callable[[int], object] = lambda _: None
) -> list[Statistics]:
    """The statistics of consecutive parts of a stream.

    Args:
        stream: as `features_of` gives it, of `bounds[-1]` images or more.
        bounds: where each part ends, ascending.
        keep: features kept of each part, of its first images.
        tick: is told of the images done.

    Returns:
        A `Statistics` for each part.

    Raises:
        ValueError: for features that are not finite.
    """
    chunks, parts = _chunks(stream, bounds, tick), []
    for count in np.diff([0, *bounds]):
        total: Moments | None = None
        kept: list[Rows] = []
        labels: list[np.ndarray] = []
        while sum(map(len, labels)) < count:
            rows = next(chunks)
            here = moments(rows.features)
            total = here if total is None else merge(total, here)
            # Copied: a view would hold all of the rows in memory, however few of them are kept.
            kept.append(jax.tree.map(np.copy, _cut(rows, slice(max(keep - sum(map(len, labels)), 0)))))
            labels.append(rows.labels)
        assert total is not None
        features, logits, _ = _stacked(kept)
        parts.append(Statistics(int(count), total, features, logits, np.concatenate(labels)))
    return parts


def joined(first: Statistics, second: Statistics, *, keep: int) -> Statistics:
    """The statistics of both sets together, the first before the second; of them `keep` features."""
    kept = _cut(_stacked([Rows(each.features, each.logits, each.labels[:0]) for each in (first, second)]), slice(keep))
    total = merge(first.moments, second.moments)
    labels = np.concatenate([first.labels, second.labels])
    return Statistics(first.n + second.n, total, kept.features, kept.logits, labels)


def in_batches(images: np.ndarray, batch: int, sharding: NamedSharding) -> Batches:
    """Images in memory, `[N, H, W, C]`, as batches over the devices; the last is filled up with the first images."""
    batch = -(-batch // sharding.num_devices) * sharding.num_devices
    for start in range(0, len(images), batch):
        index = np.arange(start, start + batch) % len(images)
        yield jax.device_put(images[index], sharding), np.zeros(batch, np.int32), min(batch, len(images) - start)


def _fetched(extracted: Extracted, broken: jax.Array, labels: np.ndarray, count: int) -> Rows:
    if (wrong := int(np.asarray(broken)[:count].sum())) > 0:
        raise ValueError(f"images: {wrong} of a batch of {count} hold values that are not finite")
    features, logits = jax.device_get(extracted)
    return _cut(Rows(features, logits, np.asarray(labels)), slice(count))


def _chunks(stream: Iterator[Rows], bounds: Sequence[int], tick: Callable[[int], object]) -> Iterator[Rows]:
    """The same in pieces of about `_ROWS`, none of which reaches over a bound; what lies beyond the last is left."""
    held: list[Rows] = []
    seen = count = 0  # rows before those held, and of those held
    for bound in bounds:
        while seen < bound:
            if not held or (count < _ROWS and seen + count < bound):
                held.append(next(stream))
                count += len(held[-1].labels)
                tick(min(len(held[-1].labels), max(bounds[-1] - seen - count + len(held[-1].labels), 0)))
                continue
            whole, taken = _stacked(held), min(count, bound - seen)
            yield _cut(whole, slice(taken))
            held = [_cut(whole, slice(taken, None))] if taken < count else []
            seen, count = seen + taken, count - taken


def _cut(rows: Rows, part: slice) -> Rows:
    return jax.tree.map(lambda x: x[part], rows)


def _stacked(rows: Sequence[Rows]) -> Rows:
    return jax.tree.map(lambda *x: np.concatenate(x), *rows)
