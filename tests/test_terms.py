"""Losses made of terms: values, weights, balance; logits of patches and scales; features of D; a run with terms."""

import functools
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxgan
from jaxgan import losses, recipes
from jaxgan.commands import options
from jaxgan.commands.arguments import Train
from jaxgan.core import ada, logits, penalties, play, sweep, terms
from jaxgan.core.gan import generate, make_gan
from jaxgan.core.types import GAN, Network, Term
from jaxgan.evaluation.metrics.spectrum import power
from jaxgan.nets import mlp
from jaxgan.nets.linen import from_linen
from jaxgan.recipes import MLP, MLPDiscriminator, Recipe, code, formats
from jaxgan.system.messages import FieldError
from jaxgan.training import runs
from jaxgan.training.dataset import Shape
from jaxgan.training.experiment import build

KEY, PART = jax.random.key(3), 4
SHAPE = (4, 4, 1)
IMAGES = jax.random.uniform(jax.random.key(1), (2 * PART, *SHAPE), minval=-1.0)
BATCH = {"image": IMAGES, "label": jnp.arange(2 * PART, dtype=jnp.int32) % 2, "mask": jnp.linspace(0.0, 1.0, 2 * PART)}


class Layers(nn.Module):
    outputs: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        h = jnp.tanh(nn.Dense(6, name="hidden")(x.reshape(x.shape[0], -1)))
        self.sow("intermediates", "features", h)
        return nn.Dense(self.outputs, name="out")(h)


def generator() -> Network:
    plain = from_linen(Layers(16), jnp.zeros((1, 3)))

    def apply(*args: Any, train: bool) -> Any:
        y, stats = plain.apply(*args, train=train)
        return jnp.tanh(y).reshape(-1, *SHAPE), stats

    return plain._replace(apply=apply)


def critic(form: Any = lambda y: y[:, 0], outputs: int = 1) -> Network:
    plain = from_linen(Layers(outputs), jnp.zeros((1, 16)))

    def apply(*args: Any, train: bool) -> Any:
        y, stats = plain.apply(*args, train=train)
        return form(y), stats

    return plain._replace(apply=apply)


def gan(discriminator: Network | None = None, **options: Any) -> GAN:
    given = {"loss": losses.relativistic, "g_optimizer": optax.sgd(0.1), "d_optimizer": optax.sgd(0.1)} | options
    return make_gan(generator=generator(), discriminator=discriminator or critic(), latent_dim=3, **given)


def step(made: GAN, batch: Any = BATCH, steps: int = 1) -> Any:
    state, advance = jax.jit(made.init)(KEY), jax.jit(made.step)
    for _ in range(steps):
        state, info = advance(state, batch, KEY)
    return state, info


def moved(with_terms: Any, without: Any) -> Any:
    return jax.tree.map(lambda a, b: a - b, with_terms.g.params, without.g.params)


def close(a: Any, b: Any, tolerance: float = 1e-5) -> bool:
    return all(np.allclose(x, y, atol=tolerance) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True))


def masked(fake: jax.Array, batch: Any, key: jax.Array) -> jax.Array:
    return batch["mask"] * terms.l2(fake, batch, key)


@functools.cache
def plain() -> Any:
    return step(gan())


def test_a_term_adds_its_weighted_gradient_and_sees_the_whole_batch_of_its_update() -> None:
    (before, quiet), (after, info) = plain(), step(gan(terms=(Term(masked, weight=3.0),)))
    made = gan(terms=(Term(masked, weight=3.0),))
    game, state = made.step.args[0], jax.jit(made.init)(KEY)
    draw = jax.jit(functools.partial(play.draws, game))(state, BATCH, KEY)[1]
    assert draw.batch.keys() == BATCH.keys()
    assert close(draw.batch["mask"], BATCH["mask"][1::2])  # a relativistic G has a part of its own, dealt in turns

    def value(params: Any) -> jax.Array:
        return masked(generate(game, state.g._replace(params=params), draw)[0], draw.batch, KEY).mean()

    wanted, gradient = jax.jit(jax.value_and_grad(value))(state.g.params)
    assert close(moved(after, before), jax.tree.map(lambda x: -0.1 * 3.0 * x, gradient))
    assert np.isclose(info["masked"], wanted)
    assert info.keys() - quiet.keys() == {"masked"}
    assert np.isclose(info["g_loss"], quiet["g_loss"])  # the adversarial loss alone


