"""The verdict on a run, converging or collapsing: the figures behind it, and a word with its evidence."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from jaxgan.evaluation.metric import Better, Shown


class Figures(NamedTuple):
    """Simple figures of n generated samples beside n real ones; a perfect generator scores about 1, 0, 1 and 1."""

    diversity: float  # mean distance between two generated samples, over that between two real ones
    duplicates: float  # share of generated samples that have a near twin among them
    nearest_real: float  # median distance from a generated sample to the nearest real one, over that from real to real
    reach: float  # share of real samples with a generated one in their neighbourhood, which holds a twentieth of the real ones


FEWEST = 40  # real samples that figures can be computed with
SAMPLES = 512  # number of samples that figures are computed of while a GAN trains


def figures(real: np.ndarray, fake: np.ndarray) -> Figures:
    """Compares generated samples with real ones by Euclidean distances.

    With r_i the distance from real i to its nearest other real sample, s_j likewise among the generated, d_ij from real i
    to generated j, and R_i the distance from real i to its (n / 20)-th nearest other real one:

        diversity    = mean_jk |fake_j - fake_k| / mean_ik |real_i - real_k|
        duplicates   = mean_j [s_j < median_i r_i / 10]
        nearest_real = median_j min_i d_ij / median_i r_i
        reach        = mean_i [min_j d_ij <= R_i]

    Reach is coverage (Naeem et al. 2020, equation 6) with wide neighbourhoods: it asks whether every region of the data
    is visited, not how well. A region is a twentieth of the data: a mode that holds less may be lost unseen, as on the
    grid, where plain GANs with 20 to 23 of the 25 modes have a reach of 0.9 to 1. A twin is nearer than a tenth of the
    usual distance among real samples. Of n points drawn in d dimensions a share of `1 - 2^(-1 / 10^d)` has a twin by
    chance, 0.7 % in the plane.

    Args:
        real: `[n, ...]`, at least 40.
        fake: `[m, ...]`, of the same shape but for m, at least 2.

    Returns:
        `Figures`, all NaN when a generated sample is not finite.

    Raises:
        ValueError: when there are too few samples or the shapes do not fit.
    """
    real, fake = (np.asarray(x, np.float64).reshape(len(x), -1) for x in (real, fake))
    if len(real) < FEWEST or len(fake) < 2 or real.shape[1] != fake.shape[1]:
        raise ValueError(
            f"real, fake: shapes {real.shape} and {fake.shape}, but they must be [n, D] and [m, D], n at least {FEWEST}"
        )
    if not np.isfinite(fake).all():
        return Figures(*[float("nan")] * 4)
    within_real, within_fake, across = _distances(real, real), _distances(fake, fake), _distances(real, fake)
    spread = [d.sum() / (len(d) * (len(d) - 1)) for d in (within_fake, within_real)]
    for d in (within_real, within_fake):
        np.fill_diagonal(d, np.inf)  # nobody is a neighbour of oneself
    nearest = max(float(np.median(within_real.min(axis=1))), 1e-12)
    wide = np.partition(within_real, len(real) // 20 - 1, axis=1)[:, len(real) // 20 - 1]
    return Figures(
        diversity=float(spread[0] / max(spread[1], 1e-12)),
        duplicates=float((within_fake.min(axis=1) < nearest / 10.0).mean()),
        nearest_real=float(np.median(across.min(axis=0)) / nearest),
        reach=float((across.min(axis=1) <= wide).mean()),
    )


def overlap(real_logits: np.ndarray, fake_logits: np.ndarray, *, bins: int = 20) -> float:
    """Computes the area that the histograms of D(x) and D(G(z)) share, from 0 to 1.

    The bins hold equal numbers of all logits together, so that the scale of D's logits does not matter, and probabilities
    serve as well. For n samples of one distribution the expectation is about `1 - sqrt(bins / (pi n))`: 0.89 for 512.

    Args:
        real_logits: D's logits of real samples, `[n]`.
        fake_logits: D's logits of generated samples, `[m]`.
        bins: number of bins.

    Returns:
        1 where D cannot tell real from generated, 0 where it always can; NaN when a logit is not finite.
    """
    real, fake = np.asarray(real_logits, np.float64), np.asarray(fake_logits, np.float64)
    together = np.concatenate([real, fake])
    if not np.isfinite(together).all():
        return float("nan")
    edges = np.quantile(together, np.arange(1, bins) / bins)
    shares = [np.bincount(np.searchsorted(edges, x, side="right"), minlength=bins) / len(x) for x in (real, fake)]
    return float(np.minimum(*shares).sum())


def _distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Returns the Euclidean distances of all pairs, `[len(a), len(b)]`."""
    origin = a.mean(axis=0)  # the nearer to zero, the less cancels in x^2 + y^2 - 2 x y
    a, b = a - origin, b - origin
    squared = np.square(a).sum(axis=1)[:, None] + np.square(b).sum(axis=1) - 2.0 * (a @ b.T)
    return np.sqrt(np.maximum(squared, 0.0))


