"""The result of an inversion, and its files: a picture of the search, the latents, the figures."""

import math
import os
import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxgan import pictures
from jaxgan.core.units import Units
from jaxgan.evaluation.features.extractors import Extractor
from jaxgan.system import debris, files
from jaxgan.system.arrays import npz, write_npz
from jaxgan.system.messages import FieldError, tell

_OF_A_FILE = re.compile(r"\.[A-Za-z]{2,11}")  # endings; those of model.v1-projection and lr0.1 are none
_ABOUT = "projection.json"
_BEFORE = ("latents.npz", "way.png")  # files that are placed before projection.json
_ARRAYS = ("latents", "labels", "images", "space")  # keys of latents.npz
_MOST_ROWS = 32  # images whose way is drawn


class Projection(NamedTuple):
    """The latents of images, with what a generator makes of them."""

    names: tuple[str, ...]
    space: str  # z, w or w+
    latents: np.ndarray  # [T, ...] of that space
    labels: np.ndarray  # [T] int32, the numbers by which classes are asked for; zeros where there are none
    images: np.ndarray  # [T, ...] what the generator makes of them, in the units and dtype of the data
    rmse: np.ndarray  # [T] root mean square of the differences, as a share of the data's range
    psnr: np.ndarray  # [T] decibels, -20 log10(rmse)
    features: np.ndarray | None  # [T] Euclidean distance of features, where there are some
    way: np.ndarray  # [T, frames, ...] as networks see them: the target, the first image, some between, the last
    how: dict[str, Any]  # entries for JSON that say how they were obtained
    units: Units | None = None
    folder: Path | None = None

    def content(self) -> dict[str, Any]:
        """Returns the same for JSON."""
        return {**self.how, "images": [self._row(i) for i in range(len(self.names))]}

    def picture(self) -> Any:
        """Returns a picture of the way, a row for each image: target, first, some between, last, error."""
        return picture(self.way[:_MOST_ROWS], self.units)

    def table(self) -> str:
        """Returns the figures as a table, the sample that the generator makes worst first."""
        wide = max(5, *(len(name) for name in self.names))
        of = self.features is not None
        lines = [f"{'image':{wide}}  label  PSNR, dB    rmse{'  features' if of else ''}"]
        for i in np.argsort(-self.rmse, kind="stable")[:_MOST_ROWS]:
            distance = f"  {self.features[i]:8.4g}" if self.features is not None else ""
            lines.append(f"{self.names[i]:{wide}}  {self.labels[i]:5}  {self.psnr[i]:8.1f}  {self.rmse[i]:.4f}{distance}")
        more = len(self.names) - _MOST_ROWS
        return "\n".join([*lines, *([f"and {more} more in {_ABOUT}"] if more > 0 else [])])

    def _row(self, i: int) -> dict[str, Any]:
        return {
            "name": self.names[i],
            "label": int(self.labels[i]),
            "rmse": float(self.rmse[i]),
            "psnr": float(self.psnr[i]) if math.isfinite(self.psnr[i]) else None,
            "features": None if self.features is None else float(self.features[i]),
            "anomaly": float(self.rmse[i]),
        }

    def _repr_png_(self) -> bytes | None:
        """Shows a notebook the picture of the way."""
        return pictures.to_png(self.picture())


def definitions(by: Extractor | None) -> dict[str, Any]:
    """Returns what the figures mean, for JSON."""
    of = None if by is None else {"name": by.name, "sha256": by.checksum, "size": by.size}
    return {
        "features": of,
        "definition": {
            "rmse": "root mean square difference between the image and the one made from its latents, as a share of "
            "the data's range; of pictures values are cut off at its ends",
            "psnr": "-20 log10(rmse), decibels",
            "features": "Euclidean distance of their features",
            "anomaly": "the rmse: a generator makes what it was trained on, so that what it cannot make is unlike its data",
        },
    }


