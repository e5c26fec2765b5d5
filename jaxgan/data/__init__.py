"""Named sources of samples, each a `Dataset` whose batches are a pure function of (seed, step)."""

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jaxgan.core.types import Dataset
from jaxgan.data import generated
from jaxgan.data.conditions import with_condition, without_condition
from jaxgan.data.measure import checked_form
from jaxgan.data.source import Source
from jaxgan.system.files import home_expanded
from jaxgan.system.messages import FieldError, did_you_mean, kind_of, shown

__all__ = [
    "NAMES",
    "arrays",
    "as_dataset",
    "from_array",
    "from_source",
    "load",
    "prepare",
    "with_condition",
    "without_condition",
]

_SHORTHANDS = ("mnist", "fashion_mnist", "cifar10")
NAMES = ("digits", "halves", *generated.NAMES, *_SHORTHANDS, "stacked_mnist", "tfds:NAME", "folder:PATH", "npz:PATH")
_RESIDENT = 2**30  # bytes up to which a set lives on the device
_Path = str | os.PathLike[str]


def load(
    name: str,
    *,
    split: str = "train",
    image_size: int | None = None,
    channels: int | None = None,
    fit: str = "crop",
    dimensions: int | None = None,
    value_range: Sequence[float] = (),
    measure: str = "auto",
    unit: str = "",
    data_dir: _Path | None = None,
    cache_dir: _Path | None = None,
    stream: bool | None = None,
) -> Dataset:
    """The data set of that name, ready to draw from.

    Its `batches(seed, batch_size, sharding=None)` returns `draw(step, steps=1)`, which gives
    `{"image": [steps, batch_size, ...] float32 in [-1, 1], "label": [steps, batch_size] int32}`: positions
    `step * batch_size` to `(step + steps) * batch_size` of the endless sequence of the epochs' permutations
    (`source.rows`). `sharding` says how a batch `[batch_size, ...]` lies on the devices. A set on the device and the
    same set streamed yield the same batches.

    Args:
        name: `digits` (scikit-learn's), `halves` (those, each with its left half as condition), `signals`, `fields`, `volumes`,
            `table` (see `generated`), `mnist`, `fashion_mnist`, `cifar10`, `tfds:NAME`, `stacked_mnist`, `folder:PATH` (see
            `folder.source`), `npz:PATH` or a path that ends in .npz (see `array.npz`).
        split: `train` or another that the set has; TFDS sets take slices, `train[:10%]`.
        image_size: side in pixels to fit to (`fit.picture`; outside folders 28 to 32 is padded); its own when None.
        channels: 1, 3 or 4 to convert to; the set's own when None.
        fit: the way in which a picture that is no square becomes one: `crop`, `letterbox` or `squeeze`.
        dimensions: of space, 0 to 3, of an .npz; by its rank when None, see `measure.as_samples`.
        value_range: values that become -1 and 1, LOW HIGH for all channels or such a pair for each.
        measure: the way in which a range that is not given is found, see `measure.units_of`: `auto`, `minmax`,
            `percentiles` (0.1 and 99.9 % of each channel) or `none`, which leaves the numbers as they are.
        unit: of the values as people write it, `K` or `m/s`, which stands on axes and bars.
        data_dir: of TFDS sets; TFDS_DATA_DIR or ~/tensorflow_datasets when None.
        cache_dir: of decoded arrays; JAXGAN_CACHE or ~/.cache/jaxgan when None.
        stream: read batches when they are needed instead of keeping all samples on the device; above 1 GiB when None.

    Returns:
        A `Dataset`.

    Raises:
        FileNotFoundError: when the set is not there, with the command that prepares it.
        ValueError: one line with the field, its value and what is allowed.
    """
    form = checked_form(dimensions, value_range, measure, unit)
    found = _open(name, split, image_size, channels, fit, dimensions, data_dir, cache_dir)
    large = found.size * math.prod(found.shape) * (1 if found.dtype == "uint8" else 4) > _RESIDENT
    if large if stream is None else stream:
        from jaxgan.data import stream as streaming

        return streaming.dataset(found, form)
    from jaxgan.data import resident

    return resident.dataset(found, form)


