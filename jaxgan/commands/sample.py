"""New images from a run: D is dropped, z is drawn, G(z) is the image; and the way from one z to another."""

from collections.abc import Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from jaxgan import pictures
from jaxgan.core import latents
from jaxgan.training import runs
from jaxgan.training.generate import drawn, generate, truncating

SAMPLE_SUFFIXES = (".png", ".npz", "")  # "" is a folder
WALK_SUFFIXES = (".png", ".gif", ".webp")
PATHS = {"slerp": latents.slerp, "lerp": latents.lerp}
_MOST_IN_A_GRID = 10_000


def sample(
    path: str | Path,
    *,
    n: int = 64,
    seed: int = 0,
    labels: Sequence[int] | None = None,
    truncation: float | None = None,
    batch: int = 64,
    out: str | Path | None = None,
    member: int = 0,
    best: bool = False,
    strict: bool = False,
) -> Path:
    """Draws images from a run's averaged generator and writes them; image i depends on the seed, its label and i only.

    Args:
        path: the run directory.
        n: how many images.
        seed: of the latents, 0 to 2^32 - 1.
        labels: classes to draw, repeated in this order; by default each class in turn.
        truncation: psi; of a generator with a mapping the share of its style's way from the mean style, from 0 to 1 (above 1
            away from it), of another the threshold of z, see `latents.truncate`; none by default.
        batch: images generated at a time; it does not change them.
        out: `.png` for one grid, `.npz` for arrays `images` uint8 [N, H, W, C] (points float32 [N, 2]) and `labels`
            int32 [N], anything without a suffix for a folder of PNG files; by default a grid in the run.
        member: of a run of several GANs, the one to take.
        best: of the checkpoint that `keep_best` keeps rather than of the last.
        strict: refuse a damaged checkpoint rather than fall back to the one before.

    Returns:
        Where they are.

    Raises:
        ValueError, FileNotFoundError: when an argument is not allowed; nothing is written then.
    """
    _check_count("n", n, 10_000_000)
    _check_count("batch", batch, 1_048_576)
    _check_seed("seed", seed)
    run = runs.read(path)
    runs.member_of(run, member)
    step = runs.best_step(run) if best else None
    out = _check_out(out if out is not None else run.path / f"sample-{seed}.png", SAMPLE_SUFFIXES)
    every = _check_labels(labels, run)
    of_latents, psi = truncating(runs.member_of(run, member), run.shape, truncation)
    points = len(run.shape.sample) == 1
    if out.suffix == ".png" and n > _MOST_IN_A_GRID and not points:
        raise ValueError(f"n: {n}, but a grid holds at most {_MOST_IN_A_GRID:,} images; write .npz or a folder")
    if points and not out.suffix:
        raise ValueError(f"out: {out} is a folder, but this run makes points; write .png or .npz")

    run, gan, weights = runs.load_generator(path, step=step, member=member, strict=strict)
    chosen = np.resize(np.asarray(every, np.int32), n)
    z = of_latents(drawn(run.recipe, seed, np.arange(n)))
    images = generate(gan, weights, jax.random.key(seed), z, chosen, batch=batch, truncation=psi)
    if out.suffix == ".npz":
        _write_arrays(out, images if points else pictures.to_uint8(images), chosen)
    elif out.suffix == ".png":
        columns = len(every) if 1 < len(every) <= 16 else None
        pictures.write(pictures.scatter(images) if points else pictures.grid(images, columns=columns), out)
    else:
        out.mkdir(exist_ok=True)
        for i, image in enumerate(images):
            pictures.write(pictures.grid(image[None], scale=1, padding=0), out / f"{i:06d}.png")
    return out


def interpolate(
    path: str | Path,
    *,
    out: str | Path,
    seeds: Sequence[int] = (3, 7, 12),
    frames: int = 9,
    way: str = "slerp",
    labels: Sequence[int] | None = None,
    member: int = 0,
    best: bool = False,
    strict: bool = False,
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
        raise ValueError(f"frames: {frames}, but it must be from 2 to 1,000")
    if way not in PATHS:
        raise ValueError(f"path: {way!r} is not one of {', '.join(PATHS)}")
    run = runs.read(path)
    runs.member_of(run, member)
    step = runs.best_step(run) if best else None
    out = _check_out(out, WALK_SUFFIXES)
    rows = _check_labels(labels if labels else [0] if run.shape.classes else None, run)
    if len(run.shape.sample) == 1:
        raise ValueError(f"run: {run.path} makes points, and a way between points is no picture; use one that makes images")

    run, gan, weights = runs.load_generator(path, step=step, member=member, strict=strict)
    z = latents.walk(
        jnp.concatenate([drawn(run.recipe, seed, np.zeros(1, np.int32)) for seed in seeds]), frames, path=PATHS[way]
    )
    images = [generate(gan, weights, jax.random.key(seeds[0]), z, np.full(len(z), label, np.int32), batch=64) for label in rows]
    if out.suffix == ".png":
        pictures.write(pictures.grid(np.concatenate(images), columns=len(z)), out)
    else:
        turned = np.stack(images, axis=1)  # [frames, labels, H, W, C]
        pictures.animation([pictures.grid(frame) for frame in turned], out, milliseconds=60)
    return out


def _write_arrays(out: Path, images: np.ndarray, labels: np.ndarray) -> None:
    part = out.with_name(f".{out.name}.part")
    with part.open("wb") as file:
        np.savez_compressed(file, images=images, labels=labels)
    part.replace(out)


def _check_count(name: str, value: int, most: int) -> None:
    if not 1 <= value <= most:
        raise ValueError(f"{name}: {value}, but it must be from 1 to {most:,}")


def _check_seed(name: str, seed: int) -> None:
    if not 0 <= seed < 2**32:
        raise ValueError(f"{name}: {seed}, but a seed is from 0 to {2**32 - 1}")


def _check_labels(labels: Sequence[int] | None, run: runs.Run) -> list[int]:
    classes = run.shape.classes
    if not classes:
        if labels:
            raise ValueError(f"labels: {' '.join(map(str, labels))}, but the run is unconditional and takes none")
        return [0]
    for label in labels or ():
        if not 0 <= label < classes:
            raise ValueError(f"labels: {label}, but the run's classes are 0 to {classes - 1}")
    return list(labels or range(classes))


def _check_out(out: str | Path, suffixes: tuple[str, ...]) -> Path:
    out = Path(out).expanduser().absolute()
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
