"""The averaged generator of a recipe as a `Sampler`: no discriminator and no optimizer is built."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from jaxgan import pictures
from jaxgan.core import conditions, gan, latents
from jaxgan.core.types import Key, Latents, Network, Weights
from jaxgan.core.units import Units, to_trained
from jaxgan.recipes import Recipe, members
from jaxgan.system import devices, environment
from jaxgan.toy import Density
from jaxgan.training import generate
from jaxgan.training.dataset import Shape, density_of
from jaxgan.training.networks import network
from jaxgan.training.values import latent_of
from jaxgan.weights.portable import SIZES, About, Functions, Sampler, Samples, sizes_up_to


@dataclass(frozen=True, eq=False)
class Generator:
    """A recipe's generator, built alone."""

    generator: Network
    latent_dim: int
    latent: Callable[[Key, tuple[int, ...]], Latents]
    shape: Shape
    class_names: tuple[str, ...]
    count: int  # of GANs that the recipe trains side by side
    density: Density | None  # that points were trained on, where it is known
    units: Units | None = None  # of the data's samples, where they are recorded

    @property
    def abstract(self) -> Weights:
        """Shapes and dtypes of the weights of all GANs, as a checkpoint holds them."""
        one = jax.eval_shape(lambda: Weights(*self.generator.init(jax.random.key(0))))
        if self.count == 1:
            return one
        return jax.tree.map(lambda x: jax.ShapeDtypeStruct((self.count, *x.shape), x.dtype), one)

    @property
    def about(self) -> About:
        """Facts that a `Sampler` checks its arguments by."""
        z = jax.eval_shape(lambda: self.latent(jax.random.key(0), (self.latent_dim,)))
        mapped, units = self.generator.map is not None, self.units
        of = None if units is None else tuple(units)
        condition = conditions.as_json(self.shape.condition)
        named = (self.shape.sample, self.shape.classes, self.class_names, self.latent_dim, str(z.dtype))
        return About(*named, mapped, of, condition)


def generator_of(recipe: Recipe, shape: Shape, class_names: tuple[str, ...] = (), units: Units | None = None) -> Generator:
    """Builds the generator of a recipe, and nothing else of it; nothing is compiled.

    Raises:
        FieldError, UserCodeError: as `experiment.build`.
    """
    every = members(recipe)
    built = network("generator", recipe, shape)
    return Generator(
        built, int(recipe.generator.latent_dim), latent_of(every[0]), shape, class_names, len(every), density_of(recipe), units
    )


def sampler(generator: Generator, weights: Weights, *, batch: int = SIZES[-1], shown: Any = None) -> Sampler:
    """Returns a generator with weights of its own as a `Sampler`, over all devices of this process.

    Args:
        generator: built alone.
        weights: of one GAN; they are put on the devices once.
        batch: most samples made at a time; it does not change them.
        shown: conditions `[M, ...]` that are drawn of where no others are given.
    """
    sharding, replicated = generate.over_devices()
    put = jax.device_put(weights, replicated)

    @jax.jit
    def drawn(key: jax.Array, index: jax.Array) -> Latents:
        return latents.draw(key, index, generator.latent_dim, latent=generator.latent)

    def made(weights: Weights, key: jax.Array, labels: Any, z: jax.Array, psi: Any) -> jax.Array:
        with devices.known(sharding.mesh):
            return gan.sample(generator, weights, key, labels, z=z, truncation=psi)

    compiled = jax.jit(made)

    @environment.fixed()
    def of_seed(seed: int, index: np.ndarray) -> Latents:
        return drawn(jax.random.key(seed), jnp.asarray(index))

    @environment.fixed()
    def images(seed: int, z: jax.Array, labels: Any, psi: float | None) -> jax.Array:
        through, of_styles = generate.truncating(generator, psi)
        placed = jax.device_put((labels, np.asarray(through(jnp.asarray(z)))), sharding)
        share = None if of_styles is None else jnp.float32(of_styles)
        return compiled(put, jax.random.key(seed), *placed, share)

    draw = functools.partial(as_png, density=generator.density)
    return Sampler(Functions(of_seed, images), generator.about, sizes_up_to(batch, sharding.num_devices), draw, shown)


def as_png(samples: Samples, density: Density | None = None) -> bytes:
    """Returns `picture` as the bytes of a PNG file."""
    return pictures.to_png(picture(samples, density))


def picture(samples: Samples, density: Density | None = None) -> Image.Image:
    """Returns samples as one picture: a grid with the names of their classes, points in the plane, or a view, `pictures.view`.

    Args:
        samples: of a `Sampler`.
        density: that points were trained on, which is drawn behind them.
    """
    images, units = drawable(samples)
    if samples.about.are_points:
        return pictures.scatter(pictures.plane(images), **behind(density, len(samples)))
    if not pictures.are_pictures(samples.about.shape, units):
        return pictures.view(images, units)
    if (seen := pictures.pictured(samples.condition, samples.about.shape)) is not None:
        return pictures.pairs(seen, images)
    labels = samples.labels
    period = next((p for p in range(1, min(len(labels), 17)) if (labels == np.resize(labels[:p], len(labels))).all()), 0)
    columns = pictures.columns_for(len(labels), period)
    names, headings = samples.names, samples.names[:columns]
    if len(set(names)) < 2:
        return pictures.grid(images, columns=columns)
    if names == [headings[i % columns] for i in range(len(names))]:
        return pictures.grid(images, columns=columns, headings=headings)
    return pictures.grid(images, columns=columns, captions=names)


def drawable(samples: Samples) -> tuple[np.ndarray, Units | None]:
    """Returns samples as networks see them, which is what pictures are drawn of, and their units."""
    units = None if samples.about.units is None else Units(*samples.about.units)
    return (samples.images if units is None else to_trained(samples.images, units)), units


def behind(density: Density | None, count: int) -> dict[str, Any]:
    """Returns what `pictures.scatter` draws behind points: as many of a density, and its modes. Nothing where none is known."""
    if density is None:
        return {}
    return {"real": np.asarray(density.sample(jax.random.key(0), count)), "modes": modes_of(density)}


def modes_of(density: Density | None) -> tuple[np.ndarray, float] | None:
    """Returns the centres of a density in the plane, and the radius around each within which a sample is of high quality."""
    if density is None or not len(density.centres) or density.centres.shape[1] != 2:
        return None
    return density.centres, 3.0 * density.sigma