def arrays(
    name: str,
    *,
    split: str = "train",
    image_size: int | None = None,
    channels: int | None = None,
    fit: str = "crop",
    dimensions: int | None = None,
    data_dir: _Path | None = None,
    cache_dir: _Path | None = None,
) -> tuple[Any, Any, tuple[str, ...]]:
    """All samples of a small set, in the set's own order, units and dtype.

    Args:
        name: and the rest as for `load`.

    Returns:
        samples `[N, ..., C]`, of pictures `[N, H, W, C]` uint8; labels `[N]` int32; class names.

    Raises:
        FileNotFoundError: as `load`.
        ValueError: as `load`.
    """
    from jaxgan.data import facts

    checked_form(dimensions)
    found = _open(name, split, image_size, channels, fit, dimensions, data_dir, cache_dir)
    images, labels = found.everything()
    return images, *facts.present(labels, found.class_names)


def from_array(
    images: Any,
    labels: Any = None,
    *,
    condition: Any = None,
    name: str = "array",
    class_names: tuple[str, ...] = (),
    dimensions: int | None = None,
    value_range: Sequence[float] = (),
    measure: str = "auto",
    unit: str = "",
) -> Dataset:
    """A data set of samples in memory.

    Args:
        images: `[N, F]`, `[N, T, C]`, `[N, H, W, C]` or `[N, D, H, W, C]`, any real numbers in any unit; also
            `[N, H, W]`. Three axes are `[N, H, W]` unless `dimensions` says 1.
        labels: `[N]` integers from 0; None for samples without classes. Classes that do not occur are left out.
        condition: what each sample is to be made for: an array `[N, ...]`, or a dict of such, see `with_condition`.
        name: for messages.
        class_names: one for each class; their numbers when empty.
        dimensions: of space, 0 to 3; by the rank when None, see `measure.as_samples`.
        value_range: as for `load`.
        measure: as for `load`.
        unit: as for `load`.

    Returns:
        A `Dataset` as `load` gives.

    Raises:
        ValueError: one line with what is wrong.
    """
    from jaxgan.data import array, resident

    form = checked_form(dimensions, value_range, measure, unit)
    found = array.source(images, labels, class_names, condition=condition, name=name, dimensions=dimensions)
    return resident.dataset(found, form)


def as_dataset(value: Any, *, name: str = "source") -> Dataset:
    """Makes a data set of what a user has: a `Dataset`, arrays, or any source that is read by number.

    Args:
        value: a `Dataset` as it is; samples `[N, ...]`, `(samples, labels)` or a dict with `image` and, where there are any,
            `label` and `condition`, as for `from_array`; or a source with
            `len(source)` and `source[i]`, such as a `grain.MapDataset`, as for `from_source`.
        name: for messages.

    Returns:
        A `Dataset` as `load` gives.

    Raises:
        FieldError: when it is none of these, or its samples do not fit.
    """
    if isinstance(value, Dataset):
        return value
    try:
        if isinstance(value, tuple) and len(value) == 2:
            return from_array(*value, name=name)
        if isinstance(value, dict) and "image" in value and set(value) <= {"image", "label", "condition"}:
            return from_array(value["image"], value.get("label"), condition=value.get("condition"), name=name)
        if hasattr(value, "__array__"):
            return from_array(value, name=name)
        if hasattr(value, "__len__") and hasattr(value, "__getitem__") and not isinstance(value, (str, bytes, dict, list)):
            return from_source(value, name=name)
    except FieldError as error:
        raise (error if error.field == "data" else error.within("data")) from error
    kind = f"{name} is {kind_of(value)}"
    raise FieldError(
        "data",
        kind,
        "it must be a Dataset, arrays [N, ...], (samples, labels), a dict with image, or a source read by number",
    )


