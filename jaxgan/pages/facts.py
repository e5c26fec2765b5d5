"""The facts a report shows of a run, read without executing code of the user's that is not allowed."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from jaxgan.recipes import NAMES, code, formats, preset, record
from jaxgan.recipes.record import Allowed, Record
from jaxgan.recipes.table import LOSSES, at
from jaxgan.system import files
from jaxgan.system.messages import FieldError
from jaxgan.training import metrics, runs
from jaxgan.training.run import Run
from jaxgan.training.values import loss_of


class Facts(NamedTuple):
    """Everything of a run but its pictures."""

    record: Record
    run: Run | None  # None where its code is missing
    rows: list[dict[str, Any]]  # of metrics.jsonl
    left_out: list[str]  # lines of it that are no rows
    equilibrium: tuple[float | None, float | None]  # D's loss and D's logit, where they are known
    evaluation: dict[str, Any] | None  # evaluation.json
    evaluation_missing: str  # why it cannot be used, where it is there
    code_missing: str  # why there is no run

    @property
    def path(self) -> Path:
        """The run directory."""
        return self.record.path

    @property
    def finished(self) -> bool:
        """True where the last row is of the last step that was asked for."""
        steps = self.record.recipe.get("steps")
        return isinstance(steps, int) and int(self.rows[-1]["step"]) >= steps


def read(path: str | Path, allowed: Allowed) -> Facts:
    """Reads a run.

    Raises:
        FileNotFoundError: when there is no run.
        FieldError: when recipe.json or metrics.jsonl is damaged, or no metrics are there.
    """
    found = record.read(path)
    rows, left_out = metrics.read(found.path / "metrics.jsonl")
    if not rows:
        holds = f"no row that can be read ({left_out[0]})" if left_out else "no row; train it first"
        raise FieldError("run", found.path, f"it has no metrics yet: metrics.jsonl holds {holds}")
    run, why = _run(path, allowed)
    evaluation, damage = _evaluation(found.path / "evaluation.json")
    return Facts(found, run, rows, left_out, _equilibrium(found, run), evaluation, damage, why)


def _run(path: str | Path, allowed: Allowed) -> tuple[Run | None, str]:
    """Returns the run, or why its code, or the code of the user's that it names, cannot be loaded."""
    try:
        return runs.read(path, allowed), ""
    except (FieldError, code.UserCodeError) as error:
        return None, files.told(error)


def _equilibrium(found: Record, run: Run | None) -> tuple[float | None, float | None]:
    """Returns D's loss and logit at equilibrium, for a loss of the user's only where its code is there."""
    name = found.recipe.get("loss")
    if run is not None:
        loss = loss_of(run.recipe)
    elif isinstance(name, str) and name in LOSSES:
        loss = at(LOSSES[name])
    else:
        return None, None
    return loss.equilibrium, loss.logit


def _evaluation(path: Path) -> tuple[dict[str, Any] | None, str]:
    try:
        content = files.read_json(path)
        if not isinstance(content, dict) or not isinstance(content.get("values"), dict):
            raise ValueError("it holds no values of one run")
        if not all(isinstance(each, dict) for each in content["values"].values()):
            raise ValueError("a value in it is no object")
    except files.Missing:
        return None, ""
    except ValueError as error:
        return None, f"{path.name} cannot be used: {files.told(error)}"
    return content, ""


def nearest_preset(recipe: Mapping[str, Any]) -> tuple[str, dict[str, tuple[Any, Any]]]:
    """Returns the preset that a recipe differs least from, and the fields that differ, `{path: (preset's, recipe's)}`."""
    best: tuple[str, dict[str, tuple[Any, Any]]] | None = None
    for name in NAMES:
        found = formats.differences(formats.to_dict(preset(name)), recipe, free=())
        data = recipe.get("data")
        other = not isinstance(data, dict) or "data.name" in found or "data" in found
        if best is None or (other, len(found)) < ("data.name" in best[1] or "data" in best[1], len(best[1])):
            best = name, found
    assert best is not None
    return best
