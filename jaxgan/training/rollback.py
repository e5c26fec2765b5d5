"""Going back after a divergence: to the last good checkpoint, and on from there with smaller steps and other data."""

import dataclasses
from pathlib import Path
from typing import Any

from jaxgan.recipes import Recipe, record
from jaxgan.system.messages import FieldError

RATES = ("learning_rate", "final_learning_rate")  # fields of an optimizer's part that are lowered


def check(recipe: Recipe) -> None:
    """Refuses a rollback whose learning rates it could not lower.

    Raises:
        FieldError: for an optimizer without a field `learning_rate`.
    """
    for name in ("g_optimizer", "d_optimizer") if recipe.on_nan == "rollback" else ():
        if not isinstance(getattr(getattr(recipe, name), RATES[0], None), float):
            raise FieldError("on_nan", recipe.on_nan, f"{name} has no field learning_rate, which a rollback lowers")


def after(recipe: Recipe) -> Recipe:
    """Returns the recipe to go on with: learning rates times `rollback_factor`, and the next seed that no member has.

    The seed decides the order of the data and all draws, so that training does not walk into the same NaN again.
    """
    lowered = {name: _lowered(getattr(recipe, name), recipe.rollback_factor) for name in ("g_optimizer", "d_optimizer")}
    return dataclasses.replace(recipe, seed=(recipe.seed + recipe.seeds) % 2**32, **lowered)


def count(path: Path) -> int:
    """Returns how many rollbacks a run has made."""
    return len(_made(path))


def replayed(path: Path, recipe: Recipe) -> Recipe:
    """Returns the recipe that a run goes on with when its first one is given again: with the changes of its rollbacks.

    Args:
        path: of the run; there may be none.
        recipe: as given; one that the run did not begin with is returned unchanged.
    """
    for fields in _made(path) if record.is_run(path) else ():
        if all(_at(recipe, name.split(".")) == old for name, (old, _) in fields.items()):
            for name, (_, new) in fields.items():
                recipe = _with(recipe, name.split("."), new)
    return recipe


def _made(path: Path) -> list[dict[str, Any]]:
    """Returns the fields that each rollback changed, `{path: (old, new)}`."""
    return [change["fields"] for change in record.read(path).changes if change.get("rollback")]


def _lowered(optimizer: Any, factor: float) -> Any:
    rates = {name: getattr(optimizer, name, None) for name in RATES}
    return dataclasses.replace(optimizer, **{name: rate * factor for name, rate in rates.items() if rate is not None})


def _at(value: Any, names: list[str]) -> Any:
    for name in names:
        value = getattr(value, name, None)
    return value


def _with(value: Any, names: list[str], new: Any) -> Any:
    """Returns a tree of dataclasses with one field replaced."""
    first, *rest = names
    return dataclasses.replace(value, **{first: _with(getattr(value, first), rest, new) if rest else new})
