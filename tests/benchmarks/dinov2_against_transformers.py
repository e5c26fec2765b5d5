"""DINOv2's features and speed against transformers' `Dinov2Model`, and its positions against the authors' interpolation.

By hand, with torch and transformers installed: `python tests/benchmarks/dinov2_against_transformers.py [--sizes B L]`. No
published weights are needed: both sides get the same random ones, in a file with the published names that transformers
writes. `--golden` writes tests/goldens/dinov2_tiny.npz instead.
"""

import argparse
import runpy
import tempfile
import time
from pathlib import Path

import jax
import numpy as np
import torch
from safetensors.numpy import save_file
from transformers import Dinov2Config, Dinov2Model

from jaxgan.evaluation.features import dinov2
from jaxgan.weights import torch_file

TESTS = Path(__file__).parent.parent
by_name = runpy.run_path(str(TESTS / "goldens" / "seedweights.py"))
make, raw = by_name["make"], by_name["raw"]

SIZES = {"B": dinov2.BASE, "L": dinov2.LARGE}
GRID, OFFSET = 37, 0.1


def model(width: int, depth: int, heads: int) -> Dinov2Model:
    config = Dinov2Config(
        hidden_size=width, num_hidden_layers=depth, num_attention_heads=heads, mlp_ratio=4, image_size=518, patch_size=14
    )
    return Dinov2Model(config).eval()


def published(torch_model: Dinov2Model, folder: str) -> dict[str, np.ndarray]:
    """Its tensors under the names in which they are published, not those of this version of transformers."""
    torch_model.save_pretrained(folder)
    return torch_file.read(Path(folder) / "model.safetensors")


def seeded(name: str, shape: tuple[int, ...]) -> np.ndarray:
    if name.startswith("embeddings.") and "projection" not in name:
        return (0.5 * raw(name, shape)).astype(np.float32)
    return make(name, shape)


def hub_positions(positions: np.ndarray, side: int) -> np.ndarray:
    """What the authors' code computes, whose scale is a tenth of a patch more than it is meant to be."""
    patches = torch.from_numpy(positions[1:]).reshape(1, GRID, GRID, -1).permute(0, 3, 1, 2)
    scale = (side + OFFSET) / GRID
    patches = torch.nn.functional.interpolate(patches, scale_factor=(scale, scale), mode="bicubic", antialias=False)
    assert patches.shape[2:] == (side, side)
    return np.concatenate([positions[:1], patches.permute(0, 2, 3, 1).reshape(side**2, -1).numpy()])


def class_token(torch_model: Dinov2Model, images: np.ndarray) -> np.ndarray:
    with torch.inference_mode():
        return torch_model(torch.from_numpy(images)).last_hidden_state[:, 0].numpy()


def error(found: np.ndarray, expected: np.ndarray) -> float:
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def golden() -> None:
    with tempfile.TemporaryDirectory() as folder:
        shapes = {name: x.shape for name, x in published(model(32, 2, 4), folder).items()}

        def filled(embeddings: float) -> Dinov2Model:
            factors = {name: np.float32(embeddings if name.startswith("embeddings.") else 1) for name in shapes}
            tensors = {name: factors[name] * seeded(name, shape) for name, shape in shapes.items()}
            save_file(tensors, Path(folder) / "model.safetensors", {"format": "pt"})
            return Dinov2Model.from_pretrained(folder).eval()

        torch_model, faint = filled(1.0), filled(1e-3)
    kept = {"names": np.array(list(shapes)), "shapes": np.array([" ".join(map(str, shape)) for shape in shapes.values()])}
    for side, count in ((7, 3), (16, 2), (37, 1)):
        images = raw(f"images_{side}", (count, 3, 14 * side, 14 * side)).astype(np.float32)
        kept[f"features_{side}"] = class_token(torch_model, images)
        if side == 7:
            kept["features_faint"] = class_token(faint, images)
    positions = raw("positions", (1 + GRID**2, 4)).astype(np.float32)
    kept |= {f"hub_{side}": hub_positions(positions, side) for side in (7, 16, 40)}
    np.savez_compressed(TESTS / "goldens" / "dinov2_tiny.npz", **kept)


def compare(size: str, batch: int, rounds: int) -> None:
    ours = SIZES[size]
    torch.manual_seed(0)
    torch_model = model(ours.width, ours.depth, ours.heads)
    with torch.no_grad():
        for name, x in torch_model.named_parameters():  # far from trivial, so that each of them matters
            deviation = 1 / np.sqrt(np.prod(x.shape[1:])) if x.ndim > 1 and "embeddings." not in name else 0.3
            x.normal_(0, deviation).add_(1.0 if x.ndim == 1 and not name.endswith("bias") else 0.0)
    with tempfile.TemporaryDirectory() as folder:
        tensors = published(torch_model, folder)
    params = jax.tree.map(jax.numpy.asarray, dinov2.from_torch(tensors, ours, offset=0.0))
    images = np.random.default_rng(0).standard_normal((batch, 3, 224, 224)).astype(np.float32)
    apply = jax.jit(lambda params, x: ours.apply({"params": params}, x))
    x = jax.numpy.asarray(images.transpose(0, 2, 3, 1))
    start = time.perf_counter()
    found = np.asarray(apply(params, x))
    first = time.perf_counter() - start
    expected = class_token(torch_model, images)
    print(f"ViT-{size}/14, features of {batch} images: error {error(found, expected):.1e} of their greatest")
    positions = tensors["embeddings.position_embeddings"][0]
    of_hub = error(dinov2.interpolate(positions, 16), hub_positions(positions, 16))
    print(f"ViT-{size}/14, positions for 16 x 16 patches as the authors' code has them: error {of_hub:.1e}")
    times: dict[str, list[float]] = {"jaxgan": [], "transformers": []}
    for _ in range(rounds):  # in turns, so that both see the same machine
        for name, run in (("jaxgan", lambda: apply(params, x)), ("transformers", lambda: class_token(torch_model, images))):
            start = time.perf_counter()
            jax.block_until_ready(run())
            times[name].append(time.perf_counter() - start)
    speeds = ", ".join(f"{name} {batch / np.median(each):.2f}" for name, each in times.items())
    print(f"ViT-{size}/14, images/s in batches of {batch}: {speeds}; jaxgan's first call took {first:.1f} s")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--golden", action="store_true")
    parser.add_argument("--sizes", nargs="*", default=["B", "L"], choices=[*SIZES])
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    if given.golden:
        golden()
    else:
        for each in given.sizes:
            compare(each, given.batch, given.rounds)
