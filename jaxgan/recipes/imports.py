"""Files of modules: where each lies, and which others it imports."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from jaxgan.system import files


def is_ours(module: ModuleType) -> bool:
    return top_of(module.__name__) == "jaxgan"


def top_of(name: str) -> str:
    return name.partition(".")[0]


def file_of(module: ModuleType) -> Path | None:
    file = getattr(module, "__file__", None)
    return Path(file).resolve() if file and file.endswith(".py") and Path(file).is_file() else None


def beside(file: Path, root: Path) -> list[Path]:
    """Returns the files below `root` that a file imports, and those that these import, packages' `__init__.py` included."""
    names = {place: module.__name__ for module in list(sys.modules.values()) if isinstance(module, ModuleType)
             and (place := file_of(module)) is not None and place.is_relative_to(root) and not is_ours(module)
             and "site-packages" not in place.relative_to(root).parts}  # fmt: skip
    by_name = {name: place for place, name in names.items()}
    waiting, found = [file], [file]
    while waiting:
        place = waiting.pop()
        for name in _imports(place, names.get(place, "")):
            there = by_name.get(name)
            if there is not None and there not in found:
                found.append(there)
                waiting.append(there)
    return found[1:]


def _imports(file: Path, name: str) -> Iterator[str]:
    """Yields the names of modules that a file may import, and of the packages that hold them and itself."""
    package = name if file.name == "__init__.py" else name.rpartition(".")[0]
    yield from _and_above(package)
    for node in ast.walk(ast.parse(files.read(file))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _and_above(alias.name)
        elif isinstance(node, ast.ImportFrom):
            base = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            whole = ".".join([*base, *([node.module] if node.module else [])])
            yield from _and_above(whole)
            yield from (f"{whole}.{alias.name}" for alias in node.names)


def _and_above(name: str) -> Iterator[str]:
    while name:
        yield name
        name = name.rpartition(".")[0]
