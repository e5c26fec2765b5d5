"""Finding the recipe that a user names: by name, file, module or run."""

import os
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from jaxgan.recipes import code, record
from jaxgan.recipes.checks import check_parts
from jaxgan.recipes.presets import NAMES, preset
from jaxgan.recipes.recipe import Recipe
from jaxgan.system import files
from jaxgan.system.messages import FieldError, did_you_mean, kind_of, nearest_word, shown

_ABSENT = object()


class Found(NamedTuple):
    """A recipe, with the callbacks and writers that its file defines."""

    recipe: Recipe
    name: str  # of the recipe; also the run's, unless another folder is named
    run: Path | None = None  # the run that the recipe was read from
    callbacks: tuple[Any, ...] = ()
    writers: tuple[Any, ...] = ()
    changed: tuple[str, ...] = ()  # code of the run that has changed


def find(text: Any, allowed: record.Allowed | None = None) -> Found:
    """Returns the recipe that a text means: a name, `my.py`, `my.py:other`, `package.module:other`, or a run's folder.

    Args:
        text: as it stands on the command line.
        allowed: the user's permissions for a run's own code.

    Raises:
        FieldError: when it means nothing, with what was probably meant.
        FileNotFoundError: when it is a folder but no run.
        UserCodeError: when the file raises.
    """
    folder = None if allowed is None else allowed.folder
    if folder is not None and not files.home_expanded(folder, "code").exists():
        raise FieldError("code", folder, "there is no such folder or file")
    if not isinstance(text, (str, os.PathLike)):
        kinds = "it must be a jaxgan.Recipe, a name, a file my.py or my.py:NAME, or the folder of a run"
        raise FieldError("recipe", kind_of(text), kinds)
    text = os.fspath(text)
    if text in NAMES:
        return Found(preset(text), text)
    place, _, name = text.partition(":") if text.endswith(".py") or ".py:" in text else (text, "", "")
    if place.endswith(".py"):
        return _from_module(code.load_file(place), Path(place).name, name or "recipe", Path(place).stem)
    path = files.home_expanded(text, "recipe")
    if record.is_run(path):
        return _from_run(path, allowed or record.Allowed())
    if code.is_reference(text):
        module, _, name = text.partition(":")
        return _from_module(code.load_module(module), module, name, name if name != "recipe" else module.rpartition(".")[2])
    if path.is_dir():
        raise FileNotFoundError(f"recipe: {path} is a folder but not a run: it has no recipe.json{record.runs_near(path)}")
    stem = text.partition(":")[0]
    if stem and os.path.isfile(os.path.expanduser(f"{stem}.py")):  # Path.is_file would raise where .py makes a name too long
        near = nearest_word(text, NAMES)
        meant = f"{stem}.py{text[len(stem) :]}{'' if near is None else f' or {near}'}"
        raise FieldError("recipe", shown(text), f"; did you mean {meant}?", link=" is no recipe, no file and no run")
    if len(path.parts) > 1:
        raise record.no_run(path)
    meant = did_you_mean(text, NAMES)
    raise FieldError("recipe", shown(text), f"{', '.join(NAMES)}; nor a file my.py, nor a run{meant}", link=" is not one of ")


def _from_module(module: ModuleType, file: str, name: str, called: str) -> Found:
    recipe = _value_of(module, name, file)
    if recipe is _ABSENT:
        recipes = [key for key, value in vars(module).items() if isinstance(value, Recipe)]
        there = (
            f"it defines {', '.join(recipes)}: name one, {file}:{recipes[0]}" if recipes else f"add {name} = jaxgan.Recipe(..)"
        )
        raise FieldError("recipe", f"{file} defines no {name}", there, link="; ")
    if not isinstance(recipe, Recipe):
        raise FieldError("recipe", f"{name} of {file} is {kind_of(recipe)}", "it must be a jaxgan.Recipe")
    check_parts(recipe)
    called = called if name == "recipe" else f"{called}-{name}" if called != name else name
    return Found(recipe, called, None, _tuple(module, "callbacks", file), _tuple(module, "writers", file))


def _tuple(module: ModuleType, name: str, file: str) -> tuple[Any, ...]:
    found = _value_of(module, name, file)
    if found is _ABSENT:
        return ()
    if not isinstance(found, (tuple, list)):
        raise FieldError(name, f"{kind_of(found)} in {file}", "it must be a tuple or a list")
    return tuple(found)


def _value_of(module: ModuleType, name: str, file: str) -> Any:
    """Returns what a module defines, or `_ABSENT`; a module may have a `__getattr__` of its own."""
    try:
        return getattr(module, name, _ABSENT)
    except Exception as error:
        raise code.UserCodeError(file, error) from error


def _from_run(path: Path, allowed: record.Allowed) -> Found:
    recipe, loader = record.loaded(record.read(path), allowed)
    # Where a recipe has parts of its own, its file is among those that were loaded.
    own = [(module, key) for key, module in loader.found.items() if any(isinstance(v, Recipe) for v in vars(module).values())]
    callbacks, writers = (
        tuple(each for module, key in own for each in _tuple(module, name, key)) for name in ("callbacks", "writers")
    )
    return Found(recipe, path.name, path, callbacks, writers, changed=tuple(loader.changed))
