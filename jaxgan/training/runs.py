"""A run directory: the recipe, the checkpoints and the logs of one training. All access to it is through this file."""

import contextlib
import functools
import logging
import math
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from platform import python_version
from typing import Any, NamedTuple, TypeVar

import jax
import numpy as np

from jaxgan.core import conditions, sweep
from jaxgan.core.types import GAN, Dataset, GANState, Units, Weights
from jaxgan.core.units import from_json
from jaxgan.evaluation import verdict
from jaxgan.evaluation.settings import better_of
from jaxgan.recipes import Recipe, code, formats, record
from jaxgan.recipes.record import Allowed
from jaxgan.system import arrays, environment, files, hosts, lock, versions
from jaxgan.system.messages import FieldError
from jaxgan.training import checkpoint, metrics, recorded
from jaxgan.training.callbacks import Writer
from jaxgan.training.experiment import Experiment, Shape, build, own_metrics
from jaxgan.training.sampler import Generator, generator_of, sampler
from jaxgan.weights.portable import SIZES, Sampler, Samples

log = logging.getLogger("jaxgan")
T = TypeVar("T")

SHOWN = "conditions.npz"  # conditions that the run's pictures are drawn for
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
_HELD: dict[tuple[Path, int, int | None, int], Sampler] = {}  # of `Run.sample`
_MOST_HELD = 4
# The option of the command line, and the argument of `jaxgan.train`.
_RUN, _CHANGE = "--run; in Python run=", "--change; in Python change=True"
_ACCEPT, _OVERWRITE = "--accept-code; in Python accept_code=True", "--overwrite; in Python overwrite=True"
_PACKAGES = ("jaxgan", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")


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
        read = functools.partial(checkpoint.restore_generator, self.checkpoints, built.abstract, strict=strict)
        weights, found = _read_best(self, read) if best else read(step=step)
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
        saved = checkpoint.saved_steps(self.checkpoints)
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


class _Pair(NamedTuple):
    gan: GAN
    state: GANState


class Loaded(_Pair):
    """A GAN and its state, `gan, state = jaxgan.load(run)`; `jaxgan.load(run).sample(n=16)` shows what it makes."""

    _sampler: Callable[[], Sampler]

    def __repr__(self) -> str:
        """Returns counts instead of every number."""
        return f"Loaded({self.gan}, {self.state})"

    def sample(
        self,
        n: int | None = None,
        seed: int = 0,
        labels: Any = None,
        *,
        z: Any = None,
        truncation: float | None = None,
        condition: Any = None,
    ) -> Samples:
        """Draws from the averaged generator of this state, the first of several GANs; arguments as of `Run.sample`."""
        return self._sampler()(n, seed, labels, z, truncation, condition)


def _loaded(run: Run, gan: GAN, state: GANState, weights: Weights) -> Loaded:
    found = Loaded(gan, state)
    build_ = functools.partial(generator_of, run.recipe, run.shape, run.class_names)
    found._sampler = functools.cache(lambda: sampler(build_(), weights, shown=run.shown))
    return found


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
    path = files.home_expanded(path).absolute()
    if not record.is_run(path):
        return 0, 0
    old = record.read(path)
    before = int(old.recipe["disc_steps"]) * int(old.recipe["batch_size"])
    step, images = old.counted_from
    saved = checkpoint.saved_steps(path / "checkpoints")
    if before == recipe.disc_steps * recipe.batch_size or not saved:
        return step, images
    return saved[-1], images + (saved[-1] - step) * before


def start(
    path: str | Path, experiment: Experiment, wish: Wish | None = None, holding: contextlib.ExitStack | None = None
) -> Run:
    """Makes a run directory, or opens an existing one to go on with.

    Args:
        path: the directory; made with its parents when it does not exist.
        experiment: what is trained.
        wish: what to do with an existing run.
        holding: takes the run's lock, so that no other process writes to the run until the stack closes.

    Returns:
        The run, its `recipe.json` written unless it is changed on purpose: then `changed` writes it, once the state is there.

    Raises:
        FieldError: when the path is not a run's, is that of a run with another recipe, where every difference is named, or is
            that of a run that another process trains.
    """
    wish = wish or Wish()
    run = _run(path, experiment)
    path = run.path
    _check_there(run, wish, experiment)
    content = _content(run, experiment)
    try:
        path.mkdir(parents=True, exist_ok=True)
        if holding is not None:
            holding.enter_context(lock.held(path))
        there = _check_there(run, wish, experiment)  # by now another process may have made or ended it
        if wish.overwrite:
            _remove(path)
        run.samples.mkdir(exist_ok=True)
        if not (there and wish.change) or wish.overwrite:
            _write_shown(run, experiment)
            _write(run, content, anew=wish.overwrite)
    except lock.Held as error:
        raise FieldError("run", path, str(error)) from error
    except OSError as error:
        raise FieldError("run", f"{path} cannot be written", str(error.strerror), link=": ") from error
    return run


def _check_there(run: Run, wish: Wish, experiment: Experiment) -> bool:
    """Returns True where a run exists; refuses a folder that is something else, or a run with another recipe."""
    path = run.path
    if path.exists() and not path.is_dir():
        raise FieldError("run", f"{path} is a file", "it must be a folder")
    there = record.is_run(path)
    if there and not wish.overwrite:
        _check_same(record.read(path), run, wish, recorded.content(experiment))
    elif not there and path.exists() and not all(_is_begun(each) for each in path.iterdir()):
        raise FieldError("run", f"{path} holds files but no recipe.json", "so it is not a run; name another folder", link=", ")
    return there


def _is_begun(entry: Path) -> bool:
    """Returns whether an entry of a folder may be of a run that was killed before its recipe.json was written."""
    empty = entry.name == "samples" and entry.is_dir() and not any(entry.iterdir())
    return empty or entry.name in (lock.NAME, SHOWN) or entry.name.endswith(".part")


def changed(run: Run, experiment: Experiment, step: int, wish: Wish) -> list[str]:
    """Writes the recipe of a run that goes on with another one, and records what changed at which step.

    Returns:
        The differences, a line each.
    """
    old = record.read(run.path)
    content = _content(run, experiment)
    found = formats.differences(old.recipe, content["recipe"])
    found |= _other_environment(old, content["environment"])
    files_ = _changed_code(old.code, content["code"])
    data = recorded.differences(old.content["data"], content["data"])
    if not found and not files_ and not data:
        return []
    entry = {"step": step, "images": experiment.images(step), "fields": {path: list(pair) for path, pair in found.items()}}
    entry |= ({"code": files_} if files_ else {}) | ({"rollback": True} if wish.rollback else {})
    entry |= {"data": {name: list(pair) for name, pair in data.items()}} if data else {}
    content["changes"] = [*old.changes, entry]
    _write_shown(run, experiment)
    _write(run, content)
    return [*formats.told(found), *(f"code: {name}" for name in files_), *recorded.changes_told(data)]


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


def read(path: str | Path, allowed: Allowed | None = None) -> Run:
    """Opens a run directory.

    Args:
        path: of the run.
        allowed: what its own code may do, where it has any.

    Raises:
        FileNotFoundError: when there is no run.
        FieldError: when its `recipe.json` cannot be understood, or its code is not at hand.
        UserCodeError: when its code raises.
    """
    found = record.read(path)
    recipe, files_ = record.recipe_of(found, allowed or Allowed())
    if files_:
        log.warning("%s: its code has changed since it was trained: %s", found.path, ", ".join(files_))
    shape = Shape(found.sample, found.classes, _condition(found))
    return Run(found.path, recipe, shape, found.class_names, found.counted_from, _units(found))


def _units(found: record.Record) -> Units | None:
    with _damage(found):
        return from_json(found.content["data"].get("units"))


def _condition(found: record.Record) -> conditions.Form:
    with _damage(found):
        return conditions.from_json(found.content["data"].get("condition"))


@contextlib.contextmanager
def _damage(found: record.Record) -> Iterator[None]:
    try:
        yield
    except (ValueError, KeyError, TypeError) as error:
        raise FieldError(
            "run", f"{found.path / record.FILE} is damaged or of another version", files.told(error), link=": "
        ) from error


@environment.fixed()
def load(
    path: str | Path,
    *,
    step: int | None = None,
    member: int | None = None,
    strict: bool = False,
    code: str | Path | None = None,
    trust_run_code: bool = False,
) -> Loaded:
    """Loads a run, ready to sample or to go on training.

    Args:
        path: the run directory.
        step: which checkpoint; the latest when None.
        member: of a run of several GANs, the one to take, as if it had been trained alone; None for all of them, side
            by side (`sweep.side_by_side`).
        strict: refuse a damaged checkpoint rather than fall back to the one before.
        code: folder in which the run's own code is looked for first.
        trust_run_code: execute the copy of its code that the run carries.

    Returns:
        `(gan, state)`, which has a `sample(n=16, seed=0, labels=None)` as `Run` has.

    Raises:
        FileNotFoundError: when there is no run, or no checkpoint in it.
        CheckpointError: when no checkpoint can be read.
    """
    run = read(path, Allowed(None if code is None else Path(code), trust_run_code))
    experiment = run.experiment()
    state = restore(run, experiment, step=step, strict=strict)
    if member is None:
        return _loaded(run, experiment.gan, state, experiment.weights_apart(state.ema)[0])
    alone = experiment.member(member)
    state = sweep.member(state, member) if experiment.several else state
    return _loaded(run, alone.gan, state, state.ema)


def restore(run: Run, experiment: Experiment, *, step: int | None = None, best: bool = False, strict: bool = False) -> GANState:
    """Restores the state of a run's latest checkpoint, of one step, or of the one that `keep_best` keeps."""
    read = functools.partial(checkpoint.restore, run.checkpoints, experiment.abstract, strict=strict)
    return _read_best(run, read) if best else read(step=step)


def _read_best(run: Run, read: Callable[..., T]) -> T:
    """Reads the best checkpoint; where a training at the same time has replaced it by a better one, the new one."""
    while True:
        step = best_step(run)
        try:
            return read(step=step)
        except FileNotFoundError:
            if best_step(run) == step:
                raise


def generators(
    run: Run,
    experiment: Experiment,
    *,
    step: int | None = None,
    best: bool = False,
    averaged: bool = True,
    strict: bool = False,
) -> tuple[list[Weights], int]:
    """Loads the generators of all GANs of a run, in most runs one, reading the checkpoint once.

    Args:
        run: the run.
        experiment: of the run.
        step: which checkpoint; the latest when None.
        best: take the one that `keep_best` keeps.
        averaged: load the averaged generators rather than those in training.
        strict: refuse a damaged checkpoint rather than fall back to the one before.

    Returns:
        The weights of each member, which `experiment.one.sample` takes, and the step they are from.

    Raises:
        FileNotFoundError, CheckpointError: as `load`.
    """
    if averaged:
        read = functools.partial(checkpoint.restore_generator, run.checkpoints, experiment.abstract.ema, strict=strict)
        weights, found = _read_best(run, read) if best else read(step=step)
    else:
        state = restore(run, experiment, step=step, best=best, strict=strict)
        weights, found = Weights(state.g.params, state.g.stats), int(state.step)
    return experiment.weights_apart(weights), found


def load_generator(
    path: str | Path, *, step: int | None = None, member: int = 0, strict: bool = False, allowed: Allowed | None = None
) -> tuple[Run, GAN, Weights]:
    """Loads the averaged generator of a run, and nothing else of its state.

    Args:
        path: the run directory.
        step: which checkpoint; the latest when None.
        member: of a run of several GANs, the one to take.
        strict: refuse a damaged checkpoint rather than fall back to the one before.
        allowed: what its own code may do, where it has any.

    Returns:
        `(run, gan, weights)`: `gan.sample(weights, key, labels)` draws from it.

    Raises:
        FileNotFoundError, CheckpointError: as `load`.
        FieldError: when there is no such member.
    """
    run = read(path, allowed)
    experiment = run.experiment()
    alone = experiment.member(member)
    every, _ = generators(run, experiment, step=step, strict=strict)
    return run, alone.gan, every[member]


def best_step(run: Run) -> int:
    """Returns the step of the checkpoint that `keep_best` keeps.

    Raises:
        FieldError: when the run keeps none, or has none yet.
    """
    figure = run.recipe.keep_best
    if figure == "none":
        raise FieldError("best", f"{run.path} keeps no best checkpoint", "train with --keep-best FIGURE", link="; ")
    saved = checkpoint.saved_steps(run.checkpoints)
    rows = [row for row in history(run) if row["step"] in saved]
    found = verdict.best(rows, figure, better_of(figure, own_metrics(run.recipe)))
    if found is None:
        raise FieldError("best", run.path, f"it has no checkpoint at which {figure} was measured")
    return found


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


def forget_after(run: Run, step: int) -> list[dict[str, Any]]:
    """Drops the metrics and samples after a step, which the resumed run makes again; returns the rows kept."""
    rows = history(run, until=step)
    metrics.write(run.metrics, rows)
    for file in run.samples.glob("*.png"):
        if file.stem.isdigit() and int(file.stem) > step:
            file.unlink()
    return rows


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


def parameters(state: GANState) -> tuple[int, int]:
    """Returns the numbers of parameters of G and D, of all members together."""
    g, d = (sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(player.params)) for player in (state.g, state.d))
    return g, d


