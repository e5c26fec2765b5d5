"""Data sets that are computed, their metrics, and the recipes on them: known statistics, the same bytes, runs that resume."""

import dataclasses
import hashlib
import json
import re
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from PIL import Image

import jaxgan
from jaxgan import data, pictures, recipes
from jaxgan.commands.plan import KNOWN
from jaxgan.commands.sample import sample
from jaxgan.data import generated, identity
from jaxgan.data.generated import draws, fields, signals, table, volumes
from jaxgan.evaluation.metrics.columns import COLUMNS
from jaxgan.evaluation.metrics.families import ELLIPSOIDS, WAVEFORMS
from jaxgan.evaluation.metrics.spectrum import SPECTRUM, power
from jaxgan.recipes.table import GENERATED
from jaxgan.system.messages import FieldError

# sha256 of the training splits: the same for every version of Python and numpy.
BYTES = {
    "signals": "a5c823eee82c",
    "fields": "8664d8a10866",
    "volumes": "3a05408a37d5",
    "table": "d710bf0253c3",
}
RNG = np.random.default_rng(0)


def of(name: str, split: str = "train") -> np.ndarray:
    return generated.source(name, split).everything()[0]


@pytest.mark.parametrize("name", generated.NAMES)
def test_the_sets_are_the_same_bytes_everywhere(name: str) -> None:
    samples, unseen = of(name), of(name, "test")
    assert hashlib.sha256(samples.tobytes()).hexdigest()[:12] == BYTES[name]
    assert (samples.shape[1:], 0, len(samples)) == KNOWN[name]
    assert unseen.shape[1:] == samples.shape[1:]
    rows = {each.tobytes() for each in samples}
    assert not any(each.tobytes() in rows for each in unseen)
    found = data.load(name)
    assert found.units.dtype == samples.dtype.name
    assert found.units.unit == {"signals": "V", "fields": "K", "volumes": "counts", "table": ""}[name]
    with pytest.raises(FieldError, match=f"^split: 'validation', but {name} has train, test"):
        data.load(name, split="validation")
    with pytest.raises(FieldError, match=r"^image_size: 8, but the samples of"):
        data.load(name, image_size=8)


def test_names_are_known_everywhere() -> None:
    assert generated.NAMES == GENERATED
    assert set(generated.NAMES) <= {*data.NAMES} & {*recipes.NAMES}
    assert identity.fingerprint("fields") != identity.fingerprint("signals")
    draw = draws.normal("a", "train", 0, (40_000,))
    assert abs(draw.mean()) < 0.02
    assert abs(draw.std() - 1) < 0.02
    assert not np.array_equal(draw, draws.normal("a", "test", 0, (40_000,)))


def test_fields_have_the_spectrum_that_they_say() -> None:
    measured = np.square(np.abs(np.fft.rfft2(of("fields")[..., 0].astype(np.float64) - fields.MEAN))).mean(0)
    assert np.abs(measured / fields.power() - 1).max() < 0.06
    assert of("fields").std() == pytest.approx(fields.DEVIATION, rel=0.01)


def test_parameters_are_recovered() -> None:
    count = 300
    form = RNG.integers(0, 3, count)
    cycles, amplitude = RNG.uniform(*signals.CYCLES, count), RNG.uniform(*signals.AMPLITUDES, count)
    waves = amplitude[:, None] * signals.wave(form, cycles, RNG.random(count))
    found = signals.recover(waves[..., None])
    assert (found.form == form).mean() > 0.98
    assert np.abs(found.cycles - cycles).max() < 0.15
    assert np.abs(found.amplitude / amplitude - 1).max() < 0.08
    noise = signals.recover(RNG.normal(size=(50, signals.LENGTH, 1)))
    assert found.misfit.max() < 0.08 < 0.3 < noise.misfit.min()
    centre, radii = RNG.uniform(*volumes.CENTRES, (count, 3)), RNG.uniform(*volumes.RADII, (count, 3))
    blobs = volumes.recover(volumes.PEAK * volumes.ellipsoids(centre, radii)[..., None])
    assert np.abs(blobs.centre - centre).max() < 0.25
    assert np.abs(blobs.radii / radii - 1).max() < 0.15
    assert blobs.misfit.max() < 0.05


