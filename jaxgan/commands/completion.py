"""Tab completion of the whole program: a few lines for the shell, which ask the program itself."""

import dataclasses
import typing
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from jaxgan.commands import help as of_help
from jaxgan.commands import options
from jaxgan.recipes import NAMES, record
from jaxgan.recipes.table import GENERATED, LOSSES, MIXTURES, NETWORKS, OPTIMIZERS, PENALTIES, TERMS
from jaxgan.system.messages import not_one_of

ASK = "--complete"
_BASH = """\
_jaxgan() {{
  local IFS=$'\\n'
  COMPREPLY=($(jaxgan {ask} "${{COMP_WORDS[@]:1:COMP_CWORD}}" 2>/dev/null))
  [[ ${{COMPREPLY[0]}} == */ ]] && compopt -o nospace
}}
complete -o default -F _jaxgan jaxgan"""
_SHELLS = {
    "bash": _BASH,
    "zsh": "autoload -U +X bashcompinit && bashcompinit\n" + _BASH.replace("  [[ ${{COMPREPLY[0]}} == */ ]]", "  false"),
    "fish": 'complete -c jaxgan -a "(jaxgan {ask} (commandline -opc)[2..-1] (commandline -ct) 2>/dev/null)"',
}
# Values of options that name something of ours.
_NAMED: dict[str, Iterable[str]] = {
    "--loss": LOSSES,
    "--penalty.name": PENALTIES,
    "--terms": TERMS,
    "--generator": NETWORKS,
    "--discriminator": NETWORKS,
    "--g-optimizer": OPTIMIZERS,
    "--d-optimizer": OPTIMIZERS,
    "--data.name": ("digits", "halves", *GENERATED, "mnist", "fashion_mnist", "cifar10", *MIXTURES),
}


def script(shell: str) -> str:
    """Returns what a shell evaluates so that it completes the words of `jaxgan`.

    Raises:
        FieldError: for another shell than bash, zsh and fish.
    """
    if shell not in _SHELLS:
        raise not_one_of("shell", shell, _SHELLS)
    return _SHELLS[shell].format(ask=ASK)


def candidates(words: list[str], commands: Mapping[str, type]) -> list[str]:
    """Returns the words that the last one may become; none where a file's name is meant, which the shell knows.

    Args:
        words: of the command line, the last perhaps empty.
        commands: the arguments of each verb.
    """
    *before, begun = words or [""]
    command = next((name for name in commands if before[: len(name.split())] == name.split()), None)
    if command is None:
        at = len(before)
        found = {name.split()[at] for name in commands if len(name.split()) > at and name.split()[:at] == before}
    else:
        found = set(_of_command(commands[command], before[len(command.split()) :], begun))
    return sorted(word for word in found if word.startswith(begun))


def _of_command(kind: type, before: list[str], begun: str) -> Iterable[str]:
    takes_recipe = any(field.name == "recipe" for field in dataclasses.fields(kind))
    if before and before[-1].startswith("--"):
        chosen = _choices(kind, before[-1])
        if chosen:
            return chosen
    if begun.startswith("-"):
        return of_help.options_of(kind, _recipe(before) if takes_recipe else None)
    if before and before[-1].startswith("-"):
        return ()
    if takes_recipe and not before:
        return (*NAMES, *_runs())
    alone = {field for field, name in of_help.names_of(kind).items() if name is None}
    return _runs() if {"run", "runs"} & alone else ()


def _recipe(before: list[str]) -> Any:
    """Returns the recipe whose options are completed: that named so far, digits where none can be read. No code is loaded."""
    named = [before[0]] if before and before[0] in NAMES else []
    chosen = [(before[i], before[i + 1]) for i in range(len(before) - 1) if before[i] in ("--generator", "--discriminator")]
    parts = [word for pair in chosen if pair[1] in NETWORKS for word in pair]
    return options.named([*named, *parts]).found.recipe


def _choices(kind: type, option: str) -> Iterable[str]:
    if option in _NAMED:
        return tuple(_NAMED[option])
    recipe: Any = options.named([]).found.recipe
    own = {f"--{name}": field for field, name in of_help.names_of(kind).items()}
    for holder, field in ((kind, own.get(option)), (type(recipe), option.removeprefix("--").replace("-", "_"))):
        hint = typing.get_type_hints(holder).get(field or "")
        if typing.get_origin(hint) is typing.Literal:
            return tuple(map(str, typing.get_args(hint)))
    return ()


def _runs() -> list[str]:
    """Returns the runs in the current folder and in `runs/`."""
    folders = [each for place in (Path(), Path("runs")) if place.is_dir() for each in place.iterdir()]
    return [str(each) for each in folders if each.is_dir() and record.is_run(each)]
