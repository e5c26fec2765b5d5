"""Curves of a run as a page holds them: the panels of `pictures.series`, thinned, each line with its running mean."""

import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jaxgan.pages.markup import Html, tag
from jaxgan.pictures.series import Line, Panel, Series

_POINTS = 24_000  # of all lines of a page
_MOST = 600  # of a line


def data(found: Series) -> list[dict[str, Any]]:
    """Returns each panel in plain values, as `report.js` draws them.

    Of a line with more points than fit, each stretch keeps its least and its greatest, so that no peak is lost.
    """
    most = min(_MOST, max(_POINTS // max(sum(len(panel.lines) for panel in found.panels), 1), 20))
    return [_chart(panel, most) for panel in found.panels]


def _chart(panel: Panel, most: int) -> dict[str, Any]:
    mark = None if panel.mark is None else panel.mark._asdict()
    lines = [_line(line, most) for line in panel.lines if line.x.size]
    return {"title": panel.title, "lines": lines, "mark": mark, "limits": panel.limits, "log": panel.logarithmic}


def _line(line: Line, most: int) -> dict[str, Any]:
    there = np.isfinite(line.y)
    x, y, error = line.x[there], line.y[there], line.error[there]
    window = len(y) // 40
    mean = _running(y, window) if window >= 2 else None
    kept = thinned(y, most)
    return {
        "label": line.label,
        "x": [int(each) for each in x[kept]],
        "y": _short(y[kept]),
        "mean": None if mean is None else _short(mean[kept]),
        "error": _short(error[kept]) if error.any() else None,
        "broken": None if there.all() else int(line.x[~there][0]),
        "of": len(y),
    }


def thinned(y: NDArray[Any], most: int) -> NDArray[Any]:
    """Returns the places of at most so many values: the first, the last, and the least and greatest of each stretch."""
    if len(y) <= most:
        return np.arange(len(y))
    edges = np.linspace(0, len(y), max(most // 2 - 1, 1) + 1).astype(int)
    kept = {0, len(y) - 1}
    for start, end in itertools.pairwise(edges):
        kept |= {start + int(y[start:end].argmin()), start + int(y[start:end].argmax())}
    return np.array(sorted(kept))


def _running(y: NDArray[Any], window: int) -> NDArray[Any]:
    """Returns the mean of the last `window` values at each, of fewer at the beginning."""
    total = np.concatenate([[0.0], np.cumsum(y)])
    end = np.arange(1, len(y) + 1)
    start = np.maximum(end - window, 0)
    found: NDArray[Any] = (total[end] - total[start]) / (end - start)
    return found


def _short(values: NDArray[Any]) -> list[float]:
    return [float(f"{value:.5g}") for value in values]


def figures(found: Series, charts: list[dict[str, Any]]) -> list[Html]:
    """Returns a figure for each panel, with a place for the drawing, a slider along it and the values in words."""
    return [_figure(i, chart, found.axis) for i, chart in enumerate(charts)]


def _figure(i: int, chart: dict[str, Any], along: str) -> Html:
    title, lines = chart["title"], chart["lines"]
    keys = [tag("span", line["label"] or title, class_=f"key key-{place}") for place, line in enumerate(lines)]
    keys += [tag("span", chart["mark"]["label"], class_="key key-mark")] if chart["mark"] else []
    legend = tag("p", keys, class_="legend") if len(keys) > 1 else None
    position = {"type": "range", "min": 0, "max": 0, "value": 0, "step": 1, "id": f"at-{i}", "disabled": True}
    slider = [tag("label", f"Place along {title}", for_=f"at-{i}", class_="unseen"), tag("input", **position)]
    values = tag("output", id=f"value-{i}", for_=f"at-{i}", aria_live="off")
    told = tag("ul", [tag("li", _words(line, along)) for line in lines], class_="told")
    rows = tag("details", tag("summary", "Values", tag("span", f" of {title}", class_="unseen")), tag("div"), class_="values")
    drawing = tag("div", class_="plot", id=f"plot-{i}", aria_hidden="true")
    return tag("figure", tag("h3", title, id=f"chart-{i}"), legend, drawing, slider, values, told, rows, class_="chart")


def _words(line: dict[str, Any], along: str) -> str:
    """Returns a line in words: its last value, its least and its greatest."""
    x, y, label = line["x"], line["y"], line["label"]
    name = f"{label}: " if label else ""
    broken = "" if line["broken"] is None else f", not finite at {line['broken']:,}"
    if not y:
        return f"{name}no finite value"
    least, most = int(np.argmin(y)), int(np.argmax(y))
    ends = f"least {y[least]:.4g} at {x[least]:,}, greatest {y[most]:.4g} at {x[most]:,} {along}"
    return f"{name}last {y[-1]:.4g}, {ends}{broken}"
