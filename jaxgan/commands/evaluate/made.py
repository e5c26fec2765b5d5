"""Samples of a run as a metric sees them; no other file of this command looks inside a run."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxgan.core.types import Latents, Weights
from jaxgan.training.experiment import Experiment
from jaxgan.training.generate import Batches, batches, drawn, generate, truncating
from jaxgan.training.run import Run


class Made(NamedTuple):
    """The generators of a run, and the way they are sampled."""

    run: Run
    experiment: Experiment
    weights: tuple[Weights, ...]  # of each GAN
    seed: int  # of the latents
    batch: int  # samples at a time
    averaged: bool
    truncation: float | None

    def words(self) -> str:
        """Describes the samples in words."""
        which = "averaged generator" if self.averaged else "generator in training"
        truncation = "" if self.truncation is None else f", truncation {self.truncation:g}"
        return f"the {which}, latents of seed {self.seed}{truncation}"

    def how(self) -> dict[str, Any]:
        """Returns entries for JSON that say how the samples were obtained."""
        return {"seed": self.seed, "averaged": self.averaged, "truncation": self.truncation}

    def latents(self, n: int, indices: np.ndarray | None = None) -> Latents:
        """Returns z of the first n samples, or of those given, `[n, D]`."""
        of_latents, _ = self._truncating()
        return of_latents(drawn(self.experiment, self.seed, np.arange(n) if indices is None else indices))

    def images(self, weights: Weights, z: Latents, labels: Any) -> np.ndarray:
        """Returns samples on the host, images `[n, H, W, C]` in [-1, 1]."""
        key, psi = jax.random.key(self.seed), self._truncating()[1]
        return generate(self.experiment.one, weights, key, z, labels, batch=self.batch, truncation=psi)

    def sampler(self, most: int) -> Batches:
        """Compiles `generate.batches` once for all of the weights, for at most so many samples at a time."""
        return batches(self.experiment.one, batch=min(self.batch, most), truncation=self._truncating()[1])

    def _truncating(self) -> tuple[Callable[[Latents], Latents], float | None]:
        return truncating(self.experiment, self.truncation)
