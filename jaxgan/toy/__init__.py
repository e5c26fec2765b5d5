"""Problems whose answer is known: densities one can draw from and evaluate, and what theory says a GAN does on them.

ring(), grid(), gaussian_mixture(...), swiss_roll()         densities, exact
coverage(samples, density), coverage_floor(density, n)      are all modes there, and what could at best be seen
optimal_discriminator, value_function, f_divergence         Goodfellow's theorem, on a grid
dirac_gan(loss, penalty, gamma=...)                         does the alternation converge, by eigenvalues
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.nn import log_sigmoid, logsumexp, sigmoid
from jax.sharding import NamedSharding, PartitionSpec

from jaxgan.core.types import Batch, Critic, Dataset, Key, Loss, Penalty


class Density(NamedTuple):
    """A distribution on points, known exactly."""

    sample: Callable[[Key, int], jax.Array]  # (key, n) -> [n, d] float32
    log_density: Callable[[jax.Array], jax.Array]  # [n, d] -> [n]
    centres: np.ndarray  # [M, d] modes; [0, d] when it has none
    weights: np.ndarray  # [M] of the modes, they sum to 1
    sigma: float  # standard deviation around a mode, or across a curve, in each coordinate


def gaussian_mixture(
    centres: Sequence[Sequence[float]] | np.ndarray, sigma: float, weights: Sequence[float] | np.ndarray | None = None
) -> Density:
    """A mixture of round Gaussians: `p(x) = sum_m w_m N(x; c_m, sigma^2 I)`.

    Args:
        centres: c, `[M, d]`, or `[M]` on the line.
        sigma: standard deviation in each coordinate, above 0.
        weights: w, `[M]`, not negative, of sum 1; equal by default.

    Returns:
        A `Density` with M modes.

    Raises:
        ValueError: when sigma is not above 0, the weights do not sum to 1, or the shapes do not fit.
    """
    _check_sigma(sigma)
    centre = np.asarray(centres, np.float64)
    centre = centre[:, None] if centre.ndim == 1 else centre
    if centre.ndim != 2 or not centre.size or not np.isfinite(centre).all():
        raise ValueError(f"centres: shape {np.shape(centres)}, but they must be finite numbers of shape [M, d] or [M]")
    modes, d = centre.shape
    weight = np.full(modes, 1.0 / modes) if weights is None else np.asarray(weights, np.float64)
    if weight.shape != (modes,):
        raise ValueError(f"weights: shape {weight.shape}, but there are {modes} centres")
    if not (weight >= 0).all() or abs(weight.sum() - 1.0) > 1e-6:
        raise ValueError(f"weights: their sum is {weight.sum():g}, but they must not be negative and sum to 1")

    def sample(key: Key, n: int) -> jax.Array:
        mode_key, noise_key = jax.random.split(key)
        mode = jax.random.choice(mode_key, modes, (n,), p=jnp.asarray(weight, jnp.float32))
        return jnp.asarray(centre, jnp.float32)[mode] + sigma * jax.random.normal(noise_key, (n, d))

    return Density(sample, _log_mixture(centre, weight, sigma), centre, weight, float(sigma))


def ring(*, modes: int = 8, radius: float = 1.0, sigma: float = 0.01) -> Density:
    """Gaussians evenly on a circle, the field's "2D-ring".

    Args:
        modes: how many.
        radius: of the circle.
        sigma: standard deviation of each.

    Returns:
        A `Density` with `modes` modes.

    Raises:
        ValueError: when `modes` is below 1 or `sigma` not above 0.

    References:
        Srivastava et al. 2017 (VEEGAN), section 4.1; Lin et al. 2018 (PacGAN), section 4.1.
    """
    if modes < 1:
        raise ValueError(f"modes: {modes}, but there must be at least 1")
    angle = 2.0 * np.pi * np.arange(modes) / modes
    return gaussian_mixture(radius * np.stack([np.cos(angle), np.sin(angle)], axis=1), sigma)


def grid(*, side: int = 5, spacing: float = 2.0, sigma: float = 0.05) -> Density:
    """Gaussians on a square grid around 0, the field's "2D-grid": `{-4, -2, 0, 2, 4}^2`.

    Args:
        side: Gaussians along each side.
        spacing: from one to the next.
        sigma: standard deviation of each.

    Returns:
        A `Density` with `side^2` modes.

    Raises:
        ValueError: when `side` is below 1 or `sigma` not above 0.

    References:
        Srivastava et al. 2017 (VEEGAN), section 4.1; Lin et al. 2018 (PacGAN), section 4.1.
    """
    if side < 1:
        raise ValueError(f"side: {side}, but it must be at least 1")
    ticks = spacing * (np.arange(side) - (side - 1) / 2.0)
    return gaussian_mixture(np.stack(np.meshgrid(ticks, ticks, indexing="ij"), axis=-1).reshape(-1, 2), sigma)


def swiss_roll(*, sigma: float = 0.02) -> Density:
    """A spiral of two windings with Gaussian noise, no modes: `x = a (cos a, sin a) / (4.5 pi) + sigma n`.

    `a ~ U[1.5 pi, 4.5 pi]`. The log-density is the integral over a by Gauss-Legendre quadrature, exact to float32.

    Args:
        sigma: standard deviation of the noise in each coordinate, above 0; the spiral's last radius is 1.

    Returns:
        A `Density` without modes.

    Raises:
        ValueError: when sigma is not above 0.
    """
    _check_sigma(sigma)
    # Panels of at most 4 sigma: the outermost are the longest, 9.5 over their number.
    panels = math.ceil(9.5 / (4.0 * sigma))
    nodes, node_weights = np.polynomial.legendre.leggauss(8)
    share = ((np.arange(panels)[:, None] + 0.5 + 0.5 * nodes) / panels).ravel()
    weight = np.tile(0.5 * node_weights / panels, panels)

    def curve(share: np.ndarray) -> np.ndarray:
        angle = np.pi * (1.5 + 3.0 * share)
        return angle[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1) / (4.5 * np.pi)

    def sample(key: Key, n: int) -> jax.Array:
        place_key, noise_key = jax.random.split(key)
        angle = jnp.pi * (1.5 + 3.0 * jax.random.uniform(place_key, (n,)))
        points = angle[:, None] * jnp.stack([jnp.cos(angle), jnp.sin(angle)], axis=1) / (4.5 * jnp.pi)
        return points + sigma * jax.random.normal(noise_key, (n, 2))

    return Density(sample, _log_mixture(curve(share), weight, sigma), np.zeros((0, 2)), np.zeros(0), float(sigma))


def dataset(density: Density, *, name: str) -> Dataset:
    """A density as a source of training batches, without end and without labels.

    Args:
        density: what is learnt.
        name: of the data set.

    Returns:
        A `Dataset`. The batch of step s is drawn with `fold_in(key(seed), s)`, so it depends on the seed, the step
        and the batch size only. `sharding` is that of one batch, over its first axis.
    """
    shape = jax.eval_shape(lambda: density.sample(jax.random.key(0), 1)).shape[1:]

    def batches(seed: int, batch_size: int, sharding: NamedSharding | None = None) -> Callable[..., Batch]:
        if batch_size < 1:
            raise ValueError(f"batch_size: {batch_size}, but it must be at least 1")

        def draw(step: jax.Array | int, steps: int = 1) -> Batch:
            key = jax.random.key(seed)
            # One after the other: the arithmetic of a step is then the same however many are drawn at once.
            points = jax.lax.map(lambda i: density.sample(jax.random.fold_in(key, i), batch_size), step + jnp.arange(steps))
            return {"image": points, "label": jnp.zeros((steps, batch_size), jnp.int32)}

        stacked = sharding and NamedSharding(sharding.mesh, PartitionSpec(None, *sharding.spec))
        return jax.jit(draw, static_argnames="steps", out_shardings=stacked)

    return Dataset(name, "train", shape, (), None, batches)


class Coverage(NamedTuple):
    """How much of a mixture n samples show."""

    modes: float  # modes with at least one high-quality sample
    high_quality: float  # share of samples within 3 sigma of a centre, in [0, 1]
    reverse_kl: float  # KL(generated || true) over the modes, in nats; inf without a high-quality sample
    n: int


def coverage(samples: np.ndarray | jax.Array, density: Density) -> Coverage:
    """Mode coverage by PacGAN's protocol, which asks for 2,500 samples.

    A sample belongs to its nearest centre and is of high quality within 3 sigma of it (Euclidean distance). A mode
    counts with at least one such sample. With q the shares of the modes among them, and w the true weights,
    `reverse_kl = sum_m q_m log(q_m / w_m)`. A perfect sampler does not score 1 and 0: see `coverage_floor`.

    Args:
        samples: `[n, d]`; one that is not finite is not of high quality.
        density: with M modes; n must be at least M.

    Returns:
        A `Coverage`.

    Raises:
        ValueError: when the density has no modes, the shapes do not fit, or n is below M.

    References:
        Lin et al. 2018, PacGAN, section 4.1; Srivastava et al. 2017 (VEEGAN), section 4.1.
    """
    points, (modes, d) = np.asarray(samples, np.float64), density.centres.shape
    if not modes:
        raise ValueError("density: it has no modes to count")
    if points.ndim != 2 or points.shape[1] != d:
        raise ValueError(f"samples: shape {points.shape}, but it must be [n, {d}]")
    _check_count(len(points), density)
    points = points[np.isfinite(points).all(axis=1)]
    distance = np.sqrt(sum(np.subtract.outer(points[:, i], density.centres[:, i]) ** 2 for i in range(d)))
    counts = np.bincount(distance.argmin(axis=1)[distance.min(axis=1) < 3.0 * density.sigma], minlength=modes)
    good, hit = counts.sum(), counts > 0
    share = counts[hit] / max(good, 1)
    reverse_kl = float(np.sum(share * np.log(share / density.weights[hit]))) if good else math.inf
    return Coverage(float(hit.sum()), float(good / len(samples)), reverse_kl, len(samples))


class CoverageFloor(NamedTuple):
    """What a perfect sampler scores."""

    mean: Coverage
    standard_error: Coverage  # of the mean
    deviation: Coverage  # of one sampling around the mean: how far chance alone takes a single result


def coverage_floor(density: Density, n: int = 2_500, *, seeds: int = 100) -> CoverageFloor:
    """What samples of the density itself score: print it beside a result; to be better is to be wrong.

    Args:
        density: with modes.
        n: samples, as many as the result has.
        seeds: independent samplings that are averaged, at least 2.

    Returns:
        Mean, standard error and standard deviation of each field of `Coverage`.

    Raises:
        ValueError: as `coverage`, and when `seeds` is below 2.
    """
    if seeds < 2:
        raise ValueError(f"seeds: {seeds}, but a standard error needs at least 2")
    _check_count(n, density)
    draw = jax.jit(lambda key: density.sample(key, n))
    scores = np.array([coverage(draw(jax.random.key(seed)), density)[:3] for seed in range(seeds)])
    mean, deviation = scores.mean(axis=0), scores.std(axis=0, ddof=1)
    three = (mean.tolist(), (deviation / math.sqrt(seeds)).tolist(), deviation.tolist())
    return CoverageFloor(*(Coverage(modes, good, kl, n) for modes, good, kl in three))


class Quadrature(NamedTuple):
    """Points of an even grid and the volume each stands for: an integral is a sum over them."""

    points: jax.Array  # [n, d]
    volume: float


def quadrature(low: Sequence[float], high: Sequence[float], count: int) -> Quadrature:
    """An even grid over a box, by midpoints; for a Gaussian exact to float32 once the spacing is below sigma.

    Args:
        low: the box's least coordinates, `[d]`.
        high: its greatest, `[d]`.
        count: points along each axis, so `count^d` in all.

    Returns:
        A `Quadrature`.

    Raises:
        ValueError: when the box is empty or `count` is below 1.
    """
    least, most = np.asarray(low, np.float64), np.asarray(high, np.float64)
    if least.ndim != 1 or least.shape != most.shape or not (least < most).all():
        raise ValueError(f"low: {low}, but each coordinate must be below that of high, {high}")
    if count < 1:
        raise ValueError(f"count: {count}, but it must be at least 1")
    share = (np.arange(count) + 0.5) / count
    axes = [a + (b - a) * share for a, b in zip(least, most, strict=True)]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, least.size)
    return Quadrature(jnp.asarray(points, jnp.float32), float(np.prod((most - least) / count)))


def optimal_logit(p: Density, q: Density) -> Critic:
    """The logit of the best discriminator: `log p(x) - log q(x)`, where q is the density G draws from.

    Returns:
        points `[n, d]` -> `[n]`.
    """
    return lambda x: p.log_density(x) - q.log_density(x)


def optimal_discriminator(p: Density, q: Density) -> Critic:
    """The best discriminator of real p and generated q: `D*(x) = p(x) / (p(x) + q(x))`.

    Returns:
        points `[n, d]` -> `[n]`, in [0, 1].

    References:
        Goodfellow et al. 2014, Generative Adversarial Nets, proposition 1, equation 2.
    """
    logit = optimal_logit(p, q)
    return lambda x: sigmoid(logit(x))


def value_function(critic: Critic, p: Density, q: Density, at: Quadrature) -> float:
    """The value of the minimax game: `V = E_p[log D(x)] + E_q[log(1 - D(x))]` with D the sigmoid of the critic.

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
    """The Jensen-Shannon divergence: `JS = KL(p || m) / 2 + KL(q || m) / 2` with `m = (p + q) / 2`.

    Returns:
        JS in nats, from 0 to log 2.

    Raises:
        ValueError: when p or q does not integrate to 1 on these points.

    References:
        Goodfellow et al. 2014, Generative Adversarial Nets, theorem 1.
    """
    return 0.5 * f_divergence("minimax", p, q, at)


