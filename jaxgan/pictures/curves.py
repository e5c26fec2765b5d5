"""Curves of a run's log."""

import math
import os
import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from jaxgan.pictures.writing import STILL, check_path, rendered, write

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.gridspec import SubplotSpec

_TITLES = {
    "penalty": "penalty, before its weight",
    "images_per_second": "images per second",
    "diversity": "diversity, 1 as real",
    "duplicates": "share of duplicates",
    "nearest_real": "distance to the nearest real, 1 as real",
    "reach": "reach, share of regions visited",
    "overlap": "overlap of D(x) and D(G(z))",
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
_D, _G, _MARK = "#2166ac", "#d6604d", "#404040"


def curves(
    history: Sequence[Mapping[str, Any]], path: str | os.PathLike[str], *, equilibrium: float | None = 2 * math.log(2)
) -> None:
    """Draws a run's log: losses, D(x) and D(G(z)), gradient norms, penalty and whatever else was measured.

    Only what changes has a panel: a line below them says what has one value throughout, or was measured once.

    Args:
        history: rows of `metrics.jsonl`, in order; any may lack any value, or hold None or NaN.
        path: the file, `.png`, `.webp` or `.gif`.
        equilibrium: D's loss where it cannot tell real from generated: 2 log 2 for the minimax and the
            non-saturating game, log 2 for the relativistic one; None draws no line.

    Raises:
        ValueError: when there is no row, or the suffix is not one of these.
        FileNotFoundError: when the folder does not exist.

    References:
        Goodfellow et al. 2014, Generative Adversarial Nets, theorem 1: D = 1/2 and the value -log 4 at the optimum.
    """
    from matplotlib.figure import Figure

    path = check_path(path, STILL)
    if not history:
        raise ValueError("history: no rows, but curves need at least one")
    time = "images" if any("images" in row for row in history) else "step"
    rows = [row for row in history if row.get(time) is not None]
    x = np.array([float(row[time]) for row in rows])
    names = {name: None for row in rows for name, value in row.items() if isinstance(value, (int, float))}
    panels: list[tuple[str, dict[str, str], float | None, str]] = [
        ("losses", {"d_loss": "D", "g_loss": "G"}, equilibrium, "D"),
        ("D's verdict, a probability", {"d_real": "D(x), real", "d_fake": "D(G(z)), generated"}, 0.5, ""),
        ("D's logits", {"real_logits": "real", "fake_logits": "generated"}, None, ""),
        ("gradient norms", {"d_grad_norm": "D", "g_grad_norm": "G"}, None, ""),
    ]
    known = {"images", "step", "seconds"}.union(*(lines for _, lines, _, _ in panels))
    panels = [panel for panel in panels if any(name in names for name in panel[1])]
    panels += [(_TITLES.get(name, name.replace("_", " ")), {name: ""}, None, "") for name in names if name not in known]
    moving = [panel for panel in panels if any(_changes(rows, name) for name in panel[1])]
    note = [_told(rows, panel[1], panel[0]) for panel in panels if panel not in moving]
    verdicts = sum(1 for row in rows if row.get("verdict")) > 1
    if not verdicts and (said := next((row["verdict"] for row in rows if row.get("verdict")), "")):
        note.insert(0, f"verdict: {said}")
    count = len(moving) + verdicts
    wide = min(count, 3) or 1
    tall = math.ceil(count / wide)
    note = [line for line in note if line] or ([] if count else ["nothing was measured"])
    words = textwrap.fill("; ".join(note), 68 * wide) if count else "\n".join(note)
    below = 0.19 * (words.count("\n") + 1) + 0.1 if words else 0.0
    figure = Figure(figsize=(4.2 * wide, 2.9 * tall + below), dpi=100, layout="constrained")
    places = _places(figure, count, wide, tall)
    for (title, lines, mark, whose), place in zip(moving, places, strict=False):
        axes = figure.add_subplot(place, title=title, xlabel="images shown" if time == "images" else time)
        axes.set_xlim(-0.02 * x.max(initial=1.0), 1.02 * x.max(initial=1.0))
        for (name, label), colour in zip(lines.items(), (_D, _G), strict=False):
            present = [name in row for row in rows]
            error = [_number(row.get("standard_error", {}).get(name, 0.0)) for row in rows if name in row]
            _line(
                axes, x[present], np.array([_number(row[name]) for row in rows if name in row]), label, colour, np.array(error)
            )
        if mark is not None:
            axes.axhline(mark, color=_MARK, lw=0.9, ls="--", label=f"{whose} at equilibrium, {mark:.3g}".strip())
        _finish(axes, title)
    if verdicts:
        _verdicts(figure.add_subplot(places[-1]), x, rows, time)
    if words:
        figure.supxlabel(words, fontsize=8, color=_MARK)
    write(rendered(figure), path)


def _changes(rows: Sequence[Mapping[str, Any]], name: str) -> bool:
    """Returns whether a quantity has more than one value, of those that are there, or stops being finite."""
    values = [_number(row[name]) for row in rows if name in row]
    return len(values) > 1 and len(set(map(str, values))) > 1


def _told(rows: Sequence[Mapping[str, Any]], lines: Mapping[str, str], title: str) -> str:
    """Returns a panel in words where each of its quantities has one value."""
    values = {label: next((row[name] for row in rows if row.get(name) is not None), None) for name, label in lines.items()}
    told = [f"{label} {value:.3g}".strip() for label, value in values.items() if value is not None]
    return f"{title}: {', '.join(told)}" if told else ""


def _places(figure: "Figure", count: int, wide: int, tall: int) -> list["SubplotSpec"]:
    """Returns a place for each panel; those of the last row share all of its width."""
    if not count:
        return []
    cells = figure.add_gridspec(tall, 6)
    found = []
    for i in range(count):
        row, column = divmod(i, wide)
        share = 6 // min(wide, count - row * wide)
        found.append(cells[row, column * share : (column + 1) * share])
    return found


def _number(value: Any) -> float:
    return float(value) if isinstance(value, (int, float)) else math.nan


def _verdicts(axes: "Axes", x: NDArray[Any], rows: Sequence[Mapping[str, Any]], time: str) -> None:
    """Returns what was said and when; of several GANs, the more of them the larger."""
    said = [row.get("members", {}).get("verdict", [row.get("verdict")]) for row in rows]
    words = ["diverged", "mode collapse", "discriminator wins", "still improving", "converged"]
    for i, word in enumerate(words):
        counts = np.array([each.count(word) for each in said])
        there = counts > 0
        axes.scatter(x[there], np.full(there.sum(), i), s=12 + 6 * (counts[there] - 1), color=_G if i < 3 else _D)
    axes.set(title="verdict", xlabel="images shown" if time == "images" else time, yticks=range(len(words)))
    axes.set_yticklabels([word.replace(" ", "\n") for word in words], fontsize=8)
    axes.set(ylim=(-0.6, len(words) - 0.4), xlim=(-0.02 * x.max(initial=1.0), 1.02 * x.max(initial=1.0)))
    _finish(axes, "verdict")


def _line(axes: "Axes", x: NDArray[Any], y: NDArray[Any], label: str, colour: str, error: NDArray[Any]) -> None:
    """One curve: faint as it was and bold as its running mean, where there are many points; dots where there are few.

    Its standard error, where it is the mean of several, is a band around it.
    """
    there = np.isfinite(y)
    if not there.all():
        axes.axvline(x[~there][0], color=colour, lw=1.2, ls=":", label=f"{label} not finite".strip())
    x, y, error = x[there], y[there], np.nan_to_num(error[there])
    if error.any():
        axes.fill_between(x, y - error, y + error, color=colour, alpha=0.2, lw=0)
    window = len(y) // 40
    if window < 2:
        axes.plot(x, y, color=colour, label=label, lw=1.4, marker="o" if len(y) < 12 else "", ms=3)
    else:
        axes.plot(x, y, color=colour, lw=0.6, alpha=0.3)
        mean = np.convolve(y, np.full(window, 1 / window), "valid")
        axes.plot(x[window - 1 :], mean, color=colour, label=label, lw=1.5)


def _finish(axes: "Axes", title: str) -> None:
    from matplotlib.ticker import EngFormatter, FuncFormatter, LogLocator, MaxNLocator, NullFormatter

    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.grid(alpha=0.25, lw=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    if "probability" in title:
        axes.set_ylim(0, 1)
    elif title in _SHARES:
        axes.set_ylim(-0.03, 1.03)
    elif title == "gradient norms" and axes.dataLim.minposy <= axes.dataLim.y0:
        axes.set_yscale("log")
        decades = math.log10(axes.dataLim.y1 / axes.dataLim.minposy) if axes.dataLim.minposy > 0 else 9.0
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if decades < 2.5 else (1,), numticks=9))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
    if axes.get_legend_handles_labels()[1]:
        axes.legend(fontsize=8, framealpha=0.8)
