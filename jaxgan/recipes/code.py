"""Code of the user's: the files and modules that parts and values of a recipe come from.

A reference is `file.py:NAME` or `package.module:NAME`. Code is executed only when the user named it: on the command line, in
Python, or with `--code`; what was named once on this machine is remembered, so that a run's own file need not be named again.
A run or a file of weights that came from elsewhere never makes its copy of the code run, unless its user says so.
"""

import importlib
import importlib.util
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from jaxgan.recipes import imports
from jaxgan.system import files
from jaxgan.system.messages import FieldError, did_you_mean, shown

_PATTERN = re.compile(r"(?:[^:]+\.py|[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*):[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*")
_OPEN = ("folder", "npz", "tfds", "ada", "inception", "dinov2")  # names of the library that have a colon
_executed: dict[Path, ModuleType] = {}  # files executed here, by their resolved path
_referred: dict[str, ModuleType] = {}  # the module that a key was last given for: two files may have one name
MAIN = "__main__"  # of a notebook, which has no file
# Packages whose values, such as `jax.nn.gelu`, a field may hold. They are no code of the user's: only the name is recorded,
# and none is imported for a run, only looked up where it is loaded already.
_COMMON = ("jax", "jaxlib", "numpy", "flax", "optax", "equinox", "builtins", "functools", "math", "operator")


class UserCodeError(Exception):
    """An error that code of the user's raised; its own traceback is printed."""

    def __init__(self, key: str, cause: BaseException) -> None:
        """Keeps the error as its cause.

        Args:
            key: the file or module.
            cause: what it raised.
        """
        super().__init__(f"{key}: it raised {type(cause).__name__}: {cause}")
        self.cause = cause


class Origin(NamedTuple):
    """Place and sha256 of a reference's code; None for a notebook's."""

    path: str | None
    sha256: str | None


def is_reference(text: Any) -> bool:
    """Returns whether a text has the form of a reference to code of the user's."""
    return isinstance(text, str) and bool(_PATTERN.fullmatch(text)) and text.partition(":")[0] not in _OPEN