def f_divergence(objective: str, p: Density, q: Density, at: Quadrature) -> float:
    """What G descends, with this objective, against the best D: `sum q f(p / q)`, f convex and 0 at p = q.

    The gradient of G's loss at a fixed best D is that of an f-divergence with `f''(r) = -g'(r) / r`, where g(r) is G's
    loss at the logit D answers to the ratio `r = p / q`. With `m = (p + q) / 2`:

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
    if objective not in ("minimax", "non_saturating", "hinge", "least_squares"):
        known = "minimax, non_saturating, hinge, least_squares"
        raise ValueError(f"objective: {objective!r} minimises no f-divergence that is known; those that do: {known}")
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


class DiracGAN(NamedTuple):
    """The smallest GAN, at its equilibrium."""

    field: Callable[[jax.Array], jax.Array]  # (theta, psi) [2] -> velocity of both players [2]
    jacobian: np.ndarray  # [2, 2], of the field at the equilibrium
    eigenvalues: np.ndarray  # [2] complex; all real parts below 0: training with small steps converges


def dirac_gan(loss: Loss, penalty: Penalty | None = None, *, gamma: float = 0.0, bias: float = 0.0) -> DiracGAN:
    """Real data at 0, generated data at theta, a discriminator `D(x) = psi x + bias`; equilibrium at theta = psi = 0.

    Both descend at once, `v(theta, psi) = (-d L_G / d theta, -d L_D / d psi)`. Without a penalty the eigenvalues of v'
    are imaginary, `+-f'(0) i` with f'(0) = 1/2 for the logistic losses: the players circle for ever. R1 or R2 makes
    them `-gamma / 2 +- sqrt(gamma^2 / 4 - f'(0)^2)`: they come in.

    Args:
        loss: of `jaxgan.losses`.
        penalty: of `jaxgan.penalties`.
        gamma: its weight.
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
        raise ValueError(f"gamma: {gamma}, but it must be a finite number, at least 0")
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


