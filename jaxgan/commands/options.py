"""Parsing of a command line with tyro; a recipe's parts are chosen first, then their fields are the options."""

import contextlib
import dataclasses
import io
import itertools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import tyro
from tyro import _errors  # its parse errors as values; the text that it prints has no form to rely on

from jaxgan.commands import values
from jaxgan.commands.help import options_of, switches_of
from jaxgan.recipes import Recipe, code, record, sources
from jaxgan.recipes.recipe import PARTS, metric_name, part, term_name
from jaxgan.recipes.record import Allowed
from jaxgan.recipes.table import NETWORKS, OPTIMIZERS, at
from jaxgan.system.messages import FieldError, did_you_mean, listed, nearest_word

_TEXTS = ("loss", "augment", "eval_features")  # fields that hold a name, or a value of the user's


class Mistake(Exception):
    """A command line that cannot be parsed; the message is one line."""


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
    registry.primitive_rule(values.rule)

    def refuse(event: _errors.ParseErrorEvent) -> None:
        recipe = getattr(defaults.get("default"), "recipe", None)
        raise Mistake(_told(event, words, options_of(kind, recipe), switches_of(kind, recipe)))

    try:
        with contextlib.redirect_stderr(framed), _errors.on_parse_error(refuse):
            return tyro.cli(kind, args=words, prog=f"jaxgan {command}", registry=registry, **defaults)
    except SystemExit as stop:
        if stop.code:
            raise Mistake(" ".join(framed.getvalue().split())) from stop
        raise


def named(words: list[str]) -> Named:
    """Returns the recipe that the first word names, digits by default, with the parts that options choose by name.

    Raises:
        Mistake: when a path is empty.
        FieldError: when a name means nothing.
        FileNotFoundError: when a folder is no run.
        UserCodeError: when a file of the user's raises.
    """
    text, words = (words[0], words[1:]) if words and not words[0].startswith("-") else ("digits", list(words))
    found = sources.find(text, Allowed(path_of(words, "--code"), "--trust-run-code" in words))
    for player in ("generator", "discriminator"):
        if value_of(words, f"--{player}.network") is not None:
            raise FieldError(f"--{player}.network", "no such option", f"choose a network with --{player} NAME", link="; ")
    recipe = found.recipe
    for name in PARTS:
        chosen, words = _taken(words, f"--{name.replace('_', '-')}")
        if chosen is not None:
            recipe = dataclasses.replace(recipe, **{name: part(name, chosen)})
    return Named(found._replace(recipe=recipe), words) if recipe is not found.recipe else Named(found, words)


def parse_with_recipe(command: str, kind: type, recipe: Recipe, words: list[str]) -> Any:
    """Returns the arguments of a verb that takes a recipe, whose fields are options as well.

    While tyro parses, the reference of a user's own value stands for the value, so that an option can replace it by a name.

    Args:
        command: the verb.
        kind: the dataclass of its arguments; its first field is the recipe.
        recipe: the defaults.
        words: of the command line.

    Raises:
        Mistake: when the words do not fit.
        FieldError: when a value of the user's has no name at the top level of a file.
    """
    own: dict[str, Any] = {}

    def text(field: str, value: Any) -> str:
        if isinstance(value, str):
            return value
        short = code.reference(value, field)
        own[short] = value
        return short

    texts: dict[str, Any] = {name: text(name, getattr(recipe, name)) for name in _TEXTS}
    masked = dataclasses.replace(
        recipe,
        penalty=dataclasses.replace(recipe.penalty, name=text("penalty.name", recipe.penalty.name)),
        eval_metrics=tuple(text("eval_metrics", each) for each in recipe.eval_metrics),
        terms=tuple(map(term_name, recipe.terms)),
        **texts,
    )
    arguments = parse(command, kind, words, default=kind(masked))
    parsed = arguments.recipe
    own |= {metric_name(each): each for each in recipe.eval_metrics if not isinstance(each, str)}

    def meant(field: str, text: str) -> Any:
        return own[text] if text in own else code.named(text, field) if code.is_reference(text) else text

    penalty = dataclasses.replace(parsed.penalty, name=meant("penalty.name", parsed.penalty.name))
    back: dict[str, Any] = {name: meant(name, getattr(parsed, name)) for name in _TEXTS}
    if path_of(words, "--init-from") is None and value_of(words, "--init-from") is not None:
        back["init_from"] = ""  # `--init-from None`: from no run, whatever a file says
    metrics = tuple(meant("eval_metrics", each) for each in parsed.eval_metrics)
    named_terms = {term_name(each): each for each in recipe.terms}
    terms = tuple(named_terms[each] if each in named_terms else meant("terms", each) for each in parsed.terms)
    # tyro makes records anew; what has not changed is the user's own object again.
    same: dict[str, Any] = {name: old for name in PARTS if getattr(parsed, name) == (old := getattr(recipe, name))}
    whole = dataclasses.replace(parsed, penalty=penalty, eval_metrics=metrics, terms=terms, **back, **same)
    return dataclasses.replace(arguments, recipe=whole)


