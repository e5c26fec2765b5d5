"""Directions of a latent space along which images change in one respect: found with or without labels.

Each function returns unit vectors with a figure each, the strongest first. Nothing here needs a run.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from jaxgan.system.messages import FieldError

_RIDGE = 1e-3  # of a regression, times the mean variance of the latents
_NEWTON = 25  # steps of a logistic regression, at most


class Axes(NamedTuple):
    """Unit vectors with a figure each."""

    vectors: np.ndarray  # [K, D] float32
    values: np.ndarray  # [K] float64, the largest first


def principal(codes: ArrayLike, count: int) -> Axes:
    """Returns the directions in which latents vary most, the eigenvectors of their covariance, with the variances.

    Args:
        codes: `[N, D]`, such as styles.
        count: of directions, at most D.

    References:
        Härkönen et al. 2020, GANSpace: discovering interpretable GAN controls, section 2.
    """
    x = _checked(codes)
    return of_gram(np.cov(x, rowvar=False).reshape(x.shape[1], x.shape[1]), count)


def sensitive(images: Callable[[jax.Array], jax.Array], codes: jax.Array, count: int) -> Axes:
    """Returns the directions in which images change most, eigenvectors of `gram`.

    Args:
        images: maps latents `[N, D]` to images `[N, ...]`, each by itself.
        codes: `[N, D]`.
        count: of directions, at most D.

    Returns:
        `Axes`; a value is the mean squared change of an image for a step of 1.
    """
    return of_gram(gram(images, codes), count)


def gram(images: Callable[[jax.Array], jax.Array], codes: jax.Array) -> jax.Array:
    """Returns the mean of `J^T J`, J the derivative of an image by its latent, `[D, D]`; defined for every generator.

    The derivative is taken in forward mode, along one coordinate of all latents at a time. Pure, for a caller to jit.

    References:
        Ramesh et al. 2018, A spectral regularizer for unsupervised disentanglement; Wang and Ponce 2021, The geometry of deep
        generative image models, section 3.
    """

    def along(direction: jax.Array) -> jax.Array:
        _, change = jax.jvp(images, (codes,), (jnp.broadcast_to(direction[None], codes.shape),))
        return change.reshape(-1)

    columns = jax.lax.map(along, jnp.eye(codes.shape[1], dtype=codes.dtype))  # [D, N P]
    return jnp.matmul(columns, columns.T, precision=jax.lax.Precision.HIGHEST) / len(codes)


def factorised(weights: ArrayLike, count: int) -> Axes:
    """Returns the directions that the first weights A stretch most: eigenvectors of `A^T A`, in closed form.

    Args:
        weights: A, `[K, D]`, see `first_layer.first_weights`.
        count: of directions, at most D.

    References:
        Shen and Zhou 2021, Closed-form factorization of latent semantics in GANs (SeFa), equation 6.
    """
    a = _checked(weights)
    return of_gram(a.T @ a, count)


def regressed(codes: ArrayLike, values: ArrayLike) -> Axes:
    """Returns the direction along which a number grows, by least squares, with the share of its variance that this explains.

    Args:
        codes: `[N, D]`.
        values: `[N]` numbers.

    Raises:
        FieldError: when values are of another number, not finite, or all the same.
    """
    x, y = _checked(codes), numbers(values, len(np.asarray(codes)))
    centred, off = x - x.mean(axis=0), y - y.mean()
    if not np.square(off).sum() > 1e-12 * max(1.0, float(np.square(y).sum())):
        raise FieldError("function", f"{y[0]:g} for every image", "it must tell images apart")
    cov = centred.T @ centred
    slope = np.linalg.solve(cov + _ridge(cov), centred.T @ off)
    explained = 1.0 - np.square(off - centred @ slope).sum() / np.square(off).sum()
    return Axes(_unit(slope)[None], np.array([max(explained, 0.0)]))


def separated(codes: ArrayLike, second: ArrayLike) -> Axes:
    """Returns the direction from one kind of latents to another, the normal of a logistic regression's plane.

    Args:
        codes: `[N, D]`.
        second: `[N]` truth values, true of the kind that the direction points to.

    Returns:
        `Axes`; the value is the share of latents on the right side of the plane, each kind counted as half.

    Raises:
        FieldError: when all latents are of one kind.

    References:
        Shen et al. 2020, Interpreting the latent space of GANs for semantic face editing (InterFaceGAN), section 3, there
        with a support vector machine.
    """
    x, y = _checked(codes), numbers(np.asarray(second, bool), len(np.asarray(codes)))
    if y.min() == y.max():
        raise FieldError("labels", f"{len(y)} latents of one kind", "there must be latents of both")
    scale = np.where(x.std(axis=0) > 0, x.std(axis=0), 1.0)
    ones = np.concatenate([(x - x.mean(axis=0)) / scale, np.ones((len(x), 1))], axis=1)
    weight, slope = np.where(y > 0, 0.5 / y.mean(), 0.5 / (1 - y.mean())), np.zeros(ones.shape[1])
    penalty = np.diag(np.append(np.full(x.shape[1], 1e-2 * len(x)), 0.0))  # so that kinds that can be parted have an answer
    for _ in range(_NEWTON):
        share = 1.0 / (1.0 + np.exp(-np.clip(ones @ slope, -30, 30)))
        gradient = ones.T @ (weight * (share - y)) + penalty @ slope
        move = np.linalg.solve(
            (ones * (weight * share * (1 - share))[:, None]).T @ ones + penalty + 1e-9 * np.eye(len(slope)), gradient
        )
        slope = slope - move
        if np.abs(move).max() < 1e-8:
            break
    right = (ones @ slope > 0) == (y > 0)
    balanced = (right[y > 0].mean() + right[y == 0].mean()) / 2.0
    return Axes(_unit(slope[:-1] / scale)[None], np.array([balanced]))


def of_gram(gram: ArrayLike, count: int) -> Axes:
    """Returns the first eigenvectors of a symmetric matrix; of each and its opposite the one whose largest part is positive."""
    gram = np.asarray(gram, np.float64)
    if not 1 <= count <= len(gram):
        raise FieldError("count", count, f"it must be from 1 to {len(gram)}, the length of a latent")
    values, vectors = np.linalg.eigh(gram)
    rows = vectors.T[::-1][:count]
    largest = rows[np.arange(count), np.abs(rows).argmax(axis=1)]
    return Axes((rows * np.sign(largest)[:, None]).astype(np.float32), values[::-1][:count])


def _checked(rows: ArrayLike) -> np.ndarray:
    x = np.asarray(rows, np.float64)
    if x.ndim != 2 or len(x) < 1:
        raise FieldError("codes", f"of shape {list(x.shape)}", "they must be [N, D]")
    if not np.isfinite(x).all():
        raise FieldError("codes", "values that are not finite", "each must be a number", link="; ")
    return x


def numbers(values: ArrayLike, count: int) -> np.ndarray:
    """Returns what a function of images returned as float64 `[count]`.

    Raises:
        FieldError: when it is anything but a finite number for each image.
    """
    y = np.asarray(values)
    if y.shape != (count,) or y.dtype.kind not in "fiub":
        raise FieldError(
            "function", f"{y.dtype} {list(y.shape)} for {count} images", f"it must return one number each, [{count}]"
        )
    y = y.astype(np.float64)
    if not np.isfinite(y).all():
        raise FieldError("function", "values that are not finite", "it must return numbers", link="; ")
    return y


def _ridge(cov: np.ndarray) -> np.ndarray:
    return np.eye(len(cov)) * max(_RIDGE * float(np.trace(cov)) / len(cov), 1e-12)


def _unit(x: np.ndarray) -> np.ndarray:
    return (x / max(float(np.linalg.norm(x)), 1e-12)).astype(np.float32)
