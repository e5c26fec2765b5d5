"""Samples of any shape as one picture: pictures side by side, colour maps with a bar, lines, slices, marginals."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image, ImageDraw, ImageFont

from jaxgan.core.units import Units, to_user
from jaxgan.pictures.grids import grid
from jaxgan.pictures.points import plane, scatter
from jaxgan.pictures.writing import rendered

_REAL, _MADE = "#9a9a9a", "#d6604d"
_MOST_LINES = 64  # signals in a picture
_MOST_COLUMNS = 12  # columns of a table
_MOST_CHANNELS = 4  # colour maps of one sample
_TALL = 48  # pixels: lower colour maps are enlarged
_BAR = 40  # pixels that a colour bar takes, beside its words
_LINE = 8  # pixels between fields, white: no colour of the map is


def are_pictures(shape: tuple[int, ...], units: Units | None) -> bool:
    """Returns whether samples are drawn as pictures: `(H, W, C)`, 1 to 4 channels, in bytes or in [0, 1] or [-1, 1]."""
    if len(shape) != 3 or not 1 <= shape[2] <= 4:
        return False
    ends = ((), ()) if units is None else (units.low, units.high)
    return units is None or units.are_bytes or ends in [((0.0,), (1.0,)), ((-1.0,), (1.0,))]


def view(
    samples: ArrayLike,
    units: Units | None = None,
    *,
    real: ArrayLike | None = None,
    columns: int | None = None,
    title: str = "",
) -> Image.Image:
    """Samples of any shape in one picture.

    Pictures stand side by side. Fields `[N, H, W, C]` in other units are colour maps with a bar, one beside the other for each
    of up to 4 channels; of volumes `[N, D, H, W, C]` the middle slices across each axis are. Signals `[N, T, C]` are lines, a
    colour for each channel. Of vectors `[N, F]` up to two numbers are points in the plane; of more the marginals and the
    correlations are drawn.

    Args:
        samples: `[N, ..., C]` as networks make them, in [-1, 1] or as the units say.
        units: of the user's samples, in which axes and bars are labelled.
        real: real samples beneath points and marginals, as networks see them.
        columns: in a row of pictures, fields, slices or lines; by default as nearly a square as can be.
        title: above points.

    Returns:
        The picture.

    Raises:
        ValueError: when samples have no such shape.
    """
    x = np.asarray(samples)
    if are_pictures(x.shape[1:], units):
        return grid(x, columns=columns)
    if x.ndim == 2 and x.shape[1] <= 2:
        return scatter(plane(x), real=None if real is None else plane(np.asarray(real)), title=title)
    if x.ndim == 2:
        names = units.columns if units is not None and len(units.columns) == x.shape[1] else ()
        names = names or tuple(f"column {i}" for i in range(x.shape[1]))
        return _table(_in_units(x, units), None if real is None else _in_units(np.asarray(real), units), names)
    if x.ndim == 3:
        return _lines(_in_units(x, units), columns, units.unit if units is not None else "")
    if x.ndim == 4:
        return _fields([x], units, columns)
    if x.ndim == 5:
        return _fields(_slices(x), units, columns)
    raise ValueError(f"samples: of shape {list(x.shape)}, but it must be [N, F], [N, T, C], [N, H, W, C] or [N, D, H, W, C]")


def _in_units(x: np.ndarray, units: Units | None) -> np.ndarray:
    return (x if units is None else to_user(x, units)).astype(np.float64)


def _slices(x: np.ndarray) -> list[np.ndarray]:
    """Returns the middle slices of volumes across each axis, `[N, H, W, C]` each."""
    depth, height, width = (side // 2 for side in x.shape[1:4])
    return [x[:, depth], x[:, :, height], x[:, :, :, width]]


def _fields(parts: Sequence[np.ndarray], units: Units | None, columns: int | None) -> Image.Image:
    """Draws parts `[N, H, W, C]` of samples side by side, each channel in colours from end to end of the units."""
    low, high = _ends(parts, units)
    channels = [part[..., i] for part in parts for i in range(min(part.shape[-1], _MOST_CHANNELS))]
    beside = _beside([_coloured((each - low) / max(high - low, 1e-12)) for each in channels])
    scale = max(-(-_TALL // beside.shape[1]), 1)
    placed = grid(beside, columns=columns, scale=scale, padding=_LINE, frame="white")
    words = _labels(low, high, units, least=min(map(np.nanmin, channels)), most=max(map(np.nanmax, channels)))
    # Room for a label of most numbers, so that pictures of one run have one size whatever their ends.
    widest = f"-88888.8 {units.unit if units else ''}"
    room = _BAR + round(max(ImageFont.load_default().getlength(word) for word in (widest, *words)))
    canvas = Image.new("RGB", (placed.width + room, max(placed.height, 40)), "white")
    canvas.paste(placed, (0, 0))
    bar = _coloured(np.linspace(1, 0, placed.height))[:, None].repeat(12, axis=1)
    canvas.paste(Image.fromarray(bar), (placed.width + 4, 0))
    draw = ImageDraw.Draw(canvas)
    draw.text((placed.width + 19, 0), words[1], fill="black")
    draw.text((placed.width + 19, canvas.height - 12), words[0], fill="black")
    return canvas


def _coloured(shares: np.ndarray) -> np.ndarray:
    """Returns the colours of shares from 0 to 1, `[..., 3]` uint8; what is not a number is grey."""
    from matplotlib import colormaps

    colours = (colormaps["viridis"](np.clip(np.nan_to_num(shares), 0.0, 1.0))[..., :3] * 255).round().astype(np.uint8)
    colours[np.isnan(shares)] = 128
    return colours


def _beside(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Puts coloured parts `[N, H, W, 3]` side by side, a white line between; shorter ones end on white."""
    tall = max(part.shape[1] for part in parts)
    joined: list[np.ndarray] = []
    for part in parts:
        line = np.full((len(part), tall, 1, 3), 255, np.uint8)
        below = ((0, 0), (0, tall - part.shape[1]), (0, 0), (0, 0))
        joined += [line, np.pad(part, below, constant_values=255)]
    return np.concatenate(joined[1:], axis=2)


