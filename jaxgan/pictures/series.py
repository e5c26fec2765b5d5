"""Curves of a run's log as numbers: which panels there are, their lines, the equilibrium. Every drawing of them uses these."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

_TITLES = {
    "penalty": "penalty, before its weight",
    "images_per_second": "images per second",
    "diversity": "diversity, 1 as real",
    "duplicates": "share of duplicates",
    "nearest_real": "distance to the nearest real, 1 as real",
    "reach": "reach, share of regions visited",
    "overlap": "overlap of D(x) and D(G(z))",
    "overfitting": "overfitting of D, r_v",
    "modes": "modes found",
    "high_quality": "share of high quality",
    "reverse_kl": "reverse KL over the modes, nats",
    "fid": "Fréchet distance",
    "fid_population": "Fréchet distance, population covariance",
    "kid": "KID",
    "inception_score": "Inception score",
    "vendi": "Vendi score",
    "vendi_within": "Vendi score within a class",
    "copied": "share nearer to real than 1 % of unseen",
    "nearest_ratio": "distance to nearest real over unseen's",
}
_SHARES = {_TITLES[name] for name in ("duplicates", "reach", "overlap", "high_quality", "copied")}
_SHARES |= {"precision", "recall", "coverage", "improved precision", "improved recall", "authenticity"}
_LOSSES, _NORMS, _LOGITS = "losses", "gradient norms", "D's logits"
# Where a constant added to D changes nothing, the sigmoid of its logit is no probability.
_PROBABILITY, _SIGMOID = "D's verdict, a probability", "sigmoid of D's logits"


def title(name: str) -> str:
    """Returns the heading of a figure that a row, or an evaluation, names."""
    return _TITLES.get(name, name.replace("_", " "))


class Line(NamedTuple):
    """One quantity over time."""

    name: str  # in metrics.jsonl
    label: str  # "" where the panel has no other line
    x: NDArray[Any]  # [N] of the rows that hold it
    y: NDArray[Any]  # [N], NaN where it is no number
    error: NDArray[Any]  # [N], standard error of a mean over several GANs, else 0


class Mark(NamedTuple):
    """A value that a line of a panel is compared with."""

    value: float
    label: str


class Panel(NamedTuple):
    """Quantities that are drawn on common axes."""

    title: str
    lines: tuple[Line, ...]
    mark: Mark | None
    limits: tuple[float, float] | None  # of the vertical axis; None as the values are
    logarithmic: bool  # the vertical axis


class Series(NamedTuple):
    """Everything that a run's log draws."""

    axis: str  # label of the horizontal axis: images shown, samples shown, step
    x: NDArray[Any]  # of all rows
    rows: tuple[Mapping[str, Any], ...]  # those that have a time
    panels: tuple[Panel, ...]  # of quantities that change
    note: tuple[str, ...]  # quantities with one value, in words
    verdicts: bool  # more than one row holds a verdict


