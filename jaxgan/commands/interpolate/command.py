"""The way from one image to another through latent space."""

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxgan import pictures
from jaxgan.commands.interpolate import drawing, ways
from jaxgan.commands.sample import Labels, check_out, check_seed
from jaxgan.commands.sampler import load_sampler
from jaxgan.core import latents as lines
from jaxgan.latent import opened, walks
from jaxgan.system import environment
from jaxgan.system.messages import FieldError
from jaxgan.weights.portable import Sampler, Samples

SUFFIXES = (".png", ".gif", ".webp", ".mp4")
PATHS = {"slerp": lines.slerp, "lerp": lines.lerp}
_SHEET = 7  # images along a side


@environment.fixed()
def interpolate(
    path: str | Path,
    *,
    out: str | Path,
    seeds: Sequence[int] = (3, 7, 12),
    frames: int | None = None,
    way: str = "slerp",
    labels: Labels = None,
    loop: bool = False,
    sheet: bool = False,
    morph: bool = False,
    mix: bool = False,
    cut: int | None = None,
    direction: str | None = None,
    latents: str | Path | None = None,
    member: int = 0,
    best: bool = False,
    strict: bool = False,
    code: str | Path | None = None,
    trust_run_code: bool = False,
) -> Path:
    """Walks through latent space from the images of one seed to those of the next, and writes the way.

    Args:
        path: the run directory, or the `.safetensors` or `.jaxgan` file of one; morphs, mixtures and directions of styles need
            one of the first two.
        out: `.png` for strips, a row for each walk; `.gif`, `.webp` or `.mp4` (it needs the extra `video`) for an animation
            that comes back to its beginning.
        seeds: two or more; the images of seed s are those of `sample --seed s` with the same labels. Four for a sheet.
        frames: images from one seed to the next, both included; by default 9 of a strip, 24 of an animation, and 7 along a
            side of a sheet.
        way: "slerp" along the great circle, "lerp" along the straight line.
        labels: classes that walk the same way, by number or name; by default every class, the first 16 of more. Without
            classes the first 4 samples of each seed walk, each to its own of the next.
        loop: go round smoothly, by a periodic spline through the seeds; normal latents stay on their shell.
        sheet: a square between four seeds, of one class; `.png`.
        morph: each seed's sample goes from class to class through `labels`, two or more, its z held.
        mix: a table of coarse styles of one seed with fine ones of another; for a generator with a mapping; `.png`.
        cut: layers that the coarse seed of a mixture gives; half by default.
        direction: `NAME`, or `NAME:3` for the third, of those that `directions` saved: the first seed's sample from 3
            deviations on one side to 3 on the other.
        latents: the `latents.npz` that `project` wrote, or any with an array `latents` [K, D], to walk between instead of
            those of seeds, as a strip or a loop; styles go straight.
        member: of a run of several GANs, the one to take.
        best: of the checkpoint that `keep_best` keeps rather than of the last.
        strict: refuse a damaged checkpoint rather than fall back to the one before.
        code: folder in which the run's own code is looked for first.
        trust_run_code: execute the copy of its code that the run carries.

    Returns:
        Where it is.

    Raises:
        ValueError, FileNotFoundError: when an argument is not allowed; nothing is written then.
    """
    kind = _kind(loop=loop, sheet=sheet, morph=morph, mix=mix, direction=direction is not None)
    _check(kind, seeds, frames, way, cut)
    of_run: dict[str, Any] = {"member": member, "best": best, "strict": strict, "code": code, "trust_run_code": trust_run_code}
    sampler, read = load_sampler(path, **of_run), functools.partial(opened.read, path, **of_run)
    out = check_out(out, SUFFIXES)
    moving = out.suffix != ".png"
    _check_drawn(sampler, kind, out, moving)
    if kind == "mix":
        made, _ = ways.mixtures(read(), seeds, _one(sampler, labels, kind), cut)
        drawing.mixtures(made, seeds, out)
        return out
    if kind == "sheet":
        drawing.sheet(_sheet(sampler, seeds, labels, _SHEET if frames is None else frames, way), seeds, out)
        return out
    frames = (24 if moving else 9) if frames is None else frames
    if latents is not None:
        if kind not in ("strip", "loop"):
            raise FieldError("latents", "given", f"they are walked between as a strip or with --loop, not with --{kind}")
        drawing.walks([_between(kind, sampler, read, latents, seeds, labels, frames, way, moving)], out, moving)
        return out
    drawing.walks(_walks(kind, sampler, read, path, seeds, labels, frames, way, moving, direction), out, moving)
    return out


def _check_drawn(sampler: Sampler, kind: str, out: Path, moving: bool) -> None:
    """Refuses a way that the file, or the generator, cannot have."""
    if len(sampler.about.shape) == 1 and moving:
        raise FieldError("out", out.name, "this run makes points, and the way between them is drawn as .png")
    if kind in ("sheet", "mix") and moving:
        raise FieldError("out", out.name, f"a {'sheet' if kind == 'sheet' else 'table of mixtures'} stands still; write .png")
    if out.suffix == ".mp4":
        pictures.check_video(out)
    if not np.issubdtype(sampler.about.latent_dtype, np.floating):
        raise FieldError("generator.latent", f"it draws {sampler.about.latent_dtype}", "between whole numbers there is no way")


