"""Codes of a generator and images of codes, by programs that are compiled once; for walks and directions."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxgan.core import conditions, latents
from jaxgan.core.types import Images
from jaxgan.latent import spaces
from jaxgan.latent.opened import Opened
from jaxgan.system.messages import FieldError
from jaxgan.training.sampler import sampler
from jaxgan.weights.portable import Sampler, Samples, leaving

_BATCH = 64


class Codes:
    """One space of a generator. Noise within the generator is that of the seed."""

    def __init__(self, found: Opened, space: str | None = None, seed: int = 0) -> None:
        """Opens a space; nothing is compiled.

        Args:
            found: the generator.
            space: z, w or w+; by default w where the generator has a mapping, else z.
            seed: of codes and of noise.

        Raises:
            FieldError: when the generator has no such space.
        """
        self.found, self.generator, self.seed = found, found.generator, seed
        self.space = space or ("z" if found.generator.generator.map is None else "w")
        spaces.check(self.generator, self.space)
        self.weights = jax.device_put(found.weights, jax.local_devices()[0])
        self.key = jax.random.key(seed)
        self._codes = jax.jit(functools.partial(spaces.codes_of, self.generator, self.space))
        self._images = jax.jit(self.image_function)

    @functools.cached_property
    def sampler(self) -> Sampler:
        """The generator as a sampler, which checks and names classes."""
        return sampler(self.generator, self.found.weights, shown=self.found.shown)

    @functools.cached_property
    def layers(self) -> int:
        """The number of styles; 1 of a generator without a mapping."""
        if self.generator.generator.map is None:
            return 1
        return spaces.layers_of(self.generator, self.weights, self._z(np.arange(1)), self.given(1))

    @functools.cached_property
    def length(self) -> int:
        """Length of a code."""
        return int(self.drawn(1).shape[-1])

    def given(self, n: int, places: Any = None) -> Any:
        """Returns what n images are made for: classes in turn, by their places, or the conditions that are shown.

        Raises:
            FieldError: when the generator takes a condition, and has none to show.
        """
        if self.generator.shape.condition is None:
            every = np.arange(max(self.generator.shape.classes, 1)) if places is None else np.asarray(places)
            return np.resize(every, n).astype(np.int32)
        if self.found.shown is None:
            told = "it has none to show; a run has those of its pictures"
            raise FieldError("RUN", "the generator takes a condition", told, link=", and ")
        return conditions.take(self.found.shown, np.arange(n))

    def drawn(self, n: int, given: Any = None) -> np.ndarray:
        """Returns n codes of the seed's latents, `[n, ...]`."""
        given = self.given(n) if given is None else given
        return np.asarray(self._codes(self.weights, self.key, self._z(np.arange(n)), given))

    def codes_function(self, weights: Any, z: jax.Array, given: Any) -> jax.Array:
        """Maps latents to codes; pure, as `image_function`."""
        return spaces.codes_of(self.generator, self.space, weights, self.key, z, given)

    def image_function(self, weights: Any, codes: jax.Array, given: Any) -> Images:
        """Maps codes to images; pure, for a caller to differentiate."""
        return spaces.images_of(self.generator, self.space, weights, self.key, codes, given, self.layers)

    def images(self, codes: np.ndarray, given: Any) -> np.ndarray:
        """Returns the images of codes as the generator makes them, `[N, ...]` float32 on the host."""
        found = []
        for start in range(0, len(codes), _BATCH):
            index = np.arange(start, start + min(_BATCH, len(codes))) % len(codes)  # filled up, or it would compile anew
            made = self._images(self.weights, jnp.asarray(codes[index]), conditions.take(given, index))
            found.append(np.asarray(made, np.float32)[: len(codes) - start])
        return np.concatenate(found)

    def samples(self, codes: np.ndarray, given: Any) -> Samples:
        """Returns the images of codes as a sampler returns its own."""
        about, images = self.generator.about, self.images(codes, given)
        plain = self.generator.shape.condition is None
        labels = np.array(about.numbers, np.int32)[given] if about.classes else np.zeros(len(codes), np.int32)
        return Samples(leaving(images, about), labels, about, self.sampler.draw, None if plain else given)

    def _z(self, index: np.ndarray) -> jax.Array:
        draw: Callable[..., jax.Array] = functools.partial(latents.draw, latent=self.generator.latent)
        return draw(self.key, jnp.asarray(index), self.generator.latent_dim)