def test_a_late_term_changes_nothing_before_it_starts_and_a_schedule_is_followed() -> None:
    late = (Term(terms.l1, starts=PART), Term(terms.l2, weight=lambda shown: 0.5 * shown))
    first, info = step(gan(terms=late))
    assert close(first, plain()[0], 1e-7)
    assert (info["l1_weight"], info["l2_weight"]) == (0.0, 0.0)
    second = step(gan(terms=late), steps=2)[1]
    assert (second["l1_weight"], second["l2_weight"]) == (1.0, 0.5 * PART)


@pytest.mark.parametrize("layer", ["", "hidden"])
def test_a_balanced_term_pulls_the_last_layer_as_much_as_the_adversarial_loss(layer: str) -> None:
    term = Term(terms.l1, weight=0.5, balanced=True, layer=layer)
    made = gan(terms=(term,))
    after, info = step(made)
    state, (before, _) = jax.jit(made.init)(KEY), plain()
    adversarial = jax.tree.map(lambda a, b: a - b, before.g.params, state.g.params)[layer or "out"]
    ratio = optax.tree.norm(moved(after, before)[layer or "out"]) / optax.tree.norm(adversarial)
    assert np.isclose(ratio, 0.5, rtol=1e-3)
    assert info["l1_weight"] > 0


def dimmed(_key: jax.Array, images: jax.Array, strength: jax.Array) -> jax.Array:
    return images * (1.0 - 0.5 * strength)


@pytest.mark.parametrize("form", [lambda y: (y[:, :, None], y), lambda y: y[:, None]])
def test_the_same_logit_at_every_place_and_scale_trains_as_the_logit_alone(form: Any) -> None:
    options: dict[str, Any] = {"penalty": penalties.gradient_penalty, "gamma": 0.5, "accumulate": 2}
    options |= {"loss": losses.relativistic_average, "augment": dimmed, "augment_strength": ada.adaptive(0.1, 8)}
    alone, patches = (step(gan(each, **options), steps=2) for each in (critic(), critic(form)))
    assert close(alone, patches)


def test_each_place_is_a_game_of_its_own_and_each_scale_counts_the_same() -> None:
    real, fake = (jax.random.normal(jax.random.key(i), (5, 2, 3)) for i in (1, 2))
    loss = losses.relativistic_average.d
    by_hand = jnp.stack([loss(real[:, i, j], fake[:, i, j]) for i in range(2) for j in range(3)]).mean(0)
    assert close(logits.per_sample(loss, real, fake), by_hand, 1e-6)
    coarse = (real[:, 0, 0], fake[:, 0, 0])
    both = logits.per_sample(loss, (real, coarse[0]), (fake, coarse[1]))
    assert close(both, 0.5 * (by_hand + loss(*coarse)), 1e-6)
    assert close(logits.mean((real, coarse[0])), 0.5 * (real.mean((1, 2)) + coarse[0]), 1e-6)


def test_two_scales_of_patches_train_side_by_side_and_where_samples_depend_on_each_other() -> None:
    coupled = critic(lambda y: (y[:, :4].reshape(-1, 2, 2), y[:, 4:]), 6)._replace(depends_on_batch=True)
    options: dict[str, Any] = {"penalty": penalties.r1_r2, "gamma": 0.1, "terms": (Term(terms.feature_matching),)}
    single = gan(coupled, **options)
    both = sweep.side_by_side(lambda _: single)
    keys = jnp.stack([KEY, jax.random.key(4)])
    state, info = jax.jit(both.step)(jax.jit(both.init)(keys), jax.tree.map(lambda x: jnp.stack([x, x]), BATCH), keys)
    alone, alone_info = step(single)
    assert close(sweep.member(state, 0), alone)
    assert close({name: value[0] for name, value in info.items()}, alone_info)


