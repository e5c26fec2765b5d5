"""Results as a table to read and as JSON: every figure with how it was obtained and the figures of real samples."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jaxgan.core.sweep import summary
from jaxgan.recipes import FREE


class Floor(NamedTuple):
    """The figure of real samples in place of generated ones."""

    words: str  # which samples
    value: float | None
    deviation: float | None  # over subsets, or of chance alone where that is known
    n: int  # samples in place of the generated ones


class Value(NamedTuple):
    """A figure of a run."""

    mean: float | None  # over the GANs of the run; None where the figure of one is not finite
    standard_error: float | None  # of several
    members: tuple[float | None, ...]  # of each
    deviation: float | None  # over the subsets or splits that the figure of one is a mean of
    floors: tuple[Floor, ...]  # the nearest to a perfect sampler first
    title: str
    better: str  # "lower", "higher", or "as real"
    how: dict[str, Any]  # how it was obtained

    @property
    def floor(self) -> float | None:
        """The figure of real samples: the first of the floors."""
        return self.floors[0].value if self.floors else None

    @property
    def floor_deviation(self) -> float | None:
        """The deviation of the first floor, by chance or by the choice of subsets."""
        return self.floors[0].deviation if self.floors else None

    def content(self) -> dict[str, Any]:
        """Returns the same for JSON."""
        return {
            "title": self.title,
            "mean": self.mean,
            "standard_error": self.standard_error,
            "members": list(self.members),
            "deviation": self.deviation,
            "floor": self.floor,
            "floor_deviation": self.floor_deviation,
            "floors": [each._asdict() for each in self.floors],
            "better": self.better,
            **self.how,
        }


class Result(NamedTuple):
    """The figures of one run, or of one set of images."""

    name: str
    about: dict[str, Any]  # "run", "recipe" and "step", or "images"
    headline: tuple[str, ...]  # the samples measured and how, in words
    values: dict[str, Value]
    warnings: tuple[str, ...]
    file: Path | None = None  # the JSON file

    def content(self) -> dict[str, Any]:
        """Returns the same for JSON."""
        values = {name: value.content() for name, value in self.values.items()}
        return {**self.about, "values": values, "warnings": list(self.warnings)}


def value(
    members: Sequence[float],
    floors: Sequence[Floor],
    *,
    title: str,
    better: str,
    how: dict[str, Any],
    deviation: float | None = None,
) -> Value:
    """Makes a `Value` of the figures of each GAN of a run; a mean without those that are not finite would flatter."""
    there = tuple(map(finite, members))
    mean, error = (None, None) if None in there else summary(members)
    return Value(mean, error, there, deviation, tuple(floors), title, better, how)


def finite(number: float | None) -> float | None:
    """Returns a number, or None for NaN and infinity, which JSON does not know."""
    return None if number is None or not math.isfinite(number) else float(number)


def groups(results: Sequence[Result]) -> list[dict[str, Any]]:
    """Groups runs that differ in their seed only, with the mean and standard error of their figures.

    Returns:
        For each such group of two or more its `runs` by name and its `values`.
    """
    found: list[list[Result]] = []
    for result in results:
        if "recipe" not in result.about:
            continue
        group = next((each for each in found if _same_but_for_seed(each[0].about["recipe"], result.about["recipe"])), None)
        if group is None:
            found.append([result])
        else:
            group.append(result)
    return [
        {"runs": [each.name for each in group], "values": {name: _over(group, name) for name in group[0].values}}
        for group in found
        if len(group) > 1
    ]


def together(results: Sequence[Result]) -> dict[str, Any]:
    """Returns several results for JSON."""
    return {"results": [{"name": each.name, **each.content()} for each in results], "groups": groups(results)}


def table(results: Sequence[Result]) -> str:
    """Writes the figures as lines to read: of one run with their floors, of several side by side."""
    lines = [line for each in results for line in each.headline] if len(results) == 1 else _headlines(results)
    rows = _alone(results[0]) if len(results) == 1 else _side_by_side(results)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines += ["", *("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)]
    warnings = dict.fromkeys(warning for each in results for warning in each.warnings)
    return "\n".join([*lines, *([""] if warnings else []), *warnings])


def _alone(result: Result) -> list[tuple[str, ...]]:
    """Returns rows of figures: value, standard error where there are several GANs, better, floors."""
    values = result.values.values()
    count = max(len(each.members) for each in values)
    several, names = count > 1, list(dict.fromkeys(floor.words for each in values for floor in each.floors))
    head = ["figure", f"mean of {count}" if several else "value", *(["standard error"] if several else []), "better"]
    rows = [(*head, *(f"real: {name}" for name in names))]
    for each in values:
        floors = {floor.words: _cell(floor.value, floor.deviation) for floor in each.floors}
        error = [_cell(each.standard_error)] if several else []
        rows.append(
            (each.title, _cell(each.mean, each.deviation), *error, each.better, *(floors.get(name, "-") for name in names))
        )
    return rows


def _side_by_side(results: Sequence[Result]) -> list[tuple[str, ...]]:
    """Returns rows of figures, with a column for each result and for each group of seeds."""
    first: dict[str, Value] = {name: each for result in reversed(results) for name, each in result.values.items()}
    several = groups(results)
    means = [f"mean of {len(group['runs'])} seeds" for group in several]
    rows = [("figure", *(each.name for each in results), *means, "better", "real")]
    for name, each in first.items():
        cells = [
            _cell(found.mean, found.standard_error if len(found.members) > 1 else found.deviation) if found else "-"
            for found in (result.values.get(name) for result in results)
        ]
        cells += [_cell(group["values"][name]["mean"], group["values"][name]["standard_error"]) for group in several]
        floor = each.floors[0] if each.floors else None
        rows.append((each.title, *cells, each.better, _cell(floor.value, floor.deviation) if floor else "-"))
    return rows


def _headlines(results: Sequence[Result]) -> list[str]:
    lines = [each.headline[0] for each in results]
    return [*lines, *dict.fromkeys(line for each in results for line in each.headline[1:])]


def _over(group: Sequence[Result], name: str) -> dict[str, Any]:
    means = [each.values[name].mean if name in each.values else None for each in group]
    there = [math.nan if mean is None else mean for mean in means]
    mean, error = (None, None) if None in means else summary(there)
    return {"mean": mean, "standard_error": error, "members": means}


def _same_but_for_seed(a: Mapping[str, Any], b: Mapping[str, Any]) -> bool:
    return {name for name in {*a, *b} if a.get(name) != b.get(name)} - set(FREE) == {"seed"}


def _cell(number: float | None, deviation: float | None = None) -> str:
    if number is None:
        return "-"
    return f"{number:.4g}" + ("" if deviation is None else f" ± {deviation:.2g}")
