"""Names and layouts of a DCGAN of PyTorch's examples in PyTorch's state dicts."""

import itertools
import re

import numpy as np

from jaxgan.core.types import PyTree
from jaxgan.nets.dcgan import PLANS, Discriminator, Generator, Plan
from jaxgan.system.messages import FieldError
from jaxgan.weights.foreign import Arrays, Tensor, adopt, convolution


def from_torch(tensors: Arrays) -> tuple[Generator | Discriminator, PyTree, PyTree]:
    """G or D with the weights of a DCGAN of PyTorch's examples, of any width.

    Args:
        tensors: by PyTorch name, `main.0.weight` and so on, in PyTorch's layouts: convolution (O, I, KH, KW), transposed
            convolution (I, O, KH, KW). G is told from D by its normalisation of the first layer.

    Returns:
        `(module, params, stats)`; unconditional, `norm="batch"`.

    Raises:
        ValueError: one line that names all tensors that are missing, surplus, misshaped or not finite.
    """
    module = module_of(tensors)
    layout = torch_layout(module, latent_dim=int(np.shape(tensors["main.0.weight"])[0]))
    return module, *adopt(tensors, layout)


def module_of(tensors: Arrays) -> Generator | Discriminator:
    """The network that such tensors belong to, by their names and shapes.

    Raises:
        ValueError: when they are not those of a DCGAN.
    """
    kernels = {name: np.shape(x) for name, x in tensors.items() if re.fullmatch(r"main\.\d+\.weight", name) and np.ndim(x) == 4}
    first, stages = kernels.get("main.0.weight"), len(kernels) - 1
    size = next((size for size, plan in PLANS.items() if plan == Plan(4, stages, 0)), None)
    if first is None or size is None:
        told = f"{len(kernels)} convolutions" if kernels else "none"
        raise FieldError("tensors", told, "a DCGAN of PyTorch's examples has main.0.weight and 4 or 5 convolutions in all")
    if "main.1.weight" in tensors:
        last = kernels[max(kernels, key=lambda name: int(name.split(".")[1]))]
        return Generator(size, last[1], first[1] // 2 ** (stages - 1))
    return Discriminator(size, first[1], first[0])


def torch_layout(module: Generator | Discriminator, *, latent_dim: int = 100) -> dict[str, Tensor]:
    """Every tensor of the state dict that PyTorch's example has for this network, by name, and where it goes here."""
    stages, generator = PLANS[module.image_size].stages, isinstance(module, Generator)
    hidden = [module.width * 2**i for i in range(stages)]
    features = [latent_dim, *hidden[::-1], module.channels] if generator else [module.channels, *hidden, 1]
    layout = {}
    for i, (ins, outs) in enumerate(itertools.pairwise(features)):
        index, last = 3 * i if generator or i == 0 else 3 * i - 1, i == stages
        layer = f"up_{i}" if generator else "logit" if last else f"down_{i}"
        shape, convert = ((ins, outs, 4, 4), _transposed) if generator else ((outs, ins, 4, 4), _flat if last else convolution)
        layout[f"main.{index}.weight"] = Tensor(shape, ("params", layer, "kernel"), convert)
        if last or not (generator or i > 0):
            continue
        for name, place in _NORM.items():
            layout[f"main.{index + 1}.{name}"] = Tensor((outs,), (place[0], f"norm_{i}", place[1]))
        layout[f"main.{index + 1}.num_batches_tracked"] = Tensor((), optional=True)
    return layout


_NORM = {
    "weight": ("params", "scale"),
    "bias": ("params", "bias"),
    "running_mean": ("batch_stats", "mean"),
    "running_var": ("batch_stats", "var"),
}


def _transposed(x: np.ndarray) -> np.ndarray:
    return x.transpose(2, 3, 0, 1)


def _flat(x: np.ndarray) -> np.ndarray:
    return convolution(x).reshape(-1, x.shape[0])
