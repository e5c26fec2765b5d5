"""Weights out of a run, for whoever has safetensors and not this library."""

import json
from pathlib import Path

import jax

from jaxgan import recipes
from jaxgan.core.types import Weights
from jaxgan.training import runs
from jaxgan.training import tensors as weights


def export(path: str | Path, *, out: str | Path, member: int = 0, best: bool = False, strict: bool = False) -> Path:
    """Writes a run's averaged generator as G and its discriminator as D, with the recipe in the file and beside it.

    Args:
        path: the run directory.
        out: `NAME.safetensors`, see `weights.save`; its sha256 and NAME.recipe.json, the run's with the step, come beside it.
        member: of a run of several GANs, the one to take.
        best: of the checkpoint that `keep_best` keeps rather than of the last.
        strict: refuse a damaged checkpoint rather than fall back to the one before.

    Returns:
        Where they are.

    Raises:
        ValueError, FileNotFoundError: when an argument is not allowed; nothing is written then.
    """
    run = runs.read(path)
    recipe = runs.member_of(run, member)
    step = runs.best_step(run) if best else None
    out = _check_out(out)
    _, state = runs.load(path, step=step, member=member, strict=strict)
    generator, discriminator, saved = jax.device_get((state.ema, Weights(state.d.params, state.d.stats), state.step))
    weights.save(out, generator=generator, discriminator=discriminator, recipe=recipe, shape=run.shape)
    content = json.loads((run.path / "recipe.json").read_text()) | {"recipe": recipes.to_dict(recipe), "step": int(saved)}
    runs.write_atomically(out.with_suffix(".recipe.json"), json.dumps(content, indent=2) + "\n")
    return out


def _check_out(out: str | Path) -> Path:
    out = Path(out).expanduser().absolute()
    if out.suffix != ".safetensors":
        raise ValueError(f"out: {out.name} ends in {out.suffix!r}, but it must be .safetensors")
    if not out.parent.is_dir():
        raise FileNotFoundError(f"out: the folder {out.parent} does not exist")
    if out.is_dir():
        raise ValueError(f"out: {out} is a folder")
    return out