@pytest.mark.parametrize("shape", [(9, 2), (6, 8, 1), (4, 6, 5, 2)])
def test_the_power_spectrum_is_the_metrics(shape: tuple[int, ...]) -> None:
    real, fake = (np.random.default_rng(i).normal(size=(5, *shape)).astype(np.float32) for i in range(2))
    fake = np.cumsum(fake, axis=1)  # another spectrum
    of_real, of_fake = (power(each, each.mean(0)) for each in (real, fake))
    least = terms.LEAST_POWER * of_real.max()
    wanted = np.square(np.log((of_fake + least) / (of_real + least))).mean()
    term = jax.jit(terms.power_spectrum)
    np.testing.assert_allclose(term(fake, {"image": real}, KEY), np.full(5, wanted), rtol=1e-4)
    assert float(term(real[::-1] + 3.0, {"image": real}, KEY)[0]) < 1e-8  # the mean is not its matter
    slope = jax.grad(lambda x: terms.power_spectrum(x, {"image": real}, KEY).mean())(jnp.asarray(fake))
    assert bool(jnp.isfinite(slope).all())
    assert float(jnp.abs(slope).max()) > 0
    same = np.zeros_like(real)  # an empty batch, as of sensors that are off
    for made in (fake, same):
        value, slope = jax.value_and_grad(lambda x: terms.power_spectrum(x, {"image": same}, KEY).mean())(jnp.asarray(made))
        assert bool(jnp.isfinite(value) & jnp.isfinite(slope).all())
    with pytest.raises(FieldError, match=r"terms\.power_spectrum: an update of one sample, but it must have two or more"):
        terms.power_spectrum(fake[:1], {"image": real[:1]}, KEY)


def test_feature_matching_compares_the_mean_features_of_d() -> None:
    made = gan(terms=(Term(terms.feature_matching, weight=0.0),), d_optimizer=optax.sgd(0.0))
    game, state = made.step.args[0], jax.jit(made.init)(KEY)
    draw = jax.jit(functools.partial(play.draws, game))(state, BATCH, KEY)[1]
    fake = jax.jit(functools.partial(generate, game))(state.g, draw)[0]
    hidden = state.d.params["hidden"]

    def features(x: jax.Array) -> jax.Array:
        return jnp.tanh(x.reshape(len(x), -1) @ hidden["kernel"] + hidden["bias"][None])

    by_hand = jnp.square(features(draw.real).mean(0) - features(fake).mean(0)).mean()
    assert np.isclose(step(made)[1]["feature_matching"], by_hand, rtol=1e-4)
    own = from_linen(mlp.Discriminator((5,)), jnp.zeros((1, *SHAPE)))
    assert own.features is not None
    (found,) = jax.tree.leaves(own.features(*own.init(KEY), IMAGES, BATCH["label"], KEY, train=True))
    assert found.shape == (2 * PART, 5)


def level(fake: jax.Array, _batch: Any, _key: Any) -> jax.Array:
    return jnp.square(fake).mean(axis=(1, 2, 3))


def scalar(fake: jax.Array, _batch: Any, _key: Any) -> jax.Array:
    return fake.mean()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (
            {"terms": (Term(scalar),)},
            "terms.scalar: it returns float32 [], but it must return one real number for each sample, [4]",
        ),
        ({"terms": (terms.l1,)}, "terms: a function, but each must be a jaxgan.Term"),
        ({"terms": (Term(terms.l1), Term(terms.l1))}, "terms: 'l1', but something of that name is told already"),
        ({"terms": (Term(terms.l1, name="d_loss"),)}, "terms: 'd_loss', but something of that name is told already"),
        ({"terms": (Term(functools.partial(terms.l1)),)}, "terms: '', but a term needs a name of letters"),
        ({"terms": (Term(terms.l1, weight=-1.0),)}, "terms.l1.weight: -1.0, but it must be a finite float, at least 0"),
        ({"terms": (Term(terms.l1, balanced=True, layer="out/no"),)}, "terms.l1.layer: 'out/no', but G's parameters there are"),
        (
            {"terms": (Term(terms.feature_matching),), "discriminator": critic()._replace(features=None)},
            "terms.feature_matching: D has no features, but give its Network `features`",
        ),
        (
            {"discriminator": critic(lambda y: y.mean())},
            "discriminator: it gives [] for images [B, 4, 4, 1], but it must return",
        ),
        ({"discriminator": critic(lambda y: (y, y[:1]))}, "discriminator: it gives [8, 1], [1, 1] for images"),
    ],
)
def test_terms_and_logits_that_do_not_fit_are_one_line_when_a_step_is_traced(given: dict[str, Any], told: str) -> None:
    def traced() -> None:
        made = gan(**given)
        jax.eval_shape(made.step, jax.eval_shape(made.init, KEY), BATCH, KEY)

    with pytest.raises(FieldError) as error:
        traced()
    assert told in str(error.value)
    assert len(str(error.value).splitlines()) == 1


