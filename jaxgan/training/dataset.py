"""The data set of a recipe, opened or given, and the facts that its networks need."""

from dataclasses import replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxgan import data
from jaxgan.core import conditions
from jaxgan.core.types import Dataset
from jaxgan.recipes import Data, Recipe, code
from jaxgan.recipes.table import MIXTURES, find
from jaxgan.system.messages import FieldError


class Shape(NamedTuple):
    """Facts about the data that a network must know."""

    sample: tuple[int, ...]  # of one sample: (H, W, C), or (2,) for points in the plane
    classes: int  # 0 when the recipe is unconditional, or has a condition
    condition: Any = None  # jax.ShapeDtypeStruct of one sample's condition, or dicts of these; None for classes or none


def shape_of(recipe: Recipe, dataset: Dataset) -> Shape:
    """Returns the facts that the networks of this recipe must know about its data set."""
    condition = dataset.condition if getattr(recipe.data, "conditional", True) else None
    return Shape(tuple(dataset.shape), len(dataset.class_names) if is_conditional(recipe, dataset) else 0, condition)


def is_conditional(recipe: Recipe, dataset: Dataset) -> bool:
    """Returns whether the networks are given labels: of a user's own data wherever there are any, and no condition."""
    return bool(getattr(recipe.data, "conditional", True) and dataset.class_names and dataset.condition is None)


def given_of(shape: Shape, *lead: Any) -> Any:
    """Returns shapes and dtypes of what networks are given besides z or samples: labels or conditions `[*lead, ...]`."""
    return conditions.batched(jax.ShapeDtypeStruct((), jnp.int32) if shape.condition is None else shape.condition, *lead)


def open_data(recipe: Recipe) -> Dataset:
    """Returns the data set of a recipe, read from disk, drawn, or made by the user's function; nothing is trained.

    Raises:
        FieldError: when it does not fit the recipe.
        FileNotFoundError: when it is not there, with the command that prepares it.
        UserCodeError: when the user's function raises.
    """
    source = recipe.data
    if isinstance(source, Data):
        try:
            found: Dataset = source.build()
        except FieldError as error:
            raise error.within("data") from error
        return found
    name = getattr(source, "__name__", type(source).__name__)
    try:
        made = source() if callable(source) else source.build()
    except (FieldError, FileNotFoundError):
        raise
    except Exception as error:
        raise code.UserCodeError(f"data: {name}", error) from error
    return data.as_dataset(made, name=name)


def given(recipe: Recipe, dataset: Any) -> tuple[Recipe, Dataset]:
    """Returns the recipe and the data set where the data are given in Python rather than by the recipe.

    Args:
        recipe: its `data` are put aside.
        dataset: a `Dataset`, or what `data.as_dataset` takes.

    Raises:
        FieldError: when it is nothing of the kind.
    """
    found = data.as_dataset(dataset, name="given")
    return replace(recipe, data=Data("given", conditional=bool(found.class_names) or found.condition is not None)), found


def density_of(recipe: Recipe) -> Any:
    """Returns the density that a recipe's samples are drawn from, where they are of a mixture; else None."""
    name = getattr(recipe.data, "name", "")
    return find(MIXTURES, "data.name", name)() if isinstance(recipe.data, Data) and name in MIXTURES else None


def check_holds(recipe: Recipe, dataset: Dataset) -> None:
    """Refuses batches larger than the data; of one step that takes several, two may hold the same sample."""
    if dataset.size is not None and recipe.batch_size > dataset.size:
        kind = "images" if len(dataset.shape) == 3 else "samples"
        allowed = f"{dataset.name}/{dataset.split} holds {dataset.size} {kind}, so it must be at most {dataset.size}"
        raise FieldError("batch_size", recipe.batch_size, allowed)
