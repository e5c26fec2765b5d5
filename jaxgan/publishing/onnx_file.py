"""A generator as an `.onnx` file: the function (z, labels, noise) -> images, in the user's units, and nothing that draws.

Inputs are `z [B, D]` float32; `labels [B]` int32 where the generator has classes, places in `class_names` from 0; or
`condition`, `condition/NAME` for each array of a condition; and `noise`, or `noise_0` and so on, where the generator draws
numbers inside, which the file's metadata describes. The output is `images [B, ..]`, in the dtype and units of the data: uint8
`[B, H, W, C]` of pictures. B is any number.
"""

import json
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxgan.core import conditions, gan
from jaxgan.core.types import Weights
from jaxgan.publishing import shrinking
from jaxgan.publishing.flatten import Flat, flatten, values_drawn
from jaxgan.publishing.graph import BATCH, IR_VERSION, OPSET, Graph, Value
from jaxgan.publishing.operators import translate
from jaxgan.recipes import UserCodeError
from jaxgan.system import environment, files, versions
from jaxgan.system.messages import FieldError, not_one_of
from jaxgan.training.experiment import given_of
from jaxgan.training.sampler import Generator
from jaxgan.weights.portable import About, leaving

FORMAT = 1
COMPARED = 16  # latents
# Share of the range of the data by which files may differ from the sampler, in the mean over all values; and at most, in one.
LIMITS = {"float32": (0.001, 1.1 / 255), "float16": (0.005, 0.1), "int8": (0.02, 0.5)}
_BFLOAT16 = (0.01, 0.2)  # more, of a generator that computes in bfloat16, as its own rounding is of this order
_MOST = 2**31 - 2**20  # bytes of an ONNX file
_MISSING = "it is written with onnx and compared with onnxruntime: pip install 'jaxgan[onnx]'"


class Difference(NamedTuple):
    """Difference of a file's images from the sampler's, as shares of the range of the data."""

    mean: float
    most: float


@environment.fixed()
def to_bytes(
    generator: Generator, weights: Weights, about: dict[str, Any], *, precision: str = "float32", shown: Any = None
) -> tuple[bytes, Difference]:
    """Returns the bytes of an `.onnx` file, whose images onnxruntime was seen to make as the sampler does.

    Args:
        generator: built alone.
        weights: of one GAN.
        about: further facts for the file's metadata, in JSON.
        precision: in which weights are kept, `float32`, `float16` or `int8`; it is computed in float32.
        shown: conditions `[M, ...]` to compare with, of a generator that takes one.

    Returns:
        The bytes, and the difference from the sampler on 16 latents.

    Raises:
        FieldError: when onnx or onnxruntime is missing; weights are not finite; the generator computes what has no ONNX form
            here, or draws what cannot be an input; or the file's images differ by more than `LIMITS`.
        UserCodeError: when code of the user's raises.
    """
    check_installed()
    if precision not in LIMITS:
        raise not_one_of("precision", precision, LIMITS)
    _check_weights(weights)
    held = jax.device_put(weights)
    names = _names(generator)

    def made(key: jax.Array, z: jax.Array, *given: jax.Array) -> jax.Array:
        labels = _condition(names[1:], given) if len(names) > 1 else jnp.zeros(z.shape[:1], jnp.int32)
        return gan.sample(generator, held, key, labels, z=z)

    flat = _flat(generator, made)
    graph, inputs = _graph(generator.about, flat, names)
    header = {"format": FORMAT, "generator": generator.about._asdict(), "inputs": _described(generator, flat, names)} | about
    header["noise"] = [
        {"name": name, "kind": each.kind, "shape": [side if isinstance(side, int) else str(side) for side in each.shape]}
        for name, each in zip(_noise_names(flat), flat.noise, strict=True)
    ]
    content = _content(graph, inputs, generator.about, header, precision)
    difference = _compared(content, generator, made, names, flat, shown)
    allowed = LIMITS[precision]
    allowed = (allowed[0] + _BFLOAT16[0], allowed[1] + _BFLOAT16[1]) if flat.widened else allowed
    if not (difference.mean <= allowed[0] and difference.most <= allowed[1]):
        told = f"its images differ from the sampler's by {difference.mean:.2%} of the range, {difference.most:.1%} at most"
        raise FieldError("out", told, f"with {precision} weights {allowed[0]:.1%} and {allowed[1]:.1%} are allowed")
    return content, difference


