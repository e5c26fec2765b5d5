"""A generator as an `.onnx` file: the function (z, labels, noise) -> images, in the user's units, without random draws.

Inputs are `z [B, D]` float32; `labels [B]` int32 where the generator has classes, indices into `class_names`; or
`condition`, `condition/NAME` for each array of a condition; and `noise`, or `noise_0` and so on, where the generator draws
numbers inside, which the file's metadata describes. The output is `images [B, ..]`, in the dtype and units of the data: uint8
`[B, H, W, C]` for pictures. B is any number.
"""

import json
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxgan.core import conditions, gan
from jaxgan.core.types import Weights
from jaxgan.publishing import shrinking
from jaxgan.publishing.comparison import LIMITS, Difference, check_close, compared, forms_of, noise_names
from jaxgan.publishing.flatten import Flat, flatten
from jaxgan.publishing.graph import BATCH, IR_VERSION, OPSET, Graph, Value
from jaxgan.publishing.operators import translate
from jaxgan.recipes import UserCodeError
from jaxgan.system import environment, files, versions
from jaxgan.system.messages import FieldError, not_one_of
from jaxgan.training.sampler import Generator
from jaxgan.weights.portable import About

FORMAT = 1
_MOST = 2**31 - 2**20  # bytes of an ONNX file
_MISSING = "it is written with onnx and compared with onnxruntime: pip install 'jaxgan[onnx]'"


@environment.fixed()
def to_bytes(
    generator: Generator, weights: Weights, about: dict[str, Any], *, precision: str = "float32", shown: Any = None
) -> tuple[bytes, Difference]:
    """Returns the bytes of an `.onnx` file, after onnxruntime's images have been compared with the sampler's.

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
        for name, each in zip(noise_names(flat), flat.noise, strict=True)
    ]
    content = _content(graph, inputs, generator.about, header, precision)
    difference = compared(content, generator, made, names, flat, shown)
    check_close(difference, precision, widened=flat.widened)
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


def _flat(generator: Generator, made: Callable[..., jax.Array]) -> Flat:
    from jax import export

    (batch,) = export.symbolic_shape(BATCH)
    try:
        return flatten(made, forms_of(generator, batch))
    except (FieldError, UserCodeError):
        raise
    except (TypeError, ValueError, NotImplementedError, jax.errors.JAXTypeError) as error:
        told = " ".join(str(error).split())[:200]
        raise FieldError("generator", f"it cannot be exported ({told})", "write .safetensors instead", link="; ") from error


def _graph(about: About, flat: Flat, names: Sequence[str]) -> tuple[Graph, dict[str, Any]]:
    """The graph, and its inputs with their shapes and dtypes."""
    every = [*names, *noise_names(flat)]
    graph = Graph(first="z")
    images = _in_units(graph, translate(graph, flat, every), about)
    graph.add("Identity", images, name="images")
    graph.drop_unused("images")
    return graph, {name: each.aval for name, each in zip(every, flat.inputs, strict=True)}


def _in_units(graph: Graph, x: Value, about: About) -> Value:
    """The nodes of `portable.leaving`: samples in the user's units and dtype."""
    from onnx import helper

    pictures = len(about.shape) == 3 and about.shape[-1] <= 4
    dtype, low, high = (about.units or (("uint8", (0.0,), (255.0,)) if pictures else ("float32", (), ())))[:3]
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
        for name, each in zip(noise_names(flat), flat.noise, strict=True)
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