def test_metrics_tell_what_is_wrong() -> None:
    real, unseen = of("signals"), of("signals", "test")
    good, narrow = WAVEFORMS.function(real, unseen), WAVEFORMS.function(real, unseen[signals.recover(unseen).form == 0])
    assert good["waveform_coverage"] == 1.0
    assert good["waveform_good"] > 0.97
    assert narrow["waveform_coverage"] == pytest.approx(1 / 3, abs=0.03)
    noisy = WAVEFORMS.function(real, unseen + RNG.normal(0, 0.3, unseen.shape))
    assert noisy["waveform_good"] < 0.2
    blobs, fewer = of("volumes"), of("volumes", "test")
    one = ELLIPSOIDS.function(blobs, fewer[volumes.recover(fewer).centre[:, 0] < 7.5])
    assert one["ellipsoid_coverage"] == pytest.approx(0.5, abs=0.03)
    maps, other = of("fields"), of("fields", "test")
    assert SPECTRUM.function(maps, other)["spectrum_worst"] < 0.05
    assert SPECTRUM.function(maps, 1.1 * (other - fields.MEAN) + fields.MEAN)["spectrum"] == pytest.approx(0.21, abs=0.02)
    assert power(real, 0 * real[0]).shape == (33,)
    assert power(blobs.astype(np.float32), 0.0 * blobs[0]).shape == (9,)
    rows, held_out = of("table"), of("table", "test")
    same, apart = COLUMNS.function(rows, held_out), COLUMNS.function(rows, RNG.permuted(held_out, axis=0))
    assert same["predicts"] > 0.3 > 0.1 > apart["predicts"]
    assert same["correlations"] < apart["correlations"]
    assert same["marginals"] == pytest.approx(apart["marginals"])
    for metric, wrong in ((SPECTRUM, rows), (WAVEFORMS, maps), (ELLIPSOIDS, real), (COLUMNS, real)):
        with pytest.raises(FieldError, match=f"^metrics: {metric.name}, but "):
            metric.function(wrong, wrong)


def tiny(name: str, **changes: Any) -> recipes.Recipe:
    """The named recipe with narrow networks, for a few steps."""
    recipe = recipes.preset(name)
    sizes = {"width": 4} if name == "table" else {"width": 4, "max_width": 4, "patch": 16}
    players = {each: dataclasses.replace(getattr(recipe, each), **sizes) for each in ("generator", "discriminator")}
    short = {"batch_size": 8, "steps": 4, "steps_per_dispatch": 1, "log_interval": 4, "sample_interval": 4}
    return dataclasses.replace(recipe, **players, **short | {"checkpoint_interval": 2, "eval_every": 32} | changes)


@pytest.mark.parametrize("name", generated.NAMES)
def test_each_recipe_trains_and_samples_in_its_units(name: str, tmp_path: Path) -> None:
    run = jaxgan.train(tiny(name, eval_n=40), tmp_path / "run")
    (metric,) = run.recipe.eval_metrics
    last = json.loads((run.path / "metrics.jsonl").read_text().splitlines()[-1])
    figure = {"fields": "spectrum", "signals": "waveform_coverage", "volumes": "ellipsoid_misfit", "table": "marginals"}
    assert np.isfinite(last[figure[name]]), metric
    with np.load(sample(run.path, n=3, out=tmp_path / "a.npz")) as drawn:
        made = drawn["images"]
    real = of(name)
    assert (made.dtype, made.shape[1:]) == (real.dtype, real.shape[1:])
    assert real.min() - np.ptp(real) < np.median(made) < real.max() + np.ptp(real)
    assert made.std() > 0.02 * real.std()
    with Image.open(run.path / "samples" / "000004.png") as picture:
        assert min(picture.size) > 40
    if name != "signals":  # the runs of one are enough
        return
    jaxgan.train(tiny(name, eval_n=40, steps=2), tmp_path / "again")
    again = jaxgan.train(tiny(name, eval_n=40), tmp_path / "again")
    states = [jaxgan.load(each.path)[1] for each in (run, again)]
    assert jax.tree.all(jax.tree.map(lambda a, b: bool((a == b).all()), *(state.g for state in states)))


def test_views_have_lines_and_a_unit() -> None:
    """White between fields and between the slices of a volume, and a bar as wide as its words."""
    for name, white in (("fields", 1), ("volumes", 3)):
        found = data.load(name)
        x = np.asarray(found.batches(0, 4)(0)["image"][0])
        with_unit = pictures.view(x, found.units)
        without = pictures.view(x, found.units._replace(unit=""))
        assert with_unit.width > without.width
        row = np.asarray(with_unit.convert("L"))[:, : without.width - 40]
        assert (row == 255).all(axis=0).sum() >= 8 * white
    words = pictures.view(np.asarray(data.load("signals").batches(0, 4)(0)["image"][0]), data.load("signals").units)
    assert words.width > 100


@pytest.mark.parametrize(
    ("samples", "told", "message"),
    [
        (
            RNG.integers(0, 256, (9, 3, 32, 32), dtype=np.uint8),
            {},
            r"shape \(9, 3, 32, 32\).*channels come last.*\(0, 2, 3, 1\)",
        ),
        (RNG.random((9, 1, 8, 9, 10)), {}, r"shape.*channels come last.*\(0, 2, 3, 4, 1\)"),
        (RNG.random((9, 8)), {"unit": "K" * 17}, "unit: 'K+', but it must be a word or two"),
    ],
)
def test_arrays_that_are_turned_round_are_told(samples: np.ndarray, told: dict[str, Any], message: str) -> None:
    with pytest.raises(FieldError, match=message) as caught:
        data.from_array(samples, **told)
    assert "\n" not in str(caught.value)


def test_a_table_of_data_s_readme_has_every_name() -> None:
    page = Path(data.__file__).with_name("README.md").read_text()
    assert set(generated.NAMES) <= set(re.findall(r"`(\w+)`", page.partition("## Names")[2]))
    assert len(table.COLUMNS) == of("table").shape[1]
