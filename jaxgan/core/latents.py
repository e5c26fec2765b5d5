"""Latents: their distributions, paths from one to another, and truncation."""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.scipy.special import erfc, ndtri

from jaxgan.core.types import Key, LatentDistribution, Latents
from jaxgan.system.messages import FieldError

Path = Callable[[jax.Array, jax.Array, jax.Array], jax.Array]  # (a, b, t) -> the point at t in [0, 1]


def normal(key: Key, shape: tuple[int, ...]) -> Latents:
    """The standard normal distribution, N(0, 1) in each coordinate.

    Args:
        key: PRNG key.
        shape: of the result.

    Returns:
        `[*shape]` float32.
    """
    return jax.random.normal(key, shape)


def uniform(key: Key, shape: tuple[int, ...]) -> Latents:
    """The uniform distribution on [-1, 1) in each coordinate.

    Args:
        key: PRNG key.
        shape: of the result.

    Returns:
        `[*shape]` float32.
    """
    return jax.random.uniform(key, shape, minval=-1.0, maxval=1.0)


def sphere(key: Key, shape: tuple[int, ...]) -> Latents:
    """The uniform distribution on the sphere of radius sqrt(D): `sqrt(D) n / |n|` with `n ~ N(0, I)`.

    Each coordinate has variance 1, as a normal one has, so that a network sees inputs of the same size.

    Args:
        key: PRNG key.
        shape: of the result, `[..., D]`.

    Returns:
        `[*shape]` float32, each of norm sqrt(D).

    References:
        Karras et al. 2018, Progressive Growing of GANs, appendix A.1 (latents on a hypersphere).
    """
    z = jax.random.normal(key, shape)
    return z / jnp.sqrt(jnp.square(z).mean(axis=-1, keepdims=True))


def draw(key: Key, indices: jax.Array, dim: int, *, latent: LatentDistribution = normal) -> Latents:
    """The latents of given indices: `z_i` comes from `fold_in(key, i)`, whatever the others are.

    `gan.sample(weights, key, labels)` uses those of 0, 1, 2, ...

    Args:
        key: PRNG key.
        indices: `[N]` integers, not negative.
        dim: D, the length of z.
        latent: distribution, `(key, shape) -> [*shape]`.

    Returns:
        `[N, D]`.

    Raises:
        ValueError: when `dim` is below 1.
    """
    if dim < 1:
        raise FieldError("dim", dim, "it must be at least 1")
    return jax.vmap(lambda i: latent(jax.random.fold_in(key, i), (dim,)))(jnp.asarray(indices))


def lerp(a: jax.Array, b: jax.Array, t: jax.Array | float) -> jax.Array:
    """The straight line from a to b: `(1 - t) a + t b`.

    Halfway between two independent normal latents it is shorter than either by sqrt(2): G has rarely seen such a z.

    Args:
        a: start, `[..., D]`.
        b: end, `[..., D]`.
        t: `[...]`, 0 at a and 1 at b.

    Returns:
        `[..., D]`, the leading axes of all three broadcast; exactly a at 0 and exactly b at 1.
    """
    a, b, t = _aligned(a, b, t)
    return (1.0 - t) * a + t * b


def slerp(a: jax.Array, b: jax.Array, t: jax.Array | float) -> jax.Array:
    """The great circle from a to b: the direction turns evenly, the norm goes evenly from that of a to that of b.

    `((1 - t) |a| + t |b|) (sin((1 - t) w) u + sin(t w) v) / sin w`, with u, v the directions of a, b and w their angle

    The path becomes the straight line as the angle goes to zero. Opposite directions (within a thousandth) are joined by no
    single great circle; their path goes by way of the coordinate axis that is farthest from both.

    Args:
        a: start, `[..., D]`, not zero.
        b: end, `[..., D]`, not zero.
        t: `[...]`, 0 at a and 1 at b.

    Returns:
        `[..., D]`, the leading axes of all three broadcast; exactly a at 0 and exactly b at 1.

    References:
        Shoemake 1985, Animating Rotation with Quaternion Curves, section 3.3; White 2016, Sampling Generative Networks.
    """
    a, b, t = _aligned(a, b, t)
    a_norm, b_norm = _norm(a), _norm(b)
    u, v = a / jnp.where(a_norm > 0, a_norm, 1.0), b / jnp.where(b_norm > 0, b_norm, 1.0)
    # This form of the angle keeps its digits near 0 and pi, where arccos loses half of them.
    together = _norm(u + v)
    opposite = together < 1e-3
    angle = jnp.where(opposite, 1.0, 2.0 * jnp.arctan2(_norm(u - v), together))

    def sine(share: jax.Array) -> jax.Array:
        """`sin(share angle) / sin(angle)`, finite at angle 0."""
        return share * jnp.sinc(share * angle / jnp.pi) / jnp.sinc(angle / jnp.pi)

    axis = jax.nn.one_hot(jnp.argmin(jnp.abs(u), axis=-1), u.shape[-1], dtype=u.dtype)
    across = axis - (axis * u).sum(axis=-1, keepdims=True) * u
    across = across / jnp.maximum(_norm(across), 1e-12)
    around = jnp.cos(jnp.pi * t) * u + jnp.sin(jnp.pi * t) * across
    direction = jnp.where(opposite, around, sine(1.0 - t) * u + sine(t) * v)
    inside = ((1.0 - t) * a_norm + t * b_norm) * direction
    return jnp.where(t == 0.0, a, jnp.where(t == 1.0, b, inside))