def about_of(content: bytes) -> dict[str, Any]:
    """Returns what a file's metadata say of its generator.

    Args:
        content: of a file that `to_bytes` made.
    """
    import onnx

    found = {each.key: each.value for each in onnx.load_from_string(content).metadata_props}
    told: dict[str, Any] = files.parse_json(found["jaxgan"])
    return told


def check_installed() -> None:
    """Refuses where onnx or onnxruntime is missing.

    Raises:
        FieldError: naming the command that installs them.
    """
    if find_spec("onnx") is None or find_spec("onnxruntime") is None:
        raise FieldError("out", ".onnx", _MISSING, link=": ")


def _check_weights(weights: Weights) -> None:
    arrays = [np.asarray(each) for each in jax.tree.leaves(jax.device_get(weights))]
    if not all(np.isfinite(each.astype(np.float32)).all() for each in arrays):
        raise FieldError("weights", "they are not finite", "such a generator makes no images")
    if (size := sum(4 * each.size for each in arrays)) > _MOST:
        raise FieldError("out", f"weights of {size:,} bytes", "an ONNX file holds less than 2 GiB; write .safetensors")


def _names(generator: Generator) -> list[str]:
    """Names of the inputs before noise."""
    if generator.shape.condition is not None:
        return ["z", *conditions.named(generator.shape.condition)]
    return ["z", "labels"] if generator.about.classes else ["z"]


def _condition(names: Sequence[str], given: Sequence[jax.Array]) -> Any:
    found = dict(zip(names, given, strict=True))
    return found["labels"] if "labels" in found else conditions.of_names(found)


def _forms(generator: Generator, batch: Any) -> list[jax.ShapeDtypeStruct]:
    z = jax.ShapeDtypeStruct((batch, generator.latent_dim), jnp.dtype(generator.about.latent_dtype))
    if generator.shape.condition is None and not generator.about.classes:
        return [z]
    return [z, *conditions.flat(given_of(generator.shape, batch)).values()]


def _flat(generator: Generator, made: Callable[..., jax.Array]) -> Flat:
    from jax import export

    (batch,) = export.symbolic_shape(BATCH)
    try:
        return flatten(made, _forms(generator, batch))
    except (FieldError, UserCodeError):
        raise
    except (TypeError, ValueError, NotImplementedError, jax.errors.JAXTypeError) as error:
        told = " ".join(str(error).split())[:200]
        raise FieldError("generator", f"it cannot be exported ({told})", "write .safetensors instead", link="; ") from error


def _graph(about: About, flat: Flat, names: Sequence[str]) -> tuple[Graph, dict[str, Any]]:
    """The graph, and its inputs with their shapes and dtypes."""
    every = [*names, *_noise_names(flat)]
    graph = Graph(first="z")
    images = _in_units(graph, translate(graph, flat, every), about)
    graph.add("Identity", images, name="images")
    graph.drop_unused("images")
    return graph, {name: each.aval for name, each in zip(every, flat.inputs, strict=True)}


def _noise_names(flat: Flat) -> list[str]:
    return ["noise"] if len(flat.noise) == 1 else [f"noise_{i}" for i in range(len(flat.noise))]


