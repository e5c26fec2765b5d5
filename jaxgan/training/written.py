"""Files of a run, written and removed: recipe.json with copies of the code it names, conditions shown, rows of metrics."""

import logging
from pathlib import Path
from platform import python_version
from typing import Any

import jax

from jaxgan.core import conditions
from jaxgan.recipes import code, formats, record
from jaxgan.system import arrays, environment, files, versions
from jaxgan.training import metrics, recorded
from jaxgan.training.callbacks import Writer
from jaxgan.training.checkpoint import restoring
from jaxgan.training.experiment import Experiment
from jaxgan.training.run import SHOWN, Run

log = logging.getLogger("jaxgan")

# What a run writes, in the order in which it is removed; recipe.json is replaced, so that a kill meanwhile leaves a run.
_OURS = (
    "checkpoints",
    "metrics.jsonl",
    SHOWN,
    "code",
    "samples",
    "progress.webp",
    "curves.png",
    "tensorboard",
    "evaluation.json",
    "evaluation-nearest.png",
    "report.html",
    "projection",  # of this generator's latents, as the directions are
    "directions",
)
_PACKAGES = ("jaxgan", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")


def content_of(run: Run, experiment: Experiment) -> dict[str, Any]:
    """Returns the content of recipe.json.

    Raises:
        FieldError: when a part or value of the user's has no name at the top level of a file.
    """
    device, recipe = jax.devices()[0], formats.to_dict(run.recipe)
    origins = code.origins(formats.references(recipe))
    for key, origin in origins.items():
        if origin.path is not None:
            code.remember(Path(origin.path))
        else:
            log.warning(
                "code: %s is a notebook or a session, so that only this process can load the run; put its classes into a file "
                "NAME.py and import them from there",
                key,
            )
    content = {
        "format": formats.FORMAT,
        "recipe": recipe,
        "data": recorded.content(experiment),
        "code": record.code_as_json(origins),
        "environment": environment.recorded(),
        "versions": versions_now(),
        "device": {
            "kind": device.device_kind,
            "platform": device.platform,
            "count": jax.device_count(),
            "processes": jax.process_count(),
        },
    }
    return content | ({"counted_from": list(run.counted_from)} if run.counted_from != (0, 0) else {})


def versions_now() -> dict[str, str]:
    """Returns the versions of Python and of the packages that a run's numbers depend on."""
    return {"python": python_version()} | {name: versions.of(name) for name in _PACKAGES}


def write_record(run: Run, content: dict[str, Any], *, anew: bool = False) -> None:
    """Writes recipe.json, and copies of the code that it names; a run that begins anew keeps no changes.

    Where fewer steps are asked for than the run has, the recorded number stays.
    """
    file = run.path / "recipe.json"
    if not anew and file.is_file():
        before = record.read(run.path)
        if before.changes and "changes" not in content:
            content |= {"changes": before.changes}
        if max(restoring.saved_steps(run.checkpoints), default=0) > content["recipe"]["steps"]:
            content["recipe"]["steps"] = before.recipe["steps"]  # fewer are asked for than there are: nothing is trained
    for key, origin in content["code"].items():
        if origin["path"] is not None:
            copy = run.path / "code" / code.file_name(key, origin["path"])
            copy.parent.mkdir(parents=True, exist_ok=True)
            files.write(copy, files.read(origin["path"]))
    files.write_json(file, content)


def write_shown(run: Run, experiment: Experiment) -> None:
    """Keeps the conditions that pictures are drawn for, so that the run can draw without its data."""
    dataset = experiment.dataset
    if run.shape.condition is not None and dataset is not None and dataset.shown is not None:
        arrays.write_npz(run.path / SHOWN, conditions.named(dataset.shown))


def note(run: Run, facts: dict[str, Any]) -> None:
    """Adds facts about a new run to its recipe.json, which nothing else reads."""
    file = run.path / "recipe.json"
    files.write_json(file, record.read(run.path).content | facts)


def remove(path: Path) -> None:
    """Removes only what a run writes: a stranger's file in the folder stays."""
    for each in (path / name for name in _OURS):
        if each.is_dir() and not each.is_symlink():
            files.remove_folder(each)
        else:
            each.unlink(missing_ok=True)


def jsonl_writer(run: Run) -> Writer:
    """Returns a writer that appends each row to `metrics.jsonl` as one JSON object.

    Rows that a full disk does not take are kept and written with the next one: a row is written whole or not at all.
    """
    waiting: list[dict[str, Any]] = []

    def write(row: dict[str, Any]) -> None:
        waiting.append(row)
        try:
            metrics.append(run.metrics, waiting)
        except OSError as error:
            log.warning("%s: %s; %d rows wait for room", run.metrics, error.strerror or error, len(waiting))
        else:
            waiting.clear()

    return write


def tensorboard_writer(run: Run) -> Writer:
    """Returns a writer of each row's numbers to `tensorboard/`, over images shown; needs the `tensorboard` extra."""
    from tensorboardX import SummaryWriter

    summary = SummaryWriter(str(run.path / "tensorboard"))

    def write(row: dict[str, Any]) -> None:
        for name, value in row.items():
            if name not in ("step", "images") and isinstance(value, (int, float)):
                summary.add_scalar(name, value, row["images"])
        if row.get("verdict"):
            summary.add_text("verdict", f"{row['verdict']}: {'; '.join(row.get('evidence', ()))}", row["images"])
        summary.flush()

    return write
