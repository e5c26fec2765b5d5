"""From the words of a command line to the arguments of a verb: tyro's parser, and recipes whose parts are chosen first."""

import contextlib
import dataclasses
import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import tyro

from jaxgan.recipes import Recipe, code, sources
from jaxgan.recipes.recipe import PARTS, metric_name, part
from jaxgan.recipes.record import Allowed
from jaxgan.system.messages import FieldError, did_you_mean

_TEXTS = ("loss", "augment", "eval_features")  # fields that hold a name, or a value of the user's


class Mistake(Exception):
    """Words that no verb understands; the message is one line."""


class Named(NamedTuple):
    """The recipe that a command line names, and the words that are left."""

    found: sources.Found
    words: list[str]


def parse(command: str, kind: type, words: list[str], **defaults: Any) -> Any:
    """Returns the arguments of a verb.

    Args:
        command: its name, for the help text.
        kind: the dataclass of its arguments.
        words: of the command line.
        **defaults: `default`, an instance whose values are used where no word is given.

    Raises:
        Mistake: when the words do not fit.
        SystemExit: with status 0, after `--help`.
    """
    framed, registry = io.StringIO(), tyro.constructors.ConstructorRegistry()
    registry.primitive_rule(_by_reference)
    try:
        with contextlib.redirect_stderr(framed):
            return tyro.cli(kind, args=words, prog=f"jaxgan {command}", registry=registry, **defaults)
    except SystemExit as stop:
        if stop.code:
            raise Mistake(_folded(framed.getvalue())) from stop
        raise


def named(words: list[str]) -> Named:
    """Returns the recipe that the first word names, digits by default, with the parts that options choose by name.

    Raises:
        FieldError: when a name means nothing.
        FileNotFoundError: when a folder is no run.
        UserCodeError: when a file of the user's raises.
    """
    text, words = (words[0], words[1:]) if words and not words[0].startswith("-") else ("digits", list(words))
    folder = _peek(words, "--code")
    found = sources.find(text, Allowed(None if folder is None else Path(folder), "--trust-run-code" in words))
    for player in ("generator", "discriminator"):
        if _peek(words, f"--{player}.network") is not None:
            raise FieldError(f"--{player}.network", "no such option", f"choose a network with --{player} NAME", link="; ")
    recipe = found.recipe
    for name in PARTS:
        chosen, words = _taken(words, f"--{name.replace('_', '-')}")
        if chosen is not None:
            recipe = dataclasses.replace(recipe, **{name: part(name, chosen)})
    return Named(found._replace(recipe=recipe), words) if recipe is not found.recipe else Named(found, words)


def parse_with_recipe(command: str, kind: type, recipe: Recipe, words: list[str]) -> Any:
    """Returns the arguments of a verb that takes a recipe, whose fields are options as well.

    A value of the user's stands as its reference while tyro parses, so that an option can put a name in its place.

    Args:
        command: the verb.
        kind: the dataclass of its arguments; its first field is the recipe.
        recipe: the defaults.
        words: of the command line.

    Raises:
        Mistake: when the words do not fit.
        FieldError: when a value of the user's has no name at the top level of a file.
    """
    values: dict[str, Any] = {}

    def text(field: str, value: Any) -> str:
        if isinstance(value, str):
            return value
        short = code.reference(value, field)
        values[short] = value
        return short

    texts: dict[str, Any] = {name: text(name, getattr(recipe, name)) for name in _TEXTS}
    masked = dataclasses.replace(
        recipe,
        penalty=dataclasses.replace(recipe.penalty, name=text("penalty.name", recipe.penalty.name)),
        eval_metrics=tuple(text("eval_metrics", each) for each in recipe.eval_metrics),
        **texts,
    )
    arguments = parse(command, kind, words, default=kind(masked))
    parsed = arguments.recipe
    values |= {metric_name(each): each for each in recipe.eval_metrics if not isinstance(each, str)}

    def meant(field: str, text: str) -> Any:
        return values[text] if text in values else code.named(text, field) if code.is_reference(text) else text

    penalty = dataclasses.replace(parsed.penalty, name=meant("penalty.name", parsed.penalty.name))
    back: dict[str, Any] = {name: meant(name, getattr(parsed, name)) for name in _TEXTS}
    metrics = tuple(meant("eval_metrics", each) for each in parsed.eval_metrics)
    # tyro makes records anew; what has not changed is the user's own object again.
    same: dict[str, Any] = {name: old for name in PARTS if getattr(parsed, name) == (old := getattr(recipe, name))}
    whole = dataclasses.replace(parsed, penalty=penalty, eval_metrics=metrics, **back, **same)
    return dataclasses.replace(arguments, recipe=whole)


