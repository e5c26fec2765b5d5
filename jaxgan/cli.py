"""The command line. Recipes and tyro load at once; everything heavier loads when a command runs."""

import contextlib
import dataclasses
import logging
import os
import re
import sys
import textwrap
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn, TextIO, cast

from jaxgan.commands import arguments as of
from jaxgan.commands import help as of_help
from jaxgan.commands import options
from jaxgan.recipes import NAMES, Recipe, UserCodeError, check, members, preset, record, sources
from jaxgan.recipes.formats import type_name
from jaxgan.recipes.presets import about
from jaxgan.system import files, messages
from jaxgan.system.messages import FieldError, did_you_mean


def train(arguments: of.Train, found: sources.Found, line: str) -> Path:
    from jaxgan.system import hosts

    who = (arguments.coordinator, arguments.processes, arguments.process)
    if arguments.distributed:
        hosts.join(*who)
    elif any(each is not None for each in who):
        raise FieldError("distributed", False, "--coordinator, --processes and --process are for it")
    from jaxgan.training.train import train

    recipe = check(arguments.recipe)
    _share_cores(len(members(recipe)))
    _check_platform()
    if found.changed and not arguments.accept_code:
        raise FieldError(
            "code", f"{', '.join(found.changed)} changed since the run was trained", "go on with --accept-code", link=": "
        )
    run = arguments.run or found.run or Path("runs", found.name)
    if line:
        logging.getLogger("jaxgan").info("%s", line)
    names = ("overwrite", "change", "accept_code", "strict", "tensorboard")
    wishes = {name: getattr(arguments, name) for name in names}
    with _reporting(arguments, run):
        trained = train(recipe, run, writers=found.writers, callbacks=found.callbacks, **wishes)
    if hosts.is_first():
        _tell_next(trained)
    return trained.path


@contextlib.contextmanager
def _reporting(arguments: of.Train, run: Path) -> Iterator[None]:
    """Writes the report that was asked for after training ended, well or badly.

    A report that cannot be written costs one line; the end of the training stands, and its exit status with it.
    """
    from jaxgan.system import hosts
    from jaxgan.training.endings import Diverged, Stopped

    def report_() -> None:
        from jaxgan.commands.report import report

        if not arguments.report or not hosts.is_first():
            return
        log = logging.getLogger("jaxgan")
        try:
            log.info("report: %s", report(run, code=arguments.code, trust_run_code=arguments.trust_run_code))
        except Exception as error:  # whatever the error, a page does not cost hours of training
            log.warning("report: not written: %s; jaxgan report %s writes it later", files.told(error), run)

    try:
        yield
    except (Diverged, Stopped):
        report_()
        raise
    report_()


def _tell_next(run: Any) -> None:
    """Logs after training its result, the place of its samples, and the next commands."""
    from jaxgan.training.run import from_here, history

    rows, log = history(run), logging.getLogger("jaxgan")
    judged = [row for row in rows if row.get("verdict")]
    seen = sorted(run.samples.glob("[0-9]*.png"))
    if judged:
        log.info("%s: %s", judged[-1]["verdict"], "; ".join(judged[-1].get("evidence", ())) or "see curves.png")
    elif rows and rows[-1].get("evidence"):
        log.info("no verdict: %s", "; ".join(rows[-1]["evidence"]))
    if seen:
        log.info("samples: %s", from_here(seen[-1]))
    log.info("next: jaxgan sample %s\n      jaxgan evaluate %s", *[from_here(run.path)] * 2)


def sample(arguments: of.Sample) -> Path:
    from jaxgan.commands.sample import sample

    _check_platform()
    return sample(arguments.run, **_options(arguments))


def interpolate(arguments: of.Interpolate) -> Path:
    from jaxgan.commands.interpolate import interpolate

    _check_platform()
    options = _options(arguments)
    return interpolate(arguments.run, way=options.pop("path"), **options)


