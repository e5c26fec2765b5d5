"""Loads the code of a run or a file of weights, as far as its user allows."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from jaxgan.recipes import code, imports
from jaxgan.recipes.code import Origin
from jaxgan.system import files
from jaxgan.system.messages import FieldError


@dataclass
class Loader:
    """Loads the code that a run or a file of weights says it was made with, as far as its user allows.

    A key is a file's name or a module's. It is looked for in `folder`; then among what this process has loaded already; then
    where the run found it, if the user named that file on this machine before; and, only when trusted, in the run's copy.
    """

    recorded: Mapping[str, Origin] = field(default_factory=dict)
    copies: Path | None = None
    folder: Path | None = None
    trust: bool = False
    changed: list[str] = field(default_factory=list)  # keys whose code is another than the recorded one
    found: dict[str, ModuleType] = field(default_factory=dict)  # modules that were loaded

    def value(self, text: str, field_: str) -> Any:
        """Returns what a reference of the run stands for.

        Raises:
            FieldError: when its code is not at hand or may not be executed, with the remedy.
            UserCodeError: when its code raises.
        """
        key, _, name = text.rpartition(":")
        if code.is_elsewhere(key) and key not in self.recorded:
            return _value_of_others(text, field_)
        if key not in self.recorded:
            raise FieldError(field_, text, "the run does not record this code, so it is not imported")
        if key not in self.found:
            self.found[key] = self._module(key, field_)
        return code.attribute(self.found[key], name, text, field_)

    def _module(self, key: str, field_: str) -> ModuleType:
        origin = self.recorded[key]
        loaded = code.loaded_module(key, origin)
        place = self._place(key, origin, loaded is not None)
        if place is None and loaded is None:
            raise FieldError(field_, key, self._remedy(key, origin), link=": ")
        self._compare(key, origin, place)
        if loaded is not None and self.folder is None:
            return loaded
        assert place is not None
        return _execute(key, place)

    def _place(self, key: str, origin: Origin, loaded: bool) -> Path | None:
        """Returns the file that the user allows to be executed, None where there is none."""
        if self.folder is not None:
            if not self.folder.exists():
                raise FieldError("code", self.folder, "there is no such file or folder")
            if self.folder.is_file() and self._stands_for(key, origin, self.folder):
                return self.folder.resolve()
            file = self.folder / code.file_name(key, origin.path)
            if file.is_file():
                return file.resolve()
        if origin.path is not None and Path(origin.path).is_file() and (loaded or origin.path in code.remembered()):
            return Path(origin.path)
        copy = None if self.copies is None else self.copies / code.file_name(key, origin.path)
        return copy.resolve() if self.trust and copy is not None and copy.is_file() else None

    def _stands_for(self, key: str, origin: Origin, file: Path) -> bool:
        """Returns whether a file is meant as the code of a key: by its name, its content, or because there is no other."""
        single = key.endswith(".py") and (len(self.recorded) == 1 or files.sha256(files.read(file)) == origin.sha256)
        return single or key in (code.MAIN, file.name)

    def _compare(self, key: str, origin: Origin, place: Path | None) -> None:
        for name, recorded in self.recorded.items():
            beside = code.root_of(key, place) / name if place is not None and name != key else place
            belongs = name == key or (origin.path is not None and recorded.path is not None and
                                      Path(recorded.path) == code.root_of(key, Path(origin.path)) / name)  # fmt: skip
            if not belongs or recorded.sha256 is None or beside is None:
                continue
            if not beside.is_file() or files.sha256(files.read(beside)) != recorded.sha256:
                self.changed += [name] if name not in self.changed else []

    def _remedy(self, key: str, origin: Origin) -> str:
        if origin.path is None:
            return (
                "it was written in a notebook, so no other process can load it; put it into a file, and name that with "
                "--code FILE.py"
            )
        gone = "its code is gone from" if not Path(origin.path).is_file() else "its code was not named on this machine yet:"
        trust = f", or --trust-run-code to execute the copy in {self.copies}" if self.copies is not None else ""
        if self.folder is not None:
            gone = f"it is not in {self.folder}, and {gone}"
        folder = "its folder" if key.endswith(".py") else f"the folder that holds {code.file_name(key, origin.path)}"
        return f"{gone} {origin.path}; name {folder} with --code DIR{trust}"


def _value_of_others(text: str, field_: str) -> Any:
    """Returns a class or function of this library or of a package in common use, from a module that is loaded already.

    Raises:
        FieldError: when there is none, or the name leads to something else.
    """
    key, _, name = text.rpartition(":")
    found = code.global_of(key, name)
    if found is None or not code.is_elsewhere(getattr(found, "__module__", None) or ""):
        raise FieldError(field_, text, "no such value is loaded, and none is imported for a run")
    return found


def _execute(key: str, place: Path) -> ModuleType:
    """Executes the code of a run: a file on its own, or a module of a package, which may import others of it."""
    if key.endswith(".py") or key == code.MAIN:
        return code.load_file(place)
    code.make_importable(code.root_of(key, place))
    module = code.load_module(key)
    if imports.file_of(module) != place:
        raise FieldError("code", key, f"it is in {place}, but another package of this name was imported: {module.__file__}")
    return module
