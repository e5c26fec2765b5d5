"""Words of mistakes in Python, values as people write them, and what a user is told before something takes long."""

import dataclasses
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
import pytest

import jaxgan
from jaxgan import cli, recipes
from jaxgan.commands import options, plan, values
from jaxgan.commands.arguments import Evaluate, Sample
from jaxgan.recipes import MLP, Recipe, check, formats, record
from jaxgan.recipes.table import unknown
from jaxgan.system import versions
from jaxgan.system.messages import FieldError, did_you_mean, not_one_of
from jaxgan.training.callbacks import Moment

KEY = jax.random.key(0)


# --- by hand ----------------------------------------------------------------------------------------------------------------


def by_hand(side: int, seen: int, *, mean: bool = False) -> Any:
    """A GAN whose G makes images of one side and whose D was made for another."""
    z, labels, x = jnp.zeros((1, 3)), jnp.zeros(1, jnp.int32), jnp.zeros((1, seen, seen, 1))
    d = jaxgan.from_linen(jaxgan.nets.mlp.Discriminator((4,)), x, labels)
    if mean:
        plain = d.apply
        d = d._replace(apply=lambda *a, **o: (plain(*a, **o)[0].mean(), a[1]))
    return jaxgan.make_gan(
        generator=jaxgan.from_linen(jaxgan.nets.mlp.Generator((4,), (side, side, 1)), z, labels),
        discriminator=d,
        loss=jaxgan.losses.relativistic,
        g_optimizer=optax.sgd(0.1),
        d_optimizer=optax.sgd(0.1),
        latent_dim=3,
    )


def batch(rows: int, side: int) -> Any:
    return {"image": jnp.zeros((rows, side, side, 1)), "label": jnp.zeros(rows, jnp.int32)}


@pytest.mark.parametrize(
    ("gan", "given", "told"),
    [
        (by_hand(8, 28), batch(4, 28), "generator: it gives [B, 8, 8, 1], but the batch holds [B, 28, 28, 1]"),
        (by_hand(8, 28), batch(4, 8), "discriminator: given images [B, 8, 8, 1], it raised ScopeParamShapeError"),
        (by_hand(8, 8, mean=True), batch(4, 8), "one logit for each sample, [B]"),
        (by_hand(8, 8), batch(3, 8), "batch: 3 images, but this step needs 2 equal parts of them: D's updates and a fresh one"),
        (by_hand(8, 8), {"images": jnp.zeros((4, 8, 8, 1))}, "batch: it holds images, but it needs image [B, ...]"),
        (by_hand(8, 8), batch(4, 8) | {"label": jnp.zeros(3)}, "batch: labels of shape [3], but it needs one for each"),
    ],
)
def test_shapes_that_do_not_fit_are_named_when_a_step_is_traced(gan: Any, given: Any, told: str) -> None:
    state = jax.eval_shape(gan.init, KEY)
    with pytest.raises(FieldError) as error:
        jax.eval_shape(gan.step, state, given, KEY)
    assert told in str(error.value)
    assert len(str(error.value).splitlines()) == 1


def test_an_error_that_is_not_about_shapes_is_the_networks_own() -> None:
    gan = by_hand(8, 8)

    def broken(*_: Any, **__: Any) -> Any:
        raise KeyError("mine")

    state = jax.eval_shape(gan.init, KEY)
    game = gan.step.args[0]
    own = gan.step.func
    with pytest.raises(KeyError, match="mine"):
        jax.eval_shape(
            lambda *a: own(game._replace(generator=game.generator._replace(apply=broken)), *a), state, batch(4, 8), KEY
        )


# --- parts ------------------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Bare:
    """A part whose width has no type."""

    latent_dim: int = 4
    width = 32
    _kept = 3

    def build(self, shape: Any) -> Any:
        raise NotImplementedError


def test_a_class_in_place_of_its_value_and_an_attribute_without_a_type_are_named() -> None:
    for name in ("generator", "discriminator", "g_optimizer"):
        with pytest.raises(FieldError, match=rf"^{name}: the class MLP, but it must be a value of it: write MLP\(\)$"):
            Recipe(**{name: MLP})
    told = r"^generator\.width: 32, but without a type it is no field of Bare; write width: int = 32, or ClassVar"
    with pytest.raises(FieldError, match=told):
        recipes.check(Recipe(generator=Bare()))


