"""Export of a run's weights to safetensors, which programs without this library read."""

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
from jaxgan.training import runs
from jaxgan.training import tensors as weights


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
    """Writes a run's averaged generator as G and its discriminator as D, with the recipe in the file and beside it.

    Args:
        path: the run directory.
        out: `NAME.safetensors`, see `weights.save`; its sha256 and NAME.recipe.json, the run's with the step, come beside it.
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
    experiment = run.experiment()
    recipe = experiment.member(member).recipe
    if best:
        runs.best_step(run)  # refused before anything is drawn
    out = _check_out(out)
    state = runs.restore(run, experiment, best=best, strict=strict)
    state = sweep.member(state, member) if experiment.several else state
    generator, discriminator, saved = jax.device_get((state.ema, Weights(state.d.params, state.d.stats), state.step))
    about: dict[str, Any] = {"recipe": recipe, "shape": run.shape, "class_names": run.class_names}
    weights.save(out, generator=generator, discriminator=discriminator, **about)
    content = record.read(run.path).content | {"recipe": recipes.to_dict(recipe), "step": int(saved)}
    files.write_json(out.with_suffix(".recipe.json"), content)
    return out


_FORMATS = (
    "the weights are written as .safetensors, which PyTorch, ONNX tools and JAX read, with the recipe beside; "
    "images are drawn by jaxgan sample"
)


def _check_out(out: str | Path) -> Path:
    out = files.home_expanded(out).absolute()
    if out.suffix != ".safetensors":
        raise FieldError("out", f"{out.name} ends in {out.suffix!r}", _FORMATS)
    if not out.parent.is_dir():
        raise FileNotFoundError(f"out: the folder {out.parent} does not exist")
    if out.is_dir():
        raise FieldError("out", out, "it is a folder; name a file")
    return out