def _by_reference(info: tyro.constructors.PrimitiveTypeInfo) -> tyro.constructors.PrimitiveConstructorSpec[Any] | None:
    """Gives each field that holds a function or a class an option that takes a reference; tyro would call it for a value."""
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


def value_of(words: list[str], option: str) -> str | None:
    """Returns the value that an option is given, None where it is not."""
    return _taken(words, option)[0]


def path_of(words: list[str], option: str) -> Path | None:
    """Returns the path that an option is given, as it is read when all options are; None where it is not given.

    Raises:
        Mistake: when it is empty.
    """
    word = value_of(words, option)
    if word is None or word == "None":
        return None
    try:
        return values.path(word)
    except ValueError as error:
        raise Mistake(f"{option}: {error}") from error


def _given(words: list[str], option: str) -> str | None:
    """Returns all that an option is given, several values with spaces between."""
    first = value_of(words, option)
    if first is None or option not in words:
        return first
    after = words[words.index(option) + 2 :]
    return " ".join([first, *itertools.takewhile(lambda word: not word.startswith("--"), after)])


def _taken(words: list[str], option: str) -> tuple[str | None, list[str]]:
    """Returns the value that an option is given, and the words without it."""
    for i, word in enumerate(words):
        if word == option and i + 1 < len(words):
            return words[i + 1], [*words[:i], *words[i + 2 :]]
        if word.startswith(f"{option}="):
            return word.partition("=")[2], [*words[:i], *words[i + 1 :]]
    return None, words


# Options of other programs, and their names here.
_MEANT = {
    "--lr": "learning rates are --g-optimizer.learning-rate and --d-optimizer.learning-rate",
    "--learning-rate": "each player has its own: --g-optimizer.learning-rate, --d-optimizer.learning-rate",
    "--epochs": "training is counted in --steps",
    "--batch": "it is --batch-size",
    "--out": "the run directory is --run {}",
    "--run": "the run stands first, without an option",
    "--resume": "the same command again resumes the run where it stopped",
    "--device": "every device that JAX sees is used; JAX_PLATFORMS and CUDA_VISIBLE_DEVICES choose which it sees",
    "--gpu": "every device that JAX sees is used; JAX_PLATFORMS and CUDA_VISIBLE_DEVICES choose which it sees",
    "-n": "it is --n",
    "--penalty": "it is --penalty.name {}",
    "--gamma": "it is --penalty.gamma {}",
    "--optimizer": "each player has its own: --g-optimizer {0}, --d-optimizer {0}",
}


_NUMBERS = {"INT": "a whole number", "FLOAT": "a number"}  # by metavar


def _told(event: _errors.ParseErrorEvent, words: list[str], known: list[str], switches: list[str]) -> str:
    """Returns the message of a parse error: the option, its value, and what it takes.

    Args:
        event: of tyro's.
        words: of the command line.
        known: every option there is.
        switches: those of them that have a negation.
    """
    match event:
        case _errors.UnrecognizedArgs(tokens=[first, *_]):
            return _unknown(first, words, known, switches)
        case _errors.InvalidChoice(argument=argument, value=value, choices=choices):
            name = _name(argument)
            return f"{name}: {value!r} is not one of {', '.join(choices)}{did_you_mean(value, choices)}"
        case _errors.BadValue(argument=argument, offending_value=None):
            options = [word for word in words if word.startswith("--")]
            there = {*known, *map(_negated, switches)}
            stray = next((each for each in options if each.partition("=")[0] not in there), None)
            if stray is not None:  # tyro goes on to what is then missing
                return _unknown(stray, words, known, switches)
            return f"{_name(argument)}: a value is missing"
        case _errors.MissingArgs(missing_arguments=[first, *_]):
            name = _name(first.arg)
            return f"{name}: missing, but it is required{record.runs_near(Path()) if name.startswith('RUN') else ''}"
        case _errors.InstantiationFailure(message=message, argument=None):
            return message
        case _errors.InstantiationFailure(argument=argument) if argument is not None:
            name = _name(argument)
            given = _given(words, name)
            metavar = argument.lowered.metavar or ""
            if given is None or (not given and metavar == "PATH"):
                return f"{name}: {event.message}"
            if metavar not in _NUMBERS:
                return f"{name}: {given!r} is not allowed; write {f'{name} {metavar}'.strip()}"
            return f"{name}: {given!r} is not {_NUMBERS[metavar]}{values.meant(given, name, whole=metavar == 'INT')}"
    return f"{type(event).__name__}: the options do not fit"


