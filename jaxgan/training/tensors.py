"""The weights of a GAN in one file that others can read: safetensors, with the recipe in it and its sha256 beside it."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import jax
import numpy as np
import safetensors.numpy
from safetensors import SafetensorError

from jaxgan import recipes
from jaxgan.core import conditions
from jaxgan.core.types import Weights
from jaxgan.core.units import Units, as_json, from_json
from jaxgan.evaluation.features import cache
from jaxgan.recipes import Loader, Recipe, record
from jaxgan.recipes.code import origins
from jaxgan.recipes.formats import references
from jaxgan.recipes.record import Allowed
from jaxgan.system import arrays, files, versions
from jaxgan.system.messages import FieldError, shown
from jaxgan.training.dataset import Shape
from jaxgan.training.experiment import Experiment, build
from jaxgan.training.sampler import Generator, generator_of
from jaxgan.weights import foreign

FORMAT = "2"
T = TypeVar("T")


class Loaded(NamedTuple):
    """Contents of a file, in arrays of numpy."""

    recipe: Recipe
    shape: Shape
    class_names: tuple[str, ...]
    generator: Weights  # the averaged one
    discriminator: Weights | None


def save(
    path: str | Path,
    *,
    generator: Weights,
    discriminator: Weights | None,
    recipe: Recipe,
    shape: Shape,
    class_names: tuple[str, ...] = (),
    units: Units | None = None,
) -> Path:
    """Writes weights, the same bytes for the same weights, and then PATH.sha256, which `sha256sum -c` takes.

    Tensors are named `G/COLLECTION/MODULE/../NAME`, and D's `D/..`; parameters are the collection `params`. The metadata
    holds, as JSON, `recipe`, `shape`, `class_names` and `code`, the sha256 of the user's code that the recipe names, and the
    versions `jaxgan` and `format`.

    Args:
        path: the file; one that is there is replaced, at once or not at all.
        generator: the averaged generator.
        discriminator: D, or None to leave it out.
        recipe: of one GAN.
        shape: of the data.
        class_names: of a conditional recipe.
        units: of the data's samples, where they are recorded.

    Returns:
        The path.

    Raises:
        ValueError: when weights are not finite, by name; or when the recipe is for several GANs.
        OSError: when the file cannot be written.
    """
    path = Path(path)
    if len(recipes.members(recipe)) > 1:
        raise FieldError("recipe", "it is for several GANs", "a file holds the weights of one")
    # Not np.ascontiguousarray, which makes vectors of scalars.
    tensors = {name: np.asarray(x, order="C") for name, x in _named(generator, discriminator).items()}
    broken = [name for name, x in tensors.items() if not np.isfinite(x).all()]
    if broken:
        raise ValueError(f"weights: not finite: {', '.join(broken)}")
    content = _ordered(safetensors.numpy.save(tensors, _metadata(recipe, shape, class_names, units)))
    cache.write(path, content, hashlib.sha256(content).hexdigest())
    return path


def load(path: str | Path, allowed: Allowed | None = None) -> Loaded:
    """Reads what `save` wrote, whoever changed it since.

    Args:
        path: the file.
        allowed: where code of the user's that the recipe names may be found.

    Returns:
        `(recipe, shape, generator, discriminator)`, the arrays in the dtypes that the recipe's networks have.

    Raises:
        FileNotFoundError: when there is no such file.
        ValueError: one line, when its sha256 is not the one beside it, where there is one; when it holds no recipe; or when its
            tensors are not the recipe's: every one that is missing, surplus, misshaped or not finite is named.
    """
    return _read(
        Path(path),
        allowed,
        lambda recipe, shape, names, _, tensors: Loaded(
            recipe, shape, names, *_fitted(tensors, build(recipe, shape=shape, class_names=names))
        ),
    )


def generator(path: str | Path, allowed: Allowed | None = None) -> tuple[Generator, Weights]:
    """Reads the averaged generator of a file of weights; D is neither built nor looked at.

    Args:
        path: the file.
        allowed: as for `load`.

    Raises:
        FileNotFoundError, ValueError: as `load`.
    """

    def of(
        recipe: Recipe, shape: Shape, names: tuple[str, ...], units: Units | None, tensors: dict[str, np.ndarray]
    ) -> tuple[Generator, Weights]:
        built = generator_of(recipe, shape, names, units)
        wanted = _named(built.abstract, None)
        own = _adopted({name: x for name, x in tensors.items() if name.startswith("G/")}, wanted)
        return built, jax.tree.unflatten(jax.tree.structure(built.abstract), [own[name] for name in wanted])

    return _read(Path(path), allowed, of)


def _read(
    path: Path,
    allowed: Allowed | None,
    make: Callable[[Recipe, Shape, tuple[str, ...], Units | None, dict[str, np.ndarray]], T],
) -> T:
    """Returns what `make` makes of recipe, shape, names of classes and tensors of a file, once they are known to be sound."""
    content = files.read(path)
    _check_seal(path, content)
    try:
        words = arrays.safetensors_header(content)["__metadata__"]
        written, fields, of_data = words["format"], files.parse_json(words["recipe"]), files.parse_json(words["shape"])
        names = tuple(map(str, files.parse_json(words.get("class_names", "[]"))))
        code = record.code_of(files.parse_json(words.get("code", "{}")))
        units = from_json(files.parse_json(words.get("units", "null")))
        sample, classes, condition = of_data["sample"], of_data["classes"], conditions.from_json(of_data.get("condition"))
        tensors = safetensors.numpy.load(content)
    except (SafetensorError, ValueError, KeyError, TypeError, OverflowError) as error:
        raise ValueError(f"{path}: it is no file of weights that jaxgan wrote, or damaged") from error
    try:
        if written not in ("1", FORMAT):
            raise FieldError("format", shown(written), f"this version of jaxgan reads '1' to {FORMAT!r}")
        shape = Shape(*record.shape_of(sample, classes), condition)
        loader = Loader(code, None, None if allowed is None else allowed.folder)
        recipe = recipes.from_dict(fields, version=int(written), resolve=loader.value)
        return make(recipe, shape, names, units, tensors)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _fitted(tensors: dict[str, np.ndarray], experiment: Experiment) -> tuple[Weights, Weights | None]:
    state = experiment.abstract
    with_d = any(name.startswith("D/") for name in tensors)
    weights = (state.ema, Weights(state.d.params, state.d.stats) if with_d else None)
    wanted = _named(*weights)
    tensors = _adopted(tensors, wanted)
    return jax.tree.unflatten(jax.tree.structure(weights), [tensors[name] for name in wanted])


def _adopted(tensors: dict[str, np.ndarray], wanted: dict[str, Any]) -> dict[str, np.ndarray]:
    """Returns tensors in the dtypes that a recipe's networks have.

    Raises:
        ValueError: when they are not those tensors.
    """
    with np.errstate(over="ignore", invalid="ignore"):  # to infinity, which is then refused by name
        tensors = {name: x.astype(wanted[name].dtype) if name in wanted else x for name, x in tensors.items()}
    foreign.adopt(tensors, {name: foreign.Tensor(x.shape) for name, x in wanted.items()})  # as they are: it only checks
    return tensors


def _named(generator: Weights, discriminator: Weights | None) -> dict[str, Any]:
    """`{"G/params/layer/kernel": leaf, "G/batch_stats/..": leaf, ..}`, in the order of `jax.tree.leaves`."""
    players = {"G": generator} | ({"D": discriminator} if discriminator is not None else {})
    return {
        "/".join((player, *collection, *_words(path))): leaf
        for player, weights in players.items()
        for collection, part in ((("params",), weights.params), ((), weights.stats))
        for path, leaf in jax.tree.leaves_with_path(part)
    }


def _words(path: tuple[Any, ...]) -> list[str]:
    return [jax.tree_util.keystr((part,), simple=True) for part in path]


def _metadata(recipe: Recipe, shape: Shape, class_names: tuple[str, ...], units: Units | None) -> dict[str, str]:
    """Returns what a file says of its tensors; units in which pictures are anyway are left out."""
    fields = recipes.to_dict(recipe)
    condition = {} if shape.condition is None else {"condition": conditions.as_json(shape.condition)}
    of_data = {} if units is None or units.are_bytes else {"units": json.dumps(as_json(units))}
    return of_data | {
        "format": FORMAT,
        "jaxgan": versions.of("jaxgan"),
        "recipe": json.dumps(fields),
        "shape": json.dumps({"sample": list(shape.sample), "classes": shape.classes} | condition),
        "class_names": json.dumps(list(class_names)),
        "code": json.dumps(record.code_as_json(origins(references(fields)))),
    }


def _ordered(content: bytes) -> bytes:
    """The same file with its metadata in the order of their names: the library writes them in any, each time another."""
    header = arrays.safetensors_header(content)
    body = content[8 + int.from_bytes(content[:8], "little") :]
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the numbers begin at a multiple of 8
    return len(text).to_bytes(8, "little") + text + body


def _check_seal(path: Path, content: bytes) -> None:
    seal = path.with_name(f"{path.name}.sha256")
    try:
        expected = files.read_text(seal, most=2**16).split(maxsplit=1)[:1]
    except files.Missing:
        return
    found = hashlib.sha256(content).hexdigest()
    if expected != [found]:
        raise ValueError(f"{path}: its sha256 must be {''.join(expected) or 'in ' + seal.name}, but it is {found}")
