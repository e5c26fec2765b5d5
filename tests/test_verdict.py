"""Figures and verdicts: figures against loops, verdicts on histories made by hand."""

import dataclasses
import json
import math
import re
import sys
import types
from pathlib import Path

import numpy as np
import pytest

from jaxgan import data
from jaxgan.commands.sample import sample
from jaxgan.core import losses
from jaxgan.core.units import to_user
from jaxgan.evaluation import verdict
from jaxgan.evaluation.trend import trend
from jaxgan.recipes import Adam, Recipe, preset
from jaxgan.training import monitor, records, runs, written
from jaxgan.training.dataset import open_data
from jaxgan.training.endings import Stopped
from jaxgan.training.experiment import build
from jaxgan.training.train import train

RNG = np.random.default_rng(0)


def by_loops(real: np.ndarray, fake: np.ndarray) -> verdict.Figures:
    """The definitions of the docstring, pair by pair."""

    def d(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.sqrt(((a - b) ** 2).sum()))

    n, m = len(real), len(fake)
    nearest = [min(d(real[i], real[k]) for k in range(n) if k != i) for i in range(n)]
    usual = float(np.median(nearest))
    twins = [min(d(fake[j], fake[k]) for k in range(m) if k != j) < usual / 10 for j in range(m)]
    to_real = [min(d(fake[j], real[i]) for i in range(n)) for j in range(m)]
    size = max(n // 40, 8)
    same = np.mean([d(real[i], real[k]) for i in range(n) for k in range(n) if k != i]) / 10
    ranked = [sorted((d(real[i], real[k]), k) for k in range(n)) for i in range(n)]
    regions = [[k for at, (x, k) in enumerate(each) if at < size or x <= same] for each in ranked]
    nearest_to = [min(range(n), key=lambda i, j=j: d(real[i], fake[j])) for j in range(m)]
    reached = [sum(nearest_to[j] in regions[i] for j in range(m)) * n * 5 >= len(regions[i]) * m for i in range(n)]
    spread = [
        np.mean([d(x[i], x[k]) for i in range(len(x)) for k in range(len(x)) if k != i]) for x in (fake, real)
    ]  # fmt: skip
    return verdict.Figures(spread[0] / spread[1], np.mean(twins), np.median(to_real) / usual, np.mean(reached))


def test_figures_are_as_defined() -> None:
    real, fake = RNG.normal(size=(45, 3)) + 7.0, RNG.normal(size=(30, 3)) * 0.5 + 7.0
    fake[3] = fake[4] + 1e-3
    expected = by_loops(real, fake)
    assert expected.duplicates > 0.0
    assert verdict.figures(real, fake) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("shape", [(2,), (4, 4, 1), (8, 8, 3)])
def test_a_perfect_generator(shape: tuple[int, ...]) -> None:
    real, fake = RNG.normal(size=(2, 512, *shape))
    found = verdict.figures(real, fake)
    assert found.diversity == pytest.approx(1.0, abs=0.1)
    assert found.duplicates <= 0.02
    assert found.nearest_real == pytest.approx(1.0, abs=0.25)
    assert found.reach >= 0.99


def test_figures_of_what_went_wrong() -> None:
    modes = RNG.integers(8, size=512)
    real = np.stack([np.cos(modes), np.sin(modes)], 1) + 0.01 * RNG.normal(size=(512, 2))
    assert verdict.figures(real, real + 0.0).nearest_real == 0.0  # memorised
    one = verdict.figures(real, np.full((100, 2), 0.3))
    assert (one.diversity, one.duplicates) == (0.0, 1.0)
    half = real[modes < 4][:200] + 0.01 * RNG.normal(size=(200, 2))
    assert verdict.figures(real, half).reach == pytest.approx((modes < 4).mean(), abs=0.02)
    assert all(math.isnan(x) for x in verdict.figures(real, np.full((4, 2), np.inf)))
    constant = 0.3 + 3e-8 * RNG.normal(size=(2, 64, 16))  # real samples alike but for rounding
    assert max(verdict.figures(*constant)) < 10.0
    assert verdict.figures(constant[0], constant[1] + 0.5).nearest_real < 1e8


def test_reach_tells_lost_modes_from_poor_samples() -> None:
    """Of 25 narrow modes each counts, and samples beside all of them are poor, but of every kind."""
    centres = np.stack(np.meshgrid(np.arange(5.0), np.arange(5.0)), -1).reshape(-1, 2)
    real = centres[np.arange(500) % 25] + 0.02 * RNG.normal(size=(500, 2))
    beside = centres[np.arange(500) % 25] + [0.1, 0.05] + 0.005 * RNG.normal(size=(500, 2))
    poor = verdict.figures(real, beside)
    assert (poor.reach, poor.nearest_real > 5.0) == (1.0, True)
    assert verdict.figures(real, beside[np.arange(500) % 25 < 19]).reach == pytest.approx(19 / 25)


@pytest.mark.parametrize(("real", "fake"), [((39, 2), (9, 2)), ((40, 2), (1, 2)), ((40, 2), (40, 3))])
def test_figures_refuse(real: tuple[int, int], fake: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="real, fake: shapes"):
        verdict.figures(np.zeros(real), np.zeros(fake))


def test_overlap() -> None:
    a, b = RNG.normal(size=(2, 512))
    assert verdict.overlap(a, b) > 0.82  # of one distribution; by chance about 0.89
    assert verdict.overlap(a, b + 20.0) == 0.0
    shifted = verdict.overlap(a, b + 1.0)  # of N(0, 1) and N(1, 1): 2 Phi(-1/2) = 0.617
    assert shifted == pytest.approx(0.617, abs=0.08)
    assert verdict.overlap(np.exp(a), np.exp(b + 1.0)) == shifted  # whatever the scale
    assert math.isnan(verdict.overlap(a, np.full(3, np.nan)))


GOOD = {
    "d_loss": 1.38, "g_loss": 0.7, "d_grad_norm": 1.0, "g_grad_norm": 0.5, "diversity": 0.98, "duplicates": 0.0,
    "nearest_real": 1.1, "reach": 1.0, "overlap": 0.7,
}  # fmt: skip


LOGISTIC = {"equilibrium": losses.non_saturating.equilibrium, "largest": losses.non_saturating.largest}
HINGE = {"equilibrium": losses.hinge.equilibrium, "largest": losses.hinge.largest}
WASSERSTEIN = {"equilibrium": losses.wasserstein.equilibrium, "largest": losses.wasserstein.largest}


def history(count: int = 12, **figures: float | list[float]) -> list[dict]:
    """Rows like those of a good run, but for the figures given: one for all rows, or first and last with a line between."""
    rows = []
    for i in range(count):
        row = {"step": 10 * (i + 1)} | GOOD
        for name, value in figures.items():
            row[name] = value[0] + (value[1] - value[0]) * i / (count - 1) if isinstance(value, list) else value
        rows.append(row)
    return rows


@pytest.mark.parametrize(
    ("figures", "word"),
    [
        ({}, "converged"),
        ({"nearest_real": [9.0, 1.0]}, "still improving"),
        ({"reach": [0.0, 0.7]}, "still improving"),
        ({"reach": 0.85}, "still improving"),
        ({"nearest_real": 30.0}, "still improving"),
        ({"nearest_real": [0.5, 1.0]}, "converged"),
        ({"d_loss": 0.5}, "still improving"),
        ({"d_loss": 0.01}, "discriminator wins"),
        ({"overlap": 0.02}, "converged"),
        ({"diversity": 0.0, "duplicates": 1.0, "overlap": 0.0, "d_loss": 0.01, "reach": 0.0}, "mode collapse"),
        ({"diversity": 0.1}, "mode collapse"),
        ({"diversity": [0.0, 0.24], "reach": [0.0, 0.3], "nearest_real": [20.0, 10.0]}, "still improving"),
        ({"reach": 0.5}, "mode collapse"),
        ({"reach": [1.0, 0.4]}, "mode collapse"),
        ({"d_loss": 1e3, "duplicates": 1.0}, "diverged"),
        ({"d_grad_norm": 1e7}, "diverged"),
    ],
)
def test_judge(figures: dict, word: str) -> None:
    found = verdict.judge(history(**figures), **LOGISTIC)
    assert found.word == word
    assert found.evidence
    assert all("\n" not in line for line in found.evidence)


def test_hopping_from_mode_to_mode_is_not_rising() -> None:
    rng = np.random.default_rng(1)
    rows = [row | {"reach": float(rng.uniform(0.05, 0.17))} for row in history(40)]
    words = [verdict.judge(rows[: i + 1], **LOGISTIC).word for i in range(9, 40)]
    assert words.count("mode collapse") >= 28  # of 31


def test_a_value_that_is_not_finite_is_told_at_once() -> None:
    for value in (None, math.nan, math.inf):
        found = verdict.judge([*history(1), {"step": 20, "d_loss": value, "g_loss": 1.0}], **HINGE)
        assert found == verdict.Verdict("diverged", ("d_loss not finite",))


def test_a_short_history_gives_no_verdict_and_says_so() -> None:
    assert verdict.judge([], **HINGE).word is None
    few = verdict.judge(history(verdict.LEAST - 1, duplicates=1.0), **HINGE)
    assert few.word is None
    assert few.evidence == ("too early: 5 of the 6 intervals that a verdict takes",)
    assert verdict.judge(history(verdict.LEAST, duplicates=1.0), **HINGE).word == "mode collapse"
    rows = history(verdict.LEAST)
    assert verdict.judge([*rows, {"step": 999, "d_loss": 1.0}], **HINGE).word is not None  # a row without figures
    for wrong in (None, "0.5", 10**400, math.nan):
        assert verdict.judge([row | {"diversity": wrong} for row in rows[:-1]] + rows[-1:], **LOGISTIC).word is None
    for lacking in rows[0]:  # rows by hand, or of another program
        part = [{name: value for name, value in row.items() if name != lacking} for row in rows]
        assert (verdict.judge(part, **LOGISTIC).word is None) == (lacking in verdict.Figures._fields)


def test_where_d_has_no_equilibrium_the_overlap_tells() -> None:
    assert verdict.judge(history(overlap=0.02), **HINGE).word == "discriminator wins"
    assert verdict.judge(history(overlap=0.2, d_loss=0.01), **HINGE).word == "converged"


def test_wasserstein_s_loss_has_no_scale() -> None:
    assert verdict.judge(history(d_loss=-500.0, g_loss=800.0), **WASSERSTEIN).word == "converged"
    assert verdict.judge(history(d_loss=-500.0, g_loss=800.0), **HINGE).word == "diverged"


def test_best() -> None:
    rows = [
        {"step": 1, "reach": 0.5, "reverse_kl": 2.0},
        {"step": 2, "reach": 0.9, "reverse_kl": None},
        {"step": 3, "reach": 0.9},
    ]
    assert verdict.best(rows, "reach", "higher") == 2
    assert verdict.best(rows, "reach", "lower") == 1
    assert verdict.best(rows, "reverse_kl", "lower") == 1
    assert verdict.best(rows, "overlap", "higher") is None


def test_best_as_real_is_the_nearest_to_real() -> None:
    rows = [{"step": step, "spread": value} for step, value in ((1, 0.2), (2, 1.3), (3, 0.9), (4, 5.0))]
    assert verdict.best(rows, "spread", ("as real", 1.2)) == 2
    told = [{"step": s, "kid": v, "definitions": {"kid": w}} for s, v, w in ((1, 0.1, "a"), (2, 0.4, "b"), (3, 0.5, "b"))]
    assert verdict.best(told, "kid", "lower") == 2  # the first is by other features
    assert verdict.best(rows, "spread", "as real") is None  # nobody said what real samples score
    assert verdict.best([*rows, {"step": 5, "spread": 9.0, "real": {"spread": 1.0}}], "spread", "as real") == 3


def test_an_equilibrium_without_a_scale_is_none() -> None:
    assert verdict.judge(history(d_loss=-0.4), equilibrium=0.0, largest=None).word == "converged"


LONG = {"steps": 64, "log_interval": 4, "sample_interval": 8, "checkpoint_interval": 16, "keep_checkpoints": 1}


def test_training_tells_stops_and_keeps_the_best(tiny_recipe: Recipe, tmp_path: Path) -> None:
    """G never moves and D has no penalty: the tiny generator's images are all alike, and the run stops for that."""
    still = dataclasses.replace(
        tiny_recipe, **LONG, g_optimizer=Adam(0.0), d_optimizer=Adam(0.05), keep_best="overlap",
        penalty=dataclasses.replace(tiny_recipe.penalty, name="none", gamma=0.0), stop_on="collapse,discriminator",
    )  # fmt: skip
    with pytest.raises(Stopped, match=r"stopped at step \d+ and saved: (discriminator wins|mode collapse); "):
        train(still, tmp_path / "run")
    rows = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    checks = [row for row in rows if "reach" in row]
    assert [row["step"] for row in checks] == [8, 16, 24, 32, 40, 48]
    assert [row["verdict"] for row in checks[:-1]] == [None] * 5
    assert "too early" in checks[0]["evidence"][0]
    assert checks[-1]["verdict"] in ("discriminator wins", "mode collapse")
    run = runs.read(tmp_path / "run")
    best = max(checks, key=lambda row: row["overlap"])["step"]
    assert runs.best_step(run) == best
    saved = {int(path.name) for path in run.checkpoints.iterdir()}
    assert saved == {best, 48}
    drawn = [sample(run.path, n=20, best=each, out=tmp_path / f"{each}.npz") for each in (True, False)]
    assert all(path.is_file() for path in drawn)
    lines = [row | {"overlap": 2.0} if row["step"] == 8 else row for row in rows]  # better, and its state is long gone
    run.metrics.write_text("".join(f"{json.dumps(row)}\n" for row in lines))
    later = dataclasses.replace(still, steps=52, stop_on="", checkpoint_interval=100)
    again = train(later, run.path, change=True)
    assert runs.best_step(again) in (best, 52)
    assert runs.read(again.path).recipe == later  # recorded, though nothing that a step computes has changed


def test_training_stops_where_converged_comes_twice_in_a_row(tiny_recipe: Recipe) -> None:
    recipe = dataclasses.replace(tiny_recipe, stop_on="converged,collapse")
    words = [None, "converged", "still improving", "converged", "converged", "mode collapse", "discriminator wins"]
    rows = [{"verdict": word} for word in words]
    stops = [records.is_final(words[i], [*rows[: i + 1]], recipe) for i in range(len(words))]
    assert stops == [False, False, False, False, True, True, False]
    assert not records.is_final("converged", [{"verdict": "2 converged"}, {"d_loss": 0.7}], recipe)
    assert records.is_final("converged", [{"verdict": "2 converged"}, {"d_loss": 0.7}, {"verdict": "2 converged"}], recipe)


def test_best_of_a_run_that_keeps_none(tiny_run: Path) -> None:
    with pytest.raises(ValueError, match="keeps no best checkpoint; train with --keep-best"):
        sample(tiny_run, best=True)


def test_keep_best_is_of_figures_that_are_measured(tiny_recipe: Recipe, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="keep_best: modes, but it is measured on ring, grid only"):
        train(dataclasses.replace(tiny_recipe, keep_best="modes"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_tensorboard_takes_numbers_and_the_verdict_in_words(tiny_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple] = []
    writer = type("SummaryWriter", (), {
        "__init__": lambda self, folder: None, "flush": lambda self: None,
        "add_scalar": lambda self, *words: told.append(words), "add_text": lambda self, *words: told.append(words),
    })  # fmt: skip
    monkeypatch.setitem(sys.modules, "tensorboardX", types.SimpleNamespace(SummaryWriter=writer))
    row = {
        "step": 4,
        "images": 32,
        "d_loss": 1.0,
        "penalty": None,
        "verdict": "converged",
        "evidence": ["a", "b"],
        "members": {},
    }
    written.tensorboard_writer(runs.read(tiny_run))(row)
    assert told == [("d_loss", 1.0, 32), ("verdict", "converged: a; b", 32)]


def test_evidence_names_the_unit_of_each_figure() -> None:
    (reach,) = verdict.judge(history(reach=0.5), **LOGISTIC).evidence
    assert reach == "reach 0.50 of the regions of the data, below 0.8 and not rising"
    changing = verdict.judge(history(nearest_real=[9.0, 3.0], diversity=0.5), **LOGISTIC).evidence
    assert re.fullmatch(r"nearest real sample at [\d.]+ -> [\d.]+ \(fitted\) times the distance between real ones", changing[0])
    assert "diversity 0.50 times that of real samples, not within 0.2 of 1" in changing
    readme = (Path(verdict.__file__).parent / "README.md").read_text()
    assert all(f"| {word} " in readme for word in ("reach (1)", "diversity (1)", "nearest real (1)", "duplicates (0)"))


# --- trends and overfitting -------------------------------------------------------------------------------------------------


def test_a_trend_is_the_line_of_least_squares_and_its_error_that_of_the_regression() -> None:
    y = np.array([1.0, 1.4, 1.1, 1.9, 1.6, 2.2, 1.9, 2.6])
    found = trend(list(y))
    slope, start = np.polyfit(np.arange(8), y, 1)
    assert (found.first, found.last) == pytest.approx((start, start + 7 * slope))
    residuals = y - start - slope * np.arange(8)
    assert residuals[1:] @ residuals[:-1] < 0  # so that nothing is added for correlation
    textbook = 7 * np.sqrt(residuals @ residuals / 6 / np.square(np.arange(8) - 3.5).sum())
    assert found.error == pytest.approx(textbook)
    with_gap = trend([*y[:4], math.nan, *y[4:]])
    assert with_gap == found
    assert math.isnan(trend([1.0, 2.0, 3.0]).error)


def test_the_error_of_a_trend_covers_chance_of_values_that_follow_each_other() -> None:
    """Of 400 walks without a trend, 5 % or fewer move by more than 3 errors; by the textbook's error it is more than 8 %."""
    rng, far, naive = np.random.default_rng(0), 0, 0
    for _ in range(400):
        noise, y = rng.normal(size=40), np.zeros(40)
        for i in range(1, 40):
            y[i] = 0.6 * y[i - 1] + noise[i]
        found, t = trend(list(y)), np.linspace(-0.5, 0.5, 40)
        residuals = y - y.mean() - found.change * t
        far += abs(found.change) > 3.0 * found.error
        naive += abs(found.change) > 3.0 * np.sqrt(residuals @ residuals / 38 / (t @ t))
    assert far <= 20
    assert naive > 32


@pytest.mark.parametrize(
    ("figures", "told"),
    [
        ({"d_loss": [1.38, 1.0]}, "D's loss 1.17 -> 1 (fitted), away from 1.386 at equilibrium"),
        ({"d_loss": [0.9, 1.38]}, "D's loss 1.16 -> 1.38 (fitted), towards 1.386 at equilibrium"),
        ({"overlap": [0.7, 0.2]}, "overlap 0.427 -> 0.2 (fitted) of the logits"),
        ({"g_loss": [0.7, 1.2]}, "G's loss 0.973 -> 1.2"),
    ],
)
def test_a_run_whose_losses_or_overlap_move_has_not_converged(figures: dict, told: str) -> None:
    found = verdict.judge(history(**figures), **LOGISTIC)
    assert found.word == "still improving"
    assert any(line.startswith(told) for line in found.evidence), found.evidence


def test_noise_without_a_trend_is_steady_and_swings_are_not() -> None:
    rng = np.random.default_rng(2)
    rows = [
        row | {"d_loss": 1.3 + 0.1 * rng.normal(), "overlap": 0.6 + 0.05 * rng.normal(), "g_loss": 0.8 + 0.1 * rng.normal()}
        for row in history(24)
    ]
    assert verdict.judge(rows, **LOGISTIC).word == "converged"
    swinging = [row | {"diversity": 1.0 + 0.3 * (-1) ** i} for i, row in enumerate(rows)]
    found = verdict.judge(swinging, **LOGISTIC)
    assert found.word == "still improving"
    assert found.evidence[0] == "diversity between 0.7 and 1.3 times that of real samples"


def test_a_discriminator_that_takes_unseen_samples_for_generated_ones_overfits() -> None:
    rng = np.random.default_rng(3)
    real, fake = rng.normal(2.0, 1.0, 500), rng.normal(-2.0, 1.0, 500)
    for share in (0.0, 0.5, 1.0):
        unseen = rng.normal(2.0 - 4.0 * share, 1.0, 400)
        assert verdict.overfitting(real, unseen, fake) == pytest.approx(share, abs=0.06)  # 3 errors of a difference
    assert math.isnan(verdict.overfitting(real, real, rng.normal(1.9, 1.0, 500)))  # D hardly tells them apart
    assert math.isnan(verdict.overfitting(real, np.array([np.inf]), fake))
    found = verdict.judge(history(overfitting=0.7), **LOGISTIC)
    assert found.word == "discriminator overfits"
    assert found.evidence[0].startswith("unseen real samples lie 0.70 of the way from training samples to generated ones")
    for fine in (0.3, math.nan):
        assert verdict.judge(history(overfitting=fine), **LOGISTIC).word == "converged"
    assert verdict.judge(history(overfitting=0.9, reach=0.5), **LOGISTIC).word == "mode collapse"
    assert verdict.judge(history(overfitting=0.9, d_loss=0.01), **LOGISTIC).word == "discriminator overfits"


def test_samples_of_the_split_for_tests_are_compared_where_there_is_one() -> None:
    wanted = dataclasses.replace(preset("table"), batch_size=8)
    experiment = build(wanted, dataset=open_data(wanted))
    unseen = monitor._unseen(experiment)
    assert unseen is not None
    assert unseen.images.shape == (88, 11)
    table = data.load("table", split="test", measure="minmax")
    (rows,) = np.asarray(table.batches(wanted.seed, 88)(0)["image"])
    ours, theirs = experiment.dataset.units, table.units
    assert ours != theirs  # measured of other rows: the samples are in the units of training
    np.testing.assert_allclose(to_user(unseen.images, ours), to_user(rows, theirs), rtol=1e-4, atol=1e-4)
    digits = preset("digits")
    assert monitor._unseen(build(digits, dataset=open_data(digits))) is None
