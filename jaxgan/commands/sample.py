"""New images from a generator: D is dropped, z is drawn, G(z) is the image."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jaxgan import pictures
from jaxgan.commands.sampler import load_sampler
from jaxgan.core.conditions import as_arrays, count_of, named, of_names
from jaxgan.system import files
from jaxgan.system.arrays import npz, write_npz
from jaxgan.system.messages import FieldError
from jaxgan.training.sampler import drawable
from jaxgan.weights import generator_files
from jaxgan.weights.portable import Samples

Labels = Sequence[int | str] | int | str | None
SAMPLE_SUFFIXES = (".png", ".npz", "")  # "" is a folder
_MOST_IN_A_GRID = 10_000
_POINTS = 2_500  # PacGAN's protocol


def sample(
    path: str | Path,
    *,
    n: int | None = None,
    seed: int = 0,
    labels: Labels = None,
    conditions: str | Path | None = None,
    truncation: float | None = None,
    batch: int = 64,
    out: str | Path | None = None,
    member: int = 0,
    best: bool = False,
    strict: bool = False,
    code: str | Path | None = None,
    trust_run_code: bool = False,
) -> Path:
    """Draws images from an averaged generator and writes them; image i depends on the seed, its label and i only.

    Args:
        path: the run directory, or the `.safetensors` or `.jaxgan` file of one.
        n: how many images; by default 64, of points 2,500.
        seed: of the latents, 0 to 2^32 - 1.
        labels: classes to draw, by number or name, repeated in this order; by default each class in turn.
        conditions: of a generator that takes one, an `.npz` file with the array `condition` [M, ...], or `condition/NAME` of
            each of several, repeated in this order; n is M by default. A run has those of its pictures where none is given.
        truncation: psi; of a generator with a mapping the share of its style's way from the mean style, from 0 to 1 (above 1
            away from it), of another the threshold of z, see `latents.truncate`; none by default.
        batch: most images generated at a time; it does not change them.
        out: `.png` for one view, `.npz` for arrays `images` [N, ..., C] in the units and dtype of the data (uint8
            [N, H, W, C] of pictures) and `labels` int32 [N], the numbers that classes are asked for by, anything without a
            suffix for a folder of PNG files; by default a grid in the run, or beside the file.
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
    _check_count("batch", batch, 1_048_576)
    check_seed("seed", seed)
    if n is not None:
        _check_count("n", n, 10_000_000)
    of_run: dict[str, Any] = {"member": member, "best": best, "strict": strict, "code": code, "trust_run_code": trust_run_code}
    sampler = load_sampler(path, batch=batch, **of_run)
    points = sampler.about.are_points
    asked = None if conditions is None else read_conditions(conditions)
    n = (_POINTS if points else 64) if n is None and asked is None else n
    out = check_out(out if out is not None else generator_files.beside(path, f"sample-{seed}.png"), SAMPLE_SUFFIXES)
    every = sampler.conditions(labels)
    many = (0 if asked is None else count_of(asked)) if n is None else n
    if out.suffix == ".png" and many > _MOST_IN_A_GRID and not points:
        raise FieldError("n", many, f"a grid holds at most {_MOST_IN_A_GRID:,} images; write .npz or a folder")
    if len(sampler.about.shape) == 1 and not out.suffix:
        raise ValueError(f"out: {out} is a folder, but this run makes vectors; write .png or .npz")

    chosen = [sampler.about.numbers[place] for place in every] if sampler.about.classes else None
    samples = sampler(n, seed, chosen, truncation=truncation, condition=asked)
    if out.suffix == ".npz":
        of_condition = {} if samples.condition is None else named(samples.condition)
        arrays = {"images": samples.images, "labels": samples.labels} | of_condition
        write_npz(out, arrays)
    elif out.suffix == ".png":
        write_png(samples, out)
    else:
        out.mkdir(exist_ok=True)
        images, units = drawable(samples)
        flat = pictures.are_pictures(sampler.about.shape, units)
        for i, image in enumerate(images):
            one = pictures.grid(image[None], scale=1, padding=0) if flat else pictures.view(image[None], units)
            pictures.write(one, out / f"{i:06d}.png")
    return out


def read_conditions(path: str | Path) -> Any:
    """Returns the conditions that a file holds; nothing is unpickled.

    Raises:
        FileNotFoundError: when there is no such file.
        FieldError: when it is damaged, or holds no conditions.
    """
    place = files.home_expanded(path, "conditions")
    try:
        return as_arrays(of_names(npz(place)[0]))
    except files.Missing as error:
        raise error.of("conditions") from None
    except files.Unreadable as error:
        raise FieldError("conditions", f"{path} is damaged or no .npz of plain arrays", error.cause, link=": ") from error
    except ValueError as error:
        raise FieldError("conditions", path, str(error), link=": ") from error


def write_png(samples: Samples, out: Path) -> None:
    assert samples.draw is not None
    content = samples.draw(samples)
    files.write(out, lambda file: file.write(content))


def _check_count(name: str, value: int, most: int) -> None:
    if not 1 <= value <= most:
        raise FieldError(name, value, f"it must be from 1 to {most:,}")


def check_seed(name: str, seed: int) -> None:
    if not 0 <= seed < 2**32:
        raise FieldError(name, seed, f"a seed is from 0 to {2**32 - 1}")


def check_out(out: str | Path, suffixes: tuple[str, ...]) -> Path:
    out = files.home_expanded(out, "out").absolute()
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
    files.check_writable("out", out)
    return out
