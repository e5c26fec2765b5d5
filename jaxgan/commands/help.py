"""The short help of verbs that take a recipe: the options that matter, and those of the networks in use."""

import ast
import dataclasses
import inspect
import itertools
import shutil
import textwrap
import typing
from collections.abc import Iterator
from typing import Any

import tyro

from jaxgan.recipes import NAMES, Recipe, code
from jaxgan.recipes.formats import type_name
from jaxgan.recipes.recipe import PARTS
from jaxgan.recipes.table import NETWORKS
from jaxgan.system.messages import FieldError

ALL = "--help-all"
SHORT = ("-h", "--help")
# Of a recipe; those of the verb itself are all shown but for the rare ones.
_WANTED = (
    "steps", "batch_size", "seed", "seeds", "data.name", "loss", "terms", "penalty.name", "penalty.gamma",
    "g_optimizer.learning_rate", "d_optimizer.learning_rate", "augment", "eval_every", "stop_on",
)  # fmt: skip
_OF_BENCH = ("batch_size", "steps", "precision", "loss")
_RARE = {
    "accept_code", "code", "trust_run_code", "strict", "tensorboard", "distributed", "coordinator", "processes", "process",
    "compile_cache",
}  # fmt: skip


def short(command: str, kind: type, recipe: Recipe) -> str:
    """Returns the short help of a verb, as wide as the terminal.

    Args:
        command: the verb.
        kind: the dataclass of its arguments, whose first field is the recipe.
        recipe: the one that the command line names, whose values are shown as defaults.
    """
    width = min(shutil.get_terminal_size((80, 24)).columns, 100)
    about = " ".join((kind.__doc__ or "").split()).partition(". ")[0].split(": `")[0]
    names = ", ".join(NAMES)
    what = f"{names}; a file my.py or my.py:NAME; or the folder of a run, which goes on with its own recipe. By default digits."
    wanted = _WANTED if command == "train" else _OF_BENCH if command == "bench" else _WANTED[:1] + _WANTED[1:2]
    own = list(_own(kind))
    lines = [f"usage: jaxgan {command} [RECIPE] [--OPTION VALUE ..]", "", *textwrap.wrap(f"{about.rstrip('.')}.", width), ""]
    lines += _table([("RECIPE", what)], width)
    lines += ["", "options", *_table([*own, *(_option(recipe, path) for path in wanted)], width)]
    for player in ("generator", "discriminator"):
        part = getattr(recipe, player)
        named = type_name(part, player)
        others = ", ".join(name for name in NETWORKS if name != named)
        lines += ["", *textwrap.wrap(f"{player}: {named}; --{player} NAME for another: {others}, or FILE.py:NAME", width)]
        lines += _table([_option(recipe, f"{player}.{field.name}") for field in dataclasses.fields(part)], width)
    ends = f"jaxgan {command} {ALL} shows every option. An option without a value is turned off by no- before its name, as in"
    return "\n".join([*lines, "", *textwrap.wrap(f"{ends} --data.no-conditional.", width)])


def documented(kind: type) -> dict[str, str]:
    """Returns the text below each field of a dataclass, those of the classes it inherits from included."""
    found: dict[str, str] = {}
    for each in reversed(kind.__mro__):
        try:
            tree = ast.parse(textwrap.dedent(inspect.getsource(each)))
        except (OSError, TypeError, SyntaxError):  # a class without a file, such as one of a session
            continue
        body = tree.body[0].body if isinstance(tree.body[0], ast.ClassDef) else []
        for field, text in itertools.pairwise(body):
            if not isinstance(field, ast.AnnAssign) or not isinstance(field.target, ast.Name):
                continue
            if isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant) and isinstance(text.value.value, str):
                found[field.target.id] = " ".join(text.value.value.split())
    return found