def from_source(
    source: Any,
    *,
    name: str = "source",
    class_names: tuple[str, ...] = (),
    dimensions: int | None = None,
    value_range: Sequence[float] = (),
    measure: str = "auto",
    unit: str = "",
) -> Dataset:
    """A data set of samples that are read one by one when they are needed.

    Args:
        source: has `len(source)` and `source[i]`, such as a `grain.MapDataset`; an element is a sample, `(sample, label)`, or
            a dict with the keys `image` (or `x`) and, where there are any, `label` (or `y`) and `condition`.
        name: for messages.
        class_names: one for each class; the labels that occur when empty, for which all are read once.
        dimensions: as for `from_array`.
        value_range: as for `load`; where it is not given and must be measured, all samples are read once.
        measure: as for `load`, but for percentiles.
        unit: as for `load`.

    Returns:
        A `Dataset` as `load` gives.

    Raises:
        FieldError: when an element is nothing of the kind.
    """
    from jaxgan.data import by_number, stream

    form = checked_form(dimensions, value_range, measure, unit)
    return stream.dataset(by_number.source(source, name, class_names, dimensions), form)


def prepare(name: str, *, source: _Path | None = None, data_dir: _Path | None = None) -> Path:
    """Prepares a TFDS set; see `preparation.prepare`."""
    from jaxgan.data import preparation

    return preparation.prepare(name, source=source, data_dir=data_dir)


def _open(
    name: str,
    split: str,
    image_size: int | None,
    channels: int | None,
    way: str,
    dimensions: int | None,
    data_dir: _Path | None,
    cache_dir: _Path | None,
) -> Source:
    """Returns what the name stands for."""
    from jaxgan.data import array, digits, fit, folder, halves, stacked, tfds

    fit.check(image_size, channels, way)
    kind, _, rest = name.partition(":")
    if (kind == "npz" and rest) or (name.endswith(".npz") and kind not in ("folder", "tfds")):
        _only_train(name, split)
        return array.npz(name.removeprefix("npz:"), image_size, channels, dimensions, way)
    if name in generated.NAMES:
        for field, value in (("image_size", image_size), ("channels", channels), ("dimensions", dimensions)):
            if value is not None:
                raise FieldError(field, value, f"the samples of {name} have a shape of their own")
        return generated.source(name, split)
    if dimensions not in (None, 2):
        raise FieldError("dimensions", dimensions, f"{name} holds pictures, which have 2")
    if kind == "folder" and rest:
        _only_train(name, split)
        return folder.source(rest, image_size=image_size, channels=channels, way=way)
    if name == "digits":
        data_dir = digits.folder(cache_dir)
    elif name == "stacked_mnist":
        stacked.sizes(split)
        if channels not in (None, 3):
            raise FieldError("channels", channels, "stacked_mnist has 3")
        ones = tfds.source("mnist", split=split, image_size=image_size, channels=None, data_dir=data_dir, cache_dir=cache_dir)
        return stacked.source(ones.everything(), split)
    elif name == "halves":
        halves.check(split)
        whole: dict[str, Any] = {"data_dir": digits.folder(cache_dir), "cache_dir": cache_dir}
        all_of = tfds.source("digits", split="train", image_size=image_size, channels=channels, way=way, **whole)
        return halves.source(all_of.everything(), all_of.class_names, split)
    elif name not in _SHORTHANDS and not (kind == "tfds" and rest):
        raise FieldError("name", shown(name), f"{', '.join(NAMES)}{_nearest(name)}", link=" is not one of ")
    plain, fitted = name.removeprefix("tfds:"), dict[str, Any](image_size=image_size, channels=channels, way=way)
    found = tfds.source(plain, split=split, data_dir=data_dir, cache_dir=cache_dir, **fitted)
    return found._replace(name=name)


def _only_train(name: str, split: str) -> None:
    if split != "train":
        raise FieldError("split", shown(split), f"{name} has train only")


def _nearest(name: str) -> str:
    import tensorflow_datasets

    if name and home_expanded(name).is_dir():
        return f"; did you mean {f'folder:{name}'!r}?"
    builders = tensorflow_datasets.list_builders(with_community_datasets=False)
    if name in builders:
        return f"; did you mean {f'tfds:{name}'!r}?"
    return did_you_mean(name, ["digits", "halves", *generated.NAMES, *_SHORTHANDS, "stacked_mnist"])
