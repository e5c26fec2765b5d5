"""Samples of any kind as features: their coordinates, or fixed random projections where they are many, whitened."""

import hashlib
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxgan.core.types import PyTree
from jaxgan.evaluation.features.extractors import WHITENED, Extracted, Extractor
from jaxgan.evaluation.metrics.checks import checked

MOST = 64  # features
FIT = 2_000  # most real samples from which the statistics are computed
_VALUES = 5 * 10**7  # most numbers in these samples together
_PER_FEATURE = 10  # least real samples for each feature: with fewer, unseen samples have other statistics than these
_RIDGE = 1e-4  # of the largest variance: noise of a hundredth of the largest deviation counts as much as that deviation
_SEED = 0  # of the directions

Array = np.ndarray | jax.Array


class Whitening(NamedTuple):
    """Statistics of real samples, with which all samples are whitened."""

    mean: Array  # [F] float32
    scale: Array  # [F] float32, of the sample's channels
    directions: Array  # [F, K] float32, orthonormal
    deviations: Array  # [K] float32


def samples_to_fit(size: int, numbers: int) -> int:
    """Returns the number of real samples from which the statistics are computed.

    Args:
        size: number of real samples.
        numbers: F, the numbers of a sample.
    """
    return min(size, FIT, max(_VALUES // numbers, 100))


def fit(real: np.ndarray, channels: int = 1) -> Whitening:
    """Computes the statistics of real samples.

    Each channel is divided by its deviation s, so that units do not matter. Samples of more than K numbers are projected onto
    K random orthonormal directions P, always the same; for other samples P is the identity. With eigenvectors V and
    eigenvalues l of the covariance of `y P`, `y = (x - mean) / s`, the directions are `P V`, and their deviations
    `sqrt(l + 1e-4 max l)`.

    Where a sample has many numbers, the directions of largest variance would be fitted to these very samples, and unseen
    samples of the same distribution would look unlike them. Random ones keep the large variances, and see noise of any kind.

    Args:
        real: samples as rows, `[N, F]`, N at least 2.
        channels: number of channels C; number i of a row is of channel i mod C.

    Returns:
        A `Whitening` of K features: F, but at most 64, and one for each ten samples.

    Raises:
        ValueError: when the shape does not fit or a number is not finite.

    References:
        Johnson and Lindenstrauss 1984, Extensions of Lipschitz mappings into a Hilbert space, lemma 1.
    """
    real = checked("real", real, least=2)
    mean = real.mean(axis=0, dtype=np.float64)
    x = np.subtract(real, mean, dtype=np.float64)
    scale = np.tile(_unit(x, mean, channels), real.shape[1] // channels)
    x /= scale
    n, numbers = x.shape
    size = min(numbers, MOST, max(n // _PER_FEATURE, 1))
    drawn = np.eye(numbers)
    if size < numbers:
        drawn = np.linalg.qr(np.random.default_rng(_SEED).standard_normal((numbers, size)))[0]
    x = x @ drawn
    values, vectors = np.linalg.eigh(x.T @ x / (n - 1))
    values = np.maximum(values[::-1], 0.0)
    deviations = np.sqrt(values + _RIDGE * values[0]) if values[0] > 0 else np.ones(size)
    parts = (mean, scale, drawn @ vectors[:, ::-1], deviations)
    mean, scale, directions, deviations = (each.astype(np.float32) for each in parts)
    return Whitening(mean, scale, directions, deviations)


def whiten(by: Whitening, x: jax.Array) -> jax.Array:
    """Computes `((x - mean) / s) . v_k / deviation_k` for each direction v_k.

    Args:
        by: the statistics.
        x: samples as rows, `[B, F]`.

    Returns:
        `[B, K]`, for real samples with mean 0 and covariance 1, less along directions of hardly any variance.
    """
    y = (x - by.mean[None, :]) / by.scale[None, :]
    return jnp.matmul(y, by.directions, precision=jax.lax.Precision.HIGHEST) / by.deviations[None, :]


def extractor(samples: Extractor, by: Whitening, n: int, data: str | None = None) -> Extractor:
    """Returns the extractor of whitened samples.

    Args:
        samples: extractor of the samples as rows, on whose features of real samples `by` was fitted.
        by: the statistics.
        n: number of real samples from which they were computed.
        data: fingerprint of the data set of these samples; where it is known, features have the same checksum on every
            machine, though the statistics are rounded differently.
    """
    numbers, size = by.directions.shape
    words = f"whitened by {n:,} real ones"
    if size < numbers:
        words = f"along {size} fixed random directions, {words}"
    if samples.resize != "as they are":
        words = f"{samples.resize}; {words}"
    known = [data.encode()] if data is not None else [np.asarray(each).tobytes() for each in by]
    checksum = hashlib.sha256(b"".join([samples.checksum.encode(), words.encode(), *known])).hexdigest()

    def apply(params: PyTree, given: jax.Array) -> Extracted:
        return Extracted(whiten(params, samples.apply({}, given).features), None)

    params = jax.tree.map(jnp.asarray, by)
    return samples._replace(name=WHITENED, checksum=checksum, size=size, resize=words, params=params, apply=apply)


def _unit(x: np.ndarray, mean: np.ndarray, channels: int) -> np.ndarray:
    """Returns the deviation of each channel of centred samples, `[C]`; for a constant channel its absolute value, or 1."""
    deviation = np.sqrt(np.square(x).mean(axis=0).reshape(-1, channels).mean(axis=0))
    level = np.abs(mean).reshape(-1, channels).max(axis=0)
    found: np.ndarray = np.where(deviation > 1e-6 * level, deviation, np.where(level > 0, level, 1.0))
    return found
