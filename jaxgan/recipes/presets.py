"""The library's recipes by name, with their data, hardware and figures."""

from importlib import import_module
from types import ModuleType
from typing import NamedTuple

from jaxgan.recipes.recipe import Recipe
from jaxgan.system.messages import not_one_of

NAMES = (
    "digits", "mnist", "fashion_mnist", "cifar10", "stacked_mnist", "sngan_cifar10", "r3gan_cifar10", "r3gan_stacked_mnist",
    "r3gan_ffhq64", "r3gan_small", "stylegan2_32", "stylegan2_64", "signals", "fields", "volumes", "table", "inpaint", "ring",
    "grid",
)  # fmt: skip


class About(NamedTuple):
    """Data, needs and figures of a preset, from its docstring."""

    data: str
    needs: str
    reached: str


def preset(name: str) -> Recipe:
    """Returns the recipe of that name.

    Raises:
        FieldError: when there is none.
    """
    recipe: Recipe = _module(name).recipe
    return recipe


def about(name: str) -> About:
    """Returns data, hardware and figures reached of a recipe, from its docstring."""
    lines = dict(line.split(": ", 1) for line in (_module(name).__doc__ or "").splitlines() if ": " in line)
    return About(lines["Data"], lines["Needs"], lines["Reached"])


def _module(name: str) -> ModuleType:
    if name not in NAMES:
        raise not_one_of("recipe", name, NAMES)
    return import_module(f"jaxgan.recipes.named.{name}")
