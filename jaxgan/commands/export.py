"""A generator out of a run, for whoever has not this library: weights, programs, a folder for the hub, a page."""

import logging
from pathlib import Path
from typing import Any

import jax

from jaxgan import recipes
from jaxgan.core import sweep
from jaxgan.core.types import Weights
from jaxgan.publishing import forms
from jaxgan.recipes import record
from jaxgan.recipes.record import Allowed
from jaxgan.system import environment, files
from jaxgan.training import exported, runs
from jaxgan.training import tensors as weights
from jaxgan.training.run import Run, best_step
from jaxgan.weights import portable

log = logging.getLogger("jaxgan")


@environment.fixed()
def export(
    path: str | Path,
    *,
    out: str | Path,
    form: str = "file",
    precision: str = "float32",
    license_id: str | None = None,
    push: str | None = None,
    runtime: str | Path | None = None,
    overwrite: bool = False,
    member: int = 0,
    best: bool = False,
    strict: bool = False,
    code: str | Path | None = None,
    trust_run_code: bool = False,
) -> Path:
    """Writes a run's averaged generator: weights, a program that needs none of this library, or a folder to publish.

    Args:
        path: the run directory.
        out: a file or a folder. `NAME.safetensors`: the averaged generator as G and the discriminator as D, see `tensors.save`;
            its sha256 and NAME.recipe.json, the run's with the step, come beside it. `NAME.jaxgan`: programs of `jax.export`
            with the weights of G, which `load_sampler` and a copy of `weights/portable.py` read, see there for how long.
            `NAME.onnx`: the function (z, labels, noise) -> images, see `publishing/onnx_file.py`.
        form: `file`; `hub`: a folder for the Hugging Face hub, see `publishing/hub.py`; or `page`: a folder with a page that
            samples in the browser, see `publishing/page.py`.
        precision: of the weights in ONNX: `float32`, `float16`, `int8`.
        license_id: of the hub's folder, an identifier of the hub such as `mit`.
        push: `OWNER/NAME` of the hub, to which the folder is uploaded.
        runtime: an unpacked package onnxruntime-web, for the page; by default npm fetches it.
        overwrite: replace the files of a folder that is not empty.
        member: of a run of several GANs, the one to take.
        best: write the checkpoint that `keep_best` keeps rather than the last.
        strict: refuse a damaged checkpoint rather than fall back to the one before.
        code: folder in which the run's own code is looked for first.
        trust_run_code: execute the copy of its code that the run carries.

    Returns:
        The path of the file or folder.

    Raises:
        ValueError, FileNotFoundError: when an argument is not allowed; nothing is written then.
    """
    wish = forms.Wish(form, precision, license_id, push, None if runtime is None else Path(runtime), overwrite)
    out = forms.checked(out, wish)
    run = runs.read(path, Allowed(None if code is None else Path(code), trust_run_code))
    if form != "file" or out.suffix == ".onnx":
        return forms.write(run, out, wish, member=member, best=best, strict=strict)
    if out.suffix == ".jaxgan":
        return _program(run, out, member=member, best=best, strict=strict)
    return _weights(run, out, member=member, best=best, strict=strict)


def _weights(run: Run, out: Path, *, member: int, best: bool, strict: bool) -> Path:
    experiment = run.experiment()
    recipe = experiment.member(member).recipe
    if best:
        best_step(run)  # refused before anything is drawn
    state = runs.restore(run, experiment, best=best, strict=strict)
    state = sweep.member(state, member) if experiment.several else state
    generator, discriminator, saved = jax.device_get((state.ema, Weights(state.d.params, state.d.stats), state.step))
    about: dict[str, Any] = {"recipe": recipe, "shape": run.shape, "class_names": run.class_names, "units": run.units}
    weights.save(out, generator=generator, discriminator=discriminator, **about)
    content = record.read(run.path).content | {"recipe": recipes.to_dict(recipe), "step": int(saved)}
    files.write_json(out.with_suffix(".recipe.json"), content)
    return out


def _program(run: Run, out: Path, *, member: int, best: bool, strict: bool) -> Path:
    generator, weights, step = run.generator(member=member, best=best, strict=strict)
    recipe = recipes.to_dict(recipes.members(run.recipe)[member])
    content = exported.to_bytes(generator, weights, {"recipe": recipe, "step": step})
    files.write(out, lambda file: file.write(content))
    log.info("read by jaxgan.load_sampler, or with jax, numpy and flatbuffers alone by a copy of %s", portable.__file__)
    return out
