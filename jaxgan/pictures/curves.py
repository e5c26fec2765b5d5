"""Curves of a run's log."""

import math
import os
import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxgan.pictures.series import Line, Panel, Series, series
from jaxgan.pictures.writing import STILL, check_path, rendered, write

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.gridspec import SubplotSpec

_D, _G, _MARK = "#2166ac", "#d6604d", "#404040"


def curves(
    history: Sequence[Mapping[str, Any]],
    path: str | os.PathLike[str],
    *,
    equilibrium: float | None = 2 * math.log(2),
    logit: float | None = 0.0,
    counted: str = "images",
) -> None:
    """Draws a run's log: losses, D(x) and D(G(z)), gradient norms, penalty and whatever else was measured.

    Only quantities that change have a panel; a line below the panels lists those with one value throughout, or measured once.

    Args:
        history: rows of `metrics.jsonl`, in order; any may lack any value, or hold None or NaN.
        path: the file, `.png`, `.webp` or `.gif`.
        equilibrium: D's loss where it cannot tell real from generated: 2 log 2 for the minimax and the
            non-saturating game, log 2 for the relativistic one; None draws no line.
        logit: D's logit there, `Loss.logit`: 0 for the minimax and the non-saturating game, none for the relativistic one,
            where a constant added to D changes nothing; None draws no line.
        counted: samples in a word, for the horizontal axis.

    Raises:
        ValueError: when there is no row, or the suffix is not one of these.
        FileNotFoundError: when the folder does not exist.

    References:
        Goodfellow et al. 2014, Generative Adversarial Nets, theorem 1: D = 1/2 and the value -log 4 at the optimum.
    """
    from matplotlib.figure import Figure

    path = check_path(path, STILL)
    found = series(history, equilibrium=equilibrium, logit=logit, counted=counted)
    x, verdicts = found.x, found.verdicts
    count = len(found.panels) + verdicts
    wide = min(count, 3) or 1
    tall = math.ceil(count / wide)
    note = found.note or (() if count else ("nothing was measured",))
    words = textwrap.fill("; ".join(note), 68 * wide) if count else "\n".join(note)
    below = 0.19 * (words.count("\n") + 1) + 0.1 if words else 0.0
    figure = Figure(figsize=(4.2 * wide, (2.9 * tall if count else 0.25) + below), dpi=100, layout="constrained")
    if not count:
        figure.suptitle("no curves: measured once" if found.note else "no curves", fontsize=10)
    places = _places(figure, count, wide, tall)
    for panel, place in zip(found.panels, places, strict=False):
        axes = figure.add_subplot(place, title=panel.title, xlabel=found.axis)
        axes.set_xlim(-0.02 * x.max(initial=1.0), 1.02 * x.max(initial=1.0))
        for line, colour in zip(panel.lines, (_D, _G), strict=False):
            if line.x.size:
                _line(axes, line, colour)
        if panel.mark is not None:
            axes.axhline(panel.mark.value, color=_MARK, lw=0.9, ls="--", label=panel.mark.label)
        _finish(axes, panel)
    if verdicts:
        _verdicts(figure.add_subplot(places[-1]), found)
    if words:
        figure.supxlabel(words, fontsize=8, color=_MARK)
    write(rendered(figure), path)


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


def _verdicts(axes: "Axes", found: Series) -> None:
    """Returns what was said and when; of several GANs, the more of them the larger."""
    x = found.x
    said = [row.get("members", {}).get("verdict", [row.get("verdict")]) for row in found.rows]
    words = ["diverged", "mode collapse", "discriminator wins", "discriminator overfits", "still improving", "converged"]
    for i, word in enumerate(words):
        counts = np.array([each.count(word) for each in said])
        there = counts > 0
        axes.scatter(x[there], np.full(there.sum(), i), s=12 + 6 * (counts[there] - 1), color=_G if i < 4 else _D)
    axes.set(title="verdict", xlabel=found.axis, yticks=range(len(words)))
    axes.set_yticklabels([word.replace(" ", "\n") for word in words], fontsize=8)
    axes.set(ylim=(-0.6, len(words) - 0.4), xlim=(-0.02 * x.max(initial=1.0), 1.02 * x.max(initial=1.0)))
    _finish(axes)


def _line(axes: "Axes", line: Line, colour: str) -> None:
    """One curve: faint as it was and bold as its running mean, where there are many points; dots where there are few.

    Its standard error, where it is the mean of several, is a band around it.
    """
    _, label, x, y, error = line
    there = np.isfinite(y)
    if not there.all():
        axes.axvline(x[~there][0], color=colour, lw=1.2, ls=":", label=f"{label} not finite".strip())
    x, y, error = x[there], y[there], error[there]
    if error.any():
        axes.fill_between(x, y - error, y + error, color=colour, alpha=0.2, lw=0)
    window = len(y) // 40
    if window < 2:
        axes.plot(x, y, color=colour, label=label, lw=1.4, marker="o" if len(y) < 12 else "", ms=3)
    else:
        axes.plot(x, y, color=colour, lw=0.6, alpha=0.3)
        mean = np.convolve(y, np.full(window, 1 / window), "valid")
        axes.plot(x[window - 1 :], mean, color=colour, label=label, lw=1.5)


def _finish(axes: "Axes", panel: Panel | None = None) -> None:
    from matplotlib.ticker import EngFormatter, FuncFormatter, LogLocator, MaxNLocator, NullFormatter

    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.grid(alpha=0.25, lw=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    if panel is not None and panel.limits is not None:
        axes.set_ylim(*panel.limits)
    elif panel is not None and panel.logarithmic:
        axes.set_yscale("log")
        decades = math.log10(axes.dataLim.y1 / axes.dataLim.minposy) if axes.dataLim.minposy > 0 else 9.0
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if decades < 2.5 else (1,), numticks=9))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
    if axes.get_legend_handles_labels()[1]:
        axes.legend(fontsize=8, framealpha=0.8)