def test_names_of_others_lead_to_ours() -> None:
    losses = ("minimax", "non_saturating", "least_squares", "wasserstein")
    assert str(unknown("loss", "LSGAN", losses)).endswith("; did you mean 'least_squares'?")
    assert str(unknown("loss", "vanilla", losses)).endswith("; it is called minimax, or non_saturating, which trains better")
    assert str(unknown("loss", "zzz", losses)) == f"loss: 'zzz' is not one of {', '.join(losses)}"
    assert str(unknown("generator", "gp", ("mlp",))) == "generator: 'gp' is not one of mlp"  # another table's alias


@pytest.mark.parametrize(("word", "known", "meant"), [("FID", ["fid", "kid"], "fid"), ("r3gan", ["R3GAN"], "R3GAN")])
def test_capitals_do_not_hide_what_was_meant(word: str, known: list[str], meant: str) -> None:
    for told in (unknown("metrics", word, known), not_one_of("metrics", word, known), did_you_mean(word, known)):
        assert str(told).endswith(f"; did you mean {meant!r}?")


# --- values -----------------------------------------------------------------------------------------------------------------


def test_numbers_are_taken_as_people_write_them() -> None:
    written = {"8000": 8000, "8k": 8000, "1e3": 1000, "2M": 2_000_000, "1.5k": 1500, "1_000": 1000, "-3": -3, "+4": 4}
    assert {text: values.whole_number(text) for text in written} == written
    assert values.whole_number("9" * 60) == int("9" * 60)
    for text in ("1.5", "k", "", "1e", "1e99999", "0x10", "nan", "1 2"):
        with pytest.raises(ValueError, match=r"^'"):
            values.whole_number(text)


def test_several_values_are_taken_with_commas_or_spaces_and_none_is_none() -> None:
    for words in (["--labels=3,5"], ["--labels", "3", "5"], ["--labels", "3,", "5"]):
        assert options.parse("sample", Sample, ["RUN", *words]).labels == ("3", "5")
    assert options.parse("sample", Sample, ["RUN", "--labels", "None", "--n", "1k"]) == Sample(Path("RUN"), n=1000)
    found = options.parse("evaluate", Evaluate, ["a", "b", "--metrics", "fid,kid", "--n", "5k"])
    assert (found.runs, found.metrics, found.n) == ((Path("a"), Path("b")), ("fid", "kid"), 5000)


@pytest.mark.parametrize("command", ["train", "sample", "interpolate", "evaluate", "export", "convert", "plan", "help sample"])
def test_no_help_shows_the_forms_of_a_parser(capsys: pytest.CaptureFixture[str], command: str) -> None:
    words = [*command.split(), "--help"]
    with pytest.raises(SystemExit) as stop:
        cli.main(words if words[0] != "help" else words[:-1])
    told = capsys.readouterr().out
    assert stop.value.code == 0
    assert "usage: jaxgan" in told
    assert not any(form in told for form in ("{None}", "[INT", "{[", "[STR"))


# --- runs, devices, long work -----------------------------------------------------------------------------------------------


