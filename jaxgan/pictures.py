"""Arrays into pictures: grids and strips of images, animations, points in the plane, curves of a run.

Everything here returns a picture or writes one file; nothing is shown, and no global state of matplotlib is touched.
"""

import logging
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from jaxgan.core.units import as_bytes
from jaxgan.system import files, images

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_log = logging.getLogger("jaxgan")
STILL = (".png", ".webp", ".gif")
MOVING = (".webp", ".gif")
_VISIBLE = 48  # pixels: smaller images are enlarged by a whole factor, until their longer side is at least this
_MODES = {1: "L", 2: "RGB", 3: "RGB", 4: "RGBA"}
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
_D, _G, _REAL, _MARK = "#2166ac", "#d6604d", "#9a9a9a", "#404040"


def to_uint8(images: ArrayLike) -> NDArray[np.uint8]:
    """Images as bytes, `clip(round(127.5 x + 127.5), 0, 255)`.

    Rounds, so that bytes -> [-1, 1] -> bytes is the identity; StyleGAN's scripts truncate, and differ by one in about
    half of the pixels. What is not a number becomes mid-grey.

    Args:
        images: any shape, [-1, 1]; uint8 stays as it is.

    Returns:
        The same shape, uint8.
    """
    return as_bytes(images)


def grid(images: ArrayLike, *, columns: int | None = None, scale: int | None = None, padding: int = 2) -> Image.Image:
    """Images side by side, row by row.

    Args:
        images: `[N, H, W, C]`, float in [-1, 1] or uint8; C = 1 grey, 2 shown as red and green, 3 RGB, 4 RGBA.
        columns: images in a row; by default as nearly a square as can be.
        scale: whole factor of enlargement, nearest neighbour; by default small images grow to 48 pixels or more.
        padding: pixels around each image.

    Returns:
        The picture: grey, RGB or RGBA.

    Raises:
        ValueError: when the shape is not that of images, or a number is out of range.
    """
    x = to_uint8(images)
    if x.ndim != 4 or x.shape[-1] not in _MODES or 0 in x.shape:
        raise ValueError(f"images: of shape {list(x.shape)}, but it must be [N, H, W, C] with N at least 1 and C 1 to 4")
    count, height, width, channels = x.shape
    columns = math.ceil(math.sqrt(count)) if columns is None else columns
    scale = math.ceil(_VISIBLE / max(height, width)) if scale is None else scale
    for name, value, least in (("columns", columns, 1), ("scale", scale, 1), ("padding", padding, 0)):
        if value < least:
            raise ValueError(f"{name}: {value}, but it must be at least {least}")
    rows, height, width = math.ceil(count / columns), height * scale, width * scale
    if channels == 2:
        x = np.concatenate([x, np.zeros_like(x[..., :1])], -1)
    x = x.repeat(scale, 1).repeat(scale, 2)
    canvas = Image.new(
        _MODES[channels],
        (columns * (width + padding) + padding, rows * (height + padding) + padding),
        "#00000000" if channels == 4 else "#606060",
    )
    for i, image in enumerate(x.squeeze(-1) if channels == 1 else x):
        row, column = divmod(i, columns)
        canvas.paste(Image.fromarray(image), (padding + column * (width + padding), padding + row * (height + padding)))
    return canvas


def strip(images: ArrayLike, *, scale: int | None = None, padding: int = 2) -> Image.Image:
    """Images in one row; arguments, result and errors as of `grid`."""
    return grid(images, columns=max(len(np.asarray(images)), 1), scale=scale, padding=padding)