def series(
    history: Sequence[Mapping[str, Any]],
    *,
    equilibrium: float | None = None,
    logit: float | None = None,
    counted: str = "images",
) -> Series:
    """Returns the panels of a run's log: losses, D(x) and D(G(z)), gradient norms, penalty and whatever else was measured.

    Args:
        history: rows of `metrics.jsonl`, in order; any may lack any value, or hold None or NaN.
        equilibrium: D's loss where it cannot tell real from generated, `Loss.equilibrium`; None where it is not known.
        logit: D's logit there, `Loss.logit`; None where it has none of its own.
        counted: samples in a word, for the horizontal axis.

    Returns:
        `Series`; its note lists quantities with one value throughout, or measured once.

    Raises:
        ValueError: when there is no row.
    """
    if not history:
        raise ValueError("history: no rows, but curves need at least one")
    time = "images" if any("images" in row for row in history) else "step"
    rows = tuple(row for row in history if row.get(time) is not None)
    names = {name: None for row in rows for name, value in row.items() if isinstance(value, (int, float))}
    groups: list[tuple[str, dict[str, str]]] = [
        (_LOSSES, {"d_loss": "D", "g_loss": "G"}),
        (_SIGMOID if logit is None else _PROBABILITY, {"d_real": "D(x), real", "d_fake": "D(G(z)), generated"}),
        (_LOGITS, {"real_logits": "real", "fake_logits": "generated"}),
        (_NORMS, {"d_grad_norm": "D", "g_grad_norm": "G"}),
    ]
    known = {"images", "step", "seconds"}.union(*(lines for _, lines in groups))
    groups = [group for group in groups if any(name in names for name in group[1])]
    groups += [(title(name), {name: ""}) for name in names if name not in known]
    moving = [group for group in groups if any(_changes(rows, name) for name in group[1])]
    note = [_told(rows, lines, heading) for heading, lines in groups if (heading, lines) not in moving]
    verdicts = sum(1 for row in rows if row.get("verdict")) > 1
    if not verdicts and (said := next((row["verdict"] for row in rows if row.get("verdict")), "")):
        note.insert(0, f"verdict: {said}")
    marks = _marks(equilibrium, logit)
    panels = tuple(_panel(heading, lines, rows, time, marks.get(heading)) for heading, lines in moving)
    x = np.array([float(row[time]) for row in rows])
    axis = f"{counted} shown" if time == "images" else time
    return Series(axis, x, rows, panels, tuple(line for line in note if line), verdicts)


def _marks(equilibrium: float | None, logit: float | None) -> dict[str, Mark]:
    """Returns the values at equilibrium that are drawn, by the title of the panel; only those that the loss has."""
    found = {} if equilibrium is None else {_LOSSES: Mark(equilibrium, f"D at equilibrium, {equilibrium:.3g}")}
    if logit is None:
        return found
    half = 1.0 / (1.0 + math.exp(-logit))
    marks = {_LOGITS: Mark(logit, f"at equilibrium, {logit:.3g}"), _PROBABILITY: Mark(half, f"at equilibrium, {half:.3g}")}
    return found | marks


def _panel(heading: str, lines: Mapping[str, str], rows: Sequence[Mapping[str, Any]], time: str, mark: Mark | None) -> Panel:
    found = tuple(_line(rows, time, name, label) for name, label in lines.items())
    limits = (0.0, 1.0) if heading in (_PROBABILITY, _SIGMOID) else (-0.03, 1.03) if heading in _SHARES else None
    lowest = np.concatenate([(line.y - line.error)[np.isfinite(line.y)] for line in found])
    return Panel(heading, found, mark, limits, heading == _NORMS and bool(lowest.size and lowest.min() > 0.0))


def _line(rows: Sequence[Mapping[str, Any]], time: str, name: str, label: str) -> Line:
    there = [row for row in rows if name in row]
    x = np.array([float(row[time]) for row in there])
    error = np.array([number((row.get("standard_error") or {}).get(name, 0.0)) for row in there])
    return Line(name, label, x, np.array([number(row[name]) for row in there]), np.nan_to_num(error))


def _changes(rows: Sequence[Mapping[str, Any]], name: str) -> bool:
    """Returns whether a quantity has more than one value, of those that are there, or stops being finite."""
    values = [number(row[name]) for row in rows if name in row]
    return len(values) > 1 and len(set(map(str, values))) > 1


def _told(rows: Sequence[Mapping[str, Any]], lines: Mapping[str, str], title: str) -> str:
    """Returns a panel in words where each of its quantities has one value."""
    values = {label: next((row[name] for row in rows if row.get(name) is not None), None) for name, label in lines.items()}
    told = [f"{label} {value:.3g}".strip() for label, value in values.items() if value is not None]
    return f"{title}: {', '.join(told)}" if told else ""


def number(value: Any) -> float:
    """Returns a value as a number, NaN where it is none."""
    return float(value) if isinstance(value, (int, float)) else math.nan