def test_the_runs_that_are_there_are_named(tmp_path: Path, tiny_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert record.runs_near(Path("digits").absolute()) == ""
    for name in ("digits", "faces"):
        shutil.copytree(tiny_run, tmp_path / "runs" / name)
    for missing, told in (
        ("digits", "did you mean runs/digits?"),
        ("runs/digit", "did you mean runs/digits?"),
        ("nowhere", "there are runs/digits, runs/faces"),
        ("runs", "there are runs/digits, runs/faces"),
    ):
        with pytest.raises(FileNotFoundError) as error:
            jaxgan.load(missing)
        why = "it has no recipe.json" if Path(missing).is_dir() else "there is no such folder"
        assert str(error.value).endswith(f"is not a run: {why}; {told}")


def test_a_platform_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "jaxgan", "plan", "digits"]
    environment = os.environ | {"JAX_PLATFORMS": "cuda"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode == 0:
        pytest.skip("there is such a device here")
    (line,) = done.stderr.splitlines()
    assert done.returncode == 2
    assert line.startswith("jaxgan plan: JAX_PLATFORMS: cuda, but ")


def test_what_takes_long_says_so_and_what_does_not_is_silent(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with plan._told_when_long("a minute"):
        pass
    monkeypatch.setattr(plan, "_LONG", 0.0)
    with plan._told_when_long("a minute"):
        time.sleep(0.5)
    assert capsys.readouterr().err == "a minute\n"


def test_parts_of_a_gan_by_hand_are_checked_when_it_is_made() -> None:
    z, labels, x = jnp.zeros((1, 3)), jnp.zeros(1, jnp.int32), jnp.zeros((1, 8, 8, 1))
    parts: dict[str, Any] = {
        "generator": jaxgan.from_linen(jaxgan.nets.mlp.Generator((4,), (8, 8, 1)), z, labels),
        "discriminator": jaxgan.from_linen(jaxgan.nets.mlp.Discriminator((4,)), x, labels),
        "loss": jaxgan.losses.hinge,
        "g_optimizer": optax.sgd(0.1),
        "d_optimizer": optax.sgd(0.1),
        "latent_dim": 3,
    }
    gan = jaxgan.make_gan(**parts)
    wrong = {"generator": object(), "loss": "hinge", "g_optimizer": optax.adam, "discriminator": jaxgan.Network}
    for name, part in wrong.items():
        with pytest.raises(FieldError, match=rf"^{name}: (an?|the class) \w+, but it must be a "):
            jaxgan.make_gan(**parts | {name: part})
    with pytest.raises(FieldError, match=r"^loss: the class Loss, but it must be a jaxgan.Loss"):
        jaxgan.make_gan(**parts | {"loss": jaxgan.Loss})
    state = gan.init(jax.random.key(0))
    with pytest.raises(FieldError, match=r"^batch: an? .*, but it must be a dict"):
        gan.step(state, jnp.zeros((4, 8, 8, 1)), jax.random.key(0))
    for weights in (state.g, state.ema.params, None, "ab"):
        with pytest.raises(FieldError, match=r"^weights: (an? \w+|nothing), but they must be state.ema"):
            gan.sample(weights, jax.random.key(0), n=2)
    for other in (None, state.ema, state.g):
        with pytest.raises(FieldError, match=r"^state: (an? \w+|nothing), but it must be a GANState: gan.init\(key\)"):
            gan.step(other, {"image": jnp.zeros((4, 8, 8, 1))}, jax.random.key(0))
    for name, part in {"penalty": "r1", "latent": 3, "share_z": "no", "counted_from": 3}.items():
        with pytest.raises(FieldError, match=rf"^{name}: "):
            jaxgan.make_gan(**parts | {name: part, "gamma": 1.0})
    with pytest.raises(FieldError, match=r"^batch.image: of uint8, but it must be floats in \[-1, 1\]"):
        gan.step(state, {"image": jnp.zeros((4, 8, 8, 1), jnp.uint8)}, jax.random.key(0))
    with pytest.raises(FieldError, match=r"^key: 0, but it must be a key of random numbers: jax.random.key\(0\)$"):
        gan.step(state, {"image": jnp.zeros((4, 8, 8, 1))}, 0)
    with pytest.raises(FieldError, match=r"^key: 3, but it must be a key"):
        gan.sample(state.ema, 3, n=2)
    with pytest.raises(FieldError, match=r"^n: a \w+, but it must be a whole number, and static under jit"):
        jax.jit(gan.sample)(state.ema, jax.random.key(0), n=2)
    assert gan.sample(state.ema, jax.random.PRNGKey(0), n=2).shape == (2, 8, 8, 1)
    with pytest.raises(FieldError, match=r"^n: -1, but it must be at least 1$"):
        gan.sample(state.ema, jax.random.key(0), n=-1)
    for z in (jnp.zeros((2, 5)), jnp.zeros(3), "ab"):
        with pytest.raises(FieldError, match=r"^z: an? .*, but it must be latents \[N, 3\]$"):
            gan.sample(state.ema, jax.random.key(0), z=z)


def one_step(parts: dict[str, Any], x: jax.Array) -> None:
    gan = jaxgan.make_gan(**parts)
    jax.eval_shape(lambda: gan.step(gan.init(KEY), {"image": x}, KEY))


NO_PAIR = r"its apply returns nothing, but it must return \(output, statistics\)"
NO_NUMBERS = r"it returns nothing, but it must return one real number for each sample, \[B\]"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"generator": {"init": lambda key: None}}, r"^generator: its init returns nothing, but it must return \(parameters, "),
        ({"generator": {"apply": lambda *a, **o: None}}, f"^generator: {NO_PAIR}"),
        (
            {"generator": {"apply": lambda *a, **o: ([0.0], {})}},
            r"^generator: it gives a list, but the batch holds \[B, 8, 8, 1",
        ),
        ({"discriminator": {"apply": lambda *a, **o: None}}, f"^discriminator: {NO_PAIR}"),
        ({"loss": jaxgan.Loss(d=lambda real, fake: None, g=lambda real, fake: fake)}, rf"^loss\.d: {NO_NUMBERS}"),
        ({"loss": jaxgan.Loss(d=lambda real, fake: fake, g=lambda real, fake: None)}, rf"^loss\.g: {NO_NUMBERS}"),
        ({"penalty": lambda critic, real, fake, key: None, "gamma": 1.0}, f"^penalty: {NO_NUMBERS}"),
        ({"penalty": jaxgan.penalties.r1, "gamma": jnp.ones(3)}, r"^gamma: .*, but it must be a finite float"),
        (
            {"augment": lambda key, x, strength: None},
            r"^augment: it returns nothing for images \[B, 8, 8, 1\], but it must keep",
        ),
        ({"terms": (jaxgan.Term(jaxgan.terms.l2, name=3),)}, r"^terms: 3, but a term needs a name of letters"),
    ],
)
def test_functions_that_return_something_else_are_named_when_a_step_is_traced(change: dict[str, Any], told: str) -> None:
    z, labels, x = jnp.zeros((1, 3)), jnp.zeros(1, jnp.int32), jnp.zeros((4, 8, 8, 1))
    parts: dict[str, Any] = {
        "generator": jaxgan.from_linen(jaxgan.nets.mlp.Generator((4,), (8, 8, 1)), z, labels),
        "discriminator": jaxgan.from_linen(jaxgan.nets.mlp.Discriminator((4,)), x, labels),
        "loss": jaxgan.losses.hinge,
        "g_optimizer": optax.sgd(0.1),
        "d_optimizer": optax.sgd(0.1),
        "latent_dim": 3,
    }
    for name, value in change.items():
        parts[name] = parts[name]._replace(**value) if isinstance(value, dict) else value
    with pytest.raises(FieldError, match=told):
        one_step(parts, x)


