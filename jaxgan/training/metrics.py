"""metrics.jsonl: a JSON object a line, for each interval of training."""

import json
import math
from pathlib import Path
from typing import Any

from jaxgan.system import files
from jaxgan.system.messages import kind_of

_MOST = 2**31  # bytes of the file
_LARGEST_COUNT = 2**53  # float64 holds every whole number up to it
LARGEST = 1e100  # of a figure: means, slopes and axes of plots square it
_WORDS = {"verdict": str, "evidence": list, "standard_error": dict, "members": dict, "definitions": dict, "real": dict}


def read(path: Path) -> tuple[list[dict[str, Any]], list[str]]:
    """Returns the rows, and for each line that is none its number and what is wrong with it.

    A last line without its end, which a kill cut short, is left out without a word; so is a missing file.

    Raises:
        Unreadable: when it is no file.
    """
    rows, left_out = _divided(path)
    return rows, [told for told, _ in left_out]


def drop_after(path: Path, step: int) -> None:
    """Drops the rows after a step; lines that are no rows move to `aside(path)`, so that nothing is lost.

    Raises:
        OSError: when a file cannot be written; what was there is intact.
        Unreadable: when it is no file.
    """
    rows, left_out = _divided(path)
    if lines := [line + b"\n" for _, line in left_out if line.strip()]:
        try:
            before = files.read(aside(path), most=_MOST)
            before += b"\n" if before and not before.endswith(b"\n") else b""
        except files.Missing:
            before = b""
        files.write(aside(path), before + b"".join(lines))
    write(path, [row for row in rows if row["step"] <= step])


def aside(path: Path) -> Path:
    """Returns the file beside the metrics that keeps lines that are no rows."""
    return path.with_name(path.name + ".left-out")


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    """Writes the whole file anew.

    Raises:
        OSError: when it cannot be written; what was there is intact.
    """
    files.write(path, "".join(json.dumps(row) + "\n" for row in rows))


def append(path: Path, rows: list[dict[str, Any]]) -> None:
    """Adds rows.

    Raises:
        OSError: when they cannot be written; then none of them stands there.
    """
    files.append(path, "\n".join(map(json.dumps, rows)))


def _divided(path: Path) -> tuple[list[dict[str, Any]], list[tuple[str, bytes]]]:
    """Returns the rows, and each other line with its number and what is wrong with it."""
    try:
        lines = files.read(path, most=_MOST).split(b"\n")
    except files.Missing:
        return [], []
    rows, left_out = [], []
    for number, line in enumerate(lines, 1):
        try:
            rows.append(_row(files.parse_json(line)))
        except ValueError as error:
            if number < len(lines) or _is_whole(line):  # a kill cuts the last line short
                left_out.append((f"line {number}, {error if line.strip() else 'blank'}", line))
    return rows, left_out


def _is_whole(line: bytes) -> bool:
    """Returns whether a line is JSON to its end."""
    try:
        files.parse_json(line)
    except ValueError:
        return False
    return True


def _row(found: Any) -> dict[str, Any]:
    """Returns a row if it is one, so that whoever reads it need not ask.

    Raises:
        ValueError: naming what is wrong.
    """
    if not isinstance(found, dict):
        raise ValueError(f"{kind_of(found)}, not a row")
    for name in ("step", *(["images"] if "images" in found else [])):
        if type(found.get(name)) is not int or not 0 <= found[name] <= _LARGEST_COUNT:
            raise ValueError(f"{name} is {_short(found.get(name))}, not a whole number from 0 on")
    if not _is_number(found.get("seconds", 0.0)):
        raise ValueError(f"seconds is {_short(found['seconds'])}, not a number")
    for name, value in found.items():
        kind = _WORDS.get(name)
        fits = _is_number(value) if kind is None else isinstance(value, kind)
        if not fits and value is not None:
            raise ValueError(f"{_short(name)} is {_short(value)}, not {'a number' if kind is None else f'a {kind.__name__}'}")
    _check_lists(found)
    return found


def _check_lists(row: dict[str, Any]) -> None:
    """Refuses figures of members that are not of one length, and other words than texts."""
    if not all(isinstance(each, str) for each in row.get("evidence") or ()):
        raise ValueError("evidence holds other things than texts")
    for name in ("standard_error", "real"):
        if not all(each is None or _is_number(each) for each in (row.get(name) or {}).values()):
            raise ValueError(f"{name} holds other things than numbers")
    members = row.get("members", {})
    if members is None:
        raise ValueError("members is None, not a dict")
    if len({len(each) if isinstance(each, list) else -1 for each in members.values()} - {-1}) > 1:
        raise ValueError("members holds lists of several lengths")
    for name, values in members.items():
        kind = _WORDS.get(name, float)
        fits = isinstance(values, list) and all(each is None or _is(each, kind) for each in values)
        if not fits:
            raise ValueError(f"members.{_short(name)} holds other things than a {kind.__name__} each")


def _is(value: Any, kind: type) -> bool:
    return _is_number(value) if kind is float else isinstance(value, kind)


def _is_number(value: Any) -> bool:
    """Returns whether a value is a number that can be averaged and drawn."""
    return type(value) in (int, float) and math.isfinite(value) and abs(value) <= LARGEST


def _short(value: Any) -> str:
    return repr(value)[:40]
