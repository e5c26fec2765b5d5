"""Points in the plane."""

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image

from jaxgan.pictures.writing import rendered

_G, _REAL, _MARK = "#d6604d", "#9a9a9a", "#404040"


def scatter(
    points: ArrayLike,
    *,
    real: ArrayLike | None = None,
    modes: tuple[ArrayLike, float] | None = None,
    limits: tuple[float, float] | None = None,
    title: str = "",
    pixels: int = 480,
) -> Image.Image:
    """Generated points in the plane over real ones.

    Args:
        points: `[N, 2]` generated.
        real: `[M, 2]`, drawn grey beneath.
        modes: centres `[K, 2]` of the density and the radius around each within which a sample is good; drawn as circles.
        limits: of both axes. Fix them for the frames of an animation; by default they follow the real points, or the
            generated ones where there are none. The legend tells how many points lie within.
        title: above the plot.
        pixels: side of the picture.

    Returns:
        The picture, RGB.

    Raises:
        ValueError: when `points` or `real` is not `[N, 2]`, or `limits` is not an interval.
    """
    from matplotlib.figure import Figure
    from matplotlib.patches import Circle

    drawn = {"real": real, "generated": points}
    for name, value in (("real", real), ("points", points)):
        if value is not None and (np.ndim(value) != 2 or np.shape(value)[1] != 2):
            raise ValueError(f"{name}: of shape {list(np.shape(value))}, but it must be [N, 2]")
    if limits is None:
        finite = np.abs(np.asarray(points if real is None else real, np.float64))
        reach = 1.15 * float(finite[np.isfinite(finite)].max(initial=1e-3))
        limits = (-reach, reach)
    if not -math.inf < limits[0] < limits[1] < math.inf:
        raise ValueError(f"limits: {limits}, but they must be finite and ascending")
    figure = Figure(figsize=(4, 4), dpi=pixels / 4, layout="constrained")
    axes = figure.add_subplot(xlim=limits, ylim=limits, aspect="equal", xlabel="$x_1$", ylabel="$x_2$", title=title)
    for (name, value), colour, size in zip(drawn.items(), (_REAL, _G), (5, 5), strict=True):
        if value is not None:
            x = np.asarray(value)
            seen = np.count_nonzero(((x >= limits[0]) & (x <= limits[1])).all(1))
            axes.scatter(
                x[:, 0],
                x[:, 1],
                s=size if len(x) < 1_000 else size / 2,
                c=colour,
                alpha=0.5,
                linewidths=0,
                label=f"{name}, {f'{seen:,} of ' if seen < len(x) else ''}{len(x):,}",
            )
    if modes is not None:
        centres, radius = np.asarray(modes[0]), max(modes[1], 0.012 * (limits[1] - limits[0]))
        for centre in centres:
            axes.add_patch(Circle(tuple(centre), radius, fill=False, ec=_MARK, lw=0.7))
        axes.scatter([], [], s=14, facecolors="none", edgecolors=_MARK, linewidths=0.7, label=f"modes, {len(centres)}")
    # Below the plot: anywhere within it would hide points.
    style: dict[str, Any] = {"fontsize": 8, "markerscale": 2.5, "frameon": False, "columnspacing": 1.2}
    for handle in figure.legend(loc="outside lower center", ncols=3, **style).legend_handles:
        if handle is not None:
            handle.set_alpha(1.0)
    return rendered(figure)


def plane(points: np.ndarray) -> np.ndarray:
    """Returns points as a picture of the plane shows them, `[N, 2]`: their first two coordinates, or one beside zeros."""
    return points[:, :2] if points.shape[1] > 1 else np.concatenate([points, np.zeros_like(points)], axis=1)
