"""A generator out of a run: weights for whoever has safetensors, a program for whoever has JAX; neither needs this library."""

import logging
from pathlib import Path
from typing import Any

import jax

from jaxgan import recipes
from jaxgan.core import sweep
from jaxgan.core.types import Weights
from jaxgan.recipes import record
from jaxgan.recipes.record import Allowed
from jaxgan.system import environment, files
from jaxgan.system.messages import FieldError
from jaxgan.training import exported, runs
from jaxgan.training import tensors as weights
from jaxgan.weights import portable

log = logging.getLogger("jaxgan")


@environment.fixed()
def export(
    path: str | Path,
    *,
    out: str | Path,
    member: int = 0,
    best: bool = False,
    strict: bool = False,
    code: str | Path | None = None,
    trust_run_code: bool = False,
) -> Path:
    """Writes a run's averaged generator in one file, as weights or as a program that needs none of this library.

    Args:
        path: the run directory.
        out: `NAME.safetensors`: the averaged generator as G and the discriminator as D, see `tensors.save`; its sha256 and
            NAME.recipe.json, the run's with the step, come beside it. Or `NAME.jaxgan`: programs of `jax.export` with the
            weights of G, which `load_sampler` and a copy of `weights/portable.py` read, see there for how long.
        member: of a run of several GANs, the one to take.
        best: write the checkpoint that `keep_best` keeps rather than the last.
        strict: refuse a damaged checkpoint rather than fall back to the one before.
        code: folder in which the run's own code is looked for first.
        trust_run_code: execute the copy of its code that the run carries.

    Returns:
        The path of the file.

    Raises:
        ValueError, FileNotFoundError: when an argument is not allowed; nothing is written then.
    """
    run = runs.read(path, Allowed(None if code is None else Path(code), trust_run_code))
    if Path(out).suffix == ".jaxgan":
        return _program(run, _check_out(out), member=member, best=best, strict=strict)
    experiment = run.experiment()
    recipe = experiment.member(member).recipe
    if best:
        runs.best_step(run)  # refused before anything is drawn
    out = _check_out(out)
    state = runs.restore(run, experiment, best=best, strict=strict)
    state = sweep.member(state, member) if experiment.several else state
    generator, discriminator, saved = jax.device_get((state.ema, Weights(state.d.params, state.d.stats), state.step))
    about: dict[str, Any] = {"recipe": recipe, "shape": run.shape, "class_names": run.class_names, "units": run.units}
    weights.save(out, generator=generator, discriminator=discriminator, **about)
    content = record.read(run.path).content | {"recipe": recipes.to_dict(recipe), "step": int(saved)}
    files.write_json(out.with_suffix(".recipe.json"), content)
    return out


def _program(run: runs.Run, out: Path, *, member: int, best: bool, strict: bool) -> Path:
    generator, weights, step = run.generator(member=member, best=best, strict=strict)
    recipe = recipes.to_dict(recipes.members(run.recipe)[member])
    content = exported.to_bytes(generator, weights, {"recipe": recipe, "step": step})
    files.write(out, lambda file: file.write(content))
    log.info("read by jaxgan.load_sampler, or with jax, numpy and flatbuffers alone by a copy of %s", portable.__file__)
    return out


_FORMATS = (
    "it must be .safetensors, weights that PyTorch, ONNX tools and JAX read, or .jaxgan, a program that JAX runs without this "
    "library; images are drawn by jaxgan sample"
)


def _check_out(out: str | Path) -> Path:
    out = files.home_expanded(out).absolute()
    if out.suffix not in (".safetensors", ".jaxgan"):
        raise FieldError("out", f"{out.name} ends in {out.suffix!r}", _FORMATS)
    if not out.parent.is_dir():
        raise FileNotFoundError(f"out: the folder {out.parent} does not exist")
    if out.is_dir():
        raise FieldError("out", out, "it is a folder; name a file")
    return out