def _by_reference(info: tyro.constructors.PrimitiveTypeInfo) -> tyro.constructors.PrimitiveConstructorSpec[Any] | None:
    """Has fields that hold functions or classes take a reference to another; tyro would call them to make a value."""
    kind: Any = info.type_origin or info.type
    of_class = isinstance(kind, type) and (issubclass(kind, type) or _makes_callables(kind))
    if not of_class and kind is not Callable:
        return None

    def text(value: Any) -> list[str]:
        with contextlib.suppress(FieldError):
            return [code.reference(value, "")]
        return [getattr(value, "__name__", type(value).__name__)]

    return tyro.constructors.PrimitiveConstructorSpec(
        nargs=1,
        metavar="FILE.py:NAME",
        instance_from_str=lambda words: _value(words[0]),
        is_instance=callable,
        str_from_instance=text,
    )


def _makes_callables(kind: type) -> bool:
    return any("__call__" in vars(each) for each in kind.__mro__) and not dataclasses.is_dataclass(kind)


def _value(text: str) -> Any:
    if not code.is_reference(text):
        raise ValueError(f"'{text}'")
    try:
        return code.named(text, "option")
    except FieldError as error:
        raise Mistake(str(error)) from error


def _peek(words: list[str], option: str) -> str | None:
    return _taken(words, option)[0]


def _taken(words: list[str], option: str) -> tuple[str | None, list[str]]:
    """Returns the value that an option is given, and the words without it."""
    for i, word in enumerate(words):
        if word == option and i + 1 < len(words):
            return words[i + 1], [*words[:i], *words[i + 2 :]]
        if word.startswith(f"{option}="):
            return word.partition("=")[2], [*words[:i], *words[i + 1 :]]
    return None, words


def _folded(framed: str) -> str:
    """Returns tyro's framed error text as one line."""
    # In a frame of box-drawing characters, or of blanks where the terminal has none: title, text, rules.
    lines = [line.strip("│╭╮╰╯─ ") for line in framed.splitlines()]
    body = [line for line in lines if line.strip("-")][1:]
    text = " ".join(body)
    if unknown := re.match(r"Unrecognized options: (\S+?),? ", text + " "):
        meant = re.search(r"Perhaps you meant:\s+(--\S+)", text)
        return f"{unknown[1]}: no such option" + (f"; did you mean {meant[1]}?" if meant else "")
    if choice := re.match(r"invalid choice '(.*?)' for argument '(.*?)'. Expected one of \((.*?)\)", text):
        allowed = re.findall(r"'([^']*)'", choice[3])
        return f"{choice[2]}: {choice[1]!r} is not one of {', '.join(allowed)}{did_you_mean(choice[1], allowed)}"
    if value := re.match(r"Error parsing (--\S+): .*'(.*?)'", text):
        takes = next((line for line in body[1:] if line.startswith(f"{value[1]} ")), value[1])
        return f"{value[1]}: {value[2]!r} is not allowed; it is {takes}"
    if missing := re.match(r"Missing from .*?: (\S+)", text):
        return f"{missing[1]}: missing, but it is required"
    if missing := re.match(r"Missing value for argument '(.*?)'", text):
        return f"{missing[1]}: a value is missing"
    return re.sub(r"\s*For full helptext.*", "", text)
