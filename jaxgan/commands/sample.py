"""New images from a run: D is dropped, z is drawn, G(z) is the image; and the way from one z to another."""

import functools
from collections.abc import Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from jaxgan import pictures, views
from jaxgan.core import latents
from jaxgan.recipes.record import Allowed
from jaxgan.system import environment, files
from jaxgan.system.messages import FieldError
from jaxgan.training import classes, runs
from jaxgan.training.experiment import Experiment
from jaxgan.training.generate import drawn, generate, truncating

SAMPLE_SUFFIXES = (".png", ".npz", "")  # "" is a folder
WALK_SUFFIXES = (".png", ".gif", ".webp")
PATHS = {"slerp": latents.slerp, "lerp": latents.lerp}
_MOST_IN_A_GRID = 10_000


@environment.fixed()
def sample(
    path: str | Path,
    *,
    n: int = 64,
    seed: int = 0,
    labels: Sequence[int | str] | None = None,
    truncation: float | None = None,
    batch: int = 64,
    out: str | Path | None = None,
    member: int = 0,
    best: bool = False,
    strict: bool = False,
    code: str | Path | None = None,
    trust_run_code: bool = False,
) -> Path:
    """Draws images from a run's averaged generator and writes them; image i depends on the seed, its label and i only.

    Args:
        path: the run directory.
        n: how many images.
        seed: of the latents, 0 to 2^32 - 1.
        labels: classes to draw by name or number, repeated in this order; by default each class in turn.
        truncation: psi; of a generator with a mapping the share of its style's way from the mean style, from 0 to 1 (above 1
            away from it), of another the threshold of z, see `latents.truncate`; none by default.
        batch: images generated at a time; it does not change them.
        out: `.png` for one view, `.npz` for arrays `images` [N, ..., C] in the units and dtype of the data (uint8
            [N, H, W, C] of pictures) and `labels` int32 [N], the numbers that classes are asked for by, anything without a
            suffix for a folder of PNG files; by default a grid in the run.
        member: of a run of several GANs, the one to take.
        best: of the checkpoint that `keep_best` keeps rather than of the last.
        strict: refuse a damaged checkpoint rather than fall back to the one before.
        code: folder in which the run's own code is looked for first.
        trust_run_code: execute the copy of its code that the run carries.

    Returns:
        Where they are.

    Raises:
        ValueError, FileNotFoundError: when an argument is not allowed; nothing is written then.
    """
    _check_count("n", n, 10_000_000)
    _check_count("batch", batch, 1_048_576)
    _check_seed("seed", seed)
    run = runs.read(path, Allowed(None if code is None else Path(code), trust_run_code))
    experiment = run.experiment()
    _check_member(member, experiment)
    if best:
        runs.best_step(run)  # refused before anything is drawn
    out = _check_out(out if out is not None else run.path / f"sample-{seed}.png", SAMPLE_SUFFIXES)
    every = _check_labels(labels, run)
    of_latents, psi = truncating(experiment, truncation)
    points = len(run.shape.sample) == 1
    if out.suffix == ".png" and n > _MOST_IN_A_GRID and not points:
        raise FieldError("n", n, f"a grid holds at most {_MOST_IN_A_GRID:,} images; write .npz or a folder")
    if points and not out.suffix:
        raise ValueError(f"out: {out} is a folder, but this run makes vectors; write .png or .npz")

    weights = runs.generators(run, experiment, best=best, strict=strict)[0][member]
    chosen = np.resize(np.asarray(every, np.int32), n)
    z = of_latents(drawn(experiment, seed, np.arange(n)))
    images = generate(experiment.one, weights, jax.random.key(seed), z, chosen, batch=batch, truncation=psi)
    if out.suffix == ".npz":
        _write_arrays(out, runs.leaving(run, images), classes.labels(chosen, _class_names(run)))
    elif out.suffix == ".png":
        pictures.write(views.view(images, run.units, columns=len(every) if 1 < len(every) <= 16 else None), out)
    else:
        out.mkdir(exist_ok=True)
        for i, image in enumerate(images):
            flat = views.are_pictures(run.shape.sample, run.units)
            one = pictures.grid(image[None], scale=1, padding=0) if flat else views.view(image[None], run.units)
            pictures.write(one, out / f"{i:06d}.png")
    return out


