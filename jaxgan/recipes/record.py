"""recipe.json, the record of a run, read without loading JAX or code of the user's."""

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from jaxgan.recipes import formats
from jaxgan.recipes.code import Origin
from jaxgan.recipes.loader import Loader
from jaxgan.recipes.recipe import Recipe
from jaxgan.system import environment, files
from jaxgan.system.messages import FieldError, nearest_word, one_line, shown

FILE = "recipe.json"
_MOST = 2**27  # numbers in a sample


class Allowed(NamedTuple):
    """Permissions that the user gives to a run's own code."""

    folder: Path | None = None  # where the code is looked for first; a file stands for a notebook's code
    trust: bool = False  # execute the run's copy of it
    accept: bool = False  # go on training with code that has changed


class Record(NamedTuple):
    """A run's recipe.json."""

    path: Path  # of the run
    content: dict[str, Any]  # all of it
    recipe: dict[str, Any]  # in the format of today
    sample: tuple[int, ...]  # shape of a sample
    classes: int
    class_names: tuple[str, ...]
    code: dict[str, Origin]
    changes: list[dict[str, Any]]
    counted_from: tuple[int, int]  # a step, and the images shown before it


def is_run(path: Path) -> bool:
    """Returns whether a folder is a run."""
    return (path / FILE).is_file()


def runs_near(path: Path) -> str:
    """Returns the runs that may have been meant by a path that is none, in words; empty where there are none.

    Args:
        path: looked for beside it, in it, and in the folder `runs`.
    """
    folders = dict.fromkeys(each.absolute() for each in (path, path.parent, Path("runs")))
    try:
        found = {each.name: each for folder in folders if folder.is_dir() for each in sorted(folder.iterdir()) if is_run(each)}
    except OSError:  # a folder that may not be read
        return ""
    here = {name: os.path.relpath(each) if each.is_relative_to(Path.cwd()) else str(each) for name, each in found.items()}
    meant = path.name if path.name in here else nearest_word(path.name, here)
    if meant is not None:
        return f"; did you mean {here[meant]}?"
    most = 5
    named = f"{', '.join(list(here.values())[:most])}{' and others' if len(here) > most else ''}"
    return f"; there {'is' if len(here) == 1 else 'are'} {named}" if here else ""


def no_run(path: Path) -> FileNotFoundError:
    """Returns the error of a path that is no run's, with the reason and the runs that may have been meant."""
    why = "it has no recipe.json" if path.is_dir() else "it is a file" if path.exists() else "there is no such folder"
    return FileNotFoundError(one_line(f"run: {path} is not a run: {why}{runs_near(path)}"))


def read(path: str | Path) -> Record:
    """Reads a run's recipe.json.

    Raises:
        FileNotFoundError: when there is no run.
        FieldError: when it is damaged, or of a newer format.
    """
    path = files.home_expanded(path, "run").absolute()
    file = path / FILE
    if not file.is_file():
        raise no_run(path)
    try:
        return _parsed(path, files.read_json(file))
    except files.Unreadable as error:
        raise FieldError("run", f"{file} is damaged or of another version", error.cause, link=": ") from error
    except FieldError as error:
        raise FieldError("run", f"{file} is damaged or of another version", str(error), link=": ") from error
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise FieldError("run", f"{file} is damaged or of another version", files.told(error), link=": ") from error


def _parsed(path: Path, content: dict[str, Any]) -> Record:
    version, data = content.get("format", 1), content["data"]
    environment.check(content.get("environment", {}))
    sample, classes = shape_of(data["shape"], data["classes"])
    step, images = (_count("counted_from", number, 2**63) for number in content.get("counted_from", (0, 0)))
    return Record(
        path=path,
        content=content,
        recipe=canonical(content["recipe"], version),
        sample=sample,
        classes=classes,
        class_names=tuple(map(str, data["class_names"])),
        code=code_of(content.get("code", {})),
        changes=list(content.get("changes", [])),
        counted_from=(step, images),
    )


def shape_of(sample: Any, classes: Any) -> tuple[tuple[int, ...], int]:
    """Returns the shape of a sample and the number of classes that a file tells of, before anything of that size is made.

    Raises:
        FieldError: when they are no such numbers, or beyond any data.
    """
    sides = tuple(_count("data.shape", side, 2**31) for side in sample)
    if not sides or not 0 < math.prod(sides) <= _MOST:
        raise FieldError("data.shape", shown(sides), f"a sample is (H, W, C) or (F,), of 1 to {_MOST:,} numbers")
    return sides, _count("data.classes", classes, 2**20 + 1)


def _count(field: str, number: Any, end: int) -> int:
    if type(number) is not int or not 0 <= number < end:
        raise FieldError(field, shown(number), f"it must hold whole numbers from 0 to {end - 1:,}")
    return number


def code_of(content: Any) -> dict[str, Origin]:
    """Returns the origins of code that recipe.json or a file of weights holds.

    Raises:
        FieldError: when they are of another form.
    """
    if not isinstance(content, dict) or not all(isinstance(each, dict) for each in content.values()):
        raise FieldError("code", shown(content), "it must name files, each with path and sha256")
    found = {key: Origin(each.get("path"), each.get("sha256")) for key, each in content.items()}
    for key, origin in found.items():
        if not all(each is None or isinstance(each, str) for each in origin):
            raise FieldError(f"code.{key}", shown(origin), "its path and sha256 must be texts")
    return found


def canonical(recipe: Any, version: Any) -> dict[str, Any]:
    """Returns a recipe as a dict of today's format; fields that were not there yet have their defaults.

    No code is loaded. A recipe without code of the user's is checked as well.

    Raises:
        FieldError: when the format is newer than this version reads, or the recipe is not allowed.
    """
    if version != formats.FORMAT or not list(formats.references(recipe)):
        return formats.to_dict(formats.from_dict(recipe, version=version))
    if not isinstance(recipe, dict):
        raise FieldError("recipe", shown(recipe), "it must be a set of fields")
    default = formats.to_dict(Recipe())
    data, usual = recipe.get("data"), default["data"]
    if isinstance(data, dict) and data.get("type") == usual["type"]:
        recipe = recipe | {"data": usual | data}  # fields that were not there yet
    return default | recipe


def recipe_of(record: Record, allowed: Allowed) -> tuple[Recipe, list[str]]:
    """Returns a run's recipe, with code of the user's loaded as far as allowed, and the names of code that has changed.

    Raises:
        FieldError: when code is not at hand, with the remedy.
        UserCodeError: when it raises.
    """
    recipe, loader = loaded(record, allowed)
    return recipe, loader.changed


def loaded(record: Record, allowed: Allowed) -> tuple[Recipe, Loader]:
    """Returns a run's recipe, and what loaded the code of the user's that it names.

    Raises:
        FieldError, UserCodeError: as `recipe_of`.
    """
    loader = Loader(record.code, record.path / "code", allowed.folder, allowed.trust)
    return formats.from_dict(record.recipe, resolve=loader.value), loader


def code_as_json(code: Mapping[str, Origin]) -> dict[str, Any]:
    """Returns origins as recipe.json holds them."""
    return {key: origin._asdict() for key, origin in sorted(code.items())}