def project(arguments: of.Project) -> Path | None:
    from jaxgan.commands.project import project
    from jaxgan.weights.generator_files import beside

    if not arguments.images:
        raise FieldError("IMAGE", "missing", "one or more are required")
    _check_platform()
    options = _options(arguments)
    out, images = options.pop("out"), options.pop("images")
    found = project(arguments.run, list(images), out=out or beside(arguments.run, "projection"), **options)
    print(found.table())
    return found.folder


def directions(arguments: of.Directions) -> Path:
    from jaxgan.commands.directions import directions
    from jaxgan.latent import kept

    _check_platform()
    found = directions(arguments.run, **_options(arguments))
    return kept.folder_of(arguments.run) / f"{found.name}.npz"


def evaluate(arguments: of.Evaluate) -> Path:
    from jaxgan.commands.evaluate import compare, table

    _check_platform()
    options = _options(arguments)
    out, results = compare(options.pop("runs"), **options)
    print(table(results))
    return out


def export(arguments: of.Export) -> Path:
    from jaxgan.commands.export import export

    _check_platform()
    return export(arguments.run, **_options(arguments))


def report(arguments: of.Report) -> Path:
    from jaxgan.commands.report import report

    _check_platform()
    return report(arguments.run, **_options(arguments))


def explore(arguments: of.Explore) -> None:
    from jaxgan.commands.explore import explore

    _check_platform()
    if number := explore(arguments.run, **_options(arguments)):
        sys.exit(128 + number)


def convert(arguments: of.Convert) -> Path:
    from jaxgan.commands.convert import convert

    _check_platform()
    options = _options(arguments)
    return convert(options.pop("file"), options.pop("kind"), options.pop("out"), **options)


def prepare(arguments: of.Prepare) -> Path:
    from jaxgan import data

    return data.prepare(arguments.name, source=arguments.source)


def plan(arguments: of.Plan, _: sources.Found) -> Path | None:
    from jaxgan.commands.plan import GIB, as_json, plan, table

    _check_platform()
    out = _json_file(arguments.out)
    memory = None if arguments.memory is None else arguments.memory * GIB
    found = plan(arguments.recipe, devices=arguments.devices, memory=memory, accelerator=arguments.accelerator or None)
    print(table(found))
    return _write_json(as_json(found), out)


def bench(arguments: of.Bench, _: sources.Found) -> Path | None:
    import jax

    from jaxgan.commands.bench import as_json, bench, report

    jax.config.update("jax_enable_compilation_cache", False)  # before anything is compiled; later nobody would ask
    out = _json_file(arguments.out)
    _share_cores(len(members(check(arguments.recipe))))
    _check_platform()
    found = bench(arguments.recipe, steps=arguments.recipe.steps)
    print(report(found))
    return _write_json(as_json(found), out)


def recipes(_: of.Recipes) -> None:
    for name in NAMES:
        recipe, words = preset(name), about(name)
        g = recipe.generator
        width = max(getattr(g, "widths", None) or (getattr(g, "channel_max", None) or g.width,))
        networks = f"{type_name(g, 'generator')} {width}"
        objective = f"{recipe.loss} + {recipe.penalty.name} {recipe.penalty.gamma:g}"
        print(f"{name:20}{words.data}")
        for line in (f"{networks}, {objective}; needs {words.needs}", f"reached: {words.reached}"):
            print(textwrap.fill(line, 80, initial_indent="    ", subsequent_indent="        "))


def completion(arguments: of.Completion) -> None:
    from jaxgan.commands.completion import script

    print(script(arguments.shell))


COMMANDS: dict[str, tuple[type, Callable[..., Path | None]]] = {
    "train": (of.Train, train),
    "sample": (of.Sample, sample),
    "interpolate": (of.Interpolate, interpolate),
    "project": (of.Project, project),
    "directions": (of.Directions, directions),
    "evaluate": (of.Evaluate, evaluate),
    "export": (of.Export, export),
    "report": (of.Report, report),
    "explore": (of.Explore, explore),
    "convert": (of.Convert, convert),
    "plan": (of.Plan, plan),
    "bench": (of.Bench, bench),
    "recipes": (of.Recipes, recipes),
    "data prepare": (of.Prepare, prepare),
    "completion": (of.Completion, completion),
}
_OF_RECIPES = (of.Train, of.Plan, of.Bench)


