"""Statistics of real samples, computed once for each data set, split, size and extractor, and kept on disk."""

import functools
import hashlib
import json
import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import NamedSharding

from jaxgan.core.types import Dataset, PyTree, Units
from jaxgan.core.units import as_json
from jaxgan.data.cache import directory
from jaxgan.evaluation.features import cache
from jaxgan.evaluation.features.extractors import Extractor
from jaxgan.evaluation.features.inputs import as_compared
from jaxgan.evaluation.features.real import Real
from jaxgan.evaluation.features.statistics import Batches, features_of, gather, joined
from jaxgan.evaluation.metric import Statistics
from jaxgan.evaluation.metrics.moments import Moments
from jaxgan.system import files
from jaxgan.system.messages import FieldError

_log = logging.getLogger("jaxgan")
_ORDER = 0  # seed of the order in which samples are taken: the first ones are a fixed random choice
_CHANGED = 1  # of what is kept: a file of another number is not read

Begin = Callable[[str, int], Callable[[int], object]]  # (what, samples) -> to be called with the samples done
Placement = tuple[NamedSharding, NamedSharding]  # of a batch, and of what is replicated


class Reference(NamedTuple):
    """The statistics that generated samples are compared with, and those of real samples in their place."""

    whole: Statistics  # of the split
    part: Statistics  # of a random part of it, as many as there are generated ones or half of it
    rest: Statistics  # of the others
    held_out: Statistics | None  # of unseen samples, as many as there are generated ones or all of them
    held_out_split: str | None


def quiet(_: str, __: int) -> Callable[[int], object]:
    """Shows no progress."""
    return lambda _: None