def _content(run: Run, experiment: Experiment) -> dict[str, Any]:
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
        "versions": _versions(),
        "device": {
            "kind": device.device_kind,
            "platform": device.platform,
            "count": jax.device_count(),
            "processes": jax.process_count(),
        },
    }
    return content | ({"counted_from": list(run.counted_from)} if run.counted_from != (0, 0) else {})


def _write_shown(run: Run, experiment: Experiment) -> None:
    """Keeps the conditions that pictures are drawn for, so that the run can draw without its data."""
    dataset = experiment.dataset
    if run.shape.condition is not None and dataset is not None and dataset.shown is not None:
        arrays.write_npz(run.path / SHOWN, conditions.named(dataset.shown))


def note(run: Run, facts: dict[str, Any]) -> None:
    """Adds facts about a new run to its recipe.json, which nothing else reads."""
    file = run.path / "recipe.json"
    files.write_json(file, record.read(run.path).content | facts)


def _write(run: Run, content: dict[str, Any], *, anew: bool = False) -> None:
    """Writes recipe.json, and copies of the code that it names; of a run that begins anew no changes are kept."""
    file = run.path / "recipe.json"
    if not anew and file.is_file() and "changes" not in content:
        before = record.read(run.path).changes
        content |= {"changes": before} if before else {}
    for key, origin in content["code"].items():
        if origin["path"] is not None:
            copy = run.path / "code" / code.file_name(key, origin["path"])
            copy.parent.mkdir(parents=True, exist_ok=True)
            files.write(copy, files.read(origin["path"]))
    files.write_json(file, content)


