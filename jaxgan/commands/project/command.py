"""Inversion of images: for each the latents whose image is nearest to it."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxgan.commands.features import distances, extractor_for
from jaxgan.commands.project import written
from jaxgan.commands.project.search import Found, Given, programs, search
from jaxgan.commands.project.written import Projection
from jaxgan.core import conditions as forms
from jaxgan.evaluation import settings
from jaxgan.latent import opened, residuals, spaces, targets
from jaxgan.system import environment
from jaxgan.system.messages import FieldError, tell
from jaxgan.training.sampler import sampler
from jaxgan.weights.portable import About, Sampler, leaving

Labels = Sequence[int | str] | int | str | None


@environment.fixed()
def project(
    run: str | Path,
    images: Any,
    *,
    labels: Labels = None,
    conditions: Any = None,
    space: str | None = None,
    restarts: int = 8,
    steps: int = 300,
    seed: int = 0,
    features: settings.Asked = None,
    out: str | Path | None = None,
    member: int = 0,
    best: bool = False,
    strict: bool = False,
    code: str | Path | None = None,
    trust_run_code: bool = False,
) -> Projection:
    """Finds the latents whose images are nearest to given ones, by Adam through the averaged generator.

    For each image and each candidate class `restarts` latents are optimised at once. They begin as the nearest of `32 restarts`
    draws. Where there are several classes, only the best `restarts` latents go on after a quarter of the steps.

    Args:
        run: the run directory, or a `.safetensors` file.
        images: paths of pictures, folders, `.npz` files with an array `images`; or an array `[T, ...]` in the data's units.
        labels: a class for all images, or one for each, by number or name; by default every class is tried.
        conditions: one for each image, where the generator takes a condition: arrays `[T, ...]`, or an `.npz` file of these.
        space: "z"; for a generator with a mapping also "w", one style, or "w+", one for each layer; by default w where
            there is one, else z.
        restarts: latents optimised for each image.
        steps: of Adam.
        seed: of the draws, 0 to 2^32 - 1.
        features: as for `evaluate`, or "none"; by default those that suit the data, where they are at hand.
        out: a folder to write `way.png`, `latents.npz` and `projection.json` into; nothing is written when None.
        member: of a run of several GANs, the one to take.
        best: of the checkpoint that `keep_best` keeps rather than of the last.
        strict: refuse a damaged checkpoint rather than fall back to the one before.
        code: folder in which the run's own code is looked for first.
        trust_run_code: execute the copy of its code that the run carries.

    Returns:
        A `Projection`.

    Raises:
        ValueError, FileNotFoundError: when an argument is not allowed; nothing is written then.
    """
    _check(restarts, steps, seed)
    of_run: dict[str, Any] = {"member": member, "best": best, "strict": strict, "code": code, "trust_run_code": trust_run_code}
    found = opened.read(run, **of_run)
    draws = sampler(found.generator, found.weights)
    space = space or ("z" if found.generator.generator.map is None else "w")
    spaces.check(found.generator, space)
    folder = None if out is None else written.checked(out)
    wanted = targets.read(images, draws.about.shape, found.generator.units, found.fit)
    given = _given(draws, labels, conditions, len(wanted.names))
    by = extractor_for(features, found.data, draws.about.shape, found.generator.units)
    began = time.perf_counter()
    tell(f"project: {len(wanted.names)} images, {given.places.shape[1]} classes each, {restarts} restarts, {steps} steps")
    of = programs(found, space, given, restarts=restarts, seed=seed)
    codes = search(of, wanted.images, given, restarts=restarts, steps=steps)
    spent: dict[str, Any] = {"seconds": round(time.perf_counter() - began, 1), **written.definitions(by)}
    asked = {"run": found.path.name, "step": found.step, "space": space, "restarts": restarts, "steps": steps, "seed": seed}
    apart = distances(by, wanted.images, codes.made, found.generator.units)
    rest = {"space": space, "features": apart, "how": asked | spent, "units": found.generator.units, "folder": folder}
    made = _projection(codes, wanted, draws.about, **rest)
    if folder is not None:
        written.write(made, folder)
    return made


def _projection(codes: Found, wanted: targets.Targets, about: About, **rest: Any) -> Projection:
    """Returns latents that were found, with the images that the generator makes of them and how far off these are."""
    rmse = np.sqrt(codes.error) / 2.0
    return Projection(
        names=wanted.names,
        latents=codes.codes,
        labels=np.array([about.numbers[place] if about.numbers else 0 for place in codes.places], np.int32),
        images=leaving(codes.made, about),
        rmse=rmse,
        psnr=np.array([residuals.psnr(each) for each in rmse]),
        way=np.concatenate([wanted.images[:, None], codes.way], axis=1),
        **rest,
    )


def _check(restarts: int, steps: int, seed: int) -> None:
    for name, value, most in (("restarts", restarts, 128), ("steps", steps, 100_000)):
        if not 1 <= value <= most:
            raise FieldError(name, value, f"it must be from 1 to {most:,}")
    if not 0 <= seed < 2**32:
        raise FieldError("seed", seed, f"a seed is from 0 to {2**32 - 1}")


def _given(draws: Sampler, labels: Labels, asked: Any, count: int) -> Given:
    """Returns the classes or the condition of each image.

    Raises:
        FieldError: when they are not the generator's, or not one for each.
    """
    about = draws.about
    if about.condition is not None:
        return Given(np.zeros((count, 1), int), _conditions(draws, labels, asked, count))
    if asked is not None:
        raise FieldError("conditions", "given", "the generator takes none")
    places = draws.conditions(labels)
    if labels is None:
        return Given(np.tile(places, (count, 1)), None)
    if len(places) not in (1, count):
        raise FieldError("labels", f"{len(places)} classes", f"give one for all, or one for each of {count} images")
    return Given(np.resize(places, count)[:, None], None)


def _conditions(draws: Sampler, labels: Labels, asked: Any, count: int) -> Any:
    form = forms.from_json(forms.each(list, draws.about.condition))
    if labels is not None:
        raise FieldError("labels", labels, "the generator takes a condition and no classes")
    if asked is None:
        told = "give that of each image with --conditions FILE.npz; in Python conditions="
        raise FieldError("conditions", "none given", f"the generator needs {forms.words(form)}: {told}")
    if isinstance(asked, (str, Path)):
        from jaxgan.commands.sample import read_conditions

        asked = read_conditions(asked)
    found = forms.as_arrays(asked, count, "conditions")
    if forms.form_of(found) != form:
        raise FieldError("conditions", forms.words(forms.form_of(found)), f"it must be {forms.words(form)}")
    return found