def tile(parts: Sequence[Image.Image], *, columns: int | None = None) -> Image.Image:
    """Pictures of one size side by side, row by row.

    Args:
        parts: the pictures.
        columns: in a row; by default as nearly a square as can be, rather wide than tall.

    Returns:
        The picture, RGB.

    Raises:
        ValueError: when there is none, or sizes differ.
    """
    if not parts or len({part.size for part in parts}) > 1:
        raise ValueError(f"parts: {len(parts)} of sizes {sorted({part.size for part in parts})}, but one size and one or more")
    columns = math.ceil(math.sqrt(len(parts))) if columns is None else columns
    width, height = parts[0].size
    canvas = Image.new("RGB", (columns * width, math.ceil(len(parts) / columns) * height), "white")
    for i, part in enumerate(parts):
        canvas.paste(part, (i % columns * width, i // columns * height))
    return canvas


def scatter(
    points: ArrayLike,
    *,
    real: ArrayLike | None = None,
    limits: tuple[float, float] | None = None,
    title: str = "",
    pixels: int = 480,
) -> Image.Image:
    """Generated points in the plane over real ones.

    Args:
        points: `[N, 2]` generated.
        real: `[M, 2]`, drawn grey beneath.
        limits: of both axes. Fix them for the frames of an animation; by default they follow the real points, or the
            generated ones where there are none.
        title: above the plot.
        pixels: side of the picture.

    Returns:
        The picture, RGB.

    Raises:
        ValueError: when `points` or `real` is not `[N, 2]`, or `limits` is not an interval.
    """
    from matplotlib.figure import Figure

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
            axes.scatter(x[:, 0], x[:, 1], s=size, c=colour, alpha=0.5, linewidths=0, label=f"{name}, {len(x):,}")
    # Below the plot: anywhere within it would hide points.
    for handle in figure.legend(loc="outside lower center", ncols=2, fontsize=8, markerscale=2.5, frameon=False).legend_handles:
        if handle is not None:
            handle.set_alpha(1.0)
    return _rendered(figure)


def curves(
    history: Sequence[Mapping[str, Any]], path: str | os.PathLike[str], *, equilibrium: float | None = 2 * math.log(2)
) -> None:
    """Draws a run's log: losses, D(x) and D(G(z)), gradient norms, penalty and whatever else was measured.

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
    verdicts = any(row.get("verdict") for row in rows)
    count = len(panels) + verdicts
    wide = min(count, 3) or 1
    tall = math.ceil(count / wide) or 1
    figure = Figure(figsize=(4.2 * wide, 2.9 * tall), dpi=100, layout="constrained")
    for i, (title, lines, mark, whose) in enumerate(panels):
        axes = figure.add_subplot(tall, wide, i + 1, title=title, xlabel="images shown" if time == "images" else time)
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
        _verdicts(figure.add_subplot(tall, wide, len(panels) + 1), x, rows, time)
    write(_rendered(figure), path)


def frames(paths: Iterable[Path]) -> list[Image.Image]:
    """Returns the pictures of these files that are of the last one's size; what cannot be read is left out with a warning."""
    found, bad = [], []
    for path in paths:
        try:
            with images.opened(path) as image:
                found.append(image.copy())
        except Exception:  # a damaged file makes Pillow raise nearly anything
            bad.append(path.name)
    if bad:
        _log.warning("%s: %d left out, which cannot be read as pictures: %s", path.parent, len(bad), ", ".join(bad[:5]))
    return [image for image in found if image.size == found[-1].size]


def animation(frames: Iterable[Image.Image], path: str | os.PathLike[str], *, milliseconds: int = 80) -> None:
    """Writes pictures as an endless animation.

    Args:
        frames: pictures of one size.
        path: the file, `.webp` or `.gif`. A GIF has 256 colours, here the same ones in all frames: with a palette
            for each, colours flicker.
        milliseconds: time of each frame; a GIF knows only tens of them.

    Raises:
        ValueError: when there is no frame, sizes differ, the time is not positive or the suffix is not one of these.
        FileNotFoundError: when the folder does not exist.
    """
    path, frames = check_path(path, MOVING), list(frames)
    if not frames or len({frame.size for frame in frames}) > 1:
        raise ValueError(f"frames: {len(frames)} of sizes {sorted({f.size for f in frames})}, but one size and one or more")
    if milliseconds < 1:
        raise ValueError(f"milliseconds: {milliseconds}, but it must be at least 1")
    options: dict[str, Any] = {"save_all": True, "duration": milliseconds, "loop": 0}
    grey = all(frame.mode == "L" for frame in frames)
    if path.suffix.lower() == ".gif":
        frames = frames if grey else _share_palette([frame.convert("RGB") for frame in frames])
    else:
        options |= {"lossless": True, "method": 2} if grey else {"quality": 90, "method": 4}
    files.write(path, lambda file: frames[0].save(file, _format(path), append_images=frames[1:], **options))


def write(picture: Image.Image, path: str | os.PathLike[str]) -> None:
    """Writes a picture whole or not at all: whoever reads the file meanwhile sees the old one or the new one.

    Args:
        picture: of any mode.
        path: the file, `.png`, `.webp` (both lossless) or `.gif`.

    Raises:
        ValueError: when the suffix is not one of these.
        FileNotFoundError: when the folder does not exist.
    """
    path = check_path(path, STILL)
    files.write(path, lambda file: picture.save(file, _format(path), **({"lossless": True} if _format(path) == "WEBP" else {})))


def check_path(path: str | os.PathLike[str], suffixes: Sequence[str] = STILL) -> Path:
    """A path that a picture can be written to, so that this is known before the picture is made.

    Raises:
        ValueError: when the suffix is not one of `suffixes`, or the path is a folder.
        FileNotFoundError: when its folder does not exist.
    """
    path = Path(path)
    if path.suffix.lower() not in suffixes:
        raise ValueError(f"path: {path}, but its suffix must be one of {', '.join(suffixes)}")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"path: {path}, but there is no folder {path.parent}")
    if path.is_dir():
        raise ValueError(f"path: {path}, but that is a folder")
    return path


def _format(path: Path) -> str:
    return path.suffix[1:].upper()


def _share_palette(frames: list[Image.Image]) -> list[Image.Image]:
    chosen = frames[:: math.ceil(len(frames) / 16)]
    width, height = frames[0].size
    together = Image.new("RGB", (width, height * len(chosen)))
    for i, frame in enumerate(chosen):
        together.paste(frame, (0, i * height))
    palette = together.quantize(256)
    # No dithering: its pattern would crawl from frame to frame.
    return [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]


def _rendered(figure: "Figure") -> Image.Image:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")


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
    from matplotlib.ticker import EngFormatter, MaxNLocator

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
    if axes.get_legend_handles_labels()[1]:
        axes.legend(fontsize=8, framealpha=0.8)
