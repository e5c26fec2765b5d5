"""Values as people write them on a command line: `8k` and `1e3` for whole numbers, `3,5` for two of them."""

import re
import types
import typing
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

from tyro.constructors import PrimitiveConstructorSpec, PrimitiveTypeInfo

_WORDS = {int: "INT", float: "FLOAT", str: "TEXT", Path: "PATH"}
_NUMBER = re.compile(r"([+-]?[\d_]+(?:\.\d*)?(?:[eE][+-]?\d+)?)([kKmM]?)")
_TIMES = {"": 1, "k": 1_000, "m": 1_000_000}
_UNITS = {"size": ["pixels", "px"], "memory": ["GB", "GiB"], "dpi": ["dpi"]}  # by the last word of the option
_MOST = 1e40  # no field takes a whole number that is larger


def rule(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[Any] | None:
    """Returns the way of reading a number, text or path, one or several, or None in its place; None for other types.

    Args:
        info: the type of a field, as tyro tells of it.
    """
    kinds = typing.get_args(info.type) if info.type_origin in (typing.Union, types.UnionType) else (info.type,)
    optional, kinds = type(None) in kinds, tuple(kind for kind in kinds if kind is not type(None))
    if len(kinds) != 1:
        return None
    items = typing.get_args(kinds[0])
    if typing.get_origin(kinds[0]) is tuple and len(items) == 2 and items[1] is Ellipsis:
        return _several(items[0], optional) if items[0] in _WORDS else None
    return _one(kinds[0], optional) if kinds[0] in (int, Path) or (optional and kinds[0] in _WORDS) else None


def whole_number(text: str) -> int:
    """Returns a whole number: `8000`, `8k`, `1e3`, `2M`.

    Raises:
        ValueError: for any other text.
    """
    found = _NUMBER.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text!r}")
    digits, times = found[1], _TIMES[found[2].lower()]
    if digits.lstrip("+-").replace("_", "").isdigit():
        return int(digits) * times
    if times == 1 and re.fullmatch(r"[+-]?\d{1,3}\.\d{3}", digits):  # 1.000 may stand for a thousand
        raise ValueError(f"{text!r}")
    value = float(digits) * times
    if not value.is_integer() or abs(value) > _MOST:
        raise ValueError(f"{text!r}")
    return int(value)


def meant(given: str, name: str, *, whole: bool) -> str:
    """Returns `; write 1000` for `1,000`, `1,0k` or `1000 steps`, 0.5 for `0,5`; empty where the number is not certain.

    Args:
        given: what is no number.
        name: of the option; `steps` may follow a number of --steps.
        whole: whether it takes whole numbers only.
    """
    last = re.split(r"[.-]", name)[-1]
    units = "|".join(["k", "m", last, *_UNITS.get(last, [])])
    digits = r"(?P<whole>[1-9]\d{0,2}(?:[ ,']\d{3}){1,4}|0|[1-9]\d{0,14})(?:[.,](?P<part>\d{1,15}))?"
    found = re.fullmatch(rf"(?i:{digits}(?:\s?(?P<unit>{units})|x(?P=whole))?)", given)
    if found is None or given.startswith("0x"):
        return ""
    times = _TIMES.get((found["unit"] or "").lower(), 1)
    if times > 1 and (not whole or re.search(r"[ ,']\d{3}", found["whole"])):  # milli; or 2,500k for 2.5 million or 2,500
        return ""
    if whole and found["part"] and times == 1:  # 2.9 may stand for 2, 3 or 2,900
        return ""
    if not whole and re.fullmatch(r"[1-9]\d{0,2},\d{3}\D*", given):  # a decimal comma, or one between thousands
        return ""
    number = Decimal(f"{re.sub('[^0-9]', '', found['whole'])}.{found['part'] or 0}") * times
    if number == 0 or (whole and number != int(number)):
        return ""
    return f"; write {int(number) if number == int(number) else format(number.normalize(), 'f')}"


def path(text: str) -> Path:
    """Returns a path.

    Raises:
        ValueError: for an empty text, as of a variable that is not set; pathlib would take it for the current folder.
    """
    if not text:
        raise ValueError("'' is not allowed; name a file or folder")
    return Path(text)


def _reader(kind: Any) -> Callable[[str], Any]:
    readers: dict[Any, Callable[[str], Any]] = {int: whole_number, Path: path}
    return readers.get(kind, kind)


def _is_none(word: str, kind: Any) -> bool:
    """Returns whether a word stands for None: in any letters where a number is asked for, whose word it cannot be."""
    return word == "None" or (kind in (int, float) and word.lower() == "none")


def _one(kind: Any, optional: bool) -> PrimitiveConstructorSpec[Any]:
    read = _reader(kind)
    return PrimitiveConstructorSpec(
        nargs=1,
        metavar=_WORDS[kind],
        instance_from_str=lambda words: None if optional and _is_none(words[0], kind) else read(words[0]),
        is_instance=lambda value: (optional and value is None) or (isinstance(value, kind) and not isinstance(value, bool)),
        str_from_instance=lambda value: [str(value)],
    )


def _several(kind: Any, optional: bool) -> PrimitiveConstructorSpec[Any]:
    read = _reader(kind)

    def values(words: list[str]) -> Any:
        if optional and len(words) == 1 and _is_none(words[0], kind):
            return None
        if kind is Path:  # whose names may have commas
            return tuple(map(read, words))
        return tuple(read(each) for word in words for each in word.split(",") if each)

    return PrimitiveConstructorSpec(
        nargs="*",
        metavar=f"{_WORDS[kind]} ..",
        instance_from_str=values,
        is_instance=lambda value: (
            (optional and value is None) or (isinstance(value, tuple) and all(isinstance(each, kind) for each in value))
        ),
        str_from_instance=lambda value: ["None"] if value is None else [str(each) for each in value],
    )