def _unknown(word: str, words: list[str], known: list[str], switches: list[str]) -> str:
    """Returns the message of a word that no option takes, with what was probably meant."""
    option, _, value = word.partition("=")
    followed = [before for before, each in itertools.pairwise(words) if each == word]
    followed += [each.removesuffix(f"={word}") for each in words if each.endswith(f"={word}")]
    if not option.startswith("-"):
        switch = next((each for each in followed if each in switches), None)
        if switch is not None:
            return f"{switch}: it takes no value, and {word!r} follows; write {switch} or {_negated(switch)}"
        return f"{word}: one word too many; the recipe or run comes first and alone, then options, which begin with --"
    if option in switches:
        return f"{option}: it takes no value; write {option} or {_negated(option)}"
    if word in known:
        return f"{option}: a value is missing"
    after = (each for before, each in itertools.pairwise(words) if before == word and each[:1] not in ("", "-"))
    value = value or next(after, "..")
    meant = _MEANT.get(option, "")
    if meant and set(re.findall(r"--[a-z][\w.-]*", meant)) <= set(known):  # an option of another verb would mislead
        return f"{option}: no such option; {meant.format(value)}"
    known = [each for each in known if not each.startswith("--help")]
    return f"{option}: no such option{_of_others(option, known) or _near(option, known, switches)}"


def _near(option: str, known: list[str], switches: list[str]) -> str:
    """Returns `; did you mean ..`: the fields of the same part that begin so, if they are few, else the nearest one.

    A switch that is turned off stays turned off.
    """
    if option.startswith("--no-") and (switch := f"--{option.removeprefix('--no-')}") in switches:
        return f"; did you mean {_negated(switch)}?"
    above, dot, name = option.removeprefix("--").rpartition(".")
    part, off, name = f"--{above}{dot}", name.startswith("no-"), name.removeprefix("no-").lower()
    there = [each.removeprefix(part) for each in known if each.startswith(part)]
    fields = [each.removeprefix(part) for each in switches if each.startswith(part)] if off else there
    near = [each for each in fields if each.startswith(name) and "." not in each] if len(name) > 2 else []
    if not near and not dot:  # the part was left out
        near = [each for each in fields if each.endswith(f".{name}")]
    if not 0 < len(near) < 5:
        near = [each for each in [nearest_word(name, fields)] if each is not None]
    if near:
        return f"; did you mean {listed([_negated(part + each) if off else part + each for each in near], 'or')}?"
    return "" if there else did_you_mean(option, known).replace("'", "")


def _of_others(option: str, known: list[str]) -> str:
    """Returns the other networks or optimizers that have a field which the part in use lacks; empty where none has it.

    Args:
        option: one that the verb does not have.
        known: every option there is; a verb without a recipe has no parts.
    """
    name, _, field = option.removeprefix("--").partition(".")
    if f"--{name}" not in known:
        return ""
    player, field = name.replace("-", "_"), field.removeprefix("no-").replace("-", "_")
    if player in ("generator", "discriminator"):
        parts = {short: at(getattr(pair, player)) for short, pair in NETWORKS.items()}
    elif player in ("g_optimizer", "d_optimizer"):
        parts = {short: at(where) for short, where in OPTIMIZERS.items()}
    else:
        return ""
    having = [short for short, kind in parts.items() if field in {each.name for each in dataclasses.fields(kind)}]
    if not having:
        return ""
    return f"; {listed(having)} {'has' if len(having) == 1 else 'have'} it: --{name} {having[0]}"


def _negated(option: str) -> str:
    """Returns the option that turns a switch off: `--data.no-conditional`."""
    above, dot, name = option.removeprefix("--").rpartition(".")
    return f"--{above}{dot}no-{name}"


def _name(argument: Any) -> str:
    """Returns an argument as it is written on the command line."""
    flags = argument.lowered.name_or_flags
    return str(next((flag for flag in flags if flag.startswith("--")), argument.lowered.metavar or flags[-1]))
