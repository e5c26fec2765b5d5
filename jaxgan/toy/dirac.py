"""The Dirac-GAN: the smallest game of two players, whose convergence can be read off its eigenvalues."""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxgan.core.types import Loss, Penalty
from jaxgan.system.messages import FieldError


class DiracGAN(NamedTuple):
    """The smallest GAN, at its equilibrium."""

    field: Callable[[jax.Array], jax.Array]  # (theta, psi) [2] -> velocity of both players [2]
    jacobian: np.ndarray  # [2, 2], of the field at the equilibrium
    eigenvalues: np.ndarray  # [2] complex; all real parts below 0: training with small steps converges


def dirac_gan(loss: Loss, penalty: Penalty | None = None, *, gamma: float = 0.0, bias: float = 0.0) -> DiracGAN:
    """Builds the game of real data at 0, generated data at theta, and `D(x) = psi x + bias`, at rest at theta = psi = 0.

    Both descend at once, `v(theta, psi) = (-d L_G / d theta, -d L_D / d psi)`. Without a penalty the eigenvalues of v'
    are imaginary, `+-f'(0) i` with f'(0) = 1/2 for the logistic losses: the players circle for ever. With R1 or R2 the
    eigenvalues are `-gamma / 2 +- sqrt(gamma^2 / 4 - f'(0)^2)`: the players spiral in.

    Args:
        loss: an objective, as in `jaxgan.losses`.
        penalty: a gradient penalty, as in `jaxgan.penalties`; none by default.
        gamma: weight of the penalty.
        bias: D's logit at the equilibrium: 0, but 1/2 for `least_squares`.

    Returns:
        A `DiracGAN`. Jacobian and eigenvalues are NaN where the field has no derivative, as with `gradient_penalty`
        and `dragan`: (|psi| - 1)^2 has a kink at the equilibrium, which is therefore no resting point.

    Raises:
        ValueError: when gamma is negative or not finite.

    References:
        Mescheder et al. 2018, Which Training Methods for GANs do actually Converge?, definition 2.1, lemma 2.3 and
        section 4.1.
    """
    if not (gamma >= 0 and math.isfinite(gamma)):
        raise FieldError("gamma", gamma, "it must be a finite number, at least 0")
    real, key = jnp.zeros((1, 1)), jax.random.key(0)

    def d_loss(psi: jax.Array, theta: jax.Array) -> jax.Array:
        def critic(x: jax.Array) -> jax.Array:
            return psi * x[:, 0] + bias

        fake = theta.reshape(1, 1)
        value = loss.d(critic(real), critic(fake)).mean()
        return value if penalty is None else value + gamma * penalty(critic, real, fake, key).mean()

    def g_loss(theta: jax.Array, psi: jax.Array) -> jax.Array:
        return loss.g(jnp.full(1, bias), (psi * theta + bias).reshape(1)).mean()

    def field(point: jax.Array) -> jax.Array:
        theta, psi = point
        return -jnp.stack([jax.grad(g_loss)(theta, psi), jax.grad(d_loss)(psi, theta)])

    jacobian = np.asarray(jax.jacobian(field)(jnp.zeros(2)), np.float64)
    # A derivative computed at a kink is the slope of neither side: compare it with both.
    sides = np.array([[field(side * step) / side for step in 1e-3 * jnp.eye(2)] for side in (1.0, -1.0)]) / 1e-3
    if not np.allclose(sides, jacobian.T, rtol=0.05, atol=0.05 * (1.0 + np.abs(jacobian).max())):
        return DiracGAN(field, np.full((2, 2), np.nan), np.full(2, np.nan, np.complex128))
    return DiracGAN(field, jacobian, np.linalg.eigvals(jacobian).astype(np.complex128))