def reference(
    real: Real,
    extractor: Extractor,
    *,
    n: int,
    keep: int,
    samples: int = 0,
    placement: Placement,
    begin: Begin = quiet,
) -> Reference:
    """Computes the statistics of real samples, or reads them where they are kept.

    They are kept in `CACHE/statistics/NAME-SPLIT-EXTRACTOR-DIGEST.safetensors`, with a checksum beside; the digest covers
    the data set's files, split, size and channels, the extractor's checksum and its resize, n and `keep`. A file that is
    damaged is computed anew. Samples without files are computed each time. Of a density 2 n samples are drawn: n to compare
    with and n in the place of a perfect sampler's.

    Args:
        real: the samples.
        extractor: for samples of their shape.
        n: number of generated samples that will be compared with them.
        keep: number of features that are kept of each part.
        samples: number of samples that are kept of each part.
        placement: the shardings of a batch and of what is replicated.
        begin: called with what begins and its size; returns a function to call with the samples done.

    Returns:
        A `Reference`.

    Raises:
        ValueError: when n exceeds the data set, or a feature is not finite.
    """
    size = real.dataset.size
    if n < 2 or (size is not None and n > size):
        raise FieldError("n", n, f"it must be from 2 to the {size} images of {real.name}/{real.split}")

    def split_at(dataset: Dataset, bounds: list[int], split: str) -> list[Statistics]:
        units = None if real.dataset.units is None else dataset.units

        def compute() -> list[Statistics]:
            tick = begin(f"real {real.kind} of {real.name}/{split}", bounds[-1])
            batches = _in_order(dataset, bounds[-1], extractor.batch, placement[0])
            return gather(features_of(extractor, placement=placement, units=units)(batches), bounds, keep=keep, tick=tick)

        identity = None if real.fingerprint is None else _identity(real, dataset, split, extractor, bounds, keep)
        found = compute() if identity is None else _kept(_path(identity), identity, compute)
        draw = functools.partial(_in_order, dataset, batch=extractor.batch, sharding=placement[0])
        return _with_samples(found, samples, draw, units)

    if size is None:
        part, rest, held_out = split_at(real.dataset, [n // 2, n, 2 * n], real.split)
        return Reference(_whole(part, rest, keep, samples), part, rest, held_out, real.split)
    part, rest = split_at(real.dataset, [min(n, size // 2), size], real.split)
    other = real.held_out()
    if other is None:
        return Reference(_whole(part, rest, keep, samples), part, rest, None, None)
    (held_out,) = split_at(other, [min(n, other.size or n)], other.split)
    return Reference(_whole(part, rest, keep, samples), part, rest, held_out, other.split)


def first_features(real: Real, extractor: Extractor, count: int, placement: Placement) -> np.ndarray:
    """Returns the features of the first real samples in the fixed order, `[count, F]` float32.

    Args:
        real: the samples.
        extractor: for samples of their shape.
        count: number of samples, at most as many as there are.
        placement: the shardings of a batch and of what is replicated.

    Raises:
        ValueError: for samples that are not finite.
    """
    batches = _in_order(real.dataset, count, extractor.batch, placement[0])
    rows = features_of(extractor, placement=placement, units=real.dataset.units)(batches)
    return np.concatenate([each.features for each in rows])


def picked(dataset: Dataset, positions: np.ndarray) -> np.ndarray:
    """Returns the samples that statistics have at these positions, `[k, ...]` float32."""
    draw = dataset.batches(_ORDER, 1)
    return np.concatenate([np.asarray(draw(int(position))["image"][0]) for position in positions])


def _in_order(dataset: Dataset, count: int, batch: int, sharding: NamedSharding) -> Batches:
    """Draws the first samples of the fixed order, in batches over the devices."""
    devices = sharding.num_devices
    batch = -(-batch // devices) * devices
    if dataset.size is not None:  # a batch is at most the set
        batch = min(batch, max(dataset.size // devices, 1) * devices)
    draw = dataset.batches(_ORDER, batch, sharding)
    for step in range(-(-count // batch)):
        drawn = jax.tree.map(lambda x: x[0], draw(step))
        yield drawn["image"], np.asarray(drawn["label"]), min(batch, count - step * batch)


def _with_samples(
    parts: list[Statistics], samples: int, draw: Callable[[int], Batches], units: Units | None
) -> list[Statistics]:
    """Adds the first samples of each part; they are not kept on disk, since the data set has them."""
    if not samples:
        return parts
    starts = np.cumsum([0, *(part.n for part in parts[:-1])])
    counts = [min(samples, part.n) for part in parts]
    wanted = np.concatenate([np.arange(start, start + count) for start, count in zip(starts, counts, strict=True)])
    found, position = [], 0
    for drawn, _, counted in draw(int(wanted[-1]) + 1):
        rows = wanted[(position <= wanted) & (wanted < position + counted)] - position
        position += counted
        if len(rows):
            found.append(np.asarray(as_compared(drawn, units))[rows])
    split = np.split(np.concatenate(found), np.cumsum(counts)[:-1])
    return [part._replace(samples=own) for part, own in zip(parts, split, strict=True)]


def _whole(part: Statistics, rest: Statistics, keep: int, samples: int) -> Statistics:
    found = joined(part, rest, keep=keep)
    if part.samples is None or rest.samples is None:
        return found
    return found._replace(samples=np.concatenate([part.samples, rest.samples])[:samples])


def _identity(
    real: Real,
    dataset: Dataset,
    split: str,
    extractor: Extractor,
    bounds: list[int],
    keep: int,
) -> dict[str, Any]:
    """Returns everything that the statistics depend on."""
    assert real.fingerprint is not None
    return {
        "data": real.name,
        "files": real.fingerprint(),
        "split": split,
        "shape": list(dataset.shape),
        "size": dataset.size,
        "order": _ORDER,
        "bounds": bounds,
        "keep": keep,
        "features": extractor.name,
        "sha256": extractor.digest or extractor.checksum,
        "resize": extractor.resize,
        "kept": _CHANGED,
        "units": None if dataset.units is None else as_json(dataset.units),
        "content": None if dataset.facts is None else dataset.facts().fingerprint,
    }


def _path(identity: dict[str, Any]) -> Path:
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]
    words = "-".join(re.sub(r"[^\w.]+", "_", str(identity[name]))[-60:] for name in ("data", "split", "features"))
    return directory() / "statistics" / f"{words}-{digest}.safetensors"


def _kept(path: Path, identity: dict[str, Any], compute: Callable[[], list[Statistics]]) -> list[Statistics]:
    """Reads statistics that are kept, or else computes and keeps them."""
    try:
        kept = cache.read(path)
        if kept.about == identity:
            return [_from_arrays(kept.params[str(i)]) for i in range(len(identity["bounds"]))]
    except FileNotFoundError:
        pass
    except (cache.Damaged, OSError) as error:
        _log.warning("%s; it is computed anew", error)
    found = compute()
    try:
        cache.write(path, *cache.packed({str(i): _to_arrays(each) for i, each in enumerate(found)}, identity))
    except OSError as error:  # costs time next time, not this result
        files.without_cache(path, error)
    return found


def _to_arrays(found: Statistics) -> PyTree:
    arrays = {"mean": found.moments.mean, "scatter": found.moments.scatter, "features": found.features, "labels": found.labels}
    return arrays if found.logits is None else {**arrays, "logits": found.logits}


def _from_arrays(arrays: PyTree) -> Statistics:
    moments = Moments(len(arrays["labels"]), arrays["mean"], arrays["scatter"])
    return Statistics(moments.n, moments, arrays["features"], arrays.get("logits"), arrays["labels"])
