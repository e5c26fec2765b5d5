"""Pictures of a run with a slider: samples over training, and frames of an interpolation."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

from jaxgan import pictures
from jaxgan.pages import stills, walks
from jaxgan.pages.facts import Facts
from jaxgan.pages.markup import Html, tag
from jaxgan.pictures.moving import evenly
from jaxgan.recipes.code import UserCodeError
from jaxgan.system import files
from jaxgan.training.checkpoint import restoring
from jaxgan.training.checkpoint.errors import CheckpointError

_READ = 64  # grids of samples that are looked at
_SHOWN = 32  # of them that are shown
_PLAYED = 4  # GANs of a run whose walks are shown
_LISTED = 400  # steps that are named


class Film(NamedTuple):
    """Pictures with a slider."""

    name: str
    slider: str  # what it moves along
    frames: list[bytes]  # of WebP
    size: tuple[int, int]
    labels: list[str]  # of each
    words: str  # what is seen
    first: int  # the picture that is shown at first

    @property
    def data(self) -> dict[str, Any]:
        """Returns the film in plain values; the picture that the page holds already is left out."""
        src = [None if i == self.first else stills.url(each) for i, each in enumerate(self.frames)]
        return {"name": self.name, "src": src, "labels": self.labels, "words": self.words}


def samples(folder: Path, most: int) -> tuple[Film | None, list[int]]:
    """Returns the grids of samples of a run, those between which most changes, and the steps that are left out.

    Args:
        folder: of pictures named by their step.
        most: bytes.
    """
    every = sorted(path for path in folder.glob("[0-9]*.png") if path.stem.isdecimal())
    chosen = every if len(every) <= _READ else [every[i * (len(every) - 1) // (_READ - 1)] for i in range(_READ)]
    there = pictures.frames(chosen)
    if len(there) > _SHOWN:
        there = [there[i] for i in evenly([image for _, image in there], _SHOWN)]
    kept, found = stills.fitted([image for _, image in there], most)
    steps = [int(there[i][0].stem) for i in kept]
    left_out = [int(path.stem) for path in every if int(path.stem) not in steps]
    if not kept:
        return None, left_out
    labels = [f"step {step:,}" for step in steps]
    words = "Samples of the same latents at every step"
    return Film("Samples", "Step of training", found, there[0][1].size, labels, words, len(kept) - 1), left_out


def of_walks(facts: Facts, most: int, *, best: bool, strict: bool) -> tuple[list[Film], str]:
    """Returns a film of an interpolation between samples for each GAN of a run, and a text about what is missing.

    Args:
        facts: of the run.
        most: bytes of all films.
        best: of the checkpoint that `keep_best` keeps.
        strict: refuse a damaged checkpoint rather than fall back to the one before.

    Raises:
        CheckpointError: when one is refused.
    """
    run, found = facts.run, list[Film]()
    if run is None:
        return found, facts.code_missing
    if not restoring.saved_steps(run.checkpoints):
        return found, "the run has no checkpoint"
    try:
        generator, weights, step = run.generator(best=best, strict=strict)
        count = min(generator.count, _PLAYED)
        for member in range(count):
            if member:
                generator, weights, step = run.generator(member=member, best=best, strict=strict)
            made = walks.walk(generator, weights, run.shown)
            name = f"GAN {member} of {generator.count}" if generator.count > 1 else "The averaged generator"
            found += _film_of(name, made.frames, f"{made.words}, step {step:,}", max(most, 0) // count)
    except (OSError, UserCodeError, ValueError) as error:  # of checkpoints, of fields, and of the user's own network
        if strict and isinstance(error, CheckpointError):
            raise
        return found, files.told(error)
    more = generator.count > count
    return found, f"of {generator.count} GANs the first {count} are shown" if more else ""


def _film_of(name: str, frames: list[Image.Image], words: str, most: int) -> list[Film]:
    kept, found = stills.fitted(frames, most)
    labels = [f"frame {i + 1} of {len(kept)}" for i in range(len(kept))]
    slider = f"Frame of {name}" if name.startswith("GAN") else "Frame"
    return [Film(name, slider, found, frames[0].size, labels, words, 0)] if kept else []


def figure(film: Film, place: int) -> Html:
    """Returns a film with its slider; the script shows the picture that the slider is at."""
    first, words = film.first, film.words
    drawn = {"width": film.size[0], "height": film.size[1], "class_": "samples", "id": f"film-{place}"}
    shown = tag("img", src=stills.url(film.frames[first]), alt=f"{words}: {film.labels[first]}", **drawn)
    wide = {"type": "range", "min": 0, "max": len(film.frames) - 1, "value": first, "step": 1, "id": f"move-{place}"}
    slider = [tag("label", film.slider, for_=f"move-{place}"), tag("input", **wide, aria_valuetext=film.labels[first])]
    said = tag("output", film.labels[first], id=f"said-{place}", for_=f"move-{place}")
    button = tag("button", "Play", type="button", id=f"play-{place}", hidden=True, aria_label=f"Play: {film.name}")
    caption = tag("figcaption", words)
    return tag("figure", shown, tag("div", slider, said, button, class_="film"), caption, class_="film-of")


def left_out(film: Film | None, steps: Sequence[int]) -> Html | None:
    """Returns which pictures of samples are not shown, in words."""
    if film is None or not steps:
        return None
    listed, shown = ", ".join(f"{step:,}" for step in steps[:_LISTED]), len(film.frames)
    words = f"{shown} of {shown + len(steps):,} pictures are shown, those between which most changes"
    more = f" and {len(steps) - _LISTED:,} more" if len(steps) > _LISTED else ""
    return tag("details", tag("summary", f"{words}; {len(steps):,} are left out"), tag("p", f"Left out: steps {listed}{more}."))


def played(films: Sequence[Film], first: int, missing: str) -> list[Html]:
    """Returns the films of walks, and what is missing of them."""
    parts: list[Html] = []
    for place, film in enumerate(films, first):
        parts += [tag("h3", film.name)] if len(films) > 1 else []
        parts.append(figure(film, place))
    return [*parts, tag("p", f"{'' if films else 'No interpolation: '}{missing}.")] if missing else parts


def nearest(path: Path, most: int) -> Html | None:
    """Returns the picture of generated samples beside the nearest real ones, where an evaluation drew it."""
    there = pictures.frames([path]) if path.is_file() else []
    kept, found = stills.fitted([image for _, image in there], most)
    if not kept:
        return None
    words, size = "Generated samples, each beside the real samples nearest to it", there[0][1].size
    shown = tag("img", src=stills.url(found[0]), alt=words, width=size[0], height=size[1], class_="samples")
    return tag("details", tag("summary", "Nearest real samples"), tag("figure", shown, tag("figcaption", words)))
