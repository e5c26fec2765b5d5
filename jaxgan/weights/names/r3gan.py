"""Names and layouts of R3GAN in PyTorch's state dicts."""

import re
from typing import Any

import numpy as np

from jaxgan.core.types import PyTree
from jaxgan.nets import r3gan
from jaxgan.nets.r3gan import FILTER, Discriminator, Generator
from jaxgan.system.messages import FieldError
from jaxgan.weights.foreign import Arrays, Tensor, adopt, convolution, linear


def from_torch(tensors: Arrays) -> tuple[Generator | Discriminator, PyTree, PyTree]:
    """G or D with the weights of a PyTorch state dict of R3GAN.

    Args:
        tensors: by PyTorch name, `Model.MainLayers.0.Layers.0.Basis` and so on, in PyTorch's layouts.

    Returns:
        `(module, params, stats)`; the module computes in full precision, `bfloat16_levels = 0`, which no tensor tells.

    Raises:
        ValueError: one line that says what keeps these from being an R3GAN's, or names all that are missing, surplus,
            misshaped, not finite or of another filter.
    """
    module = module_of(tensors)
    inputs = (np.shape(tensors.get(_G_LINEAR, 0.0)) or (64,))[-1]
    latent_dim = inputs - module.embedding if isinstance(module, Generator) and module.classes else inputs
    if isinstance(module, Generator) and latent_dim < 1:
        raise FieldError("tensors", f"{_G_LINEAR} takes {inputs} numbers", f"{module.embedding} of them are of the class")
    return module, *adopt(tensors, torch_layout(module, latent_dim=latent_dim))


def module_of(tensors: Arrays) -> Generator | Discriminator:
    """The network that such tensors belong to, by their names and shapes.

    Raises:
        ValueError: when they are not those of an R3GAN.
    """
    shapes = {name: np.shape(x) for name, x in tensors.items()}
    parts = {name: _IN_BLOCK.fullmatch(name) for name in shapes}
    places = {(int(part["stage"]), int(part["block"])) for part in parts.values() if part}
    stages = sorted({stage for stage, _ in places})

    def first(stage: int, layer: str) -> tuple[int, ...]:
        """The shape of a kernel of the first block of a stage that has it."""
        found = (shapes[name] for name, part in parts.items() if part and (int(part["stage"]), part["layer"]) == (stage, layer))
        return next((shape for shape in found if len(shape) == 4 and min(shape) > 0), ())

    widen, grouped = ([first(stage, layer) for stage in stages] for layer in ("LinearLayer1", "LinearLayer2"))
    if not stages or stages != list(range(len(stages))) or not all([*widen, *grouped]):
        told = f"{len(places)} residual blocks in stages {', '.join(map(str, stages)) or 'none'}"
        raise FieldError("tensors", told, "an R3GAN has blocks in every stage, of three kernels")
    counts = [sum(stage == place[0] for place in places) for stage in stages]
    label = shapes.get("Model.EmbeddingLayer.weight", ())
    length, classes = label if len(label) == 2 else (None, 0)
    # Any one of these may be what is missing.
    generator = bool({"Model.AggregationLayer.Layer.weight", "Model.MainLayers.0.Layers.0.Basis", _G_LINEAR} & shapes.keys())
    images = shapes.get(f"Model.{'Aggregation' if generator else 'Extraction'}Layer.Layer.weight", ())
    order = slice(None) if generator else slice(None, None, -1)  # ours is from 4x4 up
    fields: dict[str, Any] = {
        "widths": tuple(shape[1] for shape in widen)[order],
        "groups": tuple(shape[0] // shape[1] for shape in grouped)[order],
        "blocks": counts[0] if len(set(counts)) == 1 else tuple(counts)[order],
        "expansion": widen[0][0] // widen[0][1],
        "channels": images[0 if generator else 1] if len(images) == 4 else 3,
        "classes": classes,
    }
    if length is not None and (generator or length != fields["widths"][0]):
        fields["embedding"] = length
    return Generator(**fields) if generator else Discriminator(**fields)


def torch_layout(module: Generator | Discriminator, *, latent_dim: int = 64) -> dict[str, Tensor]:
    """Every tensor of the state dict that R3GAN has for this network, by PyTorch's name, and where it goes here."""
    generator, width = isinstance(module, Generator), module.widths[0]
    length = width if module.embedding is None else module.embedding
    layout: dict[str, Tensor] = {}

    def one_by_one(name: str, inputs: int, outputs: int, *path: str) -> None:
        layout[f"{name}.weight"] = Tensor((outputs, inputs, 1, 1), ("params", *path, "kernel"), _pointwise)

    last = len(module.widths) - 1
    for k, (features, groups, blocks) in enumerate(zip(module.widths, module.groups, r3gan.blocks_of(module), strict=True)):
        stage = f"Model.MainLayers.{k if generator else last - k}.Layers"
        for i in range(blocks):
            name, path, wide = f"{stage}.{i + generator}", f"block_{k}_{i}", module.expansion * features
            one_by_one(f"{name}.LinearLayer1.Layer", features, wide, path, "widen")
            kernel = Tensor((wide, wide // groups, 3, 3), ("params", path, "grouped"), convolution)
            layout[f"{name}.LinearLayer2.Layer.weight"] = kernel
            one_by_one(f"{name}.LinearLayer3.Layer", wide, features, path, "narrow")
            for bias in (1, 2):
                layout[f"{name}.NonLinearity{bias}.Bias"] = Tensor((wide,), ("params", path, f"bias_{bias}"))
        end = f"{stage}.{0 if generator else blocks}"
        if k > 0:
            layout[f"{end}.Resampler.Kernel"] = Tensor((4, 4), fixed=np.outer(FILTER, FILTER), optional=True)
            inner = module.widths[k - 1]
            if inner != features:
                inputs, outputs = (inner, features) if generator else (features, inner)
                one_by_one(f"{end}.LinearLayer.Layer", inputs, outputs, f"change_{k}")
            continue
        inputs, outputs = (latent_dim, width) if generator else (width, length if module.classes else 1)
        if generator:
            layout[f"{end}.Basis"] = Tensor((width, 4, 4), ("params", "basis"), _channels_last)
            inputs += length if module.classes else 0
        else:
            layout[f"{end}.Basis.weight"] = Tensor((width, 1, 4, 4), ("params", "basis"), _maps)
        layout[f"{end}.LinearLayer.weight"] = Tensor((outputs, inputs), ("params", "linear", "kernel"), linear)
    if generator:
        one_by_one("Model.AggregationLayer.Layer", module.widths[-1], module.channels, "to_image")
    else:
        one_by_one("Model.ExtractionLayer.Layer", module.channels, module.widths[-1], "from_image")
    if module.classes:
        layout["Model.EmbeddingLayer.weight"] = Tensor((length, module.classes), ("params", "label"), linear)
    return layout


_G_LINEAR = "Model.MainLayers.0.Layers.0.LinearLayer.weight"
_IN_BLOCK = re.compile(
    r"Model\.MainLayers\.(?P<stage>\d+)\.Layers\.(?P<block>\d+)\."
    r"(?P<layer>LinearLayer[123]|NonLinearity[12])\.(Layer\.weight|Bias)"
)


def _pointwise(x: np.ndarray) -> np.ndarray:
    return x[:, :, 0, 0].T


def _channels_last(x: np.ndarray) -> np.ndarray:
    return x.transpose(1, 2, 0)


def _maps(x: np.ndarray) -> np.ndarray:
    return _channels_last(x[:, 0])