def picture(way: np.ndarray, units: Units | None) -> Any:
    """Draws ways `[T, frames, ...]`, a row each, and at the end how the last differs from the first, which is the target."""
    shape = way.shape[2:]
    if not pictures.are_pictures(shape, units):
        ends = np.stack([way[:, 0], way[:, -1]], axis=1)
        return pictures.view(ends.reshape(-1, *shape), units, columns=2)
    off = np.clip(way[:, -1] - way[:, 0], -2.0, 2.0) / 2.0  # grey where nothing differs
    rows = np.concatenate([way, off[:, None]], axis=1)
    between = [""] * (way.shape[1] - 3)
    return pictures.grid(
        rows.reshape(-1, *shape), columns=rows.shape[1], headings=["target", "first", *between, "last", "error"]
    )


def checked(out: str | Path) -> Path:
    """Returns the folder to write into.

    Raises:
        FieldError, FileNotFoundError: when it cannot be one, or holds what `project` did not write.
    """
    folder = files.home_expanded(out, "out").absolute()
    there = os.path.lexists(folder)  # a link that leads nowhere is there too
    if not folder.is_dir() and (there or _OF_A_FILE.fullmatch(folder.suffix)):
        raise FieldError("out", out, "it must be a folder")
    if not folder.parent.is_dir():
        raise FileNotFoundError(f"out: the folder {folder.parent} does not exist")
    files.check_writable("out", folder)
    _check_own(folder)
    return folder


def _check_own(folder: Path) -> None:
    """Refuses a folder with files that `project` did not write, and might overwrite.

    A folder of its own has `projection.json`, or the files of a search that ended while it placed them.
    """
    there = [each.name for each in debris.others(folder)] if folder.is_dir() else []
    blocked = [name for name in (*_BEFORE, _ABOUT) if (folder / name).is_dir()]
    if blocked:
        raise FieldError("out", folder, f"it holds a folder {blocked[0]}, where a file must be written")
    if not there or (set(there) <= set(_BEFORE) and _holds_latents(folder / _BEFORE[0])):
        return
    try:
        content = files.read_json(folder / _ABOUT)
    except ValueError:  # missing, or damaged
        content = None
    if not isinstance(content, dict) or not {"space", "restarts", "definition", "images"} <= content.keys():
        raise FieldError(
            "out", folder, f"it holds files and no {_ABOUT} of project's; it must be new, empty, or a folder of project's"
        )


def _holds_latents(file: Path) -> bool:
    try:
        return set(npz(file, ())[1]) == set(_ARRAYS)
    except ValueError:  # missing, or no such file
        return False


def write(made: Projection, folder: Path) -> None:
    """Writes `latents.npz`, `way.png` and `projection.json`.

    All are written elsewhere first, so that an early failure leaves the folder as it was. A new folder gets all of them at
    once. In an existing folder an earlier `projection.json` is removed first and the new one placed last, so that with one
    there all files are of one search.

    Raises:
        FieldError: when somebody wrote to the folder meanwhile.
    """
    _check_own(folder)
    there = folder.is_dir()  # perhaps a disk of its own, which cannot be replaced, nor filled from beside it
    with files.scratch(folder if there else folder.parent) as room:
        whole = room / folder.name
        whole.mkdir()
        _write_into(whole, made)
        if not there:
            files.place(whole, folder)
            return
        if (folder / _ABOUT).is_file():
            tell(f"{folder}: what an earlier search left there is replaced; --out names another folder")
        (folder / _ABOUT).unlink(missing_ok=True)
        for name in (*_BEFORE, _ABOUT):
            files.place(whole / name, folder / name)


def _write_into(folder: Path, made: Projection) -> None:
    pictures.write(made.picture(), folder / _BEFORE[1])
    arrays = (made.latents, made.labels, made.images, np.array(made.space))
    write_npz(folder / _BEFORE[0], dict(zip(_ARRAYS, arrays, strict=True)))
    files.write_json(folder / _ABOUT, made.content())
