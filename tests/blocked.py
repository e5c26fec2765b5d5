"""Runs a script where only the standard library and named packages are there: `python blocked.py jax,numpy script.py ..`."""

import importlib.abc
import runpy
import sys
from collections.abc import Sequence
from importlib.machinery import BuiltinImporter, FrozenImporter, ModuleSpec, PathFinder
from types import ModuleType


class Few(importlib.abc.MetaPathFinder):
    """Finds some packages along the path, as if no other were installed."""

    def __init__(self, allowed: set[str]) -> None:
        self.allowed = allowed | set(sys.stdlib_module_names)

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        # The machine's build of Python is in a module named after it.
        known = name.partition(".")[0] in self.allowed or name.startswith("_sysconfigdata")
        return PathFinder.find_spec(name, path, target) if known else None


if __name__ == "__main__":
    sys.meta_path[:] = [BuiltinImporter, FrozenImporter, Few(set(sys.argv[1].split(",")))]
    sys.argv = sys.argv[2:]
    sys.path[0] = sys.argv[0].rpartition("/")[0]
    runpy.run_path(sys.argv[0], run_name="__main__")