WORDS = ("converged", "still improving", "discriminator wins", "mode collapse", "diverged")


LEAST = 6  # rows with figures before a verdict is given
_LIMITS = {  # on medians; chosen on runs made to fail and on good ones (tests/verdict_quality.py)
    "gradient": 1e4,
    "beaten": 0.1,  # of D's loss at equilibrium
    "overlap": 0.1,
    "diversity": 0.25,
    "duplicates": 0.5,
    "reach": 0.8,
    "steady": 0.05,  # a change below this share is none
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
        The step of the best row, the earliest of equals; None where no row holds the figure.
    """
    rows = [row for row in history if _is_finite(row.get(figure))]
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
    """Says in a word how training goes, from the rows of metrics so far; the last quarter of them counts.

    In this order, the first that fits:

        diverged             a value is not finite, a loss is above `largest` or a gradient's norm above 10^4
        mode collapse        generated samples are all alike: diversity below 0.25 and not rising, or half are duplicates
        discriminator wins   D's loss is below a tenth of its equilibrium value; where it has none, the histograms of
                             D(x) and D(G(z)) share less than 0.1
        mode collapse        parts of the data are not visited: reach is below 0.8, and was higher or does not rise
        converged            diversity, reach and the distance to the nearest real one no longer change by 5 %; reach is at
                             least 0.9, diversity within 0.2 of 1, that distance at most twice the real one, and D's loss
                             at least half of its equilibrium value
        still improving      otherwise; the evidence names the changes and the shortcomings

    Args:
        history: rows of `metrics.jsonl` of one GAN, in order (`of_member` for one of several).
        equilibrium: D's loss where D cannot tell generated from real samples, `Loss.equilibrium`; None where it has none.
        largest: bound of a sound loss, `Loss.largest`; None where the loss has no scale.

    Returns:
        A `Verdict`; its word is None, and its evidence says so, with fewer than 6 rows that hold figures.
    """
    if not history:
        return Verdict(None, ("no metrics yet",))
    if equilibrium is not None and equilibrium <= 0:
        equilibrium = None  # no share can be taken of it
    wrong = [name for name in _NUMBERS if name in history[-1] and not _is_finite(history[-1][name])]
    if wrong:
        return Verdict("diverged", (f"{', '.join(wrong)} not finite",))
    checks = [row for row in history if row.get("reach") is not None]
    if len(checks) < LEAST:
        return Verdict(None, (f"too early: {len(checks)} of the {LEAST} rows with figures that a verdict takes",))
    size = max(3, len(checks) // 4)
    now, before = _medians(checks[-size:]), _medians(checks[-2 * size : -size])
    scatter = float(np.std([row["reach"] for row in checks[-2 * size : -size]]))
    best = max(_medians(checks[j : j + 3])["reach"] for j in range(len(checks) - size))
    for word, evidence in (
        ("diverged", _blown_up(now, largest)),
        ("mode collapse", _alike(now, before)),
        ("discriminator wins", _beaten(now, equilibrium)),
        ("mode collapse", _unvisited(now, before, best, scatter)),
    ):
        if evidence:
            return Verdict(word, evidence)
    changing = _changes(now, before)
    lacking = _lacks(now, equilibrium)
    if changing or lacking:
        return Verdict("still improving", (*changing, *lacking))
    return Verdict("converged", (*_shown(now, equilibrium), f"steady over the last {2 * size} looks"))


_NUMBERS = ("d_loss", "g_loss", "d_grad_norm", "g_grad_norm", "penalty", "diversity", "reach")
_FIGURES = (*Figures._fields, "overlap", "d_loss", "g_loss", "d_grad_norm", "g_grad_norm")


def _is_finite(value: Any) -> bool:
    return value is not None and math.isfinite(value)


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
        evidence.append(f"duplicates {now['duplicates']:.2f}, above {_LIMITS['duplicates']}")
    rising = now["diversity"] > before["diversity"] * (1.0 + _LIMITS["steady"]) + 0.01
    if now["diversity"] < _LIMITS["diversity"] and not rising:
        evidence.append(f"diversity {now['diversity']:.2f}, below {_LIMITS['diversity']}")
    return tuple(evidence)


def _beaten(now: dict[str, float], equilibrium: float | None) -> tuple[str, ...]:
    if equilibrium is not None:
        if now["d_loss"] >= _LIMITS["beaten"] * equilibrium:
            return ()  # however little of the logits overlaps: with many pixels they hardly do in good runs either
        return (f"D's loss {now['d_loss']:.3f}, below a tenth of {equilibrium:.3f} at equilibrium",)
    if now.get("overlap", 1.0) < _LIMITS["overlap"]:
        return (f"overlap of D(x) and D(G(z)) {now['overlap']:.2f}, below {_LIMITS['overlap']}",)
    return ()


def _unvisited(now: dict[str, float], before: dict[str, float], best: float, scatter: float) -> tuple[str, ...]:
    if now["reach"] >= _LIMITS["reach"]:
        return ()
    if best > now["reach"] + 0.1:
        return (f"reach {now['reach']:.2f}, below {_LIMITS['reach']}; it was {best:.2f}",)
    if now["reach"] <= before["reach"] + 0.02 + scatter:  # a G that hops from mode to mode does not rise either
        return (f"reach {now['reach']:.2f}, below {_LIMITS['reach']} and not rising",)
    return ()


def _changes(now: dict[str, float], before: dict[str, float]) -> tuple[str, ...]:
    changes = []
    # Nearer to the data than the data are to each other is no better: what happens below 1 is chance, or memory.
    for name, least in (("diversity", 1e-12), ("nearest_real", 1.0), ("reach", 1e-12)):
        was, became = max(before[name], least), max(now[name], least)
        if abs(became - was) > _LIMITS["steady"] * was:
            changes.append(f"{name.replace('_', ' ')} {before[name]:.3g} -> {now[name]:.3g}")
    return tuple(changes)


def _lacks(now: dict[str, float], equilibrium: float | None) -> tuple[str, ...]:
    lacks = []
    if now["reach"] < 0.9:
        lacks.append(f"reach {now['reach']:.2f}, below 0.9")
    if abs(now["diversity"] - 1.0) > 0.2:
        lacks.append(f"diversity {now['diversity']:.2f}, not within 0.2 of 1")
    if now["nearest_real"] > 2.0:
        lacks.append(f"nearest real {now['nearest_real']:.3g}, above 2")
    if equilibrium is not None and now["d_loss"] < 0.5 * equilibrium:
        lacks.append(f"D's loss {now['d_loss']:.3f}, below half of {equilibrium:.3f} at equilibrium")
    return tuple(lacks)


def _shown(now: dict[str, float], equilibrium: float | None) -> tuple[str, ...]:
    names = ("reach", "diversity", "nearest_real", "overlap")
    shown = [f"{name.replace('_', ' ')} {now[name]:.2f}" for name in names if name in now]
    if equilibrium is not None:
        shown.append(f"D's loss {now['d_loss']:.3f} ({equilibrium:.3f} at equilibrium)")
    return tuple(shown)
