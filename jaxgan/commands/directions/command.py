"""Directions of a run's latent space: found, drawn as a sheet, and saved under a name beside the run."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from jaxgan import pictures
from jaxgan.commands.codes import Codes
from jaxgan.commands.directions import finding
from jaxgan.commands.sample import check_out
from jaxgan.core import conditions
from jaxgan.evaluation import settings
from jaxgan.latent import kept, opened
from jaxgan.latent.kept import Directions
from jaxgan.recipes import code as users
from jaxgan.system import environment, files
from jaxgan.system.messages import FieldError, not_one_of, tell

METHODS = ("pca", "factorise")
STEPS = (-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0)  # deviations, the columns of a sheet
_LAW = 1_000  # codes by whose deviation a step is measured


@environment.fixed()
def directions(
    run: str | Path,
    *,
    method: Literal["pca", "factorise"] = "pca",
    labels: Sequence[int | str] | None = None,
    function: Callable[[np.ndarray], Any] | str | None = None,
    count: int | None = None,
    name: str | None = None,
    features: settings.Asked = None,
    seed: int = 0,
    out: str | Path | None = None,
    member: int = 0,
    best: bool = False,
    strict: bool = False,
    code: str | Path | None = None,
    trust_run_code: bool = False,
) -> Directions:
    """Finds directions along which a generator's images change in one respect, and saves them beside the run.

    Args:
        run: the run directory, or a `.safetensors` file.
        method: "pca", the principal directions of w; without a mapping, those of z along which images change most (eigenvectors
            of the mean of J^T J); "factorise", the directions of w or z that the first weights stretch most.
        labels: two classes, in place of a method: the direction from the first to the second. It comes from styles made for a
            class, or, in a generator without classes, from a classifier of its images.
        function: a function, or its `file.py:NAME`, in place of a method: from images `[B, ...]` in the units of the data to a
            number or truth value each; the direction along which that grows.
        count: number of directions, for `method`; by default 8, or the length of a latent if that is less.
        name: name to save them under; by default the method's, `3-to-7`, or the function's.
        features: a classifier for `labels`, as for `evaluate`; by default that which suits the data.
        seed: of the latents.
        out: a `.png` file of the sheet, a row for each direction; by default beside what is saved.
        member: of a run of several GANs, the one to take.
        best: of the checkpoint that `keep_best` keeps rather than of the last.
        strict: refuse a damaged checkpoint rather than fall back to the one before.
        code: folder in which the run's own code is looked for first.
        trust_run_code: execute the copy of its code that the run carries.

    Returns:
        `Directions`, as `jaxgan.latent.kept.read(run, name)` reads them again.

    Raises:
        ValueError, FileNotFoundError: when an argument is not allowed; nothing is written then.
    """
    if method not in METHODS:
        raise not_one_of("method", method, METHODS)
    if labels is not None and function is not None:
        raise FieldError("labels", "given with a function", "give one of them")
    _check_options(labels, function, method, count, features)
    if not 0 <= seed < 2**32:
        raise FieldError("seed", seed, f"a seed is from 0 to {2**32 - 1}")
    of_run: dict[str, Any] = {"member": member, "best": best, "strict": strict, "code": code, "trust_run_code": trust_run_code}
    found = opened.read(run, **of_run)
    here = Codes(found, seed=seed)
    count = min(8, here.length) if count is None else count
    if not 1 <= count <= here.length:
        raise FieldError("count", count, f"it must be from 1 to {here.length}, the length of a latent")
    named = kept.check_name(name or _name(method, labels, function))
    files.check_writable("run", kept.folder_of(found.path))  # which keeps them, wherever their sheet is
    sheet = kept.folder_of(found.path) / f"{named}.png" if out is None else check_out(out, (".png",))
    if labels is not None:
        axes, about = finding.of_labels(here, labels, features)
    elif function is not None:
        axes, about = finding.of_function(here, _function(function), named)
    else:
        axes, about = finding.of_method(here, method, count)
    deviations = (here.drawn(_LAW) @ axes.vectors.T).std(axis=0)
    how = {"run": found.path.name, "step": found.step, "seed": seed, "space": here.space, **about}
    made = Directions(named, here.space, axes.vectors * deviations[:, None], axes.values, how)
    tell(f"directions: {named}, {len(made.vectors)} of {here.space}: {about['made']}")
    kept.write(found.path, made)
    pictures.write(drawn(here, made), sheet)
    tell(f"sheet: {sheet}; along one: jaxgan interpolate {found.path} --direction {named}:1 --out along.png")
    return made


def drawn(here: Codes, made: Directions) -> Image.Image:
    """Draws the seed's first sample on its way along the first eight directions; of a single one the first five samples."""
    shown = min(len(made.vectors), 8)
    samples = 1 if shown > 1 else 5
    codes, given = here.drawn(samples), here.given(samples)
    rows = [made.along(code, i + 1, STEPS) for i in range(shown) for code in codes]
    index = np.tile(np.repeat(np.arange(samples), len(STEPS)), shown)
    images = here.images(np.concatenate(rows), conditions.take(given, index))
    units = here.generator.units
    if pictures.are_pictures(here.generator.shape.sample, units):
        names = [f"{made.name}:{i + 1}" if first == 0 else "" for i in range(shown) for first in range(samples)]
        return pictures.grid(images, columns=len(STEPS), headings=[f"{step:+g}" for step in STEPS], sides=names)
    return pictures.view(images, units, columns=len(STEPS))


def _check_options(labels: Any, function: Any, method: str, count: int | None, features: Any) -> None:
    """Refuses what the way of finding that was asked for would not look at."""
    alone = labels is None and function is None
    for name, value, fits, told in (
        ("method", method if method != METHODS[0] else None, alone, "it finds directions of the generator alone"),
        ("count", count, alone, "labels and a function give one direction; it is of --method"),
        ("features", features, labels is not None, "they read the classes of --labels"),
    ):
        if value is not None and not fits:
            raise FieldError(name, value, told)


def _function(given: Callable[[np.ndarray], Any] | str) -> Callable[[np.ndarray], Any]:
    found = users.named(given, "function") if isinstance(given, str) else given
    if not callable(found):
        raise FieldError("function", given, "it must be a function of images")
    function: Callable[[np.ndarray], Any] = found
    return function


def _name(method: str, labels: Sequence[int | str] | None, function: Any) -> str:
    if labels is not None:
        return "-to-".join(map(str, labels))
    if function is None:
        return method
    return function.rpartition(":")[2] if isinstance(function, str) else getattr(function, "__name__", "function").strip("<>")
