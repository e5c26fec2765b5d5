"""Walks as files: strips, animations, sheets and tables."""

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from jaxgan import pictures
from jaxgan.commands.sample import write_png
from jaxgan.training.sampler import drawable
from jaxgan.weights.portable import Samples

_LEGIBLE = 96  # pixels of a side of an image that moves
_MILLISECONDS = 60  # of a frame


def walks(rows: Sequence[Samples], out: Path, moving: bool) -> None:
    """Writes rows of samples, as many in each: `.png` of strips, or an animation in which all rows go at once."""
    images = np.stack([drawable(each)[0] for each in rows])  # [walks, frames, ..]
    names, units = [each.names for each in rows], drawable(rows[0])[1]
    shape = rows[0].about.shape
    if len(shape) == 1:
        write_png(dataclasses.replace(rows[0], images=np.concatenate([each.images for each in rows])), out)
    elif not pictures.are_pictures(shape, units):
        if moving:
            drawn = [pictures.view(frame, units) for frame in images.swapaxes(0, 1)]
            pictures.animation(drawn, out, milliseconds=_MILLISECONDS)
        else:
            pictures.write(pictures.view(np.concatenate(images), units, columns=images.shape[1]), out)
    elif moving:
        scale = math.ceil(_LEGIBLE / max(shape[:2]))
        columns = pictures.columns_for(len(rows))
        each = zip(images.swapaxes(0, 1), zip(*names, strict=True), strict=True)
        drawn = [pictures.grid(frame, columns=columns, scale=scale, captions=words) for frame, words in each]
        pictures.animation(drawn, out, milliseconds=_MILLISECONDS)
    else:
        words = [name if name != before else "" for row in names for before, name in zip(("", *row), row, strict=False)]
        pictures.write(pictures.grid(np.concatenate(images), columns=images.shape[1], captions=words), out)


def sheet(samples: Samples, seeds: Sequence[int], out: Path) -> None:
    """Writes samples `[side side, ...]` as a square, with the seed of each corner over or under it."""
    side = math.isqrt(len(samples))
    above, below = ([f"seed {a}", *[""] * (side - 2), f"seed {b}"] for a, b in (seeds[:2], seeds[2:]))
    table(samples, side, out, above, below)


def mixtures(samples: Samples, seeds: Sequence[int], out: Path) -> None:
    """Writes a table of mixtures, with the seeds of fine styles over it, those of coarse ones beside it, the corner empty."""
    images = samples.images.copy()
    images[0] = np.iinfo(images.dtype).max if images.dtype.kind in "iu" else images.max()  # the corner shows nothing
    names = ["", *(f"seed {seed}" for seed in seeds)]
    table(dataclasses.replace(samples, images=images), len(names), out, names, sides=names)


def table(
    samples: Samples,
    columns: int,
    out: Path,
    above: Sequence[str] = (),
    below: Sequence[str] = (),
    sides: Sequence[str] = (),
) -> None:
    """Writes samples as a table with `columns` columns; pictures have words over and under columns and beside rows."""
    images, units = drawable(samples)
    if len(samples.about.shape) == 1:
        write_png(samples, out)
    elif pictures.are_pictures(samples.about.shape, units):
        pictures.write(pictures.grid(images, columns=columns, headings=above, footings=below, sides=sides), out)
    else:
        pictures.write(pictures.view(images, units, columns=columns), out)
