"""A recipe is a value: it survives JSON, refuses nonsense in one line, and tells what differs."""

import dataclasses
import json
from typing import Any

import pytest

from jaxgan import recipes
from jaxgan.recipes import DCGAN, Adam, Data, Penalty, Recipe, formats


@pytest.mark.parametrize("name", recipes.NAMES)
def test_every_named_recipe_is_allowed_and_survives_json(name: str) -> None:
    recipe = recipes.preset(name)
    assert recipes.from_dict(json.loads(json.dumps(recipes.to_dict(recipe)))) == recipe


BAD: dict[str, Any] = {
    "batch_size": [0, -1, 10**9, 1.5, True, None, float("nan")],
    "steps": [0, -5, 2**31],
    "seed": [-1, 2**32],
    "disc_steps": [0, 101],
    "ema_half_life": [-1.0, float("inf"), float("nan")],
    "decay_images": [0],
    "loss": ["hing", "", None],
    "keep_checkpoints": [0],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in BAD.items() for value in values])
def test_bad_values_are_refused_in_one_line_that_names_them(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"^{name}: {value!r}") as caught:
        recipes.check(dataclasses.replace(Recipe(), **{name: value}))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("recipe", "words"),
    [
        (Recipe(penalty=Penalty(gamma=-0.1)), "penalty.gamma: -0.1"),
        (Recipe(penalty=Penalty(gamma=float("nan"))), "penalty.gamma: nan"),
        (Recipe(generator=DCGAN(width=0)), "generator.width: 0"),
        (Recipe(g_optimizer=Adam(beta2=1.0)), "g_optimizer.beta2: 1.0"),
        (Recipe(d_optimizer=Adam(learning_rate=1e9)), "d_optimizer.learning_rate"),
        (Recipe(data=Data(name=3)), "data.name: 3"),
        (Recipe(shard="state", seeds=2), "shard: state, but of GANs side by side each device has its own"),
    ],
)
def test_nested_fields_are_named_with_their_path(recipe: Recipe, words: str) -> None:
    with pytest.raises(ValueError, match=words.replace(".", r"\.")):
        recipes.check(recipe)


def test_differences_name_what_matters_and_only_that() -> None:
    old = recipes.preset("digits")
    new = dataclasses.replace(old, steps=9, log_interval=7, batch_size=64, penalty=dataclasses.replace(old.penalty, gamma=0.3))
    found = recipes.differences(recipes.to_dict(old), recipes.to_dict(new))
    assert formats.told(found) == ["penalty.gamma: 1.0 -> 0.3", "batch_size: 128 -> 64"]


def test_unknown_names_suggest_the_nearest() -> None:
    with pytest.raises(ValueError, match="did you mean 'digits'"):
        recipes.preset("digit")
    with pytest.raises(ValueError, match=r"generator\.widht: no such field; did you mean 'width'"):
        recipes.from_dict({"generator": {"type": "mlp", "widht": 3}})
    with pytest.raises(ValueError, match="generator: 3, but it must be a set of fields with a type"):
        recipes.from_dict({"generator": 3})
