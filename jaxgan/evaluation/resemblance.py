"""Cheap comparisons of generated with real samples, computed for every row of a training's metrics."""

from typing import NamedTuple

import numpy as np

from jaxgan.system.messages import FieldError


class Figures(NamedTuple):
    """Simple figures of n generated samples beside n real ones; a perfect generator scores about 1, 0, 1 and 1."""

    diversity: float  # mean distance between two generated samples, over that between two real ones
    duplicates: float  # share of generated samples that have a near twin among them
    nearest_real: float  # median distance from a generated sample to the nearest real one, over that from real to real
    reach: float  # share of the regions of the data, a fortieth each, that get a fifth or more of their fair share


FEWEST = 40  # real samples that figures can be computed with
SAMPLES = 512  # number of samples that figures are computed of while a GAN trains
_REGIONS = 40  # of the data
_SMALLEST = 8  # real samples in a region: a smaller region may be missed by chance
_SAME = 0.1  # of the mean distance among real samples: nearer ones are of the same region
_SHARE = 0.2  # of a region's fair share that counts as a visit


def figures(real: np.ndarray, fake: np.ndarray) -> Figures:
    """Compares generated samples with real ones by Euclidean distances.

    Let r_i be the distance from real i to its nearest other real sample, s_j the same among the generated ones, and d_ij the
    distance from real i to generated j. The region R_i holds the k nearest real samples of real i, itself included, with
    k = max(n / 40, 8), and any that are nearer than a tenth of the mean distance among real samples. Let c_i be the number
    of generated samples whose nearest real one lies in R_i. Then:

        diversity    = mean_jk |fake_j - fake_k| / mean_ik |real_i - real_k|
        duplicates   = mean_j [s_j < median_i r_i / 10]
        nearest_real = median_j min_i d_ij / median_i r_i
        reach        = mean_i [c_i >= (|R_i| m / n) / 5]

    Reach asks whether every region of the data is visited, not how well. A generated sample counts at its nearest real one,
    however far that is, and a narrow mode is one region; so samples that are poor everywhere do not look like samples of a
    part of the data. Chance leaves a region with less than a fifth of its fair share in 1 of 2,000 cases at 512
    samples of each. A mode that holds less than a fortieth of the data may be lost unseen. A twin is nearer than a tenth of
    the usual distance among real samples. Of n points drawn in d dimensions a share of `1 - 2^(-1 / 10^d)` has a twin by
    chance, 0.7 % in the plane.

    Args:
        real: `[n, ...]`, at least 40.
        fake: `[m, ...]`, of the same shape but for m, at least 2.

    Returns:
        `Figures`, all NaN when a generated sample is not finite.

    Raises:
        ValueError: when there are too few samples or the shapes do not fit.
    """
    real, fake = (np.asarray(x, np.float64).reshape(len(x), -1) for x in (real, fake))
    if len(real) < FEWEST or len(fake) < 2 or real.shape[1] != fake.shape[1]:
        shapes = f"shapes {real.shape} and {fake.shape}"
        raise FieldError("real, fake", shapes, f"they must be [n, D] and [m, D], n at least {FEWEST}")
    if not np.isfinite(fake).all():
        return Figures(*[float("nan")] * 4)
    within_real, within_fake, across = _distances(real, real), _distances(fake, fake), _distances(real, fake)
    reach = _reach(within_real, across)
    spread = [d.sum() / (len(d) * (len(d) - 1)) for d in (within_fake, within_real)]
    for d in (within_real, within_fake):
        np.fill_diagonal(d, np.inf)  # nobody is a neighbour of oneself
    # Real samples that are the same but for rounding have no distances to compare with.
    least = max(1e-12, float(np.finfo(np.float32).eps * np.sqrt(np.square(real).sum(axis=1).max())))
    nearest = max(float(np.median(within_real.min(axis=1))), least)
    return Figures(
        diversity=float(spread[0] / max(spread[1], least)),
        duplicates=float((within_fake.min(axis=1) < nearest / 10.0).mean()),
        nearest_real=float(np.median(across.min(axis=0)) / nearest),
        reach=reach,
    )