def main(argv: list[str] | None = None) -> None:
    """Runs a command and exits: 0 when done, 2 on a mistake of the user's, told in one line.

    Args:
        argv: the command's words; by default those that the process was started with. Then nothing ends because it cannot be
            told (standard streams may be closed, on a full disk, or pipes that nobody reads), and nothing hangs at its end.
    """
    if argv is not None:
        _command_of(argv)
        return
    messages.occupy_standard_streams()
    out, err = messages.Unfailing(sys.stdout), messages.Unfailing(sys.stderr)
    sys.stdout, sys.stderr = cast(TextIO, out), cast(TextIO, err)
    status: Any = 0
    try:
        _command_of(sys.argv[1:], own=True)
    except SystemExit as end:
        status = end.code
    out.flush()
    err.flush()
    writing, hosts = (sys.modules.get(f"jaxgan.{name}") for name in ("training.checkpoint.writing", "system.hosts"))
    held_up = (writing is not None and writing.failed) or (hosts is not None and hosts.is_held_up())
    if out.broken or err.broken or held_up:
        # Python would complain of the streams, and wait: for threads of a failed save, for work that a signal broke off, or
        # for a process that is gone.
        os._exit(status or 0)
    sys.exit(status)


def _command_of(words: list[str], *, own: bool = False) -> None:
    """Runs a command, in a process of its own or not."""
    if not words or words[0] in ("-h", "--help"):
        print(_usage())
        sys.exit(0 if words else 2)
    if words[0] == "--version":
        from jaxgan.system import versions

        print(f"jaxgan {versions.of('jaxgan')}")
        sys.exit(0)
    if words[0] == "--complete":  # the shell asks, at every tab
        from jaxgan.commands.completion import candidates

        print("\n".join(candidates(words[1:], {name: kind for name, (kind, _) in COMMANDS.items()})))
        sys.exit(0)
    if words[0] == "help":
        words = [*words[1:], "--help"]
        if len(words) == 1:
            print(_usage())
            sys.exit(0)
    command, words = _command(words)
    kind, function = COMMANDS[command]
    logging.basicConfig(format="%(message)s", level=logging.WARNING, stream=sys.stderr)
    logging.getLogger("jaxgan").setLevel(logging.INFO)
    try:
        arguments, extra = _arguments(command, kind, words)
    except (options.Mistake, ValueError, OSError) as error:
        _fail(command, _words(error))
    except UserCodeError as error:
        _fail_in_user_code(command, error)
    if own and (kind is of.Bench or hasattr(arguments, "compile_cache")):  # a process of its own, that computes
        from jaxgan.system import host_memory

        if host_memory.programs_run_here():
            host_memory.keep()
    _run(command, function, arguments, *extra)


def _arguments(command: str, kind: type, words: list[str]) -> tuple[Any, tuple[Any, ...]]:
    if kind not in _OF_RECIPES:
        words = ["--help" if word == of_help.ALL else word for word in words]
        return options.parse(command, kind, words), ()
    found, words = options.named(words)
    recipe, line = found.recipe, ""  # a line for the log, once nothing is refused any more
    if of_help.ALL in words:
        command, words = f"{command} [RECIPE]", ["--help"]
    elif set(of_help.SHORT) & set(words):
        print(of_help.short(command, kind, recipe))
        sys.exit(0)
    if kind is of.Train:
        recipe, line = _with_steps_of_its_run(found, words)
    if kind is of.Bench:  # what a run takes would be too many
        recipe = dataclasses.replace(recipe, steps=max(100, 10 * recipe.steps_per_dispatch))
    arguments = options.parse_with_recipe(command, kind, recipe, words)
    return arguments, (found, line) if kind is of.Train else (found,)


