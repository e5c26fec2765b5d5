"""The networks of a recipe: G and D, built for the data with the precision, the remat and the packs that it asks for."""

import inspect
from typing import Any

import jax.numpy as jnp

from jaxgan.core.types import Network
from jaxgan.nets.transforms import at_precision, rematerialised
from jaxgan.nets.transforms import pack as packed
from jaxgan.recipes import Data, Recipe, code
from jaxgan.system.messages import FieldError, kind_of
from jaxgan.training.dataset import Shape
from jaxgan.training.values import is_ours


def networks_of(recipe: Recipe, shape: Shape) -> tuple[Network, Network]:
    """Returns G and D.

    Raises:
        FieldError: when one or both cannot be built; of both in one message.
    """
    built, errors = [], []
    for player, seen in (("generator", shape), ("discriminator", _packed(recipe, shape))):
        try:
            built.append(network(player, recipe, seen))
        except FieldError as error:
            errors.append(error)
    if errors:
        first, *others = errors
        also = "".join(f"; {error}" for error in others if str(error) != str(first))
        raise FieldError(first.field, first.value, f"{first.allowed}{also}", link=first.link) from first
    return built[0], packed(built[1], recipe.pack)


def network(player: str, recipe: Recipe, shape: Shape) -> Network:
    """Returns the network of one player, with the precision and the remat that the recipe asks for.

    Raises:
        FieldError: when it does not fit the data, or is no network.
        UserCodeError: when code of the user's raises.
    """
    part = getattr(recipe, player)
    if shape.condition is not None and is_ours(type(part)) and not getattr(part, "takes_condition", False):
        others = "resnet takes one vector of numbers, pix2pix a picture"
        told = f"it takes classes alone, and the data have a condition; {others}; --data.no-conditional leaves it out"
        raise FieldError(player, type(part).__name__, told)
    wanted: dict[str, Any] = {"precision": recipe.precision, "remat": recipe.remat}
    try:
        takes = inspect.signature(part.build).parameters
        built = part.build(shape, **{name: value for name, value in wanted.items() if name in takes})
    except FieldError as error:
        raise _of_recipe(error, player, recipe) from error
    except Exception as error:
        if is_ours(type(part)):
            raise
        raise code.UserCodeError(f"{player}: {type(part).__name__}.build", error) from error
    if not isinstance(built, Network):
        made = f"{kind_of(built)} from {type(part).__name__}.build"
        raise FieldError(player, made, "it must be a jaxgan.Network, as jaxgan.from_linen makes one")
    if "precision" not in takes:
        built = at_precision(built, jnp.dtype(recipe.precision))
    return rematerialised(built) if recipe.remat and "remat" not in takes else built


def _packed(recipe: Recipe, shape: Shape) -> Shape:
    return shape._replace(sample=(*shape.sample[:-1], shape.sample[-1] * recipe.pack))


def _of_recipe(error: FieldError, player: str, recipe: Recipe) -> FieldError:
    """Returns the error of a network with its fields named as the recipe has them."""
    named = error.field.split(", ")
    if named == ["image_size"]:
        return error.renamed("data.image_size" if isinstance(recipe.data, Data) else "data")
    own = set(named) <= {"type", *vars(getattr(recipe, player))}
    return error.renamed(", ".join(f"{player}.{name}" for name in named)) if own else error
