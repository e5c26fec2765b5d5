"""How many of Stacked-MNIST's 1,000 modes are found over training, with and without a penalty on D.

    python tests/stacked_mnist_quality.py [--steps 6000] [--width 32] [--seed 0] [--folder DIR] [--picture FILE]

Two runs with the same networks, data and learning rates: RpGAN + R1 + R2, as in the recipe `stacked_mnist`, and a
non-saturating GAN without a penalty. At twelve moments 5,000 samples of each averaged generator are classified; at the end
26,000, PacGAN's protocol. Needs MNIST: `jaxgan data prepare mnist`. Runs that are in the folder already are judged again, not
trained again.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

import jax
import numpy as np
from digits_quality import jaxgan

from jaxgan import pictures
from jaxgan.evaluation import features
from jaxgan.training import runs
from jaxgan.training.checkpoint import saved_steps
from jaxgan.training.generate import drawn, generate

SMALL = 5_000
KINDS = {
    "RpGAN + R1 + R2": [],
    "GAN, no penalty": ["--loss", "non_saturating", "--penalty.name", "none", "--penalty.gamma", "0",
                        "--penalty.final-gamma", "None"],
}  # fmt: skip


def samples(run: Path, step: int, n: int) -> np.ndarray:
    opened = runs.read(run)
    experiment = opened.experiment()
    (weights,), _ = runs.generators(opened, experiment, step=step)
    z = drawn(experiment, 1, np.arange(n))
    return pictures.to_uint8(generate(experiment.one, weights, jax.random.key(1), z, np.zeros(n, np.int32), batch=500))


def draw(found: dict[str, list[tuple[int, float]]], last: dict[str, np.ndarray], batch_size: int, path: Path) -> None:
    """The modes over images shown, and samples of each at the end."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 3.6), dpi=110, layout="constrained")
    axes, *grids = figure.subplots(1, 1 + len(found), width_ratios=[1.5, 1, 1])
    for (name, curve), colour in zip(found.items(), ("#2166ac", "#d6604d"), strict=True):
        steps, modes = zip(*curve, strict=True)
        axes.plot(np.array(steps) * batch_size / 1000, modes, marker="o", ms=3, color=colour, label=name)
    axes.axhline(1000, color="#404040", lw=0.9, ls="--", label="all of them")
    axes.set(title=f"modes among {SMALL:,} samples", xlabel="thousand images shown", ylabel="modes found", ylim=(0, 1050))
    axes.legend(fontsize=8, loc="center right")
    axes.grid(alpha=0.25)
    for panel, (name, images) in zip(grids, last.items(), strict=True):
        panel.imshow(pictures.grid(images[:64], columns=8, scale=2))
        panel.set_title(f"{name}, at the end", fontsize=10)
        panel.axis("off")
    figure.savefig(path)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=6000)
    parser.add_argument("--width", type=int, default=32)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="keep the runs here")
    parser.add_argument("--picture", type=Path, help="draw both runs here, .png")
    arguments = parser.parse_args()
    judge = features.classifier("mnist")
    found: dict[str, list[tuple[int, float]]] = {}
    last: dict[str, np.ndarray] = {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        for name, options in KINDS.items():
            run, every = folder / name.replace(" ", "").replace(",", "-"), max(arguments.steps // 12, 1)
            jaxgan(
                "train", "stacked_mnist", "--run", str(run), "--seed", str(arguments.seed), "--steps", str(arguments.steps),
                "--decay-images", str(arguments.steps * 64), "--generator.width", str(arguments.width),
                "--discriminator.width", str(arguments.width), "--checkpoint-interval", str(every), "--keep-checkpoints", "13",
                "--sample-interval", str(every), *options,
            )  # fmt: skip
            seconds = json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])["seconds"]
            curve = []
            for step in saved_steps(run / "checkpoints"):
                seen = features.stacked_mnist_coverage(images := samples(run, step, SMALL), judge)
                curve.append((step, seen.modes))
                print(f"{name}, step {step}: modes {seen.modes:.0f}  reverse KL {seen.reverse_kl:.3f}  n {SMALL}", flush=True)
            found[name], last[name] = curve, images
            jaxgan("evaluate", str(run))
            values = json.loads((run / "evaluation.json").read_text())["values"]
            told = "  ".join(
                f"{key} {value['mean']:.4g} (perfect sampler {value['floor']:.4g})" for key, value in values.items()
            )
            print(f"{name}, {arguments.steps} steps, {seconds:.0f} s: {told}  n {values['modes']['n']:,}", flush=True)
    if arguments.picture:
        draw(found, last, 64, arguments.picture)
    return 0


if __name__ == "__main__":
    sys.exit(main())
