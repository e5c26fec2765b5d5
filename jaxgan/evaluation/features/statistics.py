"""Statistics of a set of samples: moments of their features, and some of the features and samples themselves.

Samples stream through the extractor, on all devices, and their features into sums on the host, in float64.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding

from jaxgan.core.types import PyTree, Units
from jaxgan.evaluation.features.extractors import Extracted, Extractor
from jaxgan.evaluation.features.inputs import are_images, as_compared, quantised
from jaxgan.evaluation.metric import Statistics
from jaxgan.evaluation.metrics.moments import Moments, merge, moments
from jaxgan.system.messages import FieldError

_ROWS = 2_000  # features summed at a time: more is no faster

# Batches of samples on the devices, [B, ...], their labels [B], and how many of each count, from the first on.
Batches = Iterable[tuple[jax.Array, np.ndarray, int]]


class Rows(NamedTuple):
    """Features, logits and labels of consecutive samples."""

    features: np.ndarray  # [B, F] float32
    logits: np.ndarray | None  # [B, K] float32, of a classifier
    labels: np.ndarray  # [B] int32


def features_of(
    extractor: Extractor,
    *,
    placement: tuple[NamedSharding, NamedSharding] | None = None,
    units: Units | None = None,
) -> Callable[[Batches], Iterator[Rows]]:
    """Compiles an extractor into a function from batches of samples to their features.

    Args:
        extractor: for samples of that shape.
        placement: the shardings of a batch and of what is replicated, as `generate.over_devices`; none when None.
        units: of the samples, as for `inputs.as_compared`.

    Returns:
        `batches -> rows`, an iterator that is one batch behind the devices. It raises ValueError for samples that are not
        finite: as bytes they would be grey, and have a score.
    """
    params = extractor.params if placement is None else jax.device_put(extractor.params, placement[1])

    @jax.jit
    def run(params: PyTree, samples: jax.Array) -> tuple[Extracted, jax.Array]:
        broken = ~jnp.isfinite(samples.astype(jnp.float32)).all(axis=tuple(range(1, samples.ndim)))
        pictures = (units is None or units.are_bytes) and are_images(samples.shape[1:])
        given = quantised(samples) if pictures else as_compared(samples, units)
        return extractor.apply(params, given), broken

    def features(batches: Batches) -> Iterator[Rows]:
        pending: list[tuple[Extracted, jax.Array, np.ndarray, int]] = []
        for samples, labels, count in batches:
            pending.append((*run(params, samples), labels, count))
            if len(pending) > 1:
                yield _fetched(*pending.pop(0))
        for each in pending:
            yield _fetched(*each)

    return features


def statistics_of(
    features: Callable[[Batches], Iterator[Rows]],
    batches: Batches,
    n: int,
    *,
    keep: int,
    samples: int = 0,
    units: Units | None = None,
    tick: Callable[[int], object] = lambda _: None,
) -> Statistics:
    """Computes the statistics of n samples that come in batches.

    Args:
        features: as `features_of` returns.
        batches: n samples or more.
        n: number of samples.
        keep: number of features kept, of the first samples.
        samples: number of samples kept themselves.
        units: of the samples, as for `inputs.as_compared`.
        tick: called with the number of samples done, batch by batch.

    Returns:
        `Statistics`.

    Raises:
        ValueError: for samples or features that are not finite.
    """
    kept: list[np.ndarray] = []
    (found,) = gather(features(_keeping(batches, min(samples, n), kept, units)), [n], keep=keep, tick=tick)
    return found._replace(samples=np.concatenate(kept)) if samples else found


def gather(
    stream: Iterator[Rows], bounds: Sequence[int], *, keep: int, tick: Callable[[int], object] = lambda _: None
) -> list[Statistics]:
    """Computes the statistics of consecutive parts of a stream.

    Args:
        stream: as `features_of` gives it, of `bounds[-1]` samples or more.
        bounds: end of each part, ascending.
        keep: number of features kept of each part, of its first samples.
        tick: called with the number of samples done, batch by batch.

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
    """Joins the statistics of two sets, the first before the second, with `keep` features and no samples."""
    kept = _cut(_stacked([Rows(each.features, each.logits, each.labels[:0]) for each in (first, second)]), slice(keep))
    total = merge(first.moments, second.moments)
    labels = np.concatenate([first.labels, second.labels])
    return Statistics(first.n + second.n, total, kept.features, kept.logits, labels)


def in_batches(images: np.ndarray, batch: int, sharding: NamedSharding, labels: np.ndarray | None = None) -> Batches:
    """Cuts samples in memory, `[N, ...]`, into batches over the devices; the last is filled up with the first samples.

    Args:
        images: the samples.
        batch: number of samples at a time.
        sharding: of a batch.
        labels: `[N]` int32; all 0 when None.
    """
    labels = np.zeros(len(images), np.int32) if labels is None else labels
    batch = -(-batch // sharding.num_devices) * sharding.num_devices
    for start in range(0, len(images), batch):
        index = np.arange(start, start + batch) % len(images)
        yield jax.device_put(images[index], sharding), labels[index], min(batch, len(images) - start)


def _keeping(batches: Batches, count: int, kept: list[np.ndarray], units: Units | None) -> Batches:
    """Hands batches on, and appends their samples to `kept` until `count` are there."""
    for samples, labels, counted in batches:
        missing = count - sum(map(len, kept))
        if missing > 0:
            kept.append(np.asarray(as_compared(samples, units))[: min(counted, missing)])
        yield samples, labels, counted


def _fetched(extracted: Extracted, broken: jax.Array, labels: np.ndarray, count: int) -> Rows:
    if (wrong := int(np.asarray(broken)[:count].sum())) > 0:
        raise FieldError("images", f"{wrong} of a batch of {count} hold values that are not finite", "they must be")
    features, logits = jax.device_get(extracted)
    return _cut(Rows(features, logits, np.asarray(labels)), slice(count))


def _chunks(stream: Iterator[Rows], bounds: Sequence[int], tick: Callable[[int], object]) -> Iterator[Rows]:
    """Cuts a stream into pieces of about `_ROWS`, none of which crosses a bound; rows beyond the last bound are left."""
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