def _log_mixture(centre: np.ndarray, weight: np.ndarray, sigma: float) -> Callable[[jax.Array], jax.Array]:
    d = centre.shape[1]
    log_weight = jnp.log(jnp.asarray(weight, jnp.float32)) - d * math.log(sigma * math.sqrt(2.0 * math.pi))

    def one(point: jax.Array) -> jax.Array:
        squared = jnp.square((point[None, :] - jnp.asarray(centre, jnp.float32)) / sigma).sum(axis=1)
        return logsumexp(log_weight - 0.5 * squared)

    # In blocks: a swiss roll has a thousand nodes, and a grid of points may have a million.
    def log_density(x: jax.Array) -> jax.Array:
        return jax.lax.map(one, x, batch_size=4_096)

    return log_density


def _mass(name: str, density: Density, at: Quadrature) -> np.ndarray:
    """The mass of each cell, `[n]` float64."""
    mass = np.exp(_float64(density.log_density(at.points))) * at.volume
    if not abs(mass.sum() - 1.0) < 0.01:
        raise ValueError(f"{name}: it integrates to {mass.sum():.3g} on these points, not to 1: they must be wider or denser")
    return mass


def _float64(x: jax.Array) -> np.ndarray:
    return np.asarray(x, np.float64)


def _check_sigma(sigma: float) -> None:
    if not (sigma > 0.0 and math.isfinite(sigma)):
        raise ValueError(f"sigma: {sigma}, but it must be a finite number above 0")


def _check_count(n: int, density: Density) -> None:
    if n < len(density.centres):
        raise ValueError(f"n: {n} samples cannot show {len(density.centres)} modes; it must be at least that many")
