"""Counts the modes of Stacked-MNIST that the recipe `stacked_mnist` finds: a row, and on request a curve, for each seed.

    python tests/stacked_mnist_quality.py [--seeds 0 1 2] [--folder DIR] [--picture FILE]

For each seed: `jaxgan train stacked_mnist --seed S` and `jaxgan evaluate`, 26,000 samples, PacGAN's protocol. With `--picture`,
10,000 samples of each averaged generator are classified at some twenty moments as well, and a non-saturating GAN without a
penalty is trained for 6,000 steps beside them. Time is of training alone, as the run's log has it. An unfinished run in the
folder is resumed, and a finished one is only measured again. Exits with 1 when, on any seed, a mode is missed or the reverse KL
exceeds 0.06. Needs MNIST: `jaxgan data prepare mnist`.
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
from jaxgan.recipes import preset
from jaxgan.training import runs
from jaxgan.training.checkpoint import saved_steps
from jaxgan.training.generate import drawn, generate

LOOK = 10_000  # samples of a point of a curve
MODES, LARGEST = 1_000, 0.06
WITHOUT = ["--loss", "non_saturating", "--penalty.name", "none", "--penalty.gamma", "0", "--penalty.final-gamma", "None"]
SHORT = 6_000  # steps of the run without a penalty, whose modes are soon lost
Curve = list[tuple[float, float, float]]  # thousand images shown, modes, reverse KL


def samples(run: Path, step: int, n: int) -> np.ndarray:
    opened = runs.read(run)
    experiment = opened.experiment()
    (weights,), _ = runs.generators(opened, experiment, step=step)
    z = drawn(experiment, 1, np.arange(n))
    return pictures.to_uint8(generate(experiment.one, weights, jax.random.key(1), z, np.zeros(n, np.int32), batch=500))


def trained(run: Path, seed: int, steps: int, options: list[str]) -> float:
    """Trains or resumes a run that keeps its state at some twenty moments; returns the seconds of training."""
    every = ["--checkpoint-interval", str(steps // 20), "--keep-checkpoints", "21", "--sample-interval", str(steps // 20)]
    jaxgan(
        "train", "stacked_mnist", "--run", str(run), "--seed", str(seed), "--steps", str(steps), "--decay-images",
        str(steps * 64), *every, *options,
    )  # fmt: skip
    return float(json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])["seconds"])


def curve(run: Path, judge: features.Classifier) -> tuple[Curve, np.ndarray]:
    """Returns modes and reverse KL at each checkpoint of a run, and the samples of the last one."""
    found: Curve = []
    for step in saved_steps(run / "checkpoints"):
        seen = features.stacked_mnist_coverage(images := samples(run, step, LOOK), judge)
        found.append((step * 64 / 1000, seen.modes, seen.reverse_kl))
        print(f"{run.name}, step {step}: modes {seen.modes:.0f}  reverse KL {seen.reverse_kl:.3f}  n {LOOK}", flush=True)
    return found, images


def draw(curves: dict[str, Curve], images: dict[str, np.ndarray], path: Path) -> None:
    """The modes and the reverse KL over images shown, and samples of the first seed and of the GAN without a penalty."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 3.6), dpi=100, layout="constrained")
    modes, divergence, *grids = figure.subplots(1, 2 + len(images), width_ratios=[1.4, 1.4, *[1] * len(images)])
    for i, (name, points) in enumerate(curves.items()):
        shown, found, kl = np.array(points).T
        colour = "#d6604d" if name == "no penalty" else ("#2166ac", "#67a9cf", "#1b7837", "#762a83")[i % 4]
        modes.plot(shown, found, marker="o", ms=3, color=colour, label=name)
        divergence.plot(shown, kl, marker="o", ms=3, color=colour, label=name)
    modes.axhline(MODES, color="#404040", lw=0.9, ls="--", label="all of them")
    floor = (MODES - 1) / (2 * LOOK)
    divergence.axhline(floor, color="#404040", lw=0.9, ls="--", label=f"perfect sampler, {floor:.2f}")
    divergence.set(yscale="log", title=f"reverse KL of {LOOK:,} samples", xlabel="thousand images shown", ylabel="nats")
    modes.set(title=f"modes among {LOOK:,} samples", xlabel="thousand images shown", ylabel="modes found", ylim=(0, 1050))
    for axes in (modes, divergence):
        axes.legend(fontsize=8, loc="center right")
        axes.grid(alpha=0.25)
    for panel, (name, last) in zip(grids, images.items(), strict=True):
        panel.imshow(pictures.grid(last[:64], columns=8, scale=2))
        panel.set_title(f"{name}, at the end", fontsize=10)
        panel.axis("off")
    figure.savefig(path)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--folder", type=Path, help="keep the runs here")
    parser.add_argument("--picture", type=Path, help="draw the curves here, .png")
    arguments = parser.parse_args()
    judge, steps = features.classifier("mnist"), preset("stacked_mnist").steps
    curves: dict[str, Curve] = {}
    images: dict[str, np.ndarray] = {}
    good = True
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        print("| stacked_mnist | modes | reverse KL | time |\n| --- | --- | --- | --- |", flush=True)
        for seed in arguments.seeds:
            run = folder / f"stacked_mnist-{seed}"
            seconds = trained(run, seed, steps, [])
            jaxgan("evaluate", str(run))
            values = json.loads((run / "evaluation.json").read_text())["values"]
            found, kl = values["modes"]["mean"], values["reverse_kl"]["mean"]
            good &= found >= MODES and kl <= LARGEST
            print(f"| seed {seed} | {found:.0f} | {kl:.3f} | {seconds:.0f} s |", flush=True)
        print(f"| perfect sampler | {values['modes']['floor']:.0f} | {values['reverse_kl']['floor']:.3f} | |", flush=True)
        if arguments.picture:
            for seed in arguments.seeds:
                curves[f"seed {seed}"], last = curve(folder / f"stacked_mnist-{seed}", judge)
                images.setdefault("RpGAN + R1 + R2", last)
            trained(folder / "no-penalty", arguments.seeds[0], SHORT, WITHOUT)
            curves["no penalty"], images["no penalty"] = curve(folder / "no-penalty", judge)
            draw(curves, images, arguments.picture)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
