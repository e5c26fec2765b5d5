"""Goodfellow's theorem on a grid of points: the optimal discriminator, the value of the game, and divergences."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.nn import log_sigmoid, sigmoid

from jaxgan.core.types import Critic
from jaxgan.system.messages import FieldError, not_one_of
from jaxgan.toy.densities import Density


class Quadrature(NamedTuple):
    """Points of an even grid and the volume of a cell: an integral is a sum over the points."""

    points: jax.Array  # [n, d]
    volume: float


def quadrature(low: Sequence[float], high: Sequence[float], count: int) -> Quadrature:
    """Places an even grid of midpoints over a box; exact to float32 for a Gaussian once the spacing is below sigma.

    Args:
        low: least coordinates of the box, `[d]`.
        high: greatest coordinates, `[d]`.
        count: points along each axis, so `count^d` in all.

    Returns:
        A `Quadrature`.

    Raises:
        ValueError: when the box is empty or `count` is below 1.
    """
    least, most = np.asarray(low, np.float64), np.asarray(high, np.float64)
    if least.ndim != 1 or least.shape != most.shape or not (least < most).all():
        raise FieldError("low", low, f"each coordinate must be below that of high, {high}")
    if count < 1:
        raise FieldError("count", count, "it must be at least 1")
    share = (np.arange(count) + 0.5) / count
    axes = [a + (b - a) * share for a, b in zip(least, most, strict=True)]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, least.size)
    return Quadrature(jnp.asarray(points, jnp.float32), float(np.prod((most - least) / count)))


def optimal_logit(p: Density, q: Density) -> Critic:
    """Returns the logit of the best discriminator: `log p(x) - log q(x)`, q being the density that G draws from.

    Returns:
        points `[n, d]` -> `[n]`.
    """
    return lambda x: p.log_density(x) - q.log_density(x)


def optimal_discriminator(p: Density, q: Density) -> Critic:
    """Returns the best discriminator of real p and generated q: `D*(x) = p(x) / (p(x) + q(x))`.

    Returns:
        points `[n, d]` -> `[n]`, in [0, 1].

    References:
        Goodfellow et al. 2014, Generative Adversarial Nets, proposition 1, equation 2.
    """
    logit = optimal_logit(p, q)
    return lambda x: sigmoid(logit(x))


def value_function(critic: Critic, p: Density, q: Density, at: Quadrature) -> float:
    """Computes the value of the minimax game: `V = E_p[log D(x)] + E_q[log(1 - D(x))]` with D the sigmoid of the critic.

    At most `2 JS(p, q) - log 4`, with `optimal_logit(p, q)`; so -log 4 at the equilibrium.

    Args:
        critic: points `[n, d]` -> logits `[n]`.
        p: density of the real points.
        q: density of the generated ones.
        at: points that hold the mass of both.

    Returns:
        V in nats.

    Raises:
        ValueError: when p or q does not integrate to 1 on these points.

    References:
        Goodfellow et al. 2014, Generative Adversarial Nets, equation 1 and theorem 1.
    """
    logit = critic(at.points)
    return float(_mass("p", p, at) @ _float64(log_sigmoid(logit)) + _mass("q", q, at) @ _float64(log_sigmoid(-logit)))


def jensen_shannon(p: Density, q: Density, at: Quadrature) -> float:
    """Computes the Jensen-Shannon divergence: `JS = KL(p || m) / 2 + KL(q || m) / 2` with `m = (p + q) / 2`.

    Returns:
        JS in nats, from 0 to log 2.

    Raises:
        ValueError: when p or q does not integrate to 1 on these points.

    References:
        Goodfellow et al. 2014, Generative Adversarial Nets, theorem 1.
    """
    return 0.5 * f_divergence("minimax", p, q, at)


def f_divergence(objective: str, p: Density, q: Density, at: Quadrature) -> float:
    """Computes the divergence that G descends against the best D: `sum q f(p / q)`, f convex and 0 at p = q.

    The gradient of G's loss at a fixed best D is that of an f-divergence with `f''(r) = -g'(r) / r`, where g(r) is G's
    loss at D's logit for the ratio `r = p / q`. With `m = (p + q) / 2`:

        minimax         2 JS(p, q)                                   Goodfellow et al. 2014, theorem 1
        non_saturating  KL(q || p) - 2 JS(p, q) = 2 KL(m || p)       Arjovsky and Bottou 2017, theorem 2.5
        hinge           sum |p - q|                                  Nguyen et al. 2009; Lim and Ye 2017
        least_squares   KL(p || m) - (1 - 2 sum p q / (p + q)) / 4   0-1 coding; from f'' = 1 / (r (1 + r)^3)

    (Mao et al. 2017's Pearson divergence is that of another coding.) The relativistic objectives and Wasserstein's
    compare the two distributions as wholes, and are divergences of no such form.

    Args:
        objective: one of the four names.
        p: density of the real points.
        q: density of the generated ones.
        at: points that hold the mass of both.

    Returns:
        The divergence, in nats where it is one of logarithms; 0 when p = q.

    Raises:
        ValueError: for another objective, and when p or q does not integrate to 1 on these points.
    """
    known = ("minimax", "non_saturating", "hinge", "least_squares")
    if objective not in known:
        raise not_one_of("objective", objective, known)
    real, fake = _mass("p", p, at), _mass("q", q, at)
    logit = optimal_logit(p, q)(at.points)
    log_real = math.log(2.0) + _float64(log_sigmoid(logit))  # log p / m
    log_fake = math.log(2.0) + _float64(log_sigmoid(-logit))  # log q / m
    if objective == "minimax":
        return float(real @ log_real + fake @ log_fake)
    if objective == "non_saturating":
        return float(-(real + fake) @ log_real)
    if objective == "hinge":
        return float(np.abs(real - fake).sum())
    return float(real @ log_real - 0.25 * (real.sum() - 2.0 * real @ _float64(sigmoid(-logit))))


def _mass(name: str, density: Density, at: Quadrature) -> np.ndarray:
    """Returns the mass of each cell, `[n]` float64."""
    mass = np.exp(_float64(density.log_density(at.points))) * at.volume
    if not abs(mass.sum() - 1.0) < 0.01:
        raise ValueError(f"{name}: it integrates to {mass.sum():.3g} on these points, not to 1: they must be wider or denser")
    return mass


def _float64(x: jax.Array) -> np.ndarray:
    return np.asarray(x, np.float64)
