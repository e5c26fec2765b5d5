"""Directions saved under a name: files beside a run, `RUN/directions/NAME.npz`, with how they were found."""

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxgan.system import arrays, files
from jaxgan.system.messages import FieldError, did_you_mean, shown
from jaxgan.weights import generator_files

FOLDER = "directions"
_NAME = re.compile(r"[\w][\w.+-]*")


class Directions(NamedTuple):
    """Directions of a run's generator."""

    name: str
    space: str  # z or w
    vectors: np.ndarray  # [K, D] float32; a step of 1 is one standard deviation of the latents along it
    values: np.ndarray  # [K], as `about` says
    about: dict[str, Any]  # method, what the values are, step, seed, number of latents ..

    def along(self, codes: Any, number: int, steps: Any) -> np.ndarray:
        """Returns latents `[S, ...]` on the line through a latent of this space.

        Args:
            codes: one latent `[D]`, or `[L, D]` of styles, all of which move.
            number: of the direction, from 1.
            steps: `[S]`, in standard deviations.

        Raises:
            FieldError: when there is no such direction.
        """
        if not 1 <= number <= len(self.vectors):
            raise FieldError("direction", f"{self.name}:{number}", f"it has 1 to {len(self.vectors)}")
        here, way = np.asarray(codes), np.asarray(steps, np.float32)
        return here[None] + way.reshape(-1, *[1] * here.ndim) * np.broadcast_to(self.vectors[number - 1], here.shape)[None]


def folder_of(path: str | Path) -> Path:
    """Returns the folder of a generator's directions: in a run, or beside a file of weights."""
    return generator_files.beside(path, FOLDER)


def check_name(name: str) -> str:
    """Returns a name that a file can have.

    Raises:
        FieldError: when it cannot.
    """
    if not _NAME.fullmatch(name):
        raise FieldError("name", shown(name), "it must be of letters, digits, . + - and _")
    return name


def names(path: str | Path) -> list[str]:
    """Returns the names of the directions that were saved beside a run or file."""
    return sorted(each.stem for each in folder_of(path).glob("*.npz"))


def write(path: str | Path, found: Directions) -> Path:
    """Writes directions beside a run or file; returns the file."""
    folder = folder_of(path)
    folder.mkdir(exist_ok=True)
    file = folder / f"{check_name(found.name)}.npz"
    held = {"vectors": found.vectors, "values": found.values, "space": np.array(found.space)}
    arrays.write_npz(file, held | {"about": np.array(json.dumps(found.about))})
    return file


def read(path: str | Path, name: str) -> Directions:
    """Reads directions by their name.

    Args:
        path: of the run, or of the file of weights.
        name: under which they were saved.

    Raises:
        FieldError: when there are none of that name, or their file is damaged.
    """
    file = folder_of(path) / f"{name}.npz"
    known = names(path)
    if name not in known:
        there = (
            f"there are {', '.join(known)}{did_you_mean(name, known)}"
            if known
            else "there are none; jaxgan directions finds some"
        )
        raise FieldError("direction", name, there)
    try:
        held, _ = arrays.npz(file)
        about = files.parse_json(str(held["about"]))
        found = Directions(name, str(held["space"]), held["vectors"], held["values"], about)
        if found.vectors.ndim != 2 or not np.isfinite(found.vectors).all() or len(found.values) != len(found.vectors):
            raise ValueError(f"vectors of shape {list(found.vectors.shape)}")
    except (files.Unreadable, KeyError, ValueError) as error:
        raise FieldError("direction", f"{file} is damaged", files.told(error), link=": ") from error
    return found


def split(text: str) -> tuple[str, int]:
    """Returns name and number of `NAME` or `NAME:3`; the number is 1 where none is given.

    Raises:
        FieldError: when what follows the colon is no number.
    """
    name, colon, number = text.rpartition(":")
    if not colon:
        return text, 1
    if not number.isdecimal():
        raise FieldError("direction", text, "it must be NAME, or NAME:3 for the third")
    return name, int(number)