def _sheet(sampler: Sampler, seeds: Sequence[int], labels: Labels, side: int, way: str) -> Samples:
    """Returns the samples of a square between four seeds, row by row, of one class."""
    row = ways.rows_of(sampler, [sampler.about.numbers[_one(sampler, labels, "sheet")]] if sampler.about.classes else None)[0]
    corners = ways.points(sampler, seeds, row.number)
    z = walks.sheet(corners, rows=side, columns=side, path=PATHS[way]).reshape(side * side, -1)
    return ways.of_codes(sampler, seeds[0], row, z)


def _walks(
    kind: str,
    sampler: Sampler,
    read: Any,
    path: str | Path,
    seeds: Sequence[int],
    labels: Labels,
    frames: int,
    way: str,
    moving: bool,
    direction: str | None,
) -> list[Samples]:
    """Returns the samples of each row; of an animation the last leads to the first."""
    if kind == "morph":
        places = sampler.conditions(labels) if labels is not None else []
        if len(places) < 2:
            raise FieldError(
                "labels", f"{len(places)} classes", "a morph goes from class to class: give two or more, --labels 3 7"
            )
        legs = [*places, *places[:1]] if moving else places
        return [each.part(slice(0, -1 if moving else None)) for each in ways.morphs(read(), sampler, seeds, legs, frames)]
    rows = ways.rows_of(sampler, labels)
    if kind == "direction":
        assert direction is not None
        there = ways.of_direction(read, sampler, path, direction, seeds[0], rows, frames)
        back = [*range(frames), *range(frames - 2, 0, -1)]
        return [each.part(back) for each in there] if moving else there
    if kind == "loop":
        round_ = ways.closed(sampler, max(frames - 1, 1))
        return [ways.along(sampler, seeds, row, round_) for row in rows]
    legs_ = [*seeds, *seeds[:moving]]

    def through(ends: jax.Array) -> jax.Array:
        return lines.walk(ends, frames, path=PATHS[way])

    return [ways.along(sampler, legs_, row, through).part(slice(0, -1 if moving else None)) for row in rows]


def _between(
    kind: str,
    sampler: Sampler,
    read: Any,
    latents: str | Path,
    seeds: Sequence[int],
    labels: Labels,
    frames: int,
    way: str,
    moving: bool,
) -> Samples:
    """Returns the samples on the way between the codes of a file."""
    given = ways.read(latents, sampler, labels)
    if kind == "loop":
        return ways.between(read, sampler, given, seeds[0], ways.closed(sampler, max(frames - 1, 1), given.space))
    path = PATHS[way] if given.space == "z" else lines.lerp

    def through(ends: jax.Array) -> jax.Array:
        return lines.walk(jnp.concatenate([ends, ends[:1]]) if moving else ends, frames, path=path)

    return ways.between(read, sampler, given, seeds[0], through).part(slice(0, -1 if moving else None))


def _kind(**asked: bool) -> str:
    """Returns which way is asked for, strip where none is.

    Raises:
        FieldError: when several are.
    """
    chosen = [name for name, wanted in asked.items() if wanted]
    if len(chosen) > 1:
        raise FieldError(chosen[1], f"asked for with {chosen[0]}", f"give one of {', '.join(asked)}")
    return chosen[0] if chosen else "strip"


def _check(kind: str, seeds: Sequence[int], frames: int | None, way: str, cut: int | None) -> None:
    if kind in ("strip", "loop", "mix") and len(seeds) < 2:
        raise ValueError(f"seeds: {len(seeds)} given, but a way needs at least 2")
    if not seeds:
        raise FieldError("seeds", "none given", "give one or more")
    if kind == "sheet" and len(seeds) != 4:
        raise FieldError("seeds", f"{len(seeds)} given", "a sheet has four corners: --seeds 1 2 3 4")
    for seed in seeds:
        check_seed("seeds", seed)
    if frames is not None and not 2 <= frames <= (64 if kind == "sheet" else 1_000):
        raise FieldError("frames", frames, f"it must be from 2 to {64 if kind == 'sheet' else '1,000'}")
    if way not in PATHS:
        raise ValueError(f"path: {way!r} is not one of {', '.join(PATHS)}")
    if cut is not None and kind != "mix":
        raise FieldError("cut", cut, "it is for --mix")
    if frames is not None and kind == "mix":
        raise FieldError("frames", frames, "a table of mixtures has as many images along a side as seeds")
    if way == "lerp" and kind not in ("strip", "sheet"):
        raise FieldError("path", way, "it is for strips and --sheet; every other way has its own")


def _one(sampler: Sampler, labels: Labels, kind: str) -> int:
    """Returns the place of the one class of a sheet or a table, the first by default.

    Raises:
        FieldError: when several are asked for.
    """
    if labels is None:
        return 0
    places = sampler.conditions(labels)
    if len(places) > 1:
        raise FieldError("labels", f"{len(places)} classes", f"a {'sheet' if kind == 'sheet' else 'table'} is of one")
    return places[0]
