"""The command line. Recipes and tyro load at once; everything heavier loads when a command runs."""

import contextlib
import dataclasses
import io
import json
import logging
import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn

import tyro

from jaxgan.recipes import RECIPES, Metric, Recipe, check, did_you_mean, members, named


@dataclass(frozen=True)
class Train:
    """Trains a GAN: `jaxgan train [RECIPE]`, by default digits. The same command again resumes."""

    recipe: Annotated[Recipe, tyro.conf.arg(name="")]
    run: Path | None = None
    """Run directory; runs/RECIPE by default."""
    overwrite: bool = False
    """Start anew where a run is."""
    strict: bool = False
    """Refuse a damaged checkpoint rather than fall back to the one before."""
    tensorboard: bool = False
    """Also write tensorboard/; needs the tensorboard extra."""
    distributed: bool = False
    """Train with other processes that are given the same command: one on each host, found through the cluster (Slurm, Open MPI,
    Kubernetes, Cloud TPU) or by the three options below."""
    coordinator: str | None = None
    """HOST:PORT of process 0; JAX_COORDINATOR_ADDRESS is heeded too."""
    processes: int | None = None
    """How many take part."""
    process: int | None = None
    """Which of them this is, from 0."""
    compile_cache: bool = True
    """Keep compiled programs on disk, so that the next start is quick."""


@dataclass(frozen=True)
class Sample:
    """Draws images from the averaged generator; image i depends on the seed, its label and i only."""

    run: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """Run directory."""
    n: int = 64
    """How many."""
    seed: int = 0
    """Seed of the latents."""
    labels: tuple[int, ...] | None = None
    """Classes to draw, in turn; every class by default."""
    truncation: float | None = None
    """Less variety, more typical images: psi of styles (stylegan2, 1 for none) or threshold of z."""
    batch: int = 64
    """Images generated at a time; it does not change them."""
    out: Path | None = None
    """.png: one grid; .npz: arrays images and labels; a folder: one PNG each. By default a grid in the run."""
    member: int = 0
    """Of a run of several GANs, the one to take."""
    best: bool = False
    """Of the checkpoint that keep-best keeps rather than of the last."""
    strict: bool = False
    """Refuse a damaged checkpoint rather than fall back to the one before."""
    compile_cache: bool = True
    """Keep compiled programs on disk, so that the next start is quick."""


@dataclass(frozen=True)
class Interpolate:
    """Draws the way through latent space from image to image."""

    run: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """Run directory."""
    out: Path
    """.png: a strip; .gif or .webp: an animation."""
    seeds: tuple[int, ...] = (3, 7, 12)
    """Seeds of the images to pass through."""
    frames: int = 9
    """Images from one seed to the next, both included."""
    path: Literal["slerp", "lerp"] = "slerp"
    """Along the great circle or the straight line."""
    labels: tuple[int, ...] | None = None
    """Classes that walk the same way, a row each; class 0 by default."""
    member: int = 0
    """Of a run of several GANs, the one to take."""
    best: bool = False
    """Of the checkpoint that keep-best keeps rather than of the last."""
    strict: bool = False
    """Refuse a damaged checkpoint rather than fall back to the one before."""
    compile_cache: bool = True
    """Keep compiled programs on disk, so that the next start is quick."""


@dataclass(frozen=True)
class Evaluate:
    """Measures runs or folders of images: every figure with how it was obtained, and what real images would score."""

    runs: Annotated[tyro.conf.Positional[tuple[Path, ...]], tyro.conf.arg(metavar="RUN")]
    """Run directories, of several GANs all are measured; or folders or .npz files of images. Several are compared."""
    metrics: tuple[Metric, ...] = ()
    """Which; by default modes of ring, grid and stacked_mnist, of other images fid, kid, prdc, diversity and memorisation."""
    n: int | None = None
    """Samples; by default 10,000 or as many as there are real images, and for modes as many as PacGAN takes."""
    features: str | None = None
    """pixels, digits, mnist, fashion_mnist, cifar10, inception, inception:half_pixel, inception:clean, dinov2, dinov2:base."""
    weights: Path | None = None
    """File of inception's or dinov2's published weights, where it is not in the cache."""
    data: str | None = None
    """Real images to compare with, as --data.name of a recipe; by default those trained on."""
    split: str | None = None
    """Split of the real images; by default the one trained on."""
    seed: int = 0
    """Seed of the latents."""
    batch: int = 500
    """Samples generated at a time; it does not change them."""
    averaged: bool = True
    """Of the averaged generator rather than the one in training."""
    truncation: float | None = None
    """Less variety, more typical images: psi of styles (stylegan2, 1 for none) or threshold of z."""
    out: Path | None = None
    """JSON file; by default evaluation.json in the run, beside images, or of several in the current folder."""
    best: bool = False
    """Of the checkpoint that keep-best keeps rather than of the last."""
    strict: bool = False
    """Refuse a damaged checkpoint rather than fall back to the one before."""
    compile_cache: bool = True
    """Keep compiled programs on disk, so that the next start is quick."""


