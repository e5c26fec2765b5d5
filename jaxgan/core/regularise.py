"""Regularisation around the two losses: penalties on D and on G, every step or lazily, and steered augmentation."""

from collections.abc import Callable
from typing import Any

import jax
from jax import lax

from jaxgan.core import fits
from jaxgan.core import types as t
from jaxgan.core.play import Draw, Game, LossOf, at, update


def weighed(game: Game, critic: t.Critic, fake: t.Images, draw: Draw) -> tuple[jax.Array, jax.Array]:
    """The mean penalty on D, with and without its weight gamma.

    Args:
        game: the rules; it has a penalty.
        critic: images `[kB, ...]` -> logits `[kB]`, see `Critic`.
        fake: generated images `[B, ...]`.
        draw: of this update.

    Returns:
        Two scalars: gamma times the penalty, and the penalty.
    """
    assert game.penalty is not None
    values = game.penalty(critic, draw.real, fake, jax.random.fold_in(draw.key, 3))
    unscaled = fits.check_values("penalty", values).mean()
    return at(0.0 if game.gamma is None else game.gamma, draw.shown) * unscaled, unscaled


def lazily(game: Game, loss: LossOf, step: jax.Array, d: t.Player, g: t.Player, draw: Draw) -> t.Player:
    """Moves D down its penalty alone, at every `penalty_interval`-th step and that many times as far.

    Args:
        game: the rules.
        loss: D's penalty as a loss of its own.
        step: G updates made so far.
        d: D after its other updates of this step.
        g: G, held fixed.
        draw: of D's last update.

    Returns:
        D; unchanged at the steps between, and where the penalty is part of D's loss (an interval of 1).

    References:
        Karras et al. 2020, Analyzing and improving the image quality of StyleGAN (StyleGAN2), section 3.1.
    """
    if game.penalty is None or game.penalty_interval == 1:
        return d
    (d,) = _every(game.penalty_interval, step, lambda d: update(game, loss, game.d_optimizer, d, g, draw)[:1], d)
    return d


def smooth_paths(game: Game, state: t.GANState, g: t.Player, draw: Draw) -> tuple[t.Player, dict[str, t.PyTree], t.Info]:
    """Moves G down its penalty alone, at every `g_penalty_interval`-th step and that many times as far.

    Args:
        game: the rules.
        state: before this step; its memory holds the penalty's running average.
        g: G after its update of this step.
        draw: of that update.

    Returns:
        G, what the penalty remembers and what it reports; G unchanged and two empty dicts where G has no penalty.

    References:
        Karras et al. 2020, Analyzing and improving the image quality of StyleGAN (StyleGAN2), sections 3.1 and 3.2.
    """
    if game.g_penalty is None:
        return g, {}, {}

    def smooth(g: t.Player, average: jax.Array) -> tuple[t.Player, jax.Array]:
        g, info = update(game, _g_penalty_loss, game.g_optimizer, g, average, draw)
        return g, info["average"]

    g, average = _every(game.g_penalty_interval, state.step, smooth, g, state.memory["g_penalty"])
    return g, {"g_penalty": average}, {"path_length": average}


def steer(game: Game, state: t.GANState, d_info: t.Info, draw: Draw) -> tuple[dict[str, t.PyTree], t.Info]:
    """Steers the strength of augmentation by the signs of D's logits on real images.

    Args:
        game: the rules.
        state: before this step.
        d_info: of D's last update.
        draw: of any update of this step.

    Returns:
        The memory after this step and the strength during it; two empty dicts where the strength is not steered.

    References:
        Karras et al. 2020, Training generative adversarial networks with limited data (StyleGAN2-ADA), section 3.1.
    """
    if game.adaptive is None:
        return {}, {}
    images = game.disc_steps * draw.z.shape[0]
    memory = game.adaptive.update(state.memory["augment_strength"], d_info["real_sign"], images)
    return {"augment_strength": memory}, {"augment_strength": draw.strength}


def _g_penalty_loss(
    game: Game, params: t.PyTree, g: t.Player, average: jax.Array, draw: Draw
) -> tuple[jax.Array, tuple[t.PyTree, t.Info]]:
    assert game.g_penalty is not None
    key = jax.random.fold_in(draw.key, 6)
    value, average = game.g_penalty.apply(params, g.stats, draw.z, draw.labels, key, average)
    return game.g_penalty_interval * value.mean(), (g.stats, {"average": average})


def _every(interval: int, step: jax.Array, move: Callable[..., Any], *before: t.PyTree) -> Any:
    """Applies `move` every `interval` steps; otherwise returns its arguments unchanged."""
    return move(*before) if interval == 1 else lax.cond(step % interval == 0, move, lambda *same: same, *before)