@environment.fixed()
def interpolate(
    path: str | Path,
    *,
    out: str | Path,
    seeds: Sequence[int] = (3, 7, 12),
    frames: int = 9,
    way: str = "slerp",
    labels: Sequence[int | str] | None = None,
    member: int = 0,
    best: bool = False,
    strict: bool = False,
    code: str | Path | None = None,
    trust_run_code: bool = False,
) -> Path:
    """Walks through latent space from the first image of one seed to that of the next, and writes the way.

    Args:
        path: the run directory.
        out: `.png` for a strip, a row for each label; `.gif` or `.webp` for an animation.
        seeds: two or more; the image of seed s is image 0 of `sample --seed s` with that label.
        frames: images from one seed to the next, both included.
        way: "slerp" along the great circle, "lerp" along the straight line.
        labels: classes that walk the same way, a row each; by default class 0.
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
    if len(seeds) < 2:
        raise ValueError(f"seeds: {len(seeds)} given, but a way needs at least 2")
    for seed in seeds:
        _check_seed("seeds", seed)
    if not 2 <= frames <= 1_000:
        raise FieldError("frames", frames, "it must be from 2 to 1,000")
    if way not in PATHS:
        raise ValueError(f"path: {way!r} is not one of {', '.join(PATHS)}")
    run = runs.read(path, Allowed(None if code is None else Path(code), trust_run_code))
    experiment = run.experiment()
    _check_member(member, experiment)
    if best:
        runs.best_step(run)  # refused before anything is drawn
    out = _check_out(out, WALK_SUFFIXES)
    rows = _check_labels(labels, run)[: None if labels else 1]
    points = len(run.shape.sample) == 1
    if points and out.suffix != ".png":
        raise FieldError("out", out.name, "this run makes points, and the way between them is drawn as .png")

    ends = jnp.concatenate([drawn(experiment, seed, np.zeros(1, np.int32)) for seed in seeds])
    if not jnp.issubdtype(ends.dtype, jnp.floating):
        raise FieldError("generator.latent", f"it draws {ends.dtype}", "between whole numbers there is no way to walk")
    weights = runs.generators(run, experiment, best=best, strict=strict)[0][member]
    z = latents.walk(ends, frames, path=PATHS[way])
    draw = functools.partial(generate, experiment.one, weights, jax.random.key(seeds[0]), z, batch=64)
    images = [draw(np.full(len(z), label, np.int32)) for label in rows]
    if points:
        pictures.write(views.view(np.concatenate(images), run.units), out)
        return out
    if out.suffix == ".png":
        pictures.write(views.view(np.concatenate(images), run.units, columns=len(z)), out)
    else:
        turned = np.stack(images, axis=1)  # [frames, labels, H, W, C]
        pictures.animation([views.view(frame, run.units) for frame in turned], out, milliseconds=60)
    return out


def _write_arrays(out: Path, images: np.ndarray, labels: np.ndarray) -> None:
    files.write(out, lambda file: np.savez_compressed(file, images=images, labels=labels))


def _check_member(member: int, experiment: Experiment) -> None:
    if not 0 <= member < len(experiment.members):
        raise FieldError("member", member, f"the run's members are 0 to {len(experiment.members) - 1}")


def _check_count(name: str, value: int, most: int) -> None:
    if not 1 <= value <= most:
        raise FieldError(name, value, f"it must be from 1 to {most:,}")


def _check_seed(name: str, seed: int) -> None:
    if not 0 <= seed < 2**32:
        raise FieldError(name, seed, f"a seed is from 0 to {2**32 - 1}")


def _check_labels(labels: Sequence[int | str] | None, run: runs.Run) -> list[int]:
    """Returns the places of the classes asked for, of all when none are."""
    if not run.shape.classes:
        if labels:
            raise ValueError(f"labels: {' '.join(map(str, labels))}, but the run is unconditional and takes none")
        return [0]
    return classes.indices(labels, _class_names(run)) if labels else list(range(run.shape.classes))


def _class_names(run: runs.Run) -> tuple[str, ...]:
    return run.class_names or tuple(map(str, range(run.shape.classes)))  # of weights from elsewhere


def _check_out(out: str | Path, suffixes: tuple[str, ...]) -> Path:
    out = files.home_expanded(out).absolute()
    if out.suffix not in suffixes:
        raise ValueError(
            f"out: {out.name} ends in {out.suffix!r}, but it must be one of {', '.join(s or 'a folder' for s in suffixes)}"
        )
    if not out.parent.is_dir():
        raise FileNotFoundError(f"out: the folder {out.parent} does not exist")
    if out.is_dir() and out.suffix:
        raise ValueError(f"out: {out} is a folder")
    if out.is_file() and not out.suffix:
        raise ValueError(f"out: {out} is a file, but without a suffix it must be a folder")
    return out