def test_a_recipe_of_a_users_file_with_terms_trains_resumes_and_is_read_back(tmp_path: Path, monkeypatch: Any) -> None:
    shutil.copy(Path(__file__).parent / "examples" / "terms.py", tmp_path)
    monkeypatch.chdir(tmp_path)
    recipe = code.named("terms.py:recipe", "recipe")
    content = formats.to_dict(recipe)["terms"]
    assert [each.get("function") for each in content] == ["terms.py:smooth", "feature_matching", None]
    assert content[1]["weight"] == {"value": "terms.py:warm"}
    assert content[2] == {"type": "terms.py:Bright", "target": -0.4}
    assert formats.from_dict(json.loads(json.dumps(formats.to_dict(recipe))), resolve=code.named) == recipe
    parsed = options.parse_with_recipe("train", Train, recipe, ["--terms", "matching", "l2", "terms.py:warm"]).recipe
    assert parsed.terms == (recipe.terms[1], "l2", code.named("terms.py:warm", "terms"))
    assert options.parse_with_recipe("train", Train, recipe, ["--steps", "3"]).recipe == replace(recipe, steps=3)

    whole = jaxgan.train("terms.py", "whole")
    jaxgan.train(replace(recipe, steps=3), "halves")
    halves = jaxgan.train("terms.py", "halves")
    for one, other in zip(*(jax.tree.leaves(runs.restore(run, run.experiment())) for run in (whole, halves)), strict=True):
        np.testing.assert_array_equal(one, other)
    row = runs.history(whole)[-1]
    assert {"smooth", "smooth_weight", "matching", "matching_weight", "bright"} <= row.keys()
    assert row["matching_weight"] == pytest.approx((64 + 80) / 2 / 64 - 0.125)  # the mean of steps 5 and 6, cut at 1


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (("l3",), "terms: 'l3' is not one of l1, l2, feature_matching, power_spectrum"),
        ((3,), "terms: an int, but it must be a jaxgan.Term, a name, or a function (fake, batch, key)"),
        ((Term("l1", weight=-2.0),), "terms.l1.weight: -2.0, but it must be from 0 to"),
        ((Term("l1", starts=True),), "terms.l1.starts: True, but it must be an integer"),
        ((Term("l1", name="fid"),), "terms: 'fid', but a row of metrics has a figure of that name"),
        ((Term("l1", name="a b"),), "terms: 'a b', but a term needs a name of letters"),
        (("l1", "l1"), "terms: 'l1', but a term of that name is there already"),
        ((scalar,), "terms.scalar: it returns float32 [], but it must return one real number for each sample, [128]"),
        (("l1",), "terms: 'l1', but the data have no condition"),
        ((Term(level, balanced=True, layer="nowhere"),), "terms.level.layer: 'nowhere', but G's parameters there are"),
    ],
)
def test_a_recipes_terms_are_refused_in_a_line_before_anything_is_compiled(asked: tuple[Any, ...], told: str) -> None:
    with pytest.raises(FieldError) as error:
        build(recipes.check(Recipe(generator="mlp", discriminator="mlp", terms=asked)), shape=Shape((8, 8, 1), 0))
    assert told in str(error.value)
    assert len(str(error.value).splitlines()) == 1


def pairs(fake: jax.Array, _batch: Any, _key: Any) -> jax.Array:
    """Refuses, by its shapes, a number of samples that is odd."""
    return fake.reshape(2, -1, *fake.shape[1:]).mean(axis=range(2, fake.ndim + 1)).reshape(-1)


@pytest.mark.parametrize(
    ("term", "told"),
    [
        ("power_spectrum", "terms.power_spectrum: an update of one sample, but it must have two or more"),
        (pairs, "terms.pairs: it raised TypeError: "),
    ],
)
def test_terms_see_as_many_samples_as_in_a_step_before_anything_is_written(term: Any, told: str, tmp_path: Path) -> None:
    recipe = Recipe("digits", MLP(width=4, depth=1), MLPDiscriminator(width=4, depth=1), terms=(Term(term, weight=0.5),))
    for size, parts in ((1, 1), (4, 4)):
        with pytest.raises((FieldError, code.UserCodeError), match=told):
            jaxgan.train(replace(recipe, batch_size=size, accumulate=parts), tmp_path / "run")
        assert not (tmp_path / "run").exists()
    build(recipes.check(replace(recipe, batch_size=4, accumulate=2)), shape=Shape((8, 8, 1), 0))
