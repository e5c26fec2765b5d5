"""Statistics of real images, computed once for each data set, split, size and extractor, and kept."""

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

from jaxgan import data
from jaxgan.core.types import Dataset, PyTree
from jaxgan.data.cache import directory
from jaxgan.data.identity import fingerprint
from jaxgan.evaluation.features import cache
from jaxgan.evaluation.features.extractors import Extractor
from jaxgan.evaluation.features.statistics import Batches, Statistics, features_of, gather, joined
from jaxgan.evaluation.metrics.moments import Moments
from jaxgan.recipes import Data

_log = logging.getLogger("jaxgan")
_ORDER = 0  # seed of the order in which images are taken: the first ones are a fixed random sample
_HELD_OUT = ("test", "validation")
_CHANGED = 1  # of what is kept: a file of another number is not read

Begin = Callable[[str, int], Callable[[int], object]]  # (what, images) -> to be told of the images done


class Reference(NamedTuple):
    """What generated images are compared with, and what real images score in their place."""

    whole: Statistics  # of the split
    part: Statistics  # of a random part of it, as many as there are generated ones or half of it
    rest: Statistics  # of the others
    held_out: Statistics | None  # of another split, as many as there are generated ones or all of it
    held_out_split: str | None


def quiet(_: str, __: int) -> Callable[[int], object]:
    """No progress."""
    return lambda _: None


def held_out_split(wanted: Data) -> str | None:
    """The split that a data set keeps for tests, where it has one other than the one trained on."""
    for split in _HELD_OUT:
        if split == wanted.split:
            continue
        try:
            data.load(wanted.name, split=split, image_size=wanted.image_size, channels=wanted.channels, stream=True)
        except (ValueError, FileNotFoundError):
            continue
        return split
    return None


def reference(
    wanted: Data,
    dataset: Dataset,
    extractor: Extractor,
    *,
    n: int,
    keep: int,
    placement: tuple[NamedSharding, NamedSharding],
    begin: Begin = quiet,
) -> Reference:
    """The statistics of a data set's images, from the cache or else computed and kept.

    They are `CACHE/statistics/NAME-SPLIT-EXTRACTOR-DIGEST.safetensors`, with a checksum beside; the digest is of the data
    set's files, split, size and channels, the extractor's checksum and what it does to images first, n and `keep`. A file
    that is damaged is computed anew.

    Args:
        wanted: the data set, as a recipe has it. What mirrors or labels do in training is of no matter here.
        dataset: the same, loaded, not mirrored.
        extractor: for its images.
        n: generated images that will be compared with it.
        keep: features that are kept of each part.
        placement: how a batch, and what is the same for all, lie on the devices.
        begin: is told what begins, and returns what is told of progress.

    Returns:
        A `Reference`.

    Raises:
        ValueError: when n exceeds the data set, or a feature is not finite.
    """
    size = dataset.size
    if size is None or not 2 <= n <= size:
        raise ValueError(f"n: {n}, but it must be from 2 to the {size} images of {wanted.name}/{wanted.split}")

    def split_at(dataset: Dataset, bounds: list[int], split: str) -> list[Statistics]:
        def compute() -> list[Statistics]:
            tick = begin(f"real images of {wanted.name}/{split}", bounds[-1])
            images = _in_order(dataset, bounds[-1], extractor.batch, placement[0])
            return gather(features_of(extractor, placement=placement)(images), bounds, keep=keep, tick=tick)

        identity = _identity(wanted, dataset, split, extractor, bounds, keep)
        return _kept(_path(identity), identity, compute)

    part, rest = split_at(dataset, [min(n, size // 2), size], wanted.split)
    other = held_out_split(wanted)
    held_out = None
    if other is not None:
        found = data.load(wanted.name, split=other, image_size=wanted.image_size, channels=wanted.channels)
        (held_out,) = split_at(found, [min(n, found.size or n)], other)
    return Reference(joined(part, rest, keep=keep), part, rest, held_out, other)


def picked(dataset: Dataset, positions: np.ndarray) -> np.ndarray:
    """The images that statistics have at these positions, `[k, H, W, C]` float32 in [-1, 1]."""
    draw = dataset.batches(_ORDER, 1)
    return np.concatenate([np.asarray(draw(int(position))["image"][0]) for position in positions])


def _in_order(dataset: Dataset, count: int, batch: int, sharding: NamedSharding) -> Batches:
    """The first images of the fixed order, over the devices."""
    assert dataset.size is not None
    devices = sharding.num_devices
    batch = min(-(-batch // devices), max(dataset.size // devices, 1)) * devices
    draw = dataset.batches(_ORDER, batch, sharding)
    for step in range(-(-count // batch)):
        drawn = jax.tree.map(lambda x: x[0], draw(step))
        yield drawn["image"], np.asarray(drawn["label"]), min(batch, count - step * batch)


def _identity(
    wanted: Data,
    dataset: Dataset,
    split: str,
    extractor: Extractor,
    bounds: list[int],
    keep: int,
) -> dict[str, Any]:
    """Everything that the statistics depend on."""
    return {
        "data": wanted.name,
        "files": fingerprint(wanted.name),
        "split": split,
        "shape": list(dataset.shape),
        "size": dataset.size,
        "order": _ORDER,
        "bounds": bounds,
        "keep": keep,
        "features": extractor.name,
        "sha256": extractor.checksum,
        "resize": extractor.resize,
        "kept": _CHANGED,
    }


def _path(identity: dict[str, Any]) -> Path:
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]
    words = "-".join(re.sub(r"[^\w.]+", "_", str(identity[name]))[-60:] for name in ("data", "split", "features"))
    return directory() / "statistics" / f"{words}-{digest}.safetensors"


def _kept(path: Path, identity: dict[str, Any], compute: Callable[[], list[Statistics]]) -> list[Statistics]:
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
        _log.warning("cache: cannot write %s: %s", path, error.strerror or error)
    return found


def _to_arrays(found: Statistics) -> PyTree:
    arrays = {"mean": found.moments.mean, "scatter": found.moments.scatter, "features": found.features, "labels": found.labels}
    return arrays if found.logits is None else {**arrays, "logits": found.logits}


def _from_arrays(arrays: PyTree) -> Statistics:
    moments = Moments(len(arrays["labels"]), arrays["mean"], arrays["scatter"])
    return Statistics(moments.n, moments, arrays["features"], arrays.get("logits"), arrays["labels"])
