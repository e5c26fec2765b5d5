"""A run's folder, made for a new run or opened to go on with, under the run's lock."""

import contextlib
import zlib
from pathlib import Path

import jax
import numpy as np

from jaxgan.recipes import record
from jaxgan.system import files, hosts, lock
from jaxgan.system.messages import FieldError
from jaxgan.training import going_on, recorded, written
from jaxgan.training.experiment import Experiment
from jaxgan.training.run import SHOWN, Run


def start(
    path: str | Path, experiment: Experiment, wish: going_on.Wish | None = None, holding: contextlib.ExitStack | None = None
) -> Run:
    """Makes a run directory, or opens an existing one to go on with.

    Args:
        path: the directory; made with its parents when it does not exist.
        experiment: what is trained.
        wish: what to do with an existing run.
        holding: takes the run's lock, so that no other process writes to the run until the stack closes.

    Returns:
        The run, with `recipe.json` written, unless the recipe is changed on purpose: then `going_on.changed` writes it once
            the state is there.

    Raises:
        FieldError: when the path is not a run's, the run has another recipe (every difference is named), or another process
            trains it.
    """
    wish = wish or going_on.Wish()
    run = _run(path, experiment)
    path = run.path
    _check_there(run, wish, experiment)
    content = written.content_of(run, experiment)
    try:
        path.mkdir(parents=True, exist_ok=True)
        if holding is not None:
            holding.enter_context(lock.held(path))
        there = _check_there(run, wish, experiment)  # by now another process may have made or ended it
        if wish.overwrite:
            written.remove(path)
        run.samples.mkdir(exist_ok=True)
        if not (there and wish.change) or wish.overwrite:
            written.write_shown(run, experiment)
            written.write_record(run, content, anew=wish.overwrite)
    except lock.Held as error:
        raise FieldError("run", path, str(error)) from error
    except OSError as error:
        raise FieldError("run", f"{path} cannot be written", str(error.strerror), link=": ") from error
    return run


def _check_there(run: Run, wish: going_on.Wish, experiment: Experiment) -> bool:
    """Returns True where a run exists; refuses a folder that is something else, or a run with another recipe."""
    path = run.path
    if path.exists() and not path.is_dir():
        raise FieldError("run", f"{path} is a file", "it must be a folder")
    there = record.is_run(path)
    if there and not wish.overwrite:
        going_on.check_same(record.read(path), run, wish, recorded.content(experiment))
    elif not there and path.exists() and not all(_is_begun(each) for each in path.iterdir()):
        raise FieldError("run", f"{path} holds files but no recipe.json", "so it is not a run; name another folder", link=", ")
    return there


def _is_begun(entry: Path) -> bool:
    """Returns True if an entry of a folder may be from a run that was killed before its recipe.json was written."""
    empty = entry.name == "samples" and entry.is_dir() and not any(entry.iterdir())
    return empty or entry.name in (lock.NAME, SHOWN) or entry.name.endswith(".part")


def join(path: str | Path, experiment: Experiment) -> Run:
    """Returns the run that process 0 started, as each of several processes sees it.

    Args:
        path: as for `start`.
        experiment: as for `start`.

    Raises:
        FieldError: when the directory is not that of process 0: it must lie on a file system that all of them share.
    """
    run = _run(path, experiment)
    file = run.path / "recipe.json"
    if jax.process_count() > 1:
        content = files.read(file) if record.is_run(run.path) else b""
        if zlib.crc32(content) != int(hosts.told(np.uint32(zlib.crc32(content)))):
            raise FieldError(
                "run",
                run.path,
                f"process {jax.process_index()} does not see what process 0 wrote there; "
                "it must lie on a file system that all of them share",
            )
    return run


def _run(path: str | Path, experiment: Experiment) -> Run:
    return Run(
        files.home_expanded(path).absolute(),
        experiment.recipe,
        experiment.shape,
        experiment.class_names,
        experiment.counted_from,
        None if experiment.dataset is None else experiment.dataset.units,
    )