@dataclass(frozen=True)
class Export:
    """Writes the averaged generator and the discriminator as safetensors, the recipe in it and beside it."""

    run: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """Run directory."""
    out: Path
    """.safetensors"""
    member: int = 0
    """Of a run of several GANs, the one to take."""
    best: bool = False
    """Of the checkpoint that keep-best keeps rather than of the last."""
    strict: bool = False
    """Refuse a damaged checkpoint rather than fall back to the one before."""
    compile_cache: bool = True
    """Keep compiled programs on disk, so that the next start is quick."""


@dataclass(frozen=True)
class Convert:
    """Makes a run of weights from PyTorch; nothing in the file is executed."""

    file: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="FILE")]
    """State dict of a generator, or of G, D and G_ema: .safetensors, .pth, .pt or .pkl."""
    kind: Annotated[Literal["dcgan", "sngan", "r3gan", "stylegan2"], tyro.conf.arg(name="as")]
    """Architecture: of PyTorch's examples, of mimicry, of R3GAN, of StyleGAN2-ADA."""
    out: Path
    """Run directory."""
    discriminator: Path | None = None
    """File with the state dict of D, where it is not in the same."""
    data: str = "none"
    """What the weights were trained on, as a recipe has it; needed to evaluate."""
    overwrite: bool = False
    """Start anew where a run is."""


@dataclass(frozen=True)
class Prepare:
    """Prepares a data set for use without a network: digits, mnist, fashion_mnist, cifar10 without TensorFlow."""

    name: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="NAME")]
    """Name of a TensorFlow Datasets image set."""
    source: Annotated[Path | None, tyro.conf.arg(name="from")] = None
    """Folder with the original files; from the network by default."""


@dataclass(frozen=True)
class Plan:
    """Says from shapes alone what a recipe takes: parameters, FLOPs, bytes on each device, and whether it fits."""

    recipe: Annotated[Recipe, tyro.conf.arg(name="")]
    devices: int | None = None
    """How many; those there are by default."""
    memory: float | None = None
    """GiB of a device; this one's by default."""
    accelerator: bool = False
    """The devices are GPUs or TPUs, on which convolutions take less memory than on CPUs; by default they are as here."""
    out: Path | None = None
    """JSON file of the same."""


@dataclass(frozen=True)
class Bench:
    """Times training and sampling on synthetic data: `jaxgan bench [RECIPE]`, by default digits. Leave the machine alone."""

    recipe: Annotated[Recipe, tyro.conf.arg(name="")]
    out: Path | None = None
    """JSON file of the same."""


@dataclass(frozen=True)
class Recipes:
    """Lists the recipes: data, networks, objective, what each needs and what it reached."""


def train(arguments: Train, name: str) -> Path:
    from jaxgan.system import hosts

    who = (arguments.coordinator, arguments.processes, arguments.process)
    if arguments.distributed:
        hosts.join(*who)
    elif any(each is not None for each in who):
        raise ValueError("distributed: False, but --coordinator, --processes and --process are for it")
    from jaxgan.training.train import train

    _share_cores(len(members(check(arguments.recipe))))
    run = arguments.run or Path("runs", name)
    options = {"overwrite": arguments.overwrite, "strict": arguments.strict, "tensorboard": arguments.tensorboard}
    return train(arguments.recipe, run, **options).path


def sample(arguments: Sample) -> Path:
    from jaxgan.commands.sample import sample

    return sample(arguments.run, **_options(arguments))


def interpolate(arguments: Interpolate) -> Path:
    from jaxgan.commands.sample import interpolate

    options = _options(arguments)
    return interpolate(arguments.run, way=options.pop("path"), **options)


def evaluate(arguments: Evaluate) -> Path:
    from jaxgan.commands.evaluate import compare, table

    options = _options(arguments)
    out, results = compare(options.pop("runs"), **options)
    print(table(results))
    return out


def export(arguments: Export) -> Path:
    from jaxgan.commands.export import export

    return export(arguments.run, **_options(arguments))


def convert(arguments: Convert) -> Path:
    from jaxgan.commands.convert import convert

    a = arguments
    return convert(a.file, a.kind, a.out, discriminator=a.discriminator, data=a.data, overwrite=a.overwrite)


def prepare(arguments: Prepare) -> Path:
    from jaxgan import data

    return data.prepare(arguments.name, source=arguments.source)


def plan(arguments: Plan, _: str) -> Path | None:
    from jaxgan.commands.plan import GIB, as_json, plan, table

    out = _json_file(arguments.out)
    memory = None if arguments.memory is None else arguments.memory * GIB
    found = plan(arguments.recipe, devices=arguments.devices, memory=memory, accelerator=arguments.accelerator or None)
    print(table(found))
    return _write_json(as_json(found), out)


