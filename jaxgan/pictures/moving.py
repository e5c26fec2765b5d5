"""Animations."""

import itertools
import logging
import math
import os
from collections.abc import Iterable, Sequence
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any

import numpy as np
from PIL import Image

from jaxgan.pictures.grids import titled
from jaxgan.pictures.writing import MOVING, check_path, format_of
from jaxgan.system import files, images
from jaxgan.system.messages import FieldError

_log = logging.getLogger("jaxgan")
_LARGEST = 8_192  # pixels of a frame's side; WebP has room for 16,383, and no screen for so many


def frames(paths: Iterable[Path]) -> list[tuple[Path, Image.Image]]:
    """Returns the pictures of these files that are of the last one's size; what cannot be read is left out with a warning."""
    found, bad = [], []
    for path in paths:
        try:
            with images.opened(path) as image:
                found.append((path, image.copy()))
        except Exception:  # a damaged file makes Pillow raise nearly anything
            bad.append(path)
    if bad:
        names = ", ".join(path.name for path in bad[:5])
        _log.warning("%s: %d left out, which cannot be read as pictures: %s", bad[0].parent, len(bad), names)
    return [(path, image) for path, image in found if image.size == found[-1][1].size]


def animation(frames: Iterable[Image.Image], path: str | os.PathLike[str], *, milliseconds: int | Sequence[int] = 80) -> None:
    """Writes pictures as an endless animation.

    Args:
        frames: pictures of one size; larger ones than 8,192 pixels are made smaller.
        path: the file, `.webp`, `.gif` or `.mp4`. A GIF has 256 colours, here the same ones in all frames: with a palette
            for each, colours flicker. MP4 (H.264, for the package `av`) has one time for all frames, and ends.
        milliseconds: time of a frame, or of each; a GIF knows only tens of them.

    Raises:
        ValueError: when there is no frame, sizes differ, the time is not positive or the suffix is not one of these.
        FileNotFoundError: when the folder does not exist.
    """
    path, frames = check_path(path, MOVING), list(frames)
    if not frames or len({frame.size for frame in frames}) > 1:
        raise ValueError(f"frames: {len(frames)} of sizes {sorted({f.size for f in frames})}, but one size and one or more")
    shown = [_within(frame) for frame in frames]
    times = [milliseconds] * len(shown) if isinstance(milliseconds, int) else list(milliseconds)
    if min(times) < 1 or len(times) != len(shown):
        raise ValueError(f"milliseconds: {milliseconds}, but it must be at least 1, for each of {len(shown)} frames")
    if path.suffix.lower() == ".mp4":
        check_video(path)
        files.write(path, lambda file: _video(shown, file, times[0]))
        return
    options: dict[str, Any] = {"save_all": True, "duration": times, "loop": 0}
    grey = all(frame.mode == "L" for frame in shown)
    if path.suffix.lower() == ".gif":
        shown = shown if grey else _share_palette([frame.convert("RGB") for frame in shown])
    else:
        options |= {"lossless": True, "method": 2} if grey else {"quality": 90, "method": 4}
    files.write(path, lambda file: shown[0].save(file, format_of(path), append_images=shown[1:], **options))


def check_video(path: str | os.PathLike[str]) -> None:
    """Refuses a file of video where the package that writes one is not installed.

    Raises:
        FieldError: with the command that installs it.
    """
    if find_spec("av") is None:
        raise FieldError("out", Path(path).name, "video needs the package av: pip install 'jaxgan[video]'", link=": ")


def _video(frames: Sequence[Image.Image], file: IO[bytes], milliseconds: int) -> None:
    """Writes an MP4 that every browser plays: H.264 with half the colours' resolution, for which sides are even."""
    import av

    width, height = (side + side % 2 for side in frames[0].size)
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=Fraction(1_000, milliseconds), options={"crf": "18"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for frame in frames:
            canvas = Image.new("RGB", (width, height), "white")
            canvas.paste(frame.convert("RGB"), (0, 0))
            container.mux(stream.encode(av.VideoFrame.from_image(canvas)))
        container.mux(stream.encode())


def _within(frame: Image.Image) -> Image.Image:
    factor = -(-max(frame.size) // _LARGEST)
    return frame if factor == 1 else frame.reduce(factor)


def progress(there: Sequence[tuple[Path, Image.Image]], path: str | os.PathLike[str], *, titles: bool, most: int = 32) -> None:
    """Writes the samples of a run over time as an animation with a pause at its end.

    Frames are chosen so that from each to the next about as much changes: most of a run changes little, and would be most of
    the film.

    Args:
        there: pictures of one size with their files, which are named by the step, `000123.png`; in order.
        path: the file, `.webp` or `.gif`.
        titles: write the step on each frame.
        most: frames.
    """
    chosen = [there[i] for i in evenly([image for _, image in there], most)]
    shown = [titled(image, f"step {int(file.stem):,}") if titles else image for file, image in chosen]
    step = max(80, min(400, 6_000 // len(shown)))
    animation(shown, path, milliseconds=[step] * (len(shown) - 1) + [2_000])


def evenly(pictures: Sequence[Image.Image], most: int) -> list[int]:
    """Returns the numbers of pictures between which about as much changes, by the mean absolute difference of their pixels.

    Args:
        pictures: of one size, in order.
        most: of them, at least 2.

    Returns:
        Ascending; the first and the last are among them.
    """
    if len(pictures) < 3:
        return list(range(len(pictures)))
    small = [np.asarray(each.convert("RGB").resize((64, 64), Image.Resampling.BOX), np.float64) for each in pictures]
    change = np.array([np.abs(b - a).mean() for a, b in itertools.pairwise(small)])
    way = np.concatenate([[0.0], np.cumsum(change)])
    wanted = np.linspace(0.0, way[-1], min(most, len(pictures)))
    return sorted({int(np.abs(way - each).argmin()) for each in wanted} | {0, len(pictures) - 1})


def _share_palette(frames: list[Image.Image]) -> list[Image.Image]:
    chosen = frames[:: math.ceil(len(frames) / 16)]
    width, height = frames[0].size
    together = Image.new("RGB", (width, height * len(chosen)))
    for i, frame in enumerate(chosen):
        together.paste(frame, (0, i * height))
    palette = together.quantize(256)
    # No dithering: its pattern would crawl from frame to frame.
    return [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
