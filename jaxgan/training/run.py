"""A run: its folder and recipe, its rows and its best step, and samples of its averaged generator."""

import functools
import logging
from collections.abc import Callable, Container, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import jax

from jaxgan.core import conditions
from jaxgan.core.types import Dataset, Units, Weights
from jaxgan.evaluation import verdict
from jaxgan.evaluation.settings import better_of
from jaxgan.recipes import Recipe, record
from jaxgan.system import arrays, environment, files
from jaxgan.system.messages import FieldError
from jaxgan.training import metrics
from jaxgan.training.checkpoint import restoring
from jaxgan.training.dataset import Shape
from jaxgan.training.experiment import Experiment, build
from jaxgan.training.sampler import Generator, generator_of, sampler
from jaxgan.training.values import own_metrics
from jaxgan.weights.portable import SIZES, Sampler, Samples

log = logging.getLogger("jaxgan")
T = TypeVar("T")

SHOWN = "conditions.npz"  # conditions that the run's pictures are drawn for
_HELD: dict[tuple[Path, int, int | None, int], Sampler] = {}  # of `Run.sample`
_MOST_HELD = 4


class Run(NamedTuple):
    """A run directory and what its `recipe.json` records."""

    path: Path
    recipe: Recipe
    shape: Shape
    class_names: tuple[str, ...]
    counted_from: tuple[int, int] = (0, 0)  # a step, and the images shown before it
    units: Units | None = None  # of the data's samples; None of a run that recorded none

    def __fspath__(self) -> str:
        """Returns the folder, so that a run can be given wherever a path can."""
        return str(self.path)

    @property
    def checkpoints(self) -> Path:
        """The folder of checkpoints."""
        return self.path / "checkpoints"

    @property
    def metrics(self) -> Path:
        """The file of metrics."""
        return self.path / "metrics.jsonl"

    @property
    def samples(self) -> Path:
        """The folder of pictures."""
        return self.path / "samples"

    @property
    def shown(self) -> conditions.Arrays | None:
        """The conditions that pictures are drawn for, and samples where no others are given; None where it has none.

        Raises:
            FieldError: when their file is damaged.
        """
        if self.shape.condition is None:
            return None
        try:
            found = conditions.as_arrays(conditions.of_names(arrays.npz(self.path / SHOWN)[0]))
            if conditions.form_of(found) != self.shape.condition:
                raise FieldError("condition", conditions.words(conditions.form_of(found)), "recipe.json tells of others")
        except files.Missing:
            return None
        except (files.Unreadable, ValueError) as error:
            raise FieldError("run", f"{self.path / SHOWN} is damaged", files.told(error), link=": ") from error
        return found

    @environment.fixed()
    def sampler(self, *, batch: int = SIZES[-1], **of: Any) -> Sampler:
        """Returns the averaged generator of a checkpoint, the latest by default, ready to draw.

        Args:
            batch: most samples made at a time; it does not change them.
            **of: as for `generator`.

        Raises:
            FileNotFoundError, CheckpointError, FieldError: as `load`.
        """
        built, weights, _ = self.generator(**of)
        return sampler(built, weights, batch=batch, shown=self.shown)

    def generator(
        self, *, member: int = 0, step: int | None = None, best: bool = False, strict: bool = False
    ) -> tuple[Generator, Weights, int]:
        """Reads the averaged generator of a checkpoint, the latest by default, and nothing else of its state.

        Args:
            member: of a run of several GANs, the one to take.
            step: which checkpoint.
            best: the one that `keep_best` keeps.
            strict: refuse a damaged checkpoint rather than fall back to the one before.

        Returns:
            The generator, built alone, its weights, and the step they are from.

        Raises:
            FileNotFoundError, CheckpointError, FieldError: as `load`.
        """
        built = generator_of(self.recipe, self.shape, self.class_names, self.units)
        if not 0 <= member < built.count:
            raise FieldError("member", member, f"the run's members are 0 to {built.count - 1}")
        read = functools.partial(restoring.restore_generator, self.checkpoints, built.abstract, strict=strict)
        weights, found = read_best(self, read) if best else read(step=step)
        return built, weights if built.count == 1 else jax.tree.map(lambda x: x[member], weights), found

    def sample(
        self,
        n: int | None = None,
        seed: int = 0,
        labels: Any = None,
        *,
        z: Any = None,
        truncation: float | None = None,
        condition: Any = None,
        member: int = 0,
        best: bool = False,
    ) -> Samples:
        """Draws from the averaged generator of the latest checkpoint: `run.sample(n=16, seed=0, labels="cat")`.

        The generator is read and compiled once for each checkpoint. A notebook shows the result as a picture.

        Args:
            n: number of samples; by default 16, of points 2,500.
            seed: of the latents, 0 to 2^32 - 1.
            labels: a class by number or name, or a sequence of such, repeated in turn; by default each class in turn.
            z: latents `[N, D]` to map instead.
            truncation: psi, see `Sampler`.
            condition: as for a `Sampler`; by default those of the run's pictures.
            member: of a run of several GANs, the one to take.
            best: of the checkpoint that `keep_best` keeps.

        Returns:
            `Samples`: `images` uint8 `[N, H, W, C]` (points float32 `[N, F]`), `labels` int32 `[N]`.

        Raises:
            ValueError, FileNotFoundError: one line, when an argument is not allowed or there is no checkpoint.
        """
        saved = restoring.saved_steps(self.checkpoints)
        step = best_step(self) if best else saved[-1] if saved else None
        held = _HELD.get(key := (self.path, (self.path / record.FILE).stat().st_mtime_ns, step, member))
        if held is None:
            while len(_HELD) >= _MOST_HELD:
                _HELD.pop(next(iter(_HELD)), None)
            held = _HELD[key] = self.sampler(member=member, step=step)
        return held(n, seed, labels, z, truncation, condition)

    def experiment(self, *, dataset: Dataset | None = None) -> Experiment:
        """Returns the run's recipe, built for data of its shape."""
        return build(
            self.recipe, dataset=dataset, shape=self.shape, class_names=self.class_names, counted_from=self.counted_from
        )