class Linen(nn.Module):
    @nn.compact
    def __call__(self, z: jax.Array) -> jax.Array:
        return nn.Dense(64)(z).reshape(-1, 8, 8, 1)


def test_a_module_in_place_of_the_part_that_makes_it_is_told_how_to_become_one(tiny_recipe: Any) -> None:
    with pytest.raises(FieldError, match=r"^generator: a Linen, but a recipe takes a part .* returns jaxgan.from_linen\(..\)$"):
        check(dataclasses.replace(tiny_recipe, generator=Linen()))
    with pytest.raises(FieldError, match=r"^module: the class Linen, but .* flax.linen; did you mean Linen\(..\)\?$"):
        jaxgan.from_linen(Linen, jnp.zeros((1, 3)))
    with pytest.raises(FieldError, match=r"^g_optimizer: Gradient\w+ without a name, but .* give it one, `mine = ..`"):
        formats.to_dict(dataclasses.replace(tiny_recipe, g_optimizer=optax.adam(1e-3)))


def test_fields_of_a_recipe_are_arguments_of_training(tmp_path: Path, tiny_recipe: Any, tiny_run: Path) -> None:
    with pytest.raises(FieldError, match=r"^epochs: no such argument: jaxgan.train and a recipe have none of that name"):
        jaxgan.train("digits", tmp_path / "run", epochs=3)
    with pytest.raises(FieldError, match=r"^stepz: no such argument: .* did you mean 'steps'\?$"):
        jaxgan.train("digits", tmp_path / "run", stepz=3)
    with pytest.raises(FieldError, match=r"^batch_size: 0, but "):
        jaxgan.train("digits", tmp_path / "run", batch_size=0)
    with pytest.raises(FieldError, match=r"--change; in Python change=True"):
        jaxgan.train(tiny_recipe, tiny_run, batch_size=16)
    assert not (tmp_path / "run").exists()
    assert jaxgan.train(tiny_recipe, tiny_run, steps=tiny_recipe.steps).recipe == tiny_recipe


def test_what_holds_many_numbers_prints_a_line(tiny_run: Path) -> None:
    loaded = jaxgan.load(tiny_run)
    assert repr(loaded.gan) == "GAN(init, step, sample)"
    moment = Moment(12, 96, loaded.state, loaded.gan, {"step": 12}, frozenset({"row", "end"}))
    assert repr(moment) == "Moment(step=12, images=96, row of 1 figures, due: end, row)"
    assert len(repr(loaded)) < 400
    assert versions.of("jaxgan") == jaxgan.__version__
