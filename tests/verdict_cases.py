"""Trainings by which the verdict is tested: good ones, and ones made to fail in five ways, small enough for two cores.

`TUNING` may be looked at while limits of the verdict are set. `UNSEEN` differs from it in data, losses, networks, penalties,
rates and seeds, and is trained after that, once.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxgan import toy
from jaxgan.recipes import MLP, Adam, Data, MLPDiscriminator, Penalty, Recipe, preset, sources

GOOD, COLLAPSED, OVERFITTED, WINS, STARVED, DIVERGED = STATES = (
    "good", "collapsed", "overfitted", "D wins", "starved", "diverged",
)  # fmt: skip
WORDS_OF = {  # that are right
    GOOD: ("converged", "still improving"),
    COLLAPSED: ("mode collapse",),
    OVERFITTED: ("discriminator overfits",),
    WINS: ("discriminator wins",),
    # G is too small or the training too short: all kinds of data are hit, none well. The samples are not alike, D does not
    # know its data by heart, and nothing has converged: what is left to say is that the figures fall short.
    STARVED: ("still improving",),
    DIVERGED: ("diverged",),
}


class Case(NamedTuple):
    """A training, of one GAN or several, and the state that it was made for."""

    intended: str
    recipe: Recipe


@dataclass(frozen=True)
class OnePicture:
    """G that is given the same z for every sample."""

    width: int = 128
    """Units of a hidden layer."""
    latent_dim: int = 8
    """Length of z."""

    def latent(self, _key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
        """Returns zeros."""
        return jnp.zeros(shape)

    def build(self, shape: Any) -> Any:
        """Returns the generator."""
        return MLP(width=self.width, depth=2, latent_dim=self.latent_dim).build(shape)


def hills() -> Any:
    """Draws from three broad Gaussians in the plane."""
    return toy.dataset(toy.gaussian_mixture([[-1.0, 0.0], [1.0, 0.5], [0.3, -1.0]], 0.4), name="hills")


def clouds() -> Any:
    """Draws from two broad Gaussians in five dimensions, one with three times the weight of the other."""
    return toy.dataset(toy.gaussian_mixture([[0.8] * 5, [-0.6] * 5], 0.5, [0.75, 0.25]), name="clouds")


NONE = Penalty("none", gamma=0.0)


def _rates(g: float, d: float, *, final: float | None = None, beta2: float = 0.95) -> dict[str, Any]:
    """Returns optimizers of G and D; by default their rates fall to a tenth."""
    return {
        f"{name}_optimizer": Adam(rate, final_learning_rate=rate / 10 if final is None else final, beta2=beta2)
        for name, rate in (("g", g), ("d", d))
    }


def _small(name: str, *, steps: int, seeds: int, seed: int, **fields: Any) -> Recipe:
    """Returns a recipe with small networks, 20 looks and a checkpoint half way."""
    usual: dict[str, Any] = {
        "generator": MLP(width=128, depth=3, latent_dim=32),
        "discriminator": MLPDiscriminator(width=128, depth=3),
        "batch_size": 64,
        **_rates(1e-3, 1e-3),
    }
    fields = usual | fields
    recipe = replace(
        _spiral() if name == "spiral" else preset(name),
        steps=steps, seeds=seeds, seed=seed, steps_per_dispatch=steps // 40, log_interval=steps // 40,
        sample_interval=steps // 20, checkpoint_interval=steps // 2, keep_checkpoints=3, eval_metrics=(), eval_every=None,
        keep_best="none", **fields,
    )  # fmt: skip
    return replace(recipe, decay_images=steps * recipe.batch_size, ema_half_life=steps * recipe.batch_size / 40)


def _spiral() -> Recipe:
    found: Recipe = sources.find(str(Path(__file__).parent / "examples" / "spiral.py")).recipe
    return found


def _of(name: str, **options: Any) -> Data:
    return Data(name, image_size=8 if "mnist" in name else None, **options)


def _plane(**fields: Any) -> dict[str, Any]:
    """Returns the settings of mixtures."""
    return {"generator": MLP(width=128, depth=3, latent_dim=16), "batch_size": 128, **_rates(2e-3, 2e-3, final=0.0)} | fields


def tuning() -> dict[str, Case]:
    """Returns the trainings that may be looked at while limits are set, by name."""
    wide = MLPDiscriminator(width=256, depth=3)
    return {
        "ring": Case(GOOD, _small("ring", steps=4000, seeds=2, seed=0, **_plane())),
        "grid": Case(GOOD, _small("grid", steps=5000, seeds=2, seed=0, **_plane())),
        "three broad Gaussians": Case(GOOD, _small("ring", steps=4000, seeds=2, seed=0, **_plane(data=hills))),
        "digits": Case(GOOD, _small("digits", steps=4000, seeds=2, seed=0)),
        "digits, non-saturating, R1": Case(
            GOOD, _small("digits", steps=4000, seeds=2, seed=5, loss="non_saturating", penalty=Penalty("r1", gamma=0.3))
        ),
        "grid, non-saturating, no penalty": Case(
            COLLAPSED,
            _small("grid", steps=3000, seeds=3, seed=0, loss="non_saturating", penalty=NONE, **_plane(**_rates(4e-3, 1e-3))),
        ),
        "digits, the same z always": Case(
            COLLAPSED,
            _small("digits", steps=2000, seeds=2, seed=0, data=_of("digits"), generator=OnePicture()),
        ),
        "mnist, 100 digits, gamma 0.001": Case(
            OVERFITTED,
            _small("digits", steps=4000, seeds=3, seed=0, data=_of("mnist", split="train[:100]"), discriminator=wide,
                   penalty=Penalty("r1_r2", gamma=0.001)),
        ),
        "table, gamma 0.01": Case(
            OVERFITTED, _small("table", steps=4000, seeds=2, seed=0, penalty=Penalty("r1_r2", gamma=0.01))
        ),
        "ring, G of 2 units": Case(
            STARVED, _small("ring", steps=3000, seeds=2, seed=0, **_plane(generator=MLP(width=2, depth=1)))
        ),
        "digits, rates of 2e-5": Case(STARVED, _small("digits", steps=2000, seeds=2, seed=0, **_rates(2e-5, 2e-5))),
        "digits, no penalty, strong D": Case(
            WINS,
            _small("digits", steps=3000, seeds=2, seed=0, penalty=NONE, disc_steps=2, discriminator=wide, **_rates(1e-4, 2e-3)),
        ),
        "grid, G that never moves": Case(
            WINS, _small("grid", steps=2000, seeds=2, seed=0, penalty=NONE, **_plane(**_rates(0.0, 2e-3, final=0.0)))
        ),
        "digits, rates of 0.1": Case(DIVERGED, _small("digits", steps=2000, seeds=2, seed=0, **_rates(0.1, 0.1, final=0.1))),
    }  # fmt: skip


def unseen() -> dict[str, Case]:
    """Returns the trainings that are judged once, by name."""
    clothes = _of("fashion_mnist")
    wide, deep = MLPDiscriminator(width=192, depth=2), MLP(width=96, depth=4, latent_dim=24, norm="batch")
    return {
        "mnist, hinge, gradient penalty": Case(
            GOOD,
            _small("digits", steps=3000, seeds=2, seed=11, data=_of("mnist"), loss="hinge", discriminator=wide,
                   penalty=Penalty("gradient_penalty", gamma=1.0), **_rates(5e-4, 1e-3)),
        ),
        "fashion_mnist, relativistic average": Case(
            GOOD,
            _small("digits", steps=3000, seeds=2, seed=12, data=replace(clothes, conditional=True),
                   loss="relativistic_average", penalty=Penalty("r1_r2", gamma=1.0), batch_size=96),
        ),
        "signals, fully connected": Case(
            GOOD, _small("signals", steps=2800, seeds=2, seed=13, penalty=Penalty("r1_r2", gamma=0.1), **_rates(2e-3, 2e-3))
        ),
        "spiral.py, networks, loss, penalty of its own": Case(
            GOOD, _small("spiral", steps=3000, seeds=2, seed=14, generator=replace(_spiral().generator, width=128),
                         discriminator=MLPDiscriminator(width=128, depth=3), **_rates(2e-3, 2e-3, final=0.0)),
        ),
        "ring, Wasserstein, gradient penalty": Case(
            GOOD, _small("ring", steps=2400, seeds=2, seed=15, loss="wasserstein", disc_steps=2,
                         penalty=Penalty("gradient_penalty", gamma=1.0), **_plane(**_rates(5e-4, 5e-4, final=0.0))),
        ),
        "two broad Gaussians in 5 dimensions, non-saturating, R1": Case(
            GOOD, _small("ring", steps=2400, seeds=2, seed=16, loss="non_saturating",
                         **_plane(data=clouds, penalty=Penalty("r1", gamma=0.05), batch_size=96)),
        ),
        "grid, minimax, no penalty": Case(
            COLLAPSED, _small("grid", steps=2400, seeds=3, seed=21, loss="minimax", penalty=NONE,
                              **_plane(batch_size=64, **_rates(3e-3, 1e-3))),
        ),
        "mnist, a picture for each digit": Case(
            COLLAPSED, _small("digits", steps=1600, seeds=2, seed=22, data=_of("mnist", conditional=True),
                              generator=OnePicture(width=96), loss="non_saturating", penalty=Penalty("r1", gamma=0.5)),
        ),
        "fashion_mnist, 150 garments, hinge, no penalty": Case(
            OVERFITTED, _small("digits", steps=2000, seeds=2, seed=31, data=replace(clothes, split="train[:150]"),
                               loss="hinge", penalty=NONE, discriminator=wide),
        ),
        "mnist, 60 digits, R1 0.003": Case(
            OVERFITTED, _small("digits", steps=2400, seeds=3, seed=32, data=_of("mnist", split="train[100:160]"),
                               generator=deep, loss="non_saturating", batch_size=48, penalty=Penalty("r1", gamma=0.003),
                               **_rates(5e-4, 1e-3)),
        ),
        "fashion_mnist, G of 3 units": Case(
            STARVED, _small("digits", steps=1600, seeds=2, seed=41, data=clothes, generator=MLP(width=3, depth=1),
                            loss="least_squares", penalty=Penalty("r1", gamma=1.0)),
        ),
        "signals, 200 steps": Case(STARVED, _small("signals", steps=200, seeds=2, seed=42)),
        "table, hinge, D 50 times as fast": Case(
            WINS, _small("table", steps=1600, seeds=2, seed=51, loss="hinge", penalty=NONE, disc_steps=3, **_rates(2e-5, 1e-3)),
        ),
        "ring, non-saturating, G 100 times as slow": Case(
            WINS, _small("ring", steps=1600, seeds=2, seed=52, loss="non_saturating", penalty=NONE,
                         **_plane(**_rates(2e-5, 2e-3))),
        ),
        "signals, least squares, rates of 0.2": Case(
            DIVERGED, _small("signals", steps=600, seeds=2, seed=61, loss="least_squares", **_rates(0.2, 0.2, final=0.2)),
        ),
        "table, relativistic, rates of 0.05, no penalty": Case(
            DIVERGED, _small("table", steps=1600, seeds=2, seed=62, penalty=NONE, batch_size=32,
                             **_rates(0.05, 0.05, final=0.05)),
        ),
    }  # fmt: skip