def _in_units(graph: Graph, x: Value, about: About) -> Value:
    """The nodes of `portable.leaving`: samples in the user's units and dtype."""
    from onnx import helper

    pictures = len(about.shape) == 3 and about.shape[-1] <= 4
    dtype, low, high = about.units or (("uint8", (0.0,), (255.0,)) if pictures else ("float32", (), ()))
    kind = np.dtype(dtype)
    if (dtype, tuple(low), tuple(high)) == ("uint8", (0.0,), (255.0,)):
        x = graph.add("Add", graph.add("Mul", x, np.float32(127.5)), np.float32(127.5))
        x = graph.add("Clip", graph.add("Round", x), np.float32(0), np.float32(255))
        return graph.add("Cast", x, to=helper.np_dtype_to_tensor_dtype(kind))
    x = graph.add("Cast", x, to=helper.np_dtype_to_tensor_dtype(np.dtype(np.float64)))
    if low and (set(low), set(high)) != ({-1.0}, {1.0}):
        least, most = np.asarray(low), np.asarray(high)
        x = graph.add("Mul", graph.add("Add", x, np.float64(1.0)), (most - least) / 2.0)
        x = graph.add("Add", x, least)
    if kind.kind in "iub":
        ends = (0, 1) if kind.kind == "b" else (np.iinfo(kind).min, np.iinfo(kind).max)
        x = graph.add("Clip", graph.add("Round", x), *map(np.float64, ends))
    return graph.add("Cast", x, to=helper.np_dtype_to_tensor_dtype(kind))


def _described(generator: Generator, flat: Flat, names: Sequence[str]) -> dict[str, str]:
    words = {
        "z": f"latents of the recipe's distribution, {generator.about.latent_dtype} [{BATCH}, {generator.latent_dim}]",
        "labels": f"the class of each image as its place in class_names, from 0 to {generator.about.classes - 1}",
    }
    drawn = {"normal": "normal numbers of mean 0 and deviation 1", "uniform": "uniform numbers in [0, 1)"}
    noise = {
        name: f"{drawn[each.kind]}, {list(map(str, each.shape))}"
        for name, each in zip(_noise_names(flat), flat.noise, strict=True)
    }
    return {name: words.get(name, "of each image, as the data have it") for name in names} | noise


def _content(graph: Graph, inputs: dict[str, Any], about: About, header: dict[str, Any], precision: str) -> bytes:
    import onnx
    from onnx import helper, numpy_helper

    nodes, arrays = shrinking.kept_as(graph, precision)
    used = {name for node in nodes for name in node.input}

    def value(name: str, dtype: Any, shape: Sequence[Any]) -> Any:
        sides = [side if isinstance(side, int) else str(side) for side in shape]
        return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), sides)

    known = (about.units or ("uint8" if len(about.shape) == 3 and about.shape[-1] <= 4 else "float32",))[0]
    made = helper.make_graph(
        nodes,
        "generator",
        [value(name, each.dtype, each.shape) for name, each in inputs.items() if name in used],
        [value("images", known, (BATCH, *about.shape))],
        [numpy_helper.from_array(np.ascontiguousarray(array).reshape(array.shape), name) for name, array in arrays.items()],
    )
    model = helper.make_model(
        made, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="jaxgan"
    )
    model.producer_version = versions.of("jaxgan")
    # As a list, since make_model gives the entry of its own version.
    helper.set_model_props(
        model, {"jaxgan": json.dumps(header | {"precision": precision, "versions": _versions()}, sort_keys=True)}
    )
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def _versions() -> dict[str, str]:
    return {name: versions.of(name) for name in ("jaxgan", "jax", "onnx", "onnxruntime")}


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


def _compared(
    content: bytes, generator: Generator, made: Callable[..., jax.Array], names: Sequence[str], flat: Flat, shown: Any
) -> Difference:
    key = jax.random.key(0)
    z = jax.vmap(lambda i: generator.latent(jax.random.fold_in(key, i), (generator.latent_dim,)))(jnp.arange(COMPARED))
    given = [
        z,
        *(
            _examples(form, generator, shown, name)
            for form, name in zip(_forms(generator, COMPARED)[1:], names[1:], strict=True)
        ),
    ]
    images = leaving(np.asarray(jax.jit(made)(key, *given), np.float32), generator.about)
    inputs = {name: np.asarray(each) for name, each in zip(names, given, strict=True)}
    if flat.noise:
        inputs |= dict(zip(_noise_names(flat), values_drawn(made, key, given), strict=True))
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