def _ends(parts: Sequence[np.ndarray], units: Units | None) -> tuple[float, float]:
    if units is not None and units.low:
        return -1.0, 1.0
    every = np.concatenate([part.reshape(-1) for part in parts])
    finite = every[np.isfinite(every)]
    return float(finite.min(initial=0.0)), float(finite.max(initial=1.0))


def _labels(low: float, high: float, units: Units | None, *, least: float, most: float) -> tuple[str, str]:
    """Returns the labels at the ends of a colour bar; words where channels have ranges of their own.

    Args:
        low: number at the lower end, as the samples have it.
        high: likewise.
        units: of the words.
        least: least value of the samples; an end says so if samples lie beyond it, which have its colour.
        most: likewise.
    """
    unit = f" {units.unit}" if units is not None and units.unit else ""
    if units is None or not units.low:
        ends = f"{low:.4g}{unit}", f"{high:.4g}{unit}"
    elif len(set(units.low)) > 1 or len(set(units.high)) > 1:
        ends = "least", "most"
    else:
        ends = f"{units.low[0]:.4g}{unit}", f"{units.high[0]:.4g}{unit}"
    shown = 0.005 * (high - low)  # about a step of the colours
    return f"{'< ' if least < low - shown else ''}{ends[0]}", f"{'> ' if most > high + shown else ''}{ends[1]}"


def _lines(x: np.ndarray, columns: int | None, unit: str) -> Image.Image:
    """Draws each signal in a cell of its own, all to one scale."""
    from matplotlib.collections import LineCollection
    from matplotlib.figure import Figure

    x = x[:_MOST_LINES]
    count, length, channels = x.shape
    columns = columns or max(round(np.sqrt(count)), 1)
    rows = -(-count // columns)
    low, high = float(np.nanmin(x)), float(np.nanmax(x))
    across = np.linspace(0.05, 0.95, length)
    up = 0.05 + 0.9 * (x - low) / max(high - low, 1e-12)
    figure = Figure(figsize=(1.5 * columns, 1.0 * rows + 0.3), dpi=80, layout="constrained")
    title = f"{length} steps, {low:.4g} to {high:.4g} {unit}".rstrip()
    axes = figure.add_subplot(xlim=(0, columns), ylim=(-rows, 0), title=title)
    corners = np.array([(i % columns, -(i // columns) - 1) for i in range(count)], float)
    for channel in range(channels):
        lines = np.stack([corners[:, :1] + across, corners[:, 1:] + up[..., channel]], axis=-1)
        axes.add_collection(LineCollection(list(lines), colors=f"C{channel % 10}", linewidths=0.8))
    axes.set(xticks=range(columns + 1), yticks=range(-rows, 1), xticklabels=[], yticklabels=[])
    axes.tick_params(length=0)
    axes.grid(alpha=0.4)
    return rendered(figure)


def _table(x: np.ndarray, real: np.ndarray | None, names: Sequence[str]) -> Image.Image:
    """Draws the marginals of the first columns under their names, and the correlations of all beside the real ones."""
    from matplotlib.figure import Figure

    shown = min(x.shape[1], _MOST_COLUMNS)
    sets: list[tuple[str, np.ndarray]] = [*([("real", real)] if real is not None else []), ("generated", x)]
    wide = min(shown + len(sets), 4)
    figure = Figure(figsize=(2.4 * wide, 2.0 * -(-(shown + len(sets)) // wide)), dpi=80, layout="constrained")
    panels: Sequence[Any] = [figure.add_subplot(-(-(shown + len(sets)) // wide), wide, i + 1) for i in range(shown + len(sets))]
    for column, axes in enumerate(panels[:shown]):
        values = sets[0][1][:, column]
        edges = np.linspace(values.min(), max(values.max(), values.min() + 1e-9), 25)
        for name, each in sets:
            clipped = np.clip(np.nan_to_num(each[:, column]), edges[0], edges[-1])
            style = {"color": _REAL, "alpha": 0.5} if name == "real" else {"color": _MADE, "histtype": "step", "lw": 1.2}
            axes.hist(clipped, bins=edges, density=True, **style)
        axes.set_title(names[column][:24].replace("$", r"\$"), fontsize=8)
        axes.tick_params(labelsize=6)
    for axes, (name, each) in zip(panels[shown:], sets, strict=True):
        axes.imshow(_correlations(each), vmin=-1, vmax=1, cmap="RdBu_r")
        axes.set_title(f"correlations, {name}", fontsize=8)
        axes.set_axis_off()
    return rendered(figure)


def _correlations(x: np.ndarray) -> np.ndarray:
    x = np.nan_to_num(x - x.mean(0))
    scale = np.maximum(np.sqrt(np.square(x).sum(0)), 1e-12)
    found: np.ndarray = (x.T @ x) / np.outer(scale, scale)
    return found
