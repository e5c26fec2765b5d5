"""FID's Inception beside torch-fidelity's on the same weights: the same features, the same FID, and how long an image takes.

    python tests/benchmarks/inception_speed.py [--batch 4 8 16 64] [--rounds 5] [--images 64]

Images of 32 pixels, bytes, enlarged as TensorFlow 1 does it; weights drawn from their names. First both give the features of
two sets of smooth random images: they may differ by 1e-4 of the largest, and the Frechet distance between the sets by 1e-3 of
it, or this stops. Then the two, each a process of its own, take turns, and each pair of turns is a round with a ratio of its
own: torch-fidelity's time over jaxgan's, above 1 where jaxgan is faster. A round counts only when both sides had their cores:
CPU over wall seconds at least 0.75 of the threads; where none counts, the row shows all of them. Prints rows of a Markdown
table, milliseconds an image; needs PyTorch and torch-fidelity beside jaxgan.
"""

import argparse
import importlib
import json
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from unittest.mock import MagicMock

import numpy as np
from step_time import Side
from turns import Task, serve

sys.path.insert(0, str(Path(__file__).parent.parent))

from goldens.seedweights import make

BUSY = 0.75  # of its threads a side must have had
SECONDS = 3.0  # of a turn, about


def weights() -> dict[str, np.ndarray]:
    from jaxgan.evaluation.features.inception import torch_layout

    return {name: np.asarray(make(name, tensor.shape)) for name, tensor in torch_layout().items()}


def smooth_images(seed: int, count: int) -> np.ndarray:
    """Random colours at 5 times 5 places and all shades between them, `[count, 32, 32, 3]`."""
    corners = np.random.default_rng(seed).uniform(0.0, 255.0, (count, 5, 5, 3))
    places, size = np.linspace(0.0, 4.0, 32), 5
    between = np.maximum(1.0 - np.abs(places[:, None] - np.arange(size)[None, :]), 0.0)
    return np.einsum("yi,bijc,xj->byxc", between, corners, between, optimize=True).astype(np.uint8)


def ours() -> Callable[[np.ndarray], np.ndarray]:
    import jax

    from jaxgan.evaluation.features import inception, resize

    params = jax.device_put(inception.from_torch(weights()))
    run = jax.jit(lambda params, images: inception.apply(params, resize.tf1(images))["2048"])
    return lambda images: np.asarray(run(params, images))


def theirs() -> Callable[[np.ndarray], np.ndarray]:
    import torch

    try:
        importlib.import_module("torchvision")
    except (ImportError, RuntimeError):  # torch-fidelity imports it for its data sets and other networks
        for name in ("", ".datasets", ".transforms", ".transforms.functional"):
            sys.modules["torchvision" + name] = MagicMock()
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    with tempfile.NamedTemporaryFile(suffix=".pth") as file:
        torch.save({name: torch.from_numpy(x) for name, x in weights().items()}, file.name)
        network = FeatureExtractorInceptionV3("inception", ["2048"], feature_extractor_weights_path=file.name, verbose=False)

    def run(images: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return network(torch.from_numpy(images.transpose(0, 3, 1, 2).copy()))[0].numpy()

    return run


def side(settings: dict) -> None:
    """One of the two processes."""
    run = {"ours": ours, "theirs": theirs}[settings["side"]]()
    sets = [smooth_images(seed, settings["images"]) for seed in (1, 2)]
    size = max(settings["batch"])
    found = [np.concatenate([run(images[i : i + size]) for i in range(0, len(images), size)]) for images in sets]
    np.save(settings["features"], np.stack(found))

    def task(batch: int) -> Task:
        images = smooth_images(0, batch)

        def repeat(times: int) -> None:
            for _ in range(times):
                run(images)

        return Task(repeat, lambda: None)

    serve({}, {str(batch): task(batch) for batch in settings["batch"]})


def compare(features: list[np.ndarray]) -> None:
    from jaxgan.evaluation.metrics.frechet import frechet_distance
    from jaxgan.evaluation.metrics.moments import moments

    difference = np.abs(features[0] - features[1]).max() / np.abs(features[1]).max()
    ours, theirs = (frechet_distance(moments(a.astype(np.float64)), moments(b.astype(np.float64))) for a, b in features)
    print(
        f"features: {difference:.1e} of the largest apart; FID: {ours:.8g} and {theirs:.8g}, {abs(ours / theirs - 1):.1e} apart"
    )
    assert difference < 1e-4
    assert abs(ours / theirs - 1) < 1e-3


def measure(sides: dict[str, Side], batch: int, rounds: int) -> None:
    threads = len(os.sched_getaffinity(0))
    count = max(1, round(SECONDS / sides["theirs"].turn(str(batch), 1)["wall"]))
    pairs = [{name: process.turn(str(batch), count) for name, process in sides.items()} for _ in range(rounds)]
    fair = [pair for pair in pairs if all(each["cpu"] >= BUSY * threads * each["wall"] for each in pair.values())]
    told = {name: 1e3 * median(pair[name]["wall"] for pair in fair or pairs) / batch for name in sides}
    busy = {name: median(pair[name]["cpu"] / pair[name]["wall"] for pair in fair or pairs) for name in sides}
    wall, cpu = (median(pair["theirs"][what] / pair["ours"][what] for pair in fair or pairs) for what in ("wall", "cpu"))
    row = (
        batch,
        *(f"{told[name]:.1f} ({busy[name]:.2f})" for name in sides),
        f"{wall:.2f}",
        f"{cpu:.2f}",
        f"{len(fair)} of {rounds}",
    )
    print("|", " | ".join(map(str, row)), "|", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--batch", type=int, nargs="+", default=[4, 8, 16, 64])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--images", type=int, default=64)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        files = {name: f"{folder}/{name}.npy" for name in ("ours", "theirs")}
        common = {"device": "cpu", "batch": arguments.batch, "images": arguments.images}
        sides = {name: Side(Path(__file__).name, {**common, "side": name, "features": file}) for name, file in files.items()}
        compare([np.load(file) for file in files.values()])
        print(
            "| batch | jaxgan (CPU/wall) | torch-fidelity (CPU/wall) | ratio | ratio of CPU time | rounds |\n"
            + "|---" * 6
            + "|"
        )
        for batch in arguments.batch:
            measure(sides, batch, arguments.rounds)
        for process in sides.values():
            process.end()


if __name__ == "__main__":
    if sys.argv[1:2] and sys.argv[1].startswith("{"):
        side(json.loads(sys.argv[1]))
    else:
        main()
