"""A generator with its weights, from a run or a file of weights, in a form that can be differentiated."""

from pathlib import Path
from typing import Any, NamedTuple

from jaxgan.core.types import Weights
from jaxgan.recipes.record import Allowed
from jaxgan.system import files
from jaxgan.training import runs, tensors
from jaxgan.training.sampler import Generator
from jaxgan.weights import generator_files


class Opened(NamedTuple):
    """An averaged generator, built alone."""

    path: Path
    generator: Generator
    weights: Weights
    step: int | None  # of the checkpoint; None of a file
    fit: str  # the way in which pictures are made square, as the run's data were
    data: str  # name of the data, where the recipe has one
    shown: Any  # conditions that are drawn of where no others are given


def read(
    path: str | Path,
    *,
    member: int = 0,
    best: bool = False,
    strict: bool = False,
    code: str | Path | None = None,
    trust_run_code: bool = False,
) -> Opened:
    """Reads the averaged generator of a run or of a `.safetensors` file.

    Args:
        path: the run or the file.
        member: of a run of several GANs, the one to take.
        best: of the checkpoint that `keep_best` keeps rather than of the last.
        strict: refuse a damaged checkpoint rather than fall back to the one before.
        code: folder in which the run's own code is looked for first.
        trust_run_code: execute the copy of its code that the run carries.

    Raises:
        FileNotFoundError: when there is no such run, checkpoint or file.
        FieldError: when it is damaged, or a `.jaxgan` or `.onnx` file, whose programs have no derivatives.
    """
    path = files.home_expanded(path, "run").absolute()
    allowed = Allowed(None if code is None else Path(code), trust_run_code)
    if generator_files.checked(path, derivatives=True, member=member, best=best, trust_run_code=trust_run_code) is None:
        run = runs.read(path, allowed)
        generator, weights, step = run.generator(member=member, best=best, strict=strict)
        return Opened(run.path, generator, weights, step, *_of_data(run.recipe.data), run.shown)
    generator, weights = tensors.generator(path, allowed)
    return Opened(path, generator, weights, None, *_of_data(None), None)


def _of_data(data: Any) -> tuple[str, str]:
    return str(getattr(data, "fit", "crop")), str(getattr(data, "name", ""))