def bench(arguments: Bench, _: str) -> Path | None:
    import jax

    from jaxgan.commands.bench import as_json, bench, report

    jax.config.update("jax_enable_compilation_cache", False)  # before anything is compiled; later nobody would ask
    out = _json_file(arguments.out)
    _share_cores(len(members(check(arguments.recipe))))
    found = bench(arguments.recipe, steps=arguments.recipe.steps)
    print(report(found))
    return _write_json(as_json(found), out)


def _json_file(out: Path | None) -> Path | None:
    """Refuses before the work what could not be written after it."""
    if out is not None and (out.is_dir() or not out.absolute().parent.is_dir()):
        raise ValueError(f"out: {out}, but it must be a file in a folder that exists")
    return out


def _write_json(content: dict[str, Any], out: Path | None) -> Path | None:
    if out is not None:
        out.write_text(json.dumps(content, indent=2) + "\n")
    return out


def recipes(_: Recipes) -> None:
    rows = [("recipe", "data", "networks", "objective", "needs", "reached")]
    for name, entry in RECIPES.items():
        recipe = entry.recipe
        g = recipe.generator
        width = {"r3gan": max(g.widths, default=0), "stylegan2": g.channel_max}.get(g.network, g.width)
        networks = f"{g.network} {width}"
        objective = f"{recipe.loss} + {recipe.penalty.name} {recipe.penalty.gamma:g}"
        rows.append((name, entry.about, networks, objective, entry.needs, entry.reached or "-"))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


COMMANDS: dict[str, tuple[type, Callable[..., Path | None]]] = {
    "train": (Train, train),
    "sample": (Sample, sample),
    "interpolate": (Interpolate, interpolate),
    "evaluate": (Evaluate, evaluate),
    "export": (Export, export),
    "convert": (Convert, convert),
    "plan": (Plan, plan),
    "bench": (Bench, bench),
    "recipes": (Recipes, recipes),
    "data prepare": (Prepare, prepare),
}


def main(argv: list[str] | None = None) -> None:
    """Runs a command and exits: 0 when done, 2 on a mistake of the user's, told in one line."""
    words = sys.argv[1:] if argv is None else argv
    if not words or words[0] in ("-h", "--help"):
        print(_usage())
        sys.exit(0 if words else 2)
    if words[0] == "--version":
        from importlib.metadata import version

        print(f"jaxgan {version('jaxgan')}")
        sys.exit(0)
    command, words = _command(words)
    kind, function = COMMANDS[command]
    extra: tuple[Any, ...] = ()
    defaults: dict[str, Any] = {}
    if kind in (Train, Plan, Bench):
        name, words = (words[0], words[1:]) if words and not words[0].startswith("-") else ("digits", words)
        try:
            recipe = named(name)
            if kind is Bench:  # what a run takes would be too many
                recipe = dataclasses.replace(recipe, steps=max(100, 10 * recipe.steps_per_dispatch))
            defaults, extra = {"default": kind(recipe)}, (name,)
        except ValueError as error:
            _fail(command, str(error))
    arguments = _parse(command, kind, words, **defaults)
    if argv is None and (kind is Bench or hasattr(arguments, "compile_cache")):  # a process of its own, that computes
        from jaxgan.system import host_memory

        if host_memory.programs_run_here():
            host_memory.keep()
    _run(command, function, arguments, *extra)


def _run(command: str, function: Callable[..., Path | None], *arguments: Any) -> None:
    logging.basicConfig(format="%(message)s", level=logging.WARNING, stream=sys.stderr)
    logging.getLogger("jaxgan").setLevel(logging.INFO)
    if getattr(arguments[0], "compile_cache", False):
        _use_compile_cache()
    try:
        made = function(*arguments)
    except KeyboardInterrupt:  # before or after training, which saves on its own
        _fail(command, "interrupted", 130)
    except (ValueError, OSError, RuntimeError, MemoryError) as error:
        from jaxgan.commands.plan import is_out_of_memory
        from jaxgan.system import hosts
        from jaxgan.training.train import Diverged, Interrupted, Stopped

        known = (ValueError, OSError, Diverged, Interrupted, Stopped, hosts.Elsewhere)
        if is_out_of_memory(error) and "JAXGAN_TRACEBACK" not in os.environ:
            _fail(command, _out_of_memory(arguments[0]), 1)
        if "JAXGAN_TRACEBACK" in os.environ or not isinstance(error, known):
            raise
        status = error.status if isinstance(error, (Interrupted, hosts.Elsewhere)) else 1
        status = 2 if isinstance(error, (ValueError, OSError)) else status
        if isinstance(error, hosts.Elsewhere) or not (isinstance(error, (ValueError, OSError)) or hosts.is_first()):
            sys.exit(status)  # it is told by another process
        _fail(command, str(error), status)
    if made is not None:
        print(made)


