"""The forms in which a generator is published, and the options of each, checked before anything is drawn or written."""

from collections.abc import Callable
from pathlib import Path

import jax

from jaxgan import recipes
from jaxgan.core.types import Weights
from jaxgan.publishing import folder, hub, onnx_file, page
from jaxgan.publishing.product import Product, Wish, onnx_bytes
from jaxgan.recipes import record
from jaxgan.system import files
from jaxgan.system.messages import FieldError, not_one_of
from jaxgan.training.run import Run
from jaxgan.weights.generator_files import FORMS as FILES

FORMS = ("file", "hub", "page")
_COPIES = 4  # of the weights in memory while they are written


def checked(out: str | Path, wish: Wish) -> Path:
    """Returns the path to write to.

    Raises:
        FieldError, FileNotFoundError: when it is no place for this form, or an option does not belong to it.
    """
    out = files.home_expanded(out, "out").absolute()
    if wish.form not in FORMS:
        raise not_one_of("form", wish.form, FORMS)
    _check_options(out, wish)
    if not out.parent.is_dir():
        raise FileNotFoundError(f"out: the folder {out.parent} does not exist")
    files.check_writable("out", out)
    return _file(out) if wish.form == "file" else _folder(out, wish)


def _check_options(out: Path, wish: Wish) -> None:
    of_onnx = wish.form == "page" or (wish.form == "file" and out.suffix == ".onnx")
    belong = {
        "precision": (wish.precision != "float32", of_onnx, "it is for .onnx and --form page"),
        "license": (wish.license is not None, wish.form == "hub", "it is for --form hub"),
        "push": (wish.push is not None, wish.form == "hub", "it is for --form hub"),
        "runtime": (wish.runtime is not None, wish.form == "page", "it is for --form page"),
        "overwrite": (wish.overwrite, wish.form != "file", "it is for folders; a file is replaced anyway"),
    }
    for name, (given, fits, allowed) in belong.items():
        if given and not fits:
            raise FieldError(name, getattr(wish, name), allowed)
    if wish.precision not in onnx_file.LIMITS:
        raise not_one_of("precision", wish.precision, onnx_file.LIMITS)


def _file(out: Path) -> Path:
    if out.suffix not in FILES:
        *first, last = (f"{suffix}, {form.holds}" for suffix, form in FILES.items())
        others = "folders are written with --form hub or page, images drawn by jaxgan sample"
        raise FieldError("out", f"{out.name} ends in {out.suffix!r}", f"it must be {', '.join(first)}, or {last}; {others}")
    if out.is_dir():
        raise FieldError("out", out, "it is a folder; name a file")
    if out.suffix == ".onnx":
        onnx_file.check_installed()
    return out


def _folder(out: Path, wish: Wish) -> Path:
    if out.suffix in FILES:
        raise FieldError(
            "out", f"{out.name} ends in {out.suffix!r}", f"--form {wish.form} writes a folder; leave the ending out"
        )
    if out.exists() and not out.is_dir():
        raise FieldError("out", out, f"it is a file; --form {wish.form} writes a folder")
    if _within_a_run(out):
        raise FieldError("out", out, "that is a run, whose recipe.json would be replaced; name a folder of its own")
    if wish.form == "hub":
        hub.check(wish)
    if wish.form == "page":
        onnx_file.check_installed()
    folder.check(out, wish.overwrite)
    return out


def _within_a_run(out: Path) -> bool:
    """Returns whether a folder is a run that was trained, or its checkpoints; a folder for the hub has a recipe.json too."""
    runs_ = (out, out.parent) if out.name == "checkpoints" else (out,)
    return any(record.is_run(each) and (each / "checkpoints").is_dir() for each in runs_)


def write(run: Run, out: Path, wish: Wish, *, member: int = 0, best: bool = False, strict: bool = False) -> Path:
    """Writes a generator in the form asked for.

    Args:
        run: to take it from.
        out: as `checked` returned it.
        wish: what was asked for.
        member: of a run of several GANs, the one to take.
        best: the checkpoint that `keep_best` keeps.
        strict: refuse a damaged checkpoint.

    Returns:
        The path.

    Raises:
        FieldError: in one line, when it cannot be written so; nothing is written then.
    """
    generator, weights, step = run.generator(member=member, best=best, strict=strict)
    check_room(weights)
    product = Product(run, generator, weights, recipes.members(run.recipe)[member], step)
    written: dict[str, Callable[[Product, Path, Wish], Path]] = {"file": onnx_alone, "hub": hub.write, "page": page.write}
    return written[wish.form](product, out, wish)


def onnx_alone(product: Product, out: Path, wish: Wish) -> Path:
    """Writes an `.onnx` file once onnxruntime has made the sampler's images from it."""
    files.write(out, onnx_bytes(product, wish))
    return out


def check_room(weights: Weights) -> None:
    """Refuses what does not fit this machine's memory while it is written.

    Raises:
        FieldError: with the bytes that are needed and those there are.
    """
    size = sum(each.size * each.dtype.itemsize for each in jax.tree.leaves(weights))
    if _COPIES * size > (there := files.memory()):
        raise FieldError(
            "out", f"weights of {size:,} bytes", f"writing needs {_COPIES} times that, and the memory is {there:,}"
        )
