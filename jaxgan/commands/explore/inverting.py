"""The latents of a picture that is dropped on the page; what that takes is read and compiled when the first one is."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from jaxgan import pictures
from jaxgan.commands.project.search import Given, programs, search
from jaxgan.data import fit
from jaxgan.latent import opened, residuals, targets
from jaxgan.pages.answers import Found
from jaxgan.pages.place import mixes
from jaxgan.system import environment, images
from jaxgan.system.messages import FieldError
from jaxgan.weights.portable import Sampler

_RESTARTS, _STEPS = 4, 200
_SPACE = "z"  # which a sampler takes


def inverter(path: Path, sampler: Sampler, of_run: dict[str, Any]) -> Callable[[bytes, int | None], Found] | None:
    """Returns what finds the latents of a picture, or None of a generator whose latents cannot be found from one.

    Args:
        path: a run or a file of weights; a `.jaxgan` file has no derivatives.
        sampler: of it.
        of_run: arguments of `opened.read`.
    """
    about = sampler.about
    held = path.suffix == ".jaxgan" or about.condition is not None or not mixes(about)
    if held or len(about.shape) != 3 or about.shape[2] not in (1, 3, 4):
        return None

    @functools.cache
    def found() -> tuple[opened.Opened, Any]:
        read = opened.read(path, **of_run)
        every = Given(np.array([sampler.conditions(None)]), None)
        return read, programs(read, _SPACE, every, restarts=_RESTARTS, seed=0)

    @environment.fixed()
    def invert(content: bytes, label: int | None) -> Found:
        pixels = _pixels(content, about.shape[2])
        read, compiled = found()
        wanted = targets.read(pixels[None], about.shape, read.generator.units, read.fit)
        places = sampler.conditions(label)
        made = search(compiled, wanted.images, Given(np.array([places]), None), restarts=_RESTARTS, steps=_STEPS)
        near = residuals.psnr(float(np.sqrt(made.error[0])) / 2.0)
        number = about.numbers[int(made.places[0])] if about.classes else None
        return Found(
            made.codes[0], number, f"The nearest picture that was found comes to {near:.1f} dB (PSNR; more is nearer)."
        )

    return invert if pictures.are_pictures(about.shape, None) else None


def _pixels(content: bytes, channels: int) -> np.ndarray:
    """Returns a picture's pixels, `[H, W, C]` uint8.

    Raises:
        FieldError: when it is none.
    """
    try:
        with images.opened(content, formats=images.FORMATS) as image:
            return np.asarray(fit.picture(image, None, channels))
    except Exception as error:  # a damaged file makes Pillow raise nearly anything
        raise FieldError("picture", f"{len(content):,} bytes", f"it must be one of {', '.join(images.FORMATS)}") from error
