"""Trains recipes of small images and measures them: a row of figures for each seed, beside those of real images.

    python tests/images_quality.py [mnist fashion_mnist ..] [--seeds 0 1 2] [--folder DIR]

For each seed: `jaxgan train NAME --seed S` and `jaxgan evaluate`, 10,000 images against all training images by the own
classifier's features. Label right: the share of 10,000 samples (`jaxgan sample --seed 1`) in which the 3 nearest of the first
20,000 training images, by pixels, have the label asked for; real: of the 10,000 test images. Time is of training alone,
wall and CPU of its process, started in this run of the script. A run that is in the folder resumes, or is measured again.
Exits with 1 when a figure misses its target on any seed. Needs the data: `jaxgan data prepare NAME`.
"""

import argparse
import json
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import tensorflow_datasets as tfds
from digits_quality import jaxgan
from sklearn.neighbors import KNeighborsClassifier

TARGETS = {
    "mnist": {"fid": 1.2, "coverage": 0.88, "label right": 0.995},  # of labels: of the share that is right on real images
    "fashion_mnist": {"fid": 3.0, "coverage": 0.82, "label right": 0.984},
}
FIGURES = ("fid", "kid", "precision", "recall", "coverage")


def arrays(name: str, split: str, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the first images of a split, as vectors, and their labels."""
    source = tfds.data_source(name, split=split, download=False)
    rows = [source[i] for i in range(count)]
    return np.stack([row["image"].reshape(-1) for row in rows]), np.array([row["label"] for row in rows])


def row(name: str, values: dict[str, float]) -> str:
    return f"| {name} | " + " | ".join(f"{value:.4g}" for value in values.values()) + " |"


def right(figure: str, value: float, target: float) -> bool:
    return value <= target if figure == "fid" else value >= target


def measured(name: str, seed: int, folder: Path, judge: KNeighborsClassifier) -> tuple[dict[str, float], dict[str, float], str]:
    """Trains and measures one seed; returns its figures, those of real images, and the time that training took."""
    run, file = folder / f"{name}-{seed}", folder / f"{name}-{seed}.npz"
    wall, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    jaxgan("train", name, "--seed", str(seed), "--run", str(run))
    wall, after = time.perf_counter() - wall, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    jaxgan("evaluate", str(run))
    jaxgan("sample", str(run), "--n", "10000", "--seed", "1", "--out", str(file))
    found = json.loads((run / "evaluation.json").read_text())["values"]
    with np.load(file) as drawn:
        correct = float(np.mean(judge.predict(drawn["images"].reshape(10_000, -1)) == drawn["labels"]))
    figures = {figure: found[figure]["mean"] for figure in FIGURES} | {"label right": correct}
    floors = {figure: found[figure]["floor"] for figure in FIGURES}
    return figures, floors, f"{wall:.0f} s, {cpu:.0f} s of CPU"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=list(TARGETS), help="recipes")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--folder", type=Path, help="keep the runs here")
    arguments = parser.parse_args()
    if unknown := [name for name in arguments.names if name not in TARGETS]:
        parser.error(f"names: {unknown[0]!r} is not one of {', '.join(TARGETS)}")
    good = True
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        for name in arguments.names:
            judge = KNeighborsClassifier(3).fit(*arrays(name, "train", 20_000))
            real = float(judge.score(*arrays(name, "test", 10_000)))
            columns = (name, *FIGURES, "label right", "time")
            print(f"\n| {' | '.join(columns)} |\n{'| --- ' * len(columns)}|", flush=True)
            for seed in arguments.seeds:
                figures, floors, told = measured(name, seed, folder, judge)
                of_real = figures | {"label right": figures["label right"] / real}
                missed = [key for key, least in TARGETS[name].items() if not right(key, of_real[key], least)]
                good &= not missed
                print(f"{row(f'seed {seed}', figures)} {told}{', missed: ' if missed else ''}{', '.join(missed)} |", flush=True)
            print(f"{row('real', floors | {'label right': real})} |", flush=True)
            print("targets: " + ", ".join(f"{key} {least}" for key, least in TARGETS[name].items()) + " of real", flush=True)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
