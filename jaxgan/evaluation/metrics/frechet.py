"""The Fréchet distance between Gaussian fits of real and generated features: on Inception's, the FID."""

import numpy as np

from jaxgan.evaluation.metric import Metric, Score, Scores, Statistics
from jaxgan.evaluation.metrics.moments import Covariance, Moments
from jaxgan.evaluation.metrics.moments import covariance as covariance_of
from jaxgan.system.messages import FieldError


def frechet_distance(real: Moments, fake: Moments, *, covariance: Covariance = "sample") -> float:
    """Computes the squared Fréchet (2-Wasserstein) distance between two Gaussians, in float64.

        |m_r - m_f|^2 + tr S_r + tr S_f - 2 tr (S_r^1/2 S_f S_r^1/2)^1/2

    The root is taken of a symmetric matrix, whose eigenvalues are real: no imaginary part to drop and nothing to add to
    the diagonal, also where there are fewer samples than features. The distance shrinks as samples are added: compare
    only figures of as many.

    Args:
        real: `moments` of real features.
        fake: `moments` of generated features.
        covariance: `"sample"`, over n - 1, as pytorch-fid, clean-fid and torch-fidelity; `"population"`, over n, as
            StyleGAN2-ADA and its successors and R3GAN. At 50,000 samples they differ by about 2e-5 of the traces.

    Returns:
        The distance, at least 0 up to rounding.

    Raises:
        ValueError: when there are fewer than 2 samples, the sets differ in the number of features, or `covariance` is
            none of the two.

    References:
        Dowson and Landau 1982, The Fréchet distance between multivariate normal distributions; Heusel et
        al. 2017, GANs Trained by a Two Time-Scale Update Rule, equation 6.
    """
    if real.mean.shape != fake.mean.shape:
        raise FieldError("real, fake", f"{len(real.mean)} and {len(fake.mean)} features a sample", "they must be as many")
    for name, m in (("real", real), ("fake", fake)):
        if m.n < 2:
            raise FieldError(name, f"moments of {m.n} sample", "a covariance needs at least 2")
    s_real, s_fake = (covariance_of(m, kind=covariance) for m in (real, fake))
    apart = float(np.sum((real.mean - fake.mean) ** 2))
    return apart + float(np.trace(s_real) + np.trace(s_fake)) - 2.0 * _trace_of_root(s_real, real.n, s_fake, fake.n)


def _trace_of_root(s1: np.ndarray, n1: int, s2: np.ndarray, n2: int) -> float:
    """Computes tr (S1^1/2 S2 S1^1/2)^1/2 of covariances of n1 and n2 samples."""
    if n2 < n1:
        s1, n1, s2, n2 = s2, n2, s1, n1  # the trace is the same, and fewer samples are less work
    root = _factor(s1, n1 - 1)
    values = np.linalg.eigvalsh(root.T @ s2 @ root)  # those of S1^1/2 S2 S1^1/2 but for zeros
    # n samples span n - 1 dimensions around their mean. Eigenvalues beyond those are rounding, about 1e-16 of the largest,
    # but their roots 1e-8 each.
    return float(np.sqrt(np.clip(values[max(0, len(values) - (n2 - 1)) :], 0.0, None)).sum())


def _factor(s: np.ndarray, rank: int) -> np.ndarray:
    """Returns F with F F^T = S, where S has at most that rank."""
    if rank >= len(s):
        try:
            return np.linalg.cholesky(s)  # many times as fast as eigenvectors
        except np.linalg.LinAlgError:  # singular, as where a feature is constant
            pass
    values, vectors = np.linalg.eigh(s)
    kept = slice(max(0, len(s) - rank), None)
    return vectors[:, kept] * np.sqrt(np.clip(values[kept], 0.0, None))


def _fid(real: Statistics, fake: Statistics, _: Statistics | None) -> Scores:
    return {"fid": Score(frechet_distance(real.moments, fake.moments, covariance="sample"), None)}


def _fid_population(real: Statistics, fake: Statistics, _: Statistics | None) -> Scores:
    return {"fid_population": Score(frechet_distance(real.moments, fake.moments, covariance="population"), None)}


FID = Metric(
    _fid,
    of="statistics",
    name="fid",
    title="Frechet distance",
    better="lower",
    definition="Fréchet distance between Gaussian fits, sample covariance, float64",
    keep=0,
    samples_per_feature=10,
)
FID_POPULATION = Metric(
    _fid_population,
    of="statistics",
    name="fid_population",
    title="Frechet distance, population",
    better="lower",
    definition="Fréchet distance between Gaussian fits, population covariance, float64",
    keep=0,
    samples_per_feature=10,
)
