"""The classes of pictures in a folder: by its sub-folders, or by the dataset.json of StyleGAN's dataset tool."""

import logging
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxgan.data.places import Place
from jaxgan.system import files
from jaxgan.system.messages import FieldError

_log = logging.getLogger("jaxgan")
LABELS = "dataset.json"
_SPLITS = {"train", "training", "val", "valid", "validation", "test", "testing", "eval", "evaluation", "dev", "holdout"}
_SHARD = re.compile(r"\d{5}/img\d{8}\.\w+")


class Layout(NamedTuple):
    """The pictures that are taken, and their classes."""

    names: list[str]  # files, in the order given
    labels: np.ndarray  # [N] int32
    class_names: tuple[str, ...]


def layout(place: Place, pictures: Sequence[str]) -> Layout:
    """Returns the classes of pictures.

    With a dataset.json its labels are the classes, none where it has none. Otherwise the names of the first level of
    sub-folders are; pictures beside class folders are left out with a warning that names them, and where they are more than
    half as many as those within, there are no classes. Shards of the dataset tool, 00000/img00000000.png, are none either.

    Args:
        place: that holds them.
        pictures: names of the files.

    Raises:
        ValueError: when dataset.json is damaged or does not label every picture, or the sub-folders are splits.
    """
    if LABELS in place.names and (labels := _read(place)) is not _OTHER:
        return _labelled(place, list(pictures), labels)
    inside = [name for name in pictures if "/" in name]
    loose = [name for name in pictures if "/" not in name]
    folders = sorted({name.partition("/")[0] for name in inside})
    splits = [name for name in folders if name.lower() in _SPLITS]
    if splits and (len(splits) == len(folders) or len(splits) > 1):
        found = f"{place.root} holds the splits {', '.join(splits)}, not classes"
        raise FieldError("name", f"'folder:{place.root}'", f"{found}: name one, folder:{place.root / splits[0]}")
    if not inside or all(_SHARD.fullmatch(name) for name in pictures):
        return _unlabelled(pictures)
    if 2 * len(loose) > len(inside):
        _log.warning("folder: %s: no classes: %d pictures lie beside the sub-folders%s", place.root, len(loose), listed(loose))
        return _unlabelled(pictures)
    if loose:
        _log.warning("folder: %s: left out %d beside the class folders%s", place.root, len(loose), listed(loose))
    numbers = {name: number for number, name in enumerate(folders)}
    return Layout(inside, np.array([numbers[name.partition("/")[0]] for name in inside], np.int32), tuple(folders))


def listed(names: Sequence[str], most: int = 5) -> str:
    """Returns `: a.png, b.txt and 3 more`, in one line whatever the names hold."""
    if not names:
        return ""
    shown = ", ".join(name if name.isprintable() else repr(name) for name in names[:most])
    return f": {shown}" + (f" and {len(names) - most} more" if len(names) > most else "")


_OTHER = object()  # stands for a dataset.json that is not of the dataset tool


def _read(place: Place) -> Any:
    """Returns the labels of dataset.json: None, or a list of pairs."""
    try:
        content = files.parse_json(place.read(LABELS))
    except (OSError, ValueError) as error:
        raise ValueError(f"folder: {place.root / LABELS} is damaged: {files.told(error)}") from None
    return content["labels"] if isinstance(content, dict) and "labels" in content else _OTHER


def _labelled(place: Place, pictures: list[str], labels: Any) -> Layout:
    where = place.root / LABELS
    if labels is None:
        return _unlabelled(pictures)
    pairs: list[Any] = labels if isinstance(labels, list) else [None]
    if not all(isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], str) for pair in pairs):
        raise ValueError(f"folder: {where}: its labels are not pairs of a name and a number")
    by_name = {name.replace("\\", "/"): label for name, label in pairs}
    found = [by_name.get(name) for name in pictures]
    missing = [name for name, label in zip(pictures, found, strict=True) if label is None]
    if missing:
        raise ValueError(f"folder: {where}: {len(missing)} of {len(pictures)} pictures have no label{listed(missing)}")
    if any(isinstance(label, list) for label in found):
        _log.warning("folder: %s: its labels are vectors, not classes; they are not used", where)
        return _unlabelled(pictures)
    wrong = [label for label in found if type(label) is not int or not 0 <= label < 2**20]
    if wrong:
        raise ValueError(f"folder: {where}: the label {wrong[0]!r} is no number from 0 to {2**20 - 1:,}")
    there, numbers = np.unique(np.array(found, np.int64), return_inverse=True)
    return Layout(pictures, numbers.astype(np.int32), tuple(map(str, there.tolist())))


def _unlabelled(pictures: Sequence[str]) -> Layout:
    return Layout(list(pictures), np.zeros(len(pictures), np.int32), ())