def load_file(path: str | Path) -> ModuleType:
    """Executes a Python file once for this process, as `python FILE` would but for `__name__`.

    Raises:
        FieldError: when it is not there, or is no Python file.
        UserCodeError: when it raises.
    """
    place = files.home_expanded(path, "recipe").resolve()
    if place in _executed:
        return _executed[place]
    if not place.is_file():
        raise FieldError("recipe", path, "it is a folder" if place.is_dir() else "there is no such file")
    stem = re.sub(r"\W", "_", place.stem)
    name = f"_jaxgan_{stem}_{files.sha256(str(place).encode())[:8]}"
    spec = importlib.util.spec_from_file_location(name, place)
    if spec is None or spec.loader is None:
        raise FieldError("recipe", path, "it must be a Python file, NAME.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up while they are made
    make_importable(place.parent)
    try:
        spec.loader.exec_module(module)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a sys.exit() among them
        del sys.modules[name]
        raise UserCodeError(place.name, error) from error
    _executed[place] = module
    remember(place)
    return module


def load_module(name: str) -> ModuleType:
    """Imports a module that the user named.

    Raises:
        FieldError: when there is none.
        UserCodeError: when it raises.
    """
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            raise FieldError("recipe", shown(name), "there is no such module, and no file of that name", link=": ") from error
        raise UserCodeError(name, error) from error
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise UserCodeError(name, error) from error
    if module.__file__:
        remember(Path(module.__file__).resolve())
    return module


def named(text: str, field_: str) -> Any:
    """Returns what a reference that the user wrote stands for, executing its code.

    Args:
        text: `file.py:NAME` or `module:NAME`.
        field_: what is being set, for messages.

    Raises:
        FieldError: when there is no such file, module or name.
        UserCodeError: when its code raises.
    """
    where, _, name = text.rpartition(":")
    if not where or not name:
        raise FieldError(field_, shown(text), "it must be file.py:NAME or module:NAME")
    try:
        module = load_file(where) if where.endswith(".py") else load_module(where)
    except FieldError as error:
        raise error.renamed(field_) from error
    return attribute(module, name, text, field_)


def attribute(module: ModuleType, name: str, text: str, field_: str) -> Any:
    """Returns a module's dotted name.

    Raises:
        FieldError: when it is not there.
    """
    found: Any = module
    for part in name.split("."):
        if not hasattr(found, part):
            public = [each for each in vars(module) if not each.startswith("_")]
            where = text.rpartition(":")[0]
            raise FieldError(field_, text, f"{where} has no {name}{did_you_mean(name, public)}")
        found = getattr(found, part)
    return found


def reference(value: Any, field_: str) -> str:
    """Returns the reference of a class, function or other value that stands at the top level of a file or module.

    Raises:
        FieldError: when it has no name there, as a lambda or what is made within a function.
    """
    ours = _reference_of_others(value)
    if ours is not None:
        return ours
    for module in _candidates(value):
        qualified = getattr(value, "__qualname__", None)
        if isinstance(qualified, str) and "<" not in qualified and _follow(module, qualified) is value:
            return _referring(module, qualified)
        for name, found in list(vars(module).items()):
            if found is value:
                return _referring(module, name)
    if isinstance(value, type):
        told = "a recipe records it by its name, so it must stand at the top level of a file"
        raise FieldError(field_, f"class {value.__qualname__}", told)
    told = "a recipe records it by its name: at the top level of a file give it one, `mine = ..`, and use `mine` in the recipe"
    raise FieldError(field_, f"{type(value).__name__} without a name", told)


def _referring(module: ModuleType, name: str) -> str:
    key = _key(module)
    _referred[key] = module
    return f"{key}:{name}"


def _reference_of_others(value: Any) -> str | None:
    """Returns the reference of a class or function of this library, or of a package in common use; None of any other value."""
    home, name = getattr(value, "__module__", None), getattr(value, "__qualname__", None) or getattr(value, "__name__", None)
    if not isinstance(home, str) or not isinstance(name, str) or not is_elsewhere(home):
        return None
    # The shortest public place, which outlives the private module that the value was written in.
    public = [each for each in list(sys.modules) if imports.top_of(each) == imports.top_of(home) and "._" not in each]
    places = [*sorted(public, key=lambda each: (each.count("."), each)), home]
    return next((f"{place}:{name}" for place in places if global_of(place, name) is value), None)


def global_of(module: str, name: str) -> Any:
    """Returns a name of a module that is loaded; None where there is none. Names that are made when asked for do not count."""
    return vars(sys.modules[module]).get(name) if isinstance(sys.modules.get(module), ModuleType) else None


def origins(references: Iterable[str]) -> dict[str, Origin]:
    """Returns path and sha256 of the code of references, and of the modules beside it that it imports.

    Args:
        references: as `reference` returns them, in this process.
    """
    found: dict[str, Origin] = {}
    for key in dict.fromkeys(text.rpartition(":")[0] for text in references):
        if is_elsewhere(key):
            continue
        module = _by_key(key)
        file = imports.file_of(module) if module is not None else None
        if file is None:
            found[key] = Origin(None, None)
            continue
        root = root_of(key, file)
        for place in (file, *imports.beside(file, root)):
            name = key if place == file else place.relative_to(root).as_posix()
            found[name] = Origin(str(place), files.sha256(files.read(place)))
    return found


def source_sha256(value: Any) -> str | None:
    """Returns the sha256 of the file that a function or other value of the user's stands in, None where there is none."""
    try:
        text = reference(value, "")
    except FieldError:
        return None
    key = text.rpartition(":")[0]
    return None if is_elsewhere(key) else origins([text])[key].sha256


def remember(place: Path) -> None:
    """Notes that the user named this file, so that runs that come from it may load it again."""
    if str(place) in remembered():
        return
    try:
        store = _store()
        store.parent.mkdir(parents=True, exist_ok=True)
        files.write_json(store, sorted({*remembered(), str(place)}))
    except OSError:  # then it has to be named again
        return


def make_importable(folder: Path) -> None:
    """Lets modules beside a file be imported: before others, unless one would then stand for a package that is needed."""
    if str(folder) in sys.path:
        return
    names = {*_COMMON, *sys.stdlib_module_names, "jaxgan"}
    found = (each for each in folder.iterdir() if each.stem in names)
    shadows = any(each.suffix == ".py" or (each / "__init__.py").is_file() for each in found)
    sys.path.insert(len(sys.path) if shadows else 0, str(folder))


def root_of(key: str, place: Path) -> Path:
    """Returns the folder that a key's file is found from: its own, or the one that holds the package."""
    if key.endswith(".py") or key == MAIN:
        return place.parent
    return place.parents[key.count(".") + (place.name == "__init__.py")]


def is_literal(value: Any) -> bool:
    """Returns whether JSON can hold a value as it is: None, a bool, a number, a text, or a tuple, list or dict of such."""
    if isinstance(value, (tuple, list)):
        return all(map(is_literal, value))
    if isinstance(value, dict):
        return all(isinstance(key, str) and is_literal(each) for key, each in value.items())
    return value is None or isinstance(value, (bool, int, float, str))


def _store() -> Path:
    return files.cache_folder() / "named-code.json"


def remembered() -> set[str]:
    try:
        content = files.read_json(_store())
    except files.Unreadable:
        return set()
    return {each for each in content if isinstance(each, str)} if isinstance(content, list) else set()


def _candidates(value: Any) -> Iterator[ModuleType]:
    """Yields the modules in which a value may stand, the likely ones first."""
    own = sys.modules.get(getattr(value, "__module__", None) or "")
    first = [own] if own is not None else []
    rest = [*_executed.values(), sys.modules.get(MAIN), *list(sys.modules.values())]
    seen: set[int] = set()
    for module in (*first, *rest):
        if isinstance(module, ModuleType) and id(module) not in seen and not imports.is_ours(module):
            seen.add(id(module))
            yield module


def is_elsewhere(key: str) -> bool:
    """Returns whether a module is this library's or of a package in common use, so that it is no code of the user's."""
    return not key.endswith(".py") and (imports.top_of(key) == "jaxgan" or imports.top_of(key) in _COMMON)


def _follow(module: ModuleType, name: str) -> Any:
    found: Any = module
    for part in name.split("."):
        found = getattr(found, part, None)
    return found


def _key(module: ModuleType) -> str:
    """Returns how a module is named in references: a single file by its name, a module of a package by its own."""
    file = imports.file_of(module)
    if file is None:
        return module.__name__
    single = file in _executed or module.__name__ == MAIN or "." not in module.__name__
    return file.name if single and file.name != "__init__.py" else module.__name__


def _by_key(key: str) -> ModuleType | None:
    if key in _referred:
        return _referred[key]
    return next((module for module in _candidates(None) if _key(module) == key), None)


def loaded_module(key: str, origin: Origin) -> ModuleType | None:
    """Returns the module of this process that has this code already."""
    if origin.path is None:
        module = sys.modules.get(key)
        return module if module is not None and imports.file_of(module) is None else None
    path = Path(origin.path)
    return next((module for module in _candidates(None) if imports.file_of(module) == path), None)


def file_name(key: str, path: str | None = None) -> str:
    """Returns the relative path of a key's code: in the folder that holds it, and among a run's copies."""
    if key.endswith(".py"):
        return key
    inner = "/__init__.py" if path is not None and Path(path).name == "__init__.py" else ".py"
    return f"{key.replace('.', '/')}{inner}"


Resolve = Callable[[str, str], Any]  # (reference, field) -> what it stands for: `named`, or a loader's `value`
