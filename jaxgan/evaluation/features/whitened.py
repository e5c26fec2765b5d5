"""Samples of any kind as features: principal components of the real samples, each of deviation 1 among these."""

import hashlib
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxgan.core.types import PyTree
from jaxgan.evaluation.features.extractors import WHITENED, Extracted, Extractor
from jaxgan.evaluation.metrics.checks import checked

MOST = 64  # components
FIT = 2_000  # real samples that the statistics are of, at most
_VALUES = 5 * 10**7  # numbers that these samples may have together
_PER_COMPONENT = 10  # real samples for each component, at least: of fewer a component says more of these than of the data
_LEAST = 1e-6  # variance of a component, over that of the first: less is rounding
_SHARE = 1e-3  # of the first component's deviation: the unit of the residual where the real samples have none


Array = np.ndarray | jax.Array


class Whitening(NamedTuple):
    """The statistics of real samples by which all samples are whitened."""

    mean: Array  # [F] float32
    scale: Array  # [F] float32, of the sample's channels
    components: Array  # [F, K] float32, orthonormal
    deviations: Array  # [K] float32
    residual: float  # unit of the residual; 0 where the components span everything


def samples_to_fit(size: int, numbers: int) -> int:
    """Returns how many real samples the statistics are of.

    Args:
        size: real samples that there are.
        numbers: F, the numbers of a sample.
    """
    return min(size, FIT, max(_VALUES // numbers, 100))


def fit(real: np.ndarray, channels: int = 1) -> Whitening:
    """Computes the statistics of real samples.

    Each channel is divided by its deviation s, so that units do not count; v_k are the eigenvectors of the covariance of
    `(x - mean) / s`, of the largest eigenvalues l_k.

    Args:
        real: samples as rows, `[N, F]`, N at least 2.
        channels: number of channels C; number i of a row is of channel i mod C.

    Returns:
        A `Whitening` of at most 64 components, one for each ten samples, of variances above 1e-6 of the largest.

    Raises:
        ValueError: when the shape does not fit or a number is not finite.
    """
    real = checked("real", real, least=2)
    mean = real.mean(axis=0, dtype=np.float64)
    x = np.subtract(real, mean, dtype=np.float64)
    spread = np.sqrt(np.square(x).mean(axis=0).reshape(-1, channels).mean(axis=0))
    level = np.abs(mean).reshape(-1, channels).max(axis=0)
    # A channel that is constant has no deviation to divide by: then its own value is the unit.
    unit = np.where(spread > 1e-6 * level, spread, np.where(level > 0, level, 1.0))
    scale = np.tile(unit, real.shape[1] // channels)
    x /= scale
    values, vectors = _components(x)
    kept = min(MOST, max(len(x) // _PER_COMPONENT, 1), max(int((values > _LEAST * values[0]).sum()), 1))
    values, vectors = np.maximum(values[:kept], np.finfo(np.float32).tiny), vectors[:, :kept]
    residual = 0.0
    if kept < x.shape[1]:
        left = np.square(x).sum(axis=1) - np.square(x @ vectors).sum(axis=1)
        residual = max(float(np.sqrt(max(left.mean(), 0.0))), _SHARE * float(np.sqrt(values[0])))
    mean, scale, vectors, deviations = (each.astype(np.float32) for each in (mean, scale, vectors, np.sqrt(values)))
    return Whitening(mean, scale, vectors, deviations, residual)


def whiten(by: Whitening, x: jax.Array) -> jax.Array:
    """Computes `v_k . y / sqrt(l_k)` with `y = (x - mean) / s`, and `|y - sum_k (v_k . y) v_k|` in units of the real samples'.

    The last, the residual, shows what no component does: noise outside of the space that the real samples span.

    Args:
        by: the statistics.
        x: samples as rows, `[B, F]`.

    Returns:
        `[B, K]`, or `[B, K + 1]` where the components do not span everything.
    """
    y = (x - by.mean[None, :]) / by.scale[None, :]
    found = jnp.matmul(y, by.components, precision=jax.lax.Precision.HIGHEST)
    whitened = found / by.deviations[None, :]
    if not by.residual:
        return whitened
    rest = y - jnp.matmul(found, by.components.T, precision=jax.lax.Precision.HIGHEST)
    return jnp.concatenate([whitened, jnp.linalg.norm(rest, axis=1, keepdims=True) / by.residual], axis=1)


def extractor(samples: Extractor, by: Whitening, n: int) -> Extractor:
    """Returns the extractor of whitened samples.

    Args:
        samples: extractor of the samples as rows, on whose features of real samples `by` was fitted.
        by: the statistics.
        n: number of real samples that they are of.
    """
    count = by.components.shape[1]
    residual = " and the residual" if by.residual else ""
    words = f"whitened by {n:,} real ones: {count} principal component{'s' if count > 1 else ''}{residual}"
    if samples.resize != "as they are":
        words = f"{samples.resize}; {words}"
    arrays = (by.mean, by.scale, by.components, by.deviations)
    parts = (np.asarray(each).tobytes() for each in arrays)
    checksum = hashlib.sha256(b"".join([samples.checksum.encode(), words.encode(), *parts])).hexdigest()

    def apply(params: PyTree, given: jax.Array) -> Extracted:
        mean, scale, components, deviations = params
        known = Whitening(mean, scale, components, deviations, by.residual)
        return Extracted(whiten(known, samples.apply({}, given).features), None)

    params, size = tuple(map(jnp.asarray, arrays)), count + bool(by.residual)
    return samples._replace(name=WHITENED, checksum=checksum, size=size, resize=words, params=params, apply=apply)


def _components(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues of the covariance, descending, and eigenvectors `[F, K]`; by way of the smaller of the two products."""
    n, numbers = x.shape
    if numbers <= n:
        values, vectors = np.linalg.eigh(x.T @ x / (n - 1))
        return values[::-1], vectors[:, ::-1]
    values, sides = np.linalg.eigh(x @ x.T / (n - 1))
    values, sides = values[:0:-1], sides[:, :0:-1]  # n samples span n - 1 dimensions around their mean
    vectors = x.T @ sides[:, :MOST]
    vectors /= np.maximum(np.linalg.norm(vectors, axis=0), np.finfo(np.float64).tiny)
    return values[:MOST], vectors
