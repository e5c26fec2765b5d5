"""The verdict on a run, converging or collapsing: a word with its evidence, from the figures of its rows."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from jaxgan.evaluation.metric import Better, Shown
from jaxgan.evaluation.resemblance import FEWEST, SAMPLES, Figures, figures, overfitting, overlap
from jaxgan.evaluation.trend import Trend, trend

__all__ = [
    "FEWEST",
    "LEAST",
    "SAMPLES",
    "SHOWN",
    "WORDS",
    "Figures",
    "Verdict",
    "best",
    "figures",
    "judge",
    "of_member",
    "overfitting",
    "overlap",
]


WORDS = ("converged", "still improving", "discriminator overfits", "discriminator wins", "mode collapse", "diverged")


LEAST = 6  # rows with figures before a verdict is given
_LIMITS = {  # on medians; chosen on runs made to fail and on good ones (tests/verdict_quality.py)
    "gradient": 1e4,
    "beaten": 0.1,  # of D's loss at equilibrium
    "overlap": 0.1,
    "diversity": 0.25,
    "duplicates": 0.5,
    "reach": 0.8,
    "overfitting": 0.5,
    "steady": 0.05,  # a change below this share is none
    "sure": 3.0,  # standard errors of a change that is more than chance
    "scatter": 0.15,  # of a figure about its trend, from which on it is not steady
}


# Figures that are looked at in any case, by which one state may be better than another.
SHOWN: dict[str, Shown] = {
    "reach": Shown("reach, share of regions visited", "higher"),
    "nearest_real": Shown("distance to the nearest real", "lower"),
    "overlap": Shown("overlap of D(x) and D(G(z))", "higher"),
    "modes": Shown("modes found", "higher"),
    "high_quality": Shown("share of high quality", "higher"),
    "reverse_kl": Shown("reverse KL over the modes, nats", "lower"),
}


def best(history: Sequence[Mapping[str, Any]], figure: str, better: Better | tuple[Literal["as real"], float]) -> int | None:
    """Finds the row with the best value of a figure.

    Args:
        history: rows of `metrics.jsonl`, in order.
        figure: name of the figure.
        better: direction of the better value, `quality.better_of`; for "as real" the value nearest to that of real samples,
            which is given with it, or else stands in the rows as `row["real"][figure]`.

    Returns:
        The step of the best row of those that define the figure as the last does, the earliest of equals; None where no row
        holds the figure.
    """
    rows = [row for row in history if _is_finite(row.get(figure))]
    if rows:  # by other features, or of other samples, a figure of one name is another figure
        defined = [row.get("definitions", {}).get(figure) for row in rows]
        rows = [row for row, words in zip(rows, defined, strict=True) if words == defined[-1]]
    target = None
    if better == "as real":
        target = next((row["real"][figure] for row in reversed(rows) if figure in row.get("real", {})), None)
    elif isinstance(better, tuple):
        target = better[1]
    if not rows or (target is None and better not in ("lower", "higher")):
        return None
    if target is not None:
        return int(min(rows, key=lambda row: abs(row[figure] - target))["step"])
    pick = max if better == "higher" else min
    return int(pick(rows, key=lambda row: row[figure])["step"])


class Verdict(NamedTuple):
    """One of `WORDS`, or None while it is too early, and the figures that say so."""

    word: str | None
    evidence: tuple[str, ...]


def of_member(row: Mapping[str, Any], i: int) -> dict[str, Any]:
    """Returns the row of one GAN, from a row of several that train side by side."""
    return {**row, **{name: values[i] for name, values in row["members"].items()}}


def judge(history: Sequence[Mapping[str, Any]], *, equilibrium: float | None, largest: float | None) -> Verdict:
    """Judges how training goes in one of `WORDS`, from the rows of metrics so far; the last quarter of them counts.

    In this order, the first that fits:

        diverged             a value is not finite, a loss is above `largest` or a gradient's norm above 10^4
        mode collapse        generated samples are all alike: diversity below 0.25 and not rising, or half are duplicates
        discriminator wins   D's loss is below a tenth of its equilibrium value; where it has none, the histograms of
                             D(x) and D(G(z)) share less than 0.1; in both cases D does not overfit, which would explain it
        mode collapse        parts of the data are not visited: reach is below 0.8, and was higher or does not rise
        discriminator        real samples that D never saw lie more than half of the way from training samples to generated
          overfits           ones, by D's logits (ADA's r_v)
        converged            no figure has a trend: over the last half of the rows the straight lines through diversity, reach,
                             the distance to the nearest real one, overlap and both losses change by less than 5 % (overlap
                             by less than 0.1) or three standard errors, `trend`; reach is at least 0.9, diversity within 0.2
                             of 1, that distance at most twice the real one, and D's loss at least half of its equilibrium
                             value
        still improving      otherwise; the evidence names the changes and the shortcomings

    Args:
        history: rows of `metrics.jsonl` of one GAN, in order (`of_member` for one of several).
        equilibrium: D's loss where D cannot tell generated from real samples, `Loss.equilibrium`; None where it has none.
        largest: bound of a sound loss, `Loss.largest`; None where the loss has no scale.

    Returns:
        A `Verdict`; its word is None, and its evidence says so, with fewer than 6 rows that hold all of `Figures`.
        Losses, overlap and r_v are judged from the rows that hold them.
    """
    if not history:
        return Verdict(None, ("no metrics yet",))
    if equilibrium is not None and not 0 < equilibrium < math.inf:
        equilibrium = None  # no share can be taken of it
    wrong = [name for name in _NUMBERS if name in history[-1] and not _is_finite(history[-1][name])]
    if wrong:
        return Verdict("diverged", (f"{', '.join(wrong)} not finite",))
    checks = [row for row in history if all(_is_finite(row.get(name)) for name in Figures._fields)]
    if len(checks) < LEAST:
        return Verdict(None, (f"too early: {len(checks)} of the {LEAST} intervals that a verdict takes",))
    size = max(3, len(checks) // 4)
    now, before = _medians(checks[-size:]), _medians(checks[-2 * size : -size])
    scatter = float(np.std([row["reach"] for row in checks[-2 * size : -size]]))
    best = max(_medians(checks[j : j + 3])["reach"] for j in range(len(checks) - size))
    overfits = _overfits(now)
    for word, evidence in (
        ("diverged", _blown_up(now, largest)),
        ("mode collapse", _alike(now, before)),
        ("discriminator wins", () if overfits else _beaten(now, equilibrium)),
        ("mode collapse", _unvisited(now, before, best, scatter)),
        ("discriminator overfits", overfits),
    ):
        if evidence:
            return Verdict(word, evidence)
    recent = checks[-max(LEAST, len(checks) // 2) :]
    changing = _changes(recent, equilibrium)
    lacking = _lacks(now, equilibrium)
    if changing or lacking:
        return Verdict("still improving", (*changing, *lacking))
    return Verdict("converged", (*_shown(now, equilibrium), f"no trend over the last {len(recent)} looks"))


_NUMBERS = ("d_loss", "g_loss", "d_grad_norm", "g_grad_norm", "penalty", "diversity", "reach")
_FIGURES = (*Figures._fields, "overlap", "overfitting", "d_loss", "g_loss", "d_grad_norm", "g_grad_norm")


# Figures with their units, as evidence names them; the README beside has them one by one.
_UNITS = {
    "reach": "reach {} of the regions of the data",
    "diversity": "diversity {} times that of real samples",
    "nearest_real": "nearest real sample at {} times the distance between real ones",
    "duplicates": "duplicates {} of the samples",
    "overlap": "overlap {} of the logits D(x) and D(G(z))",
    "overfitting": "unseen real samples lie {} of the way from training samples to generated ones, by D's logits (r_v)",
    "d_loss": "D's loss {}",
    "g_loss": "G's loss {}",
}


def _said(name: str, now: Mapping[str, float], value: str = "") -> str:
    """Returns a figure in words, with its unit; `value` stands in its place where more than one is told."""
    return _UNITS[name].format(value or f"{now[name]:.2f}")


def _is_finite(value: Any) -> bool:
    try:
        return isinstance(value, (int, float, np.number)) and math.isfinite(value)
    except OverflowError:  # a whole number of hundreds of digits, which JSON may hold
        return False


def _medians(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    there = {name: [row[name] for row in rows if _is_finite(row.get(name))] for name in _FIGURES}
    return {name: float(np.median(values)) for name, values in there.items() if values}


def _blown_up(now: dict[str, float], largest: float | None) -> tuple[str, ...]:
    limits = {"d_grad_norm": _LIMITS["gradient"], "g_grad_norm": _LIMITS["gradient"]}
    if largest is not None:
        limits |= {"d_loss": largest, "g_loss": largest}
    return tuple(f"{name} {now[name]:.3g}, above {most:g}" for name, most in limits.items() if abs(now.get(name, 0.0)) > most)


def _alike(now: dict[str, float], before: dict[str, float]) -> tuple[str, ...]:
    evidence = []
    if now["duplicates"] > _LIMITS["duplicates"]:
        evidence.append(f"{_said('duplicates', now)}, above {_LIMITS['duplicates']}")
    rising = now["diversity"] > before["diversity"] * (1.0 + _LIMITS["steady"]) + 0.01
    if now["diversity"] < _LIMITS["diversity"] and not rising:
        evidence.append(f"{_said('diversity', now)}, below {_LIMITS['diversity']} and not rising")
    return tuple(evidence)


def _beaten(now: dict[str, float], equilibrium: float | None) -> tuple[str, ...]:
    if equilibrium is not None and "d_loss" in now:
        if now["d_loss"] >= _LIMITS["beaten"] * equilibrium:
            return ()  # however little of the logits overlaps: with many pixels they hardly do in good runs either
        return (f"D's loss {now['d_loss']:.3f}, below a tenth of {equilibrium:.3f} at equilibrium",)
    if now.get("overlap", 1.0) < _LIMITS["overlap"]:
        return (f"{_said('overlap', now)}, below {_LIMITS['overlap']}",)
    return ()


def _unvisited(now: dict[str, float], before: dict[str, float], best: float, scatter: float) -> tuple[str, ...]:
    if now["reach"] >= _LIMITS["reach"]:
        return ()
    if best > now["reach"] + 0.1:
        return (f"{_said('reach', now)}, below {_LIMITS['reach']}; it was {best:.2f}",)
    if now["reach"] <= before["reach"] + 0.02 + scatter:  # a G that hops from mode to mode does not rise either
        return (f"{_said('reach', now)}, below {_LIMITS['reach']} and not rising",)
    return ()


def _overfits(now: dict[str, float]) -> tuple[str, ...]:
    if now.get("overfitting", 0.0) <= _LIMITS["overfitting"]:
        return ()
    mend = "more data, a larger penalty (--penalty.gamma) or, of images, augmentation (--augment) mends it"
    return (f"{_said('overfitting', now)}, above {_LIMITS['overfitting']}; {mend}",)


def _changes(rows: Sequence[Mapping[str, Any]], equilibrium: float | None) -> tuple[str, ...]:
    """Returns the trends of the figures over some rows in words, and figures that swing."""
    # A change is judged as a share of these. Overlap is a share itself, and twice as noisy. Losses are compared with the loss
    # at equilibrium; where there is none, G's may hold any constant that is added to D, and tells nothing.
    scales: dict[str, float | None] = {"diversity": None, "reach": None, "nearest_real": None, "overlap": 2.0}
    scales |= {"d_loss": None} if equilibrium is None else {"d_loss": equilibrium, "g_loss": equilibrium}
    changes = []
    for name, scale in scales.items():
        values = [row[name] for row in rows if _is_finite(row.get(name))]
        if name == "nearest_real":  # nearer to the data than the data are to each other is no better: it is chance, or memory
            values = [max(value, 1.0) for value in values]
        if len(values) < 3:
            continue
        found = trend(values)
        of = max(float(np.median(np.abs(values))), 1e-12) if scale is None else scale
        if abs(found.change) > max(_LIMITS["steady"] * of, _LIMITS["sure"] * np.nan_to_num(found.error)):
            changes.append(_told(name, found, equilibrium))
        elif name in Figures._fields and np.std(values) > _LIMITS["scatter"] * of:
            changes.append(_said(name, {}, f"between {min(values):.3g} and {max(values):.3g}"))
    return tuple(changes)


def _told(name: str, found: Trend, equilibrium: float | None) -> str:
    ends = [found.first, found.last]
    if name in ("reach", "overlap"):
        ends = [min(max(end, 0.0), 1.0) for end in ends]
    words = _said(name, {}, f"{ends[0]:.3g} -> {ends[1]:.3g} (fitted)")
    if name == "d_loss" and equilibrium is not None:
        away = abs(found.last - equilibrium) > abs(found.first - equilibrium)
        words += f", {'away from' if away else 'towards'} {equilibrium:.3f} at equilibrium"
    return words


def _lacks(now: dict[str, float], equilibrium: float | None) -> tuple[str, ...]:
    lacks = []
    if now["reach"] < 0.9:
        lacks.append(f"{_said('reach', now)}, below 0.9")
    if abs(now["diversity"] - 1.0) > 0.2:
        lacks.append(f"{_said('diversity', now)}, not within 0.2 of 1")
    if now["nearest_real"] > 2.0:
        lacks.append(f"{_said('nearest_real', now)}, above 2")
    if equilibrium is not None and now.get("d_loss", math.inf) < 0.5 * equilibrium:
        lacks.append(f"D's loss {now['d_loss']:.3f}, below half of {equilibrium:.3f} at equilibrium")
    return tuple(lacks)


def _shown(now: dict[str, float], equilibrium: float | None) -> tuple[str, ...]:
    names = ("reach", "diversity", "nearest_real", "overlap")
    shown = [_said(name, now) for name in names if name in now]
    if equilibrium is not None and "d_loss" in now:
        shown.append(f"D's loss {now['d_loss']:.3f} ({equilibrium:.3f} at equilibrium)")
    return tuple(shown)