def _out_of_memory(arguments: Any) -> str:
    """Of whatever recipe the command was busy with: one to train, or that of a run."""
    from jaxgan.commands import plan
    from jaxgan.training import runs

    if isinstance(arguments, (Train, Bench, Plan)):
        return plan.told(arguments.recipe)
    paths = arguments.runs if isinstance(arguments, Evaluate) else (getattr(arguments, "run", None),)
    batch = getattr(arguments, "batch", None)
    for path in paths:
        if path is not None and (path / "recipe.json").is_file():
            run = runs.read(path)
            return plan.told(run.recipe, run.shape, batch=batch or run.recipe.batch_size)
    return f"out of memory: the device has {plan.gib(plan.of_device())}; take fewer or smaller images at a time"


def _use_compile_cache() -> None:
    import jax

    from jaxgan.data.cache import directory

    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        jax.config.update("jax_compilation_cache_dir", str(directory(None) / "xla"))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)


def _share_cores(count: int) -> None:
    """Several GANs on a CPU: as many of its cores as divide them become devices of their own."""
    import jax

    if count > 1 and "xla_force_host_platform_device_count" not in os.environ.get("XLA_FLAGS", ""):
        cores = max(n for n in range(1, (os.cpu_count() or 1) + 1) if count % n == 0)
        jax.config.update("jax_num_cpu_devices", cores)  # of the CPU backend only


def _command(words: list[str]) -> tuple[str, list[str]]:
    for count in (1, 2):
        command = " ".join(words[:count])
        if command in COMMANDS:
            return command, words[count:]
    if words[0] == "data" and words[1:] in ([], ["-h"], ["--help"]):
        print("usage: jaxgan data prepare NAME [--from DIR]")
        sys.exit(0 if words[1:] else 2)
    _fail("", f"{' '.join(words[:2])}: no such command, it is one of {', '.join(COMMANDS)}{did_you_mean(command, COMMANDS)}")


def _usage() -> str:
    lines = [f"  {name:14}{(kind.__doc__ or '').splitlines()[0]}" for name, (kind, _) in COMMANDS.items()]
    return "\n".join(["usage: jaxgan COMMAND ...", "", *lines, "", "jaxgan COMMAND --help says more."])


def _options(arguments: Any) -> dict[str, Any]:
    fields = {field.name: getattr(arguments, field.name) for field in dataclasses.fields(arguments)}
    return {name: value for name, value in fields.items() if name not in ("run", "compile_cache")}


def _parse(command: str, kind: type, words: list[str], **defaults: Any) -> Any:
    """tyro's parser, its framed error text folded into one line."""
    told = io.StringIO()
    try:
        with contextlib.redirect_stderr(told):
            return tyro.cli(kind, args=words, prog=f"jaxgan {command}", **defaults)
    except SystemExit as stop:
        if stop.code:
            _fail(command, _folded(told.getvalue()))
        raise


def _folded(framed: str) -> str:
    # In a frame of box-drawing characters, or of blanks where the terminal has none: title, text, rules.
    lines = [line.strip("│╭╮╰╯─ ") for line in framed.splitlines()]
    body = [line for line in lines if line.strip("-")][1:]
    text = " ".join(body)
    if unknown := re.match(r"Unrecognized options: (\S+?),? ", text + " "):
        meant = re.search(r"Perhaps you meant:\s+(--\S+)", text)
        return f"{unknown[1]}: no such option" + (f"; did you mean {meant[1]}?" if meant else "")
    if choice := re.match(r"invalid choice '(.*?)' for argument '(.*?)'. Expected one of \((.*?)\)", text):
        allowed = re.findall(r"'([^']*)'", choice[3])
        return f"{choice[2]}: {choice[1]!r} is not one of {', '.join(allowed)}{did_you_mean(choice[1], allowed)}"
    if value := re.match(r"Error parsing (--\S+): .*'(.*?)'", text):
        takes = next((line for line in body[1:] if line.startswith(f"{value[1]} ")), value[1])
        return f"{value[1]}: {value[2]!r} is not allowed; it is {takes}"
    if missing := re.match(r"Missing from .*?: (\S+)", text):
        return f"{missing[1]}: missing, but it is required"
    if missing := re.match(r"Missing value for argument '(.*?)'", text):
        return f"{missing[1]}: a value is missing"
    return re.sub(r"\s*For full helptext.*", "", text)


def _fail(command: str, message: str, status: int = 2) -> NoReturn:
    line = " ".join(message.split())
    print(f"jaxgan{' ' if command else ''}{command}: {line}", file=sys.stderr)
    sys.exit(status)
