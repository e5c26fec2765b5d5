"""A generator as programs of `jax.export`, for whoever has JAX and not this library: the `.jaxgan` file."""

import contextlib
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxgan.core import gan, latents
from jaxgan.core.types import Images, Latents, Weights
from jaxgan.recipes import UserCodeError
from jaxgan.system import environment, versions
from jaxgan.system.messages import FieldError
from jaxgan.training.dataset import given_of
from jaxgan.training.sampler import Generator
from jaxgan.weights import portable

PLATFORMS = ("cpu", "cuda", "tpu")


@environment.fixed()
def to_bytes(generator: Generator, weights: Weights, about: dict[str, Any]) -> bytes:
    """Returns the bytes of a `.jaxgan` file, see `portable`.

    Its programs map seeds to latents and latents to images, in batches of any size. They keep what `gan.sample` promises:
    sample i depends on the seed, its class and i only.

    Args:
        generator: built alone.
        weights: of one GAN.
        about: further facts for the header, in JSON.

    Raises:
        FieldError: when flatbuffers is not installed, weights are not finite, or the network must know the size of its batch.
        UserCodeError: when code of the user's raises.
    """
    if find_spec("flatbuffers") is None:
        raise FieldError("out", ".jaxgan", "JAX writes it with flatbuffers: pip install flatbuffers", link=": ")
    leaves, form = jax.tree.flatten(jax.device_get(weights))
    if not all(np.isfinite(np.asarray(leaf, np.float64)).all() for leaf in leaves):
        raise FieldError("weights", "they are not finite", "such a generator makes no images")
    programs = _programs(generator, leaves, form)
    header = {
        "generator": generator.about._asdict(),
        "made": "in [-1, 1]; `generator.units` holds dtype, least and most of the data: low + (x + 1) (high - low) / 2",
        "platforms": list(PLATFORMS),
        "versions": {name: versions.of(name) for name in ("jaxgan", "jax", "jaxlib")},
        "window": portable.WINDOW,
    }
    return portable.pack(header | about, programs, leaves)


@contextlib.contextmanager
def _without_paths() -> Iterator[None]:
    """Keeps the folders of this machine out of the programs, which hold the places of their lines of code."""
    settings = {"jax_hlo_source_file_canonicalization_regex": ".*/", "jax_include_full_tracebacks_in_locations": False}
    before = {name: getattr(jax.config, name) for name in settings}
    try:
        for name, value in settings.items():
            jax.config.update(name, value)
        yield
    finally:
        for name, value in before.items():
            jax.config.update(name, value)


def _programs(generator: Generator, leaves: list[Any], form: Any) -> dict[str, bytes]:
    from jax import export

    def drawn(weights: list[jax.Array], seed: jax.Array, index: jax.Array) -> Latents:
        del weights
        return latents.draw(jax.random.key(seed), index, generator.latent_dim, latent=generator.latent)

    def made(weights: list[jax.Array], seed: jax.Array, z: Latents, labels: Any, psi: Any = None) -> Images:
        key, of = jax.random.key(seed), jax.tree.unflatten(form, weights)
        return gan.sample(generator, of, key, labels, z=z, truncation=psi)

    def truncated(weights: list[jax.Array], seed: jax.Array, z: Latents, labels: Any, psi: jax.Array, cut: jax.Array) -> Images:
        if generator.about.mapped:
            return made(weights, seed, z, labels, psi)
        if jnp.issubdtype(z.dtype, jnp.floating):
            z = latents.cut_off(z, psi, cut)
        return made(weights, seed, z, labels)

    (batch,) = export.symbolic_shape("b")
    given = [jax.ShapeDtypeStruct(np.shape(leaf), leaf.dtype) for leaf in leaves]
    seed, psi = jax.ShapeDtypeStruct((), jnp.uint32), jax.ShapeDtypeStruct((), jnp.float32)
    z = jax.ShapeDtypeStruct((batch, generator.latent_dim), jnp.dtype(generator.about.latent_dtype))
    whole = jax.ShapeDtypeStruct((batch,), jnp.int32)
    labels = given_of(generator.shape, batch)
    wanted: dict[str, Any] = {
        "latents": (drawn, (seed, whole)),
        "images": (made, (seed, z, labels)),
        "truncated": (truncated, (seed, z, labels, psi, psi)),
    }
    try:
        with _without_paths():
            return {
                name: bytes(export.export(jax.jit(function), platforms=PLATFORMS)(given, *arguments).serialize())
                for name, (function, arguments) in wanted.items()
            }
    except (FieldError, UserCodeError):
        raise
    except (TypeError, ValueError, NotImplementedError, jax.errors.JAXTypeError) as error:
        told = " ".join(str(error).split())[:200]
        raise FieldError("generator", f"it cannot be exported ({told})", "write .safetensors instead", link="; ") from error