def names_of(kind: type) -> dict[str, str | None]:
    """Returns the option of each field of a verb, without its leading dashes; None for a positional argument."""
    found: dict[str, str | None] = {}
    for name, hint in typing.get_type_hints(kind, include_extras=True).items():
        marks = getattr(hint, "__metadata__", ())
        other = next((each.name for each in marks if getattr(each, "name", None)), None)
        if name != "recipe":
            found[name] = None if _POSITIONAL in marks else _dashed(other or name)
    return found


_POSITIONAL = typing.get_args(tyro.conf.Positional[int])[1]


def _own(kind: type) -> Iterator[tuple[str, str]]:
    hints = typing.get_type_hints(kind, include_extras=True)
    words = documented(kind)
    words |= {name: each.help for name, hint in hints.items() for each in getattr(hint, "__metadata__", ()) if _says(each)}
    for field in dataclasses.fields(kind):
        if field.name != "recipe" and field.name not in _RARE:
            yield f"--{_dashed(field.name)}{_value(field.default)}", words.get(field.name, "")


def _says(each: Any) -> bool:
    """Returns True if an annotation of tyro's holds the text of an option that several verbs have."""
    return bool(getattr(each, "help", None))


def _option(recipe: Recipe, path: str) -> tuple[str, str]:
    *parents, name = path.split(".")
    holder: Any = recipe
    for parent in parents:
        holder = getattr(holder, parent)
    if not hasattr(holder, name):  # a part of the user's has other fields
        return "", ""
    first = documented(type(holder)).get(name, "").partition(". ")[0].removesuffix(".")
    return f"--{_dashed(path)}{_value(getattr(holder, name))}", f"{first}."


def _value(value: Any) -> str:
    """Returns a default as it stands behind its option; nothing of a switch."""
    if isinstance(value, bool):
        return ""
    if value is None or value is dataclasses.MISSING or value in ("", ()):
        return " .."
    if isinstance(value, (tuple, list)):
        return " " + " ".join(each if isinstance(each, str) else _value(each).strip() for each in value)
    if hasattr(value, "label"):
        return f" {value.label}"
    if callable(value):
        try:
            return f" {code.reference(value, '')}"
        except FieldError:
            return f" {getattr(value, '__name__', type(value).__name__)}"
    return f" {value}"


def _dashed(name: str) -> str:
    return name.replace("_", "-")


def _table(rows: list[tuple[str, str]], width: int) -> list[str]:
    lines, left = [], 34
    for option, text in rows:
        if not option:
            continue
        wrapped = textwrap.wrap(text, width - left) or [""]
        first = f"  {option}"
        if len(first) > left - 1:
            lines.append(first)
            first = ""
        lines += [f"{first:{left}}{wrapped[0]}".rstrip(), *(" " * left + line for line in wrapped[1:])]
    return lines


def options_of(kind: type, recipe: Recipe | None) -> list[str]:
    """Returns every option of a verb, those of its recipe's parts included."""
    names = [*(name for name, _ in _defaults(kind, recipe)), *(PARTS if recipe is not None else ())]
    return [f"--{_dashed(name)}" for name in names] + [*SHORT[1:], *([ALL] if recipe is not None else [])]


def switches_of(kind: type, recipe: Recipe | None) -> list[str]:
    """Returns those options that are on or off, and so have a negation."""
    return [f"--{_dashed(name)}" for name, default in _defaults(kind, recipe) if isinstance(default, bool)]


def _defaults(kind: type, recipe: Recipe | None) -> Iterator[tuple[str, Any]]:
    """Yields each option of a verb, and of its recipe's parts, with its default."""
    own = {field.name: field.default for field in dataclasses.fields(kind)}
    yield from ((name, own[field]) for field, name in names_of(kind).items() if name is not None)
    for field in dataclasses.fields(recipe) if recipe is not None else ():
        value = getattr(recipe, field.name)
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            yield from ((f"{field.name}.{each.name}", getattr(value, each.name)) for each in dataclasses.fields(value))
        else:
            yield field.name, value
