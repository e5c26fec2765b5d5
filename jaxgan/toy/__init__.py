"""Problems whose answer is known: densities one can draw from and evaluate, and what theory says a GAN does on them.

ring(), grid(), gaussian_mixture(...), swiss_roll()         densities, exact
coverage(samples, density), coverage_floor(density, n)      mode coverage, and that of a perfect sampler
optimal_discriminator, value_function, f_divergence         Goodfellow's theorem, on a grid
dirac_gan(loss, penalty, gamma=...)                         convergence of the alternation, by eigenvalues
"""

from jaxgan.toy.densities import Density, dataset, gaussian_mixture, grid, ring, swiss_roll
from jaxgan.toy.dirac import DiracGAN, dirac_gan
from jaxgan.toy.modes import Coverage, CoverageFloor, coverage, coverage_floor
from jaxgan.toy.theory import (
    Quadrature,
    f_divergence,
    jensen_shannon,
    optimal_discriminator,
    optimal_logit,
    quadrature,
    value_function,
)

__all__ = [
    "Coverage",
    "CoverageFloor",
    "Density",
    "DiracGAN",
    "Quadrature",
    "coverage",
    "coverage_floor",
    "dataset",
    "dirac_gan",
    "f_divergence",
    "gaussian_mixture",
    "grid",
    "jensen_shannon",
    "optimal_discriminator",
    "optimal_logit",
    "quadrature",
    "ring",
    "swiss_roll",
    "value_function",
]
