"""R1 and R2 from finite differences beside the exact ones: modes, quality and time, in runs of equal length.

    python tests/benchmarks/approximate_penalties.py [ring] [grid] [digits] [--steps 5000] [--seeds 10] [--folder DIR]
    python tests/benchmarks/approximate_penalties.py --step [mnist] [signals] [r3gan_small ..] [--rounds 8]

Each recipe is trained twice for so many steps, with `r1_r2` and with `r1_r2_approximate` and nothing else changed, mixtures
with so many seeds in one program, digits with one seed; `jaxgan evaluate` measures the averaged generators. `--step` measures
the steps alone, turn by turn in one process: milliseconds, their ratio, and the memory that XLA's plan of a step takes besides
its arguments. Prints Markdown tables.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from statistics import median

PENALTIES = ("r1_r2", "r1_r2_approximate")


def jaxgan(*words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "jaxgan", *words], check=True, stdout=subprocess.PIPE, text=True, timeout=7_200
    )
    return done.stdout


def steps(name: str, rounds: int) -> str:
    """A row of the table of steps: of one GAN of a recipe, with each penalty in turn."""
    import jax
    import jax.numpy as jnp

    from jaxgan.commands.plan import data_shape
    from jaxgan.recipes import preset
    from jaxgan.training.dataset import given_of
    from jaxgan.training.experiment import build

    recipe = preset(name)
    shape, _ = data_shape(recipe)
    programs, states, memory = [], [], []
    for penalty in PENALTIES:
        of = replace(recipe, seeds=1, penalty=replace(recipe.penalty, name=penalty, gammas=()))
        experiment = build(of, shape=shape)
        image = jax.random.uniform(jax.random.key(0), (experiment.rows, *shape.sample), jnp.float32, -1.0, 1.0)
        given = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), given_of(shape, experiment.rows))
        batch = {"image": image, "label" if shape.condition is None else "condition": given}
        state = jax.jit(experiment.one.init)(jax.random.key(0))
        compiled = jax.jit(experiment.one.step).lower(state, batch, jax.random.key(0)).compile()
        memory.append(compiled.memory_analysis().temp_size_in_bytes / 2**20)
        programs.append(lambda s, run=compiled, batch=batch: run(s, batch, jax.random.key(0))[0])
        states.append(programs[-1](state))
    times: list[list[float]] = [[], []]
    for _ in range(rounds):
        for i, program in enumerate(programs):
            jax.block_until_ready(states[i])
            began, count = time.perf_counter(), 0
            while count < 2 or time.perf_counter() - began < 0.5:
                states[i] = jax.block_until_ready(program(states[i]))
                count += 1
            times[i].append((time.perf_counter() - began) / count)
    exact, approximate = (1e3 * median(each) for each in times)
    ratio = median(a / b for a, b in zip(*times, strict=True))
    return f"| {name} | {exact:.2f} | {approximate:.2f} | {ratio:.2f} | {memory[0]:.1f} | {memory[1]:.1f} |"


def told(value: dict[str, object]) -> str:
    if value["mean"] is None:
        return "not finite"
    error = value["standard_error"]
    return f"{value['mean']:.4g}" + (f" ± {error:.2g}" if error else "")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--step", action="store_true", help="measure the steps alone")
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--steps", type=int, default=5_000)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--folder", type=Path, help="keep the runs here")
    arguments = parser.parse_args()
    if arguments.step:
        print("| recipe | exact, ms | approximate, ms | exact over approximate | exact, MiB | approximate, MiB |")
        print("|---|---|---|---|---|---|")
        for name in arguments.names or ["ring", "digits", "mnist", "signals"]:
            print(steps(name, arguments.rounds), flush=True)
        return 0
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        for name in arguments.names or ["ring", "grid", "digits"]:
            seeds = [] if name == "digits" else ["--seeds", str(arguments.seeds)]
            shown: tuple[str, ...] = ()
            for penalty in PENALTIES:
                run = folder / f"{name}-{penalty}"
                options = ["--steps", str(arguments.steps), "--penalty.name", penalty, *seeds]
                jaxgan("train", name, "--run", str(run), *options)
                jaxgan("evaluate", str(run))
                values = json.loads((run / "evaluation.json").read_text())["values"]
                if not shown:
                    shown = tuple(values)
                    print(f"\n| {name}, {arguments.steps:,} steps | {' | '.join(shown)} |")
                    print("|---" * (len(shown) + 1) + "|")
                figures = " | ".join(told(values[figure]) for figure in shown)
                print(f"| {penalty} | {figures} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
