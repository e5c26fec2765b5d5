"""A run that goes on: differences from its recipe, data and code, those that are refused, and those that are recorded."""

import logging
from pathlib import Path
from typing import Any, NamedTuple

from jaxgan.recipes import Recipe, code, formats, record
from jaxgan.system import environment, files
from jaxgan.system.messages import FieldError
from jaxgan.training import metrics, recorded, written
from jaxgan.training.checkpoint import restoring
from jaxgan.training.experiment import Experiment
from jaxgan.training.run import Run, from_here, history

log = logging.getLogger("jaxgan")

# The option of the command line, and the argument of `jaxgan.train`.
_RUN, _CHANGE = "--run; in Python run=", "--change; in Python change=True"
_ACCEPT, _OVERWRITE = "--accept-code; in Python accept_code=True", "--overwrite; in Python overwrite=True"


class Wish(NamedTuple):
    """Wishes of the user about a run that exists already."""

    overwrite: bool = False  # remove what an earlier training left
    change: bool = False  # go on with another recipe
    accept_code: bool = False  # go on with code that has changed
    rollback: bool = False  # the change is not the user's, but that of a rollback


def counted_from(path: str | Path, recipe: Recipe) -> tuple[int, int]:
    """Returns the step and images from which a run that goes on with this recipe counts, `(0, 0)` for a new one.

    They stay the same where a step shows as many images as before; otherwise counting starts anew at the latest checkpoint.
    """
    path = files.home_expanded(path, "run").absolute()
    if not record.is_run(path):
        return 0, 0
    old = record.read(path)
    before = int(old.recipe["disc_steps"]) * int(old.recipe["batch_size"])
    step, images = old.counted_from
    saved = restoring.saved_steps(path / "checkpoints")
    if before == recipe.disc_steps * recipe.batch_size or not saved:
        return step, images
    return saved[-1], images + (saved[-1] - step) * before


def check_same(old: record.Record, new: Run, wish: Wish, data: dict[str, Any]) -> None:
    """Refuses a recipe, data, settings of JAX or code that the run was not trained with, unless `wish` allows them.

    Raises:
        FieldError: naming every difference, and the remedies.
    """
    recipe = formats.to_dict(new.recipe)
    if not recipe["init_from"]:
        recipe["init_from"] = old.recipe.get("init_from", "")
    found = formats.told(formats.differences(old.recipe, recipe))
    shapes = (old.sample, old.classes, old.class_names), (new.shape.sample, new.shape.classes, new.class_names)
    if not found and shapes[0] != shapes[1]:
        found = [f"data: shape {old.sample}, {old.classes} classes -> {new.shape.sample}, {new.shape.classes}"]
    if found and not wish.change:
        own = f"`jaxgan train {from_here(old.path)}` goes on with its own recipe; else"
        remedy = f"{own} name another folder ({_RUN}), go on with this one ({_CHANGE}), or start anew ({_OVERWRITE})"
        raise FieldError("run", f"{old.path} was trained with another recipe ({'; '.join(found)})", remedy, link=": ")
    others_ = recorded.changes_told(recorded.differences(old.content["data"], data))
    if others_ and not wish.change:
        remedy = f"name another folder ({_RUN}), go on with them ({_CHANGE}), or start anew ({_OVERWRITE})"
        raise FieldError(
            "run", f"{old.path} was trained with other data ({'; '.join(others_).replace('data: ', '')})", remedy, link=": "
        )
    others = _other_environment(old, environment.recorded())
    if others and not wish.change:
        remedy = f"set JAX_DEFAULT_MATMUL_PRECISION as it was, or go on ({_CHANGE})"
        raise FieldError("run", f"{old.path} was trained with another {formats.told(others)[0]}", remedy, link=": ")
    _tell_versions(old)
    files_ = _changed_code(old.code, record.code_as_json(code.origins(formats.references(recipe))))
    if files_ and not wish.accept_code and not wish.change:
        remedy = f"go on ({_ACCEPT}), or start anew ({_OVERWRITE})"
        raise FieldError("code", f"{', '.join(files_)} changed since {old.path} was trained", remedy, link=": ")


def changed(run: Run, experiment: Experiment, step: int, wish: Wish) -> list[str]:
    """Writes the recipe of a run that goes on with another one, and records each change and its step.

    Returns:
        The differences, a line each.
    """
    old = record.read(run.path)
    content = written.content_of(run, experiment)
    found = formats.differences(old.recipe, content["recipe"])
    found |= _other_environment(old, content["environment"])
    files_ = _changed_code(old.code, content["code"])
    data = recorded.differences(old.content["data"], content["data"])
    if not found and not files_ and not data:
        written.write_record(run, content)  # fields that may differ without a message
        return []
    entry = {"step": step, "images": experiment.images(step), "fields": {path: list(pair) for path, pair in found.items()}}
    entry |= ({"code": files_} if files_ else {}) | ({"rollback": True} if wish.rollback else {})
    entry |= {"data": {name: list(pair) for name, pair in data.items()}} if data else {}
    content["changes"] = [*old.changes, entry]
    written.write_shown(run, experiment)
    written.write_record(run, content)
    return [*formats.told(found), *(f"code: {name}" for name in files_), *recorded.changes_told(data)]


def _other_environment(old: record.Record, now: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Returns the settings of JAX that differ from the recorded ones: `{"environment.NAME": (old, new)}`."""
    was = old.content.get("environment", {})
    return {f"environment.{name}": (was[name], now[name]) for name in now if name in was and was[name] != now[name]}


def _tell_versions(old: record.Record) -> None:
    was, now = old.content.get("versions", {}), written.versions_now()
    was = was if isinstance(was, dict) else {}
    others = [f"{name} {was[name]} -> {now[name]}" for name in now if was.get(name, now[name]) != now[name]]
    if others:
        log.warning("%s: %s: going on, but no longer bit for bit as it would have been", old.path, ", ".join(others))


def _changed_code(old: dict[str, code.Origin], new: dict[str, Any]) -> list[str]:
    """Returns the files whose sha256 differs, or that only one side has."""
    sides = {key: origin.sha256 for key, origin in old.items()}, {key: each["sha256"] for key, each in new.items()}
    return [key for key in sorted({*sides[0], *sides[1]}) if sides[0].get(key, "") != sides[1].get(key, "")]


def forget_after(run: Run, step: int) -> list[dict[str, Any]]:
    """Drops the metrics and samples after a step, which the resumed run makes again; returns the rows kept.

    Lines of metrics.jsonl that are no rows are kept in a file beside it.
    """
    rows = history(run, until=step)
    metrics.drop_after(run.metrics, step)
    for file in run.samples.glob("*.png"):
        if file.stem.isdigit() and int(file.stem) > step:
            file.unlink()
    return rows