def _with_steps_of_its_run(found: sources.Found, words: list[str]) -> tuple[Recipe, str]:
    """Returns a recipe with as many steps as the run that it goes on with was given, where the command line names none.

    A file says how many steps it wants whenever it is read.

    Returns:
        The recipe, and a line for the log where its number and the run's differ.
    """
    given = {word.partition("=")[0] for word in words}
    path = options.path_of(words, "--run") or found.run or Path("runs", found.name)
    folder = files.home_expanded(path, "run")
    if given & {"--steps", "--overwrite"} or not record.is_run(folder):
        return found.recipe, ""
    steps, recipe = record.read(folder).recipe.get("steps"), found.recipe
    if not isinstance(steps, int) or steps == recipe.steps:  # what is damaged is told where the run is read
        return recipe, ""
    if found.name not in NAMES:
        return recipe, f"{path}: it was given {steps:,} steps before and has {recipe.steps:,} now"
    line = f"{path}: {steps:,} steps, as it was given before; --steps N for another number"
    return dataclasses.replace(recipe, steps=steps), line


def _run(command: str, function: Callable[..., Path | None], *arguments: Any) -> None:
    if getattr(arguments[0], "compile_cache", False):
        _use_compile_cache()
    try:
        made = function(*arguments)
    except KeyboardInterrupt:  # before or after training, which saves on its own
        _fail(command, "interrupted", 130)
    except UserCodeError as error:
        _fail_in_user_code(command, error)
    except (ValueError, OSError, RuntimeError, MemoryError) as error:
        from jaxgan.commands.plan import is_out_of_memory
        from jaxgan.system import hosts
        from jaxgan.training.checkpoint.errors import SaveError
        from jaxgan.training.endings import Diverged, Interrupted, Stopped

        known = (ValueError, OSError, Diverged, Interrupted, Stopped, hosts.Elsewhere)
        if is_out_of_memory(error) and "JAXGAN_TRACEBACK" not in os.environ:
            _fail(command, _out_of_memory(arguments[0]), 1)
        # A mistake is not the loss of another process, and without a device nobody could be asked.
        if not isinstance(error, FieldError) and (gone := hosts.lost(error)) is not None:
            _fail(command, gone, 1)
        if "JAXGAN_TRACEBACK" in os.environ or not isinstance(error, known):
            raise
        status = error.status if isinstance(error, (Interrupted, hosts.Elsewhere)) else 1
        status = 2 if isinstance(error, (ValueError, OSError)) and not isinstance(error, SaveError) else status
        if isinstance(error, hosts.Elsewhere) or not (isinstance(error, (ValueError, OSError)) or hosts.is_first()):
            sys.exit(status)  # it is told by another process
        _fail(command, _words(error), status)
    if made is not None:
        print(made)


def _words(error: BaseException) -> str:
    """Returns an error's message, a word of more than 300 characters cut; of one of the system's `FILE: REASON` alone."""
    words = str(error) or type(error).__name__
    if isinstance(error, OSError) and error.strerror:
        words = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return re.sub(r"\S{300,}", lambda long: f"{long[0][:200]}..{long[0][-20:]}", words)


def _out_of_memory(arguments: Any) -> str:
    """Returns the remedy for whatever recipe the command was busy with: one to train, or that of a run."""
    from jaxgan.commands import plan
    from jaxgan.recipes import record
    from jaxgan.training import runs

    if isinstance(arguments, _OF_RECIPES):
        return plan.told(arguments.recipe)
    paths = arguments.runs if isinstance(arguments, of.Evaluate) else (getattr(arguments, "run", None),)
    batch = getattr(arguments, "batch", None)
    for path in paths:
        if path is not None and record.is_run(path):
            run = runs.read(path, _allowed(arguments))
            return plan.told(run.recipe, run.shape, batch=batch or run.recipe.batch_size)
    return f"out of memory: the device has {plan.gib(plan.of_device())}; take fewer or smaller images at a time"


def _allowed(arguments: Any) -> Any:
    from jaxgan.recipes.record import Allowed

    return Allowed(getattr(arguments, "code", None), getattr(arguments, "trust_run_code", False))