def read_best(run: Run, read: Callable[..., T]) -> T:
    """Reads the best checkpoint, or the better one by which a training at the same time has replaced it."""
    while True:
        step = best_step(run)
        try:
            return read(step=step)
        except FileNotFoundError:
            if best_step(run) == step:
                raise


def best_step(run: Run) -> int:
    """Returns the step of the checkpoint that `keep_best` keeps.

    Raises:
        FieldError: when the run keeps none, or has none yet.
    """
    figure = run.recipe.keep_best
    if figure == "none":
        raise FieldError("best", f"{run.path} keeps no best checkpoint", "train with --keep-best FIGURE", link="; ")
    found = best_of(history(run), run.recipe, restoring.saved_steps(run.checkpoints))
    if found is None:
        raise FieldError("best", run.path, f"it has no checkpoint at which {figure} was measured")
    return found


def best_of(rows: Sequence[dict[str, Any]], recipe: Recipe, saved: Container[int]) -> int | None:
    """Returns the step that `keep_best` keeps, among those with a state; None where there is none, or none is asked for.

    Args:
        rows: of `metrics.jsonl`, in order.
        recipe: its `keep_best` names the figure that decides.
        saved: steps with a checkpoint.
    """
    figure = recipe.keep_best
    if figure == "none":
        return None
    return verdict.best([row for row in rows if row["step"] in saved], figure, better_of(figure, own_metrics(recipe)))


def history(run: Run, *, until: int | None = None) -> list[dict[str, Any]]:
    """Returns the rows of `metrics.jsonl` up to step `until`.

    A last line that a kill cut short is left out, and so are lines that are not rows: a warning says which.

    Raises:
        Unreadable: when it is not a file.
    """
    rows, left_out = metrics.read(run.metrics)
    if left_out:
        shown = "; ".join(left_out[:3]) + (f" and {len(left_out) - 3} more" if len(left_out) > 3 else "")
        log.warning("%s: %d of %d lines are left out: %s", run.metrics, len(left_out), len(left_out) + len(rows), shown)
    return rows if until is None else [row for row in rows if row["step"] <= until]


def from_here(path: Path) -> str:
    """Returns a path relative to the working directory where it lies below, else unchanged."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)