def walk(points: Latents, frames: int, path: Path = slerp) -> Latents:
    """A path through all the points, in order.

    Args:
        points: `[K, D]`.
        frames: frames from one point to the next, both ends counted.
        path: `slerp` or `lerp`.

    Returns:
        `[(K - 1)(frames - 1) + 1, D]`; row `i (frames - 1)` is exactly point i.

    Raises:
        ValueError: when there are fewer than two points, or `frames` is below 2.
    """
    if points.ndim != 2 or points.shape[0] < 2:
        raise FieldError("points", f"shape {points.shape}", "it must be [K, D] with K at least 2")
    if frames < 2:
        raise FieldError("frames", frames, "it must be at least 2, both ends counted")
    t = jnp.arange(frames - 1, dtype=points.dtype) / (frames - 1)
    legs = path(points[:-1, None], points[1:, None], t[None, :])
    return jnp.concatenate([legs.reshape(-1, points.shape[1]), points[-1:]])


def truncate(z: Latents, psi: float) -> Latents:
    """The truncation trick: normal latents become latents of the normal distribution cut off at +-psi.

    `Phi'(z') = Phi(z)` with Phi' the distribution function of N(0, 1) given `|z'| <= psi`; that is, with erf,
    `erf(z' / sqrt 2) = erf(z / sqrt 2) erf(psi / sqrt 2)`

    Brock et al. draw values beyond the threshold again. This map has the same result in distribution without drawing
    again: each coordinate keeps its sign and its rank, so a picture changes smoothly with psi, from the most
    typical (psi to 0) to its own (psi infinite). For `latents.normal`; a generator with a mapping truncates in w instead.

    Args:
        z: standard normal latents, any shape.
        psi: threshold in standard deviations, in (0, inf]; infinite for no truncation.

    Returns:
        The shape of z, in [-psi, psi].

    Raises:
        ValueError: when psi is not in (0, inf].

    References:
        Brock et al. 2019, Large Scale GAN Training (BigGAN), section 3.1; Marchesi 2017.
    """
    if not psi > 0.0:
        raise FieldError("psi", psi, "it must be above 0; inf for no truncation")
    if math.isinf(psi):
        return z
    # Of the tails 1 - erf, which keep their digits where erf itself is 1 in float32.
    return cut_off(z, psi, math.erfc(psi / math.sqrt(2.0)))


def cut_off(z: Latents, psi: float | jax.Array, cut: float | jax.Array) -> Latents:
    """The map of `truncate`, of numbers that may be traced: `cut` is `erfc(psi / sqrt 2)`."""
    tail = erfc(jnp.abs(z) / math.sqrt(2.0))
    magnitude = -ndtri(0.5 * (tail + cut - tail * cut))
    return jnp.sign(z) * jnp.clip(magnitude, 0.0, psi)


def _aligned(a: jax.Array, b: jax.Array, t: jax.Array | float) -> tuple[jax.Array, jax.Array, jax.Array]:
    """a and b `[..., D]` and t `[..., 1]`, with the same leading axes."""
    a, b = jnp.asarray(a), jnp.asarray(b)
    t = jnp.asarray(t, a.dtype)
    lead = jnp.broadcast_shapes(a.shape[:-1], b.shape[:-1], t.shape)
    a, b = (jnp.broadcast_to(x, (*lead, x.shape[-1])) for x in (a, b))
    return a, b, jnp.broadcast_to(t, lead)[..., None]


def _norm(x: jax.Array) -> jax.Array:
    """`[..., D]` -> `[..., 1]`; its derivative at zero is taken as zero, where sqrt's is infinite."""
    squared = jnp.square(x).sum(axis=-1, keepdims=True)
    return jnp.where(squared > 0.0, jnp.sqrt(jnp.where(squared > 0.0, squared, 1.0)), 0.0)
