"""Is the verdict right? Trains good runs and runs made to fail, measures their states, and compares what is said of them.

    python tests/verdict_quality.py [tuning] [unseen] [--folder DIR] [--cases TEXT]

Prints a confusion table for each set of `verdict_cases.py`: rows are true states, columns the last words of the verdict.
The true state is the one that a case was made for where `verdict_truth.py`, which knows nothing of the verdict, measures that
state too; otherwise it is the state measured. A GAN may be in two states, such as a D that overfits and wins: a word that
names the other one is right too, and told apart. A good run
that was called collapsed at any time counts as slandered. Exits with 1 when fewer than nine in ten are right in a set, or a
good run was slandered. Runs that are in the folder are measured and judged again, not trained again.
"""

import argparse
import contextlib
import json
import os
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

# Before the first of several runs in one process: the seeds of each are divided among two cores.
os.environ.setdefault("XLA_FLAGS", "--xla_force_host_platform_device_count=2")

from verdict_cases import STATES, WORDS_OF, Case, tuning, unseen
from verdict_truth import BROKEN, Look, Measured, measure, states

import jaxgan
from jaxgan.evaluation import verdict
from jaxgan.recipes.table import LOSSES, find
from jaxgan.training.endings import Diverged

SETS = {"tuning": tuning, "unseen": unseen}


class Judged(NamedTuple):
    """A GAN with its true state and what the verdict says."""

    name: str
    intended: str
    truth: str
    measured: Measured
    last: verdict.Verdict
    right: bool
    over_time: tuple[str, ...]


def trained(case: Case, run: Path) -> tuple[float, float]:
    """Trains a case where that is not done; returns seconds by the clock and of CPU, of a run that was there nothing."""
    if (run / "metrics.jsonl").exists():
        return 0.0, 0.0
    began = time.perf_counter(), time.process_time()
    with contextlib.suppress(Diverged):  # what the rows say of it is judged
        jaxgan.train(case.recipe, run)
    return time.perf_counter() - began[0], time.process_time() - began[1]


def measured(case: Case, run: Path) -> list[Measured]:
    """Returns the measurements of a run, kept beside it."""
    kept = run / "measured.json"
    if not kept.exists():
        found = measure(case.recipe, run)
        kept.write_text(
            json.dumps([each._replace(half=each.half._asdict(), end=each.end._asdict())._asdict() for each in found])
        )
    return [
        Measured(**{**each, "half": Look(**each["half"]), "end": Look(**each["end"])}) for each in json.loads(kept.read_text())
    ]


def judged(name: str, case: Case, run: Path) -> list[Judged]:
    """Judges each GAN of a run, at its end and at every row before."""
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    loss = find(LOSSES, "loss", case.recipe.loss) if isinstance(case.recipe.loss, str) else case.recipe.loss
    limits: dict[str, Any] = {"equilibrium": loss.equilibrium, "largest": loss.largest}
    found = []
    for i, figures in enumerate(measured(case, run)):
        past = [verdict.of_member(row, i) if "members" in row else row for row in rows]
        said = [verdict.judge(past[: j + 1], **limits) for j in range(len(past))]
        true = states(figures)
        truth = case.intended if case.intended in true else min(true, key=STATES.index)
        right = any(said[-1].word in WORDS_OF[state] for state in true)
        words = tuple(dict.fromkeys(each.word for each in said if each.word))
        found.append(Judged(f"{name}, seed {case.recipe.seed + i}", case.intended, truth, figures, said[-1], right, words))
    return found


def table(all_: list[Judged]) -> str:
    """Returns the confusion table in Markdown."""
    lines = [f"| true state | {' | '.join(verdict.WORDS)} |", "|---" * (len(verdict.WORDS) + 1) + "|"]
    for state in STATES:
        counts = Counter(each.last.word for each in all_ if each.truth == state)
        cells = [
            f"**{counts[word]}**" if counts[word] and word in WORDS_OF[state] else str(counts[word] or "")
            for word in verdict.WORDS
        ]
        lines.append(f"| {state} ({counts.total()}) | {' | '.join(cells)} |")
    return "\n".join(lines)


def told(each: Judged) -> str:
    """Returns a line of measurements."""
    if each.measured == BROKEN or not each.measured.finite:
        return "not finite"
    half, end, m = each.measured.half, each.measured.end, each.measured
    moved = ", ".join(f"{name} {getattr(half, name):.2f} -> {getattr(end, name):.2f}" for name in Look._fields)
    of_d = f"separated {m.separated:.3f}, sure {m.sure:.2f}, membership {m.membership:.2f}"
    return f"{moved}, weights x {m.growth:.1f}, D: {of_d}"


def report(which: str, all_: list[Judged], details: bool) -> bool:
    """Prints a set's table and what is wrong in it; returns whether it is right enough."""
    right = sum(each.right for each in all_)
    good = [each for each in all_ if each.truth == "good"]
    slandered = [each for each in good if "mode collapse" in each.over_time]
    print(f"\n### {which}: {right} of {len(all_)} right ({right / max(len(all_), 1):.0%})\n\n{table(all_)}\n")
    beside = sum(each.right and each.last.word not in WORDS_OF[each.truth] for each in all_)
    print(f"Right by another state that was measured too, beside the bold cells: {beside}.")
    print(f"Good runs that were called collapsed at any time: {len(slandered)} of {len(good)}.")
    other = [each for each in all_ if each.truth != each.intended]
    print(f"Counted by the state measured, made for another: {len(other)}" + "".join(
        f"\n- {each.name}: made {each.intended}, is {each.truth} ({told(each)})" for each in other))  # fmt: skip
    wrong = [each for each in all_ if not each.right or each in slandered]
    print(f"Wrong or slandered: {len(wrong)}")
    for each in all_ if details else wrong:
        mark = "right" if each.right else "WRONG"
        print(f"- {mark}: {each.name}: {each.truth}; said {each.last.word}: {'; '.join(each.last.evidence)}")
        print(f"  over time: {', '.join(each.over_time)}; measured: {told(each)}", flush=True)
    return right >= 0.9 * len(all_) and not slandered


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="*", metavar="SET", help=f"by default {' and '.join(SETS)}")
    parser.add_argument("--folder", type=Path, help="keep the runs here")
    parser.add_argument("--cases", default="", help="only cases with this text in their names")
    parser.add_argument("--details", action="store_true", help="print every run, not only the wrong ones")
    arguments = parser.parse_args()
    fine, found = True, {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        for which in arguments.sets or SETS:
            found[which] = []
            for name, case in SETS[which]().items():
                if arguments.cases not in name:
                    continue
                run = folder / which / name.replace(" ", "-").replace(",", "")
                clock, cpu = trained(case, run)
                found[which] += judged(name, case, run)
                print(f"{name}: {clock:.0f} s, {cpu:.0f} s of CPU", file=sys.stderr, flush=True)
        for which, all_ in found.items():
            fine &= report(which, all_, arguments.details)
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