def _check_same(old: record.Record, new: Run, wish: Wish, data: dict[str, Any]) -> None:
    recipe = formats.to_dict(new.recipe)
    if not recipe["init_from"]:
        recipe["init_from"] = old.recipe.get("init_from", "")
    found = formats.told(formats.differences(old.recipe, recipe))
    shapes = (old.sample, old.classes, old.class_names), (new.shape.sample, new.shape.classes, new.class_names)
    if not found and shapes[0] != shapes[1]:
        found = [f"data: shape {old.sample}, {old.classes} classes -> {new.shape.sample}, {new.shape.classes}"]
    if found and not wish.change:
        own = f"`jaxgan train {shown(old.path)}` goes on with its own recipe; else"
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


def shown(path: Path) -> str:
    """Returns a path relative to the working directory where it lies below, else unchanged."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def _other_environment(old: record.Record, now: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Returns the settings of JAX that differ from the recorded ones: `{"environment.NAME": (old, new)}`."""
    was = old.content.get("environment", {})
    return {f"environment.{name}": (was[name], now[name]) for name in now if name in was and was[name] != now[name]}


def _tell_versions(old: record.Record) -> None:
    was, now = old.content.get("versions", {}), _versions()
    was = was if isinstance(was, dict) else {}
    others = [f"{name} {was[name]} -> {now[name]}" for name in now if was.get(name, now[name]) != now[name]]
    if others:
        log.warning("%s: %s: going on, but no longer bit for bit as it would have been", old.path, ", ".join(others))


def _versions() -> dict[str, str]:
    return {"python": python_version()} | {name: versions.of(name) for name in _PACKAGES}


def _changed_code(old: dict[str, code.Origin], new: dict[str, Any]) -> list[str]:
    """Returns the files whose sha256 differs, or that only one side has."""
    sides = {key: origin.sha256 for key, origin in old.items()}, {key: each["sha256"] for key, each in new.items()}
    return [key for key in sorted({*sides[0], *sides[1]}) if sides[0].get(key, "") != sides[1].get(key, "")]


def _remove(path: Path) -> None:
    """Removes only what a run writes: a stranger's file in the folder stays."""
    for each in (path / name for name in _OURS):
        if each.is_dir() and not each.is_symlink():
            files.remove_folder(each)
        else:
            each.unlink(missing_ok=True)
