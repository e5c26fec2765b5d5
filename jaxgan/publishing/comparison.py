"""An ONNX file compared with the sampler: images of the same latents, by onnxruntime and by JAX."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxgan.core import conditions
from jaxgan.publishing.flatten import Flat, values_drawn
from jaxgan.system.messages import FieldError
from jaxgan.training.dataset import given_of
from jaxgan.training.sampler import Generator
from jaxgan.weights.portable import About, leaving

COMPARED = 16  # latents
# Share of the range of the data by which files may differ from the sampler, in the mean over all values; and at most, in one.
LIMITS = {"float32": (0.001, 1.1 / 255), "float16": (0.005, 0.1), "int8": (0.02, 0.5)}
_BFLOAT16 = (0.01, 0.2)  # more, of a generator that computes in bfloat16, as its own rounding is of this order


class Difference(NamedTuple):
    """Difference of a file's images from the sampler's, as shares of the range of the data."""

    mean: float
    most: float


def check_close(difference: Difference, precision: str, *, widened: bool) -> None:
    """Refuses a file that differs from the sampler by more than `LIMITS`.

    Args:
        difference: of the file.
        precision: of its weights.
        widened: that the generator computes in bfloat16, and the file in float32.

    Raises:
        FieldError: with both figures.
    """
    mean, most = LIMITS[precision]
    mean, most = (mean + _BFLOAT16[0], most + _BFLOAT16[1]) if widened else (mean, most)
    if not (difference.mean <= mean and difference.most <= most):
        told = f"its images differ from the sampler's by {difference.mean:.2%} of the range, {difference.most:.1%} at most"
        raise FieldError("out", told, f"with {precision} weights {mean:.1%} and {most:.1%} are allowed")


def forms_of(generator: Generator, batch: Any) -> list[jax.ShapeDtypeStruct]:
    """Returns shapes and dtypes of the inputs before noise, of so many samples."""
    z = jax.ShapeDtypeStruct((batch, generator.latent_dim), jnp.dtype(generator.about.latent_dtype))
    if generator.shape.condition is None and not generator.about.classes:
        return [z]
    return [z, *conditions.flat(given_of(generator.shape, batch)).values()]


def noise_names(flat: Flat) -> list[str]:
    """Returns the names of the inputs that are noise."""
    return ["noise"] if len(flat.noise) == 1 else [f"noise_{i}" for i in range(len(flat.noise))]


def run(content: bytes, inputs: dict[str, np.ndarray]) -> np.ndarray:
    """Returns what onnxruntime computes on CPU.

    Args:
        content: of the file.
        inputs: by name; what the file does not take is left out.

    Raises:
        FieldError: when it cannot run the file.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        taken = {each.name for each in session.get_inputs()}
        return np.asarray(session.run(None, {name: each for name, each in inputs.items() if name in taken})[0])
    except Exception as error:  # of classes of its own, most of them without a base but this
        told = " ".join(str(error).split())[:200]
        raise FieldError("out", f"onnxruntime cannot run the file ({told})", "write .jaxgan instead", link="; ") from error


def compared(
    content: bytes, generator: Generator, made: Callable[..., jax.Array], names: Sequence[str], flat: Flat, shown: Any
) -> Difference:
    """Returns the difference of a file's images from the sampler's on 16 latents.

    Args:
        content: of the file.
        generator: built alone.
        made: the sampler, `(key, z, *given) -> images`.
        names: of the inputs before noise.
        flat: the function that the file holds.
        shown: conditions `[M, ...]` to compare with.

    Raises:
        FieldError: when onnxruntime cannot run the file, or makes another shape or dtype.
    """
    key = jax.random.key(0)
    z = jax.vmap(lambda i: generator.latent(jax.random.fold_in(key, i), (generator.latent_dim,)))(jnp.arange(COMPARED))
    given = [
        z,
        *(
            _examples(form, generator, shown, name)
            for form, name in zip(forms_of(generator, COMPARED)[1:], names[1:], strict=True)
        ),
    ]
    images = leaving(np.asarray(jax.jit(made)(key, *given), np.float32), generator.about)
    inputs = {name: np.asarray(each) for name, each in zip(names, given, strict=True)}
    if flat.noise:
        inputs |= dict(zip(noise_names(flat), values_drawn(made, key, given), strict=True))
    found = run(content, inputs)
    if found.shape != images.shape or found.dtype != images.dtype:
        told = f"{found.dtype} {list(found.shape)}"
        raise FieldError("out", f"onnxruntime makes {told}", f"the sampler makes {images.dtype} {list(images.shape)}")
    apart = np.abs(found.astype(np.float64) - images.astype(np.float64)) / _range(images, generator.about)
    return Difference(float(apart.mean()), float(apart.max()))


def _range(images: np.ndarray, about: About) -> Any:
    if about.units is not None and about.units[1]:
        return np.asarray(about.units[2]) - np.asarray(about.units[1])
    return 255.0 if images.dtype == np.uint8 else max(float(np.ptp(images)), 1e-12)


def _examples(form: jax.ShapeDtypeStruct, generator: Generator, shown: Any, name: str) -> jax.Array:
    """Labels in turn, or conditions that the run has shown; else noise of their form."""
    if name == "labels":
        return jnp.arange(COMPARED, dtype=jnp.int32) % generator.about.classes
    if shown is not None:
        return jnp.asarray(conditions.named(conditions.take(shown, np.arange(COMPARED)))[name])
    if jnp.issubdtype(form.dtype, jnp.floating):
        return jax.random.uniform(jax.random.key(1), form.shape, form.dtype, -1.0, 1.0)
    return jnp.zeros(form.shape, form.dtype)