def _json_file(out: Path | None) -> Path | None:
    """Refuses before the work what could not be written after it."""
    if out is not None and (out.is_dir() or not out.absolute().parent.is_dir()):
        raise FieldError("out", out, "it must be a file in a folder that exists")
    if out is not None:
        files.check_writable("out", out.absolute())
    return out


def _write_json(content: dict[str, Any], out: Path | None) -> Path | None:
    if out is not None:
        files.write_json(out.absolute(), content)
    return out


def _use_compile_cache() -> None:
    import jax

    # One that cannot be written costs JAX a warning for each program.
    warnings.filterwarnings("ignore", "Error (reading|writing) persistent compilation cache")
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        folder = files.cache_folder() / "xla"
        if not files.is_usable(folder):
            jax.config.update("jax_enable_compilation_cache", False)
            return
        jax.config.update("jax_compilation_cache_dir", str(folder))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)


def _check_platform() -> None:
    """Refuses a platform that JAX is told to use and does not find, before a library says so at length.

    Raises:
        FieldError: with the platform, and the first line of JAX's reason.
    """
    wanted = os.environ.get("JAX_PLATFORMS")
    if not wanted:
        return
    import jax

    try:
        jax.devices()
    except (RuntimeError, AssertionError) as error:
        reason = next(iter(str(error).splitlines()), "") or "JAX finds no such device"
        raise FieldError("JAX_PLATFORMS", wanted, f"{reason}; leave it out for what there is, or take cpu") from error


def _share_cores(count: int) -> None:
    """Makes devices of a CPU's cores for several GANs: as many as divide them."""
    import jax

    if count > 1 and "xla_force_host_platform_device_count" not in os.environ.get("XLA_FLAGS", ""):
        cores = max(n for n in range(1, (os.cpu_count() or 1) + 1) if count % n == 0)
        with contextlib.suppress(RuntimeError):  # where JAX has computed before, it keeps the devices that it has
            jax.config.update("jax_num_cpu_devices", cores)  # of the CPU backend only


def _command(words: list[str]) -> tuple[str, list[str]]:
    for count in (1, 2):
        command = " ".join(words[:count])
        if command in COMMANDS:
            return command, words[count:]
    if words[0] == "data" and words[1:] in ([], ["-h"], ["--help"]):
        print("usage: jaxgan data prepare NAME [--from DIR]")
        sys.exit(0 if words[1:] else 2)
    given = [word for word in words[:2] if not word.startswith("-")] or words[:1]
    meant = did_you_mean(" ".join(given), COMMANDS) or did_you_mean(given[0], COMMANDS)
    _fail("", f"{' '.join(given)}: no such command, it is one of {', '.join(COMMANDS)}{meant}")


def _usage() -> str:
    lines = [f"  {name:14}{(kind.__doc__ or '').splitlines()[0]}" for name, (kind, _) in COMMANDS.items()]
    return "\n".join(["usage: jaxgan COMMAND ...", "", *lines, "", "jaxgan COMMAND --help says more."])


def _options(arguments: Any) -> dict[str, Any]:
    fields = {field.name: getattr(arguments, field.name) for field in dataclasses.fields(arguments)}
    return {name: value for name, value in fields.items() if name not in ("run", "compile_cache")}


def _fail_in_user_code(command: str, error: UserCodeError) -> NoReturn:
    """Prints the traceback of the user's own code, from its first frame on, and ends."""
    frames = traceback.TracebackException.from_exception(error.cause, compact=True)
    ours = str(Path(__file__).parent)
    kept = [frame for frame in frames.stack if not frame.filename.startswith((ours, "<frozen importlib"))]
    frames.stack = traceback.StackSummary.from_list(kept)
    if hasattr(error.cause, "__notes__"):  # of JAX, on its own frames
        frames.__notes__ = [note for note in error.cause.__notes__ if "JAX" not in note] or None
    print("".join(frames.format(chain=False)), end="", file=sys.stderr)
    _fail(command, str(error))


def _fail(command: str, message: str, status: int = 2) -> NoReturn:
    line = " ".join(message.split())
    print(f"jaxgan{' ' if command else ''}{command}: {line}", file=sys.stderr)
    sys.exit(status)