def overlap(real_logits: np.ndarray, fake_logits: np.ndarray, *, bins: int = 20) -> float:
    """Computes the area that the histograms of D(x) and D(G(z)) share, from 0 to 1.

    The bins hold equal numbers of all logits together, so that the scale of D's logits does not matter, and probabilities
    serve as well. For n samples of one distribution the expectation is about `1 - sqrt(bins / (pi n))`: 0.89 for 512.

    Args:
        real_logits: D's logits of real samples, `[n]`.
        fake_logits: D's logits of generated samples, `[m]`.
        bins: number of bins.

    Returns:
        1 where D cannot tell real from generated, 0 where it always can; NaN when a logit is not finite.
    """
    real, fake = np.asarray(real_logits, np.float64), np.asarray(fake_logits, np.float64)
    together = np.concatenate([real, fake])
    if not np.isfinite(together).all():
        return float("nan")
    edges = np.quantile(together, np.arange(1, bins) / bins)
    shares = [np.bincount(np.searchsorted(edges, x, side="right"), minlength=bins) / len(x) for x in (real, fake)]
    return float(np.minimum(*shares).sum())


def overfitting(real_logits: np.ndarray, unseen_logits: np.ndarray, fake_logits: np.ndarray) -> float:
    r"""Computes how far D takes unseen real samples for generated ones.

    $$r_v = \frac{E\, D(x_{train}) - E\, D(x_{unseen})}{E\, D(x_{train}) - E\, D(G(z))}$$

    Args:
        real_logits: D's logits of training samples, `[n]`.
        unseen_logits: D's logits of real samples that it was not trained on, `[m]`.
        fake_logits: D's logits of generated samples, `[k]`.

    Returns:
        About 0 where D treats unseen samples as training samples, 1 where it treats them as generated ones: then it knows its
        training samples by heart. NaN where D tells training samples from generated ones by less than six standard errors,
        so that the quotient would be noise, and where a logit is not finite.

    References:
        Karras et al. 2020, Training generative adversarial networks with limited data (StyleGAN2-ADA), equation 1.
    """
    real, unseen, fake = (np.asarray(x, np.float64) for x in (real_logits, unseen_logits, fake_logits))
    if not all(np.isfinite(x).all() for x in (real, unseen, fake)):
        return float("nan")
    apart = real.mean() - fake.mean()
    error = np.sqrt(real.var() / len(real) + fake.var() / len(fake))
    return float((real.mean() - unseen.mean()) / apart) if apart > 6.0 * error else float("nan")


def _reach(within_real: np.ndarray, across: np.ndarray) -> float:
    """Returns the share of regions that are visited, from distances `[n, n]` among the real samples and `[n, m]`."""
    n, m = across.shape
    size = max(n // _REGIONS, _SMALLEST)
    distances = within_real - np.diag(np.diag(within_real))  # rounding leaves the distance of a sample to itself above 0
    wide = np.partition(distances, size - 1, axis=1)[:, size - 1]
    regions = distances <= np.maximum(wide, _SAME * distances.sum() / (n * (n - 1)))[:, None]
    counts = regions @ np.bincount(across.argmin(axis=0), minlength=n)
    return float((counts >= _SHARE * m / n * regions.sum(axis=1)).mean())


def _distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Returns the Euclidean distances of all pairs, `[len(a), len(b)]`."""
    origin = a.mean(axis=0)  # the nearer to zero, the less cancels in x^2 + y^2 - 2 x y
    a, b = a - origin, b - origin
    squared = np.square(a).sum(axis=1)[:, None] + np.square(b).sum(axis=1) - 2.0 * (a @ b.T)
    return np.sqrt(np.maximum(squared, 0.0))
