"""The state of a GAN after training, measured without the verdict or any of its figures."""

import json
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import expit
from scipy.stats import rankdata
from sklearn.cluster import KMeans
from verdict_cases import COLLAPSED, DIVERGED, GOOD, OVERFITTED, STARVED, WINS

from jaxgan import data
from jaxgan.core.logits import mean as mean_logit
from jaxgan.core.types import GANState, Weights
from jaxgan.core.units import to_trained, to_user
from jaxgan.evaluation.features import real
from jaxgan.evaluation.metrics.prdc import prdc
from jaxgan.recipes import Data, Recipe
from jaxgan.training import checkpoint
from jaxgan.training.dataset import open_data
from jaxgan.training.experiment import Experiment, build

N = 1_000  # samples of each kind
CELLS = 20  # of data without known modes


class Look(NamedTuple):
    """G at one step."""

    cells: float  # share of modes, or of k-means cells of the real samples, that get a fifth or more of their fair share
    variance: float  # trace of the covariance, over that of real samples
    coverage: float  # PRDC, 5 neighbours, over that of other real samples


class Measured(NamedTuple):
    """A GAN half way, at the end, and its D there; NaN where something does not exist."""

    finite: bool
    growth: float  # root mean square of the weights over that at the beginning, of the player where it is larger
    half: Look
    end: Look
    separated: float  # area under D's receiver operating curve, training samples against G's
    sure: float  # mean over pairs of a class of sigmoid(D(x) - D(G(z))), of logistic losses
    membership: float  # area under the curve, training samples against unseen ones: a membership attack on D


_NOTHING = Look(*[float("nan")] * 3)
BROKEN = Measured(False, *[float("nan")], _NOTHING, _NOTHING, *[float("nan")] * 3)


def states(found: Measured) -> set[str]:
    """Returns the states of a GAN; more than one where several things went wrong.

    diverged    a value is not finite, or weights grew threefold and coverage is below half of what real samples have
    collapsed   fewer than 0.8 of the modes or cells are visited, and since half way that did not rise by 0.1, nor the
                variance by a fifth
    overfitted  the membership attack on D has an area of 0.8 or more
    D wins      D parts training samples from generated ones with an area of 0.995 or more, is sure by 0.9 where its loss
                is logistic, and coverage is below half of real samples' and did not rise by 0.05 since half way
    good        none of these, and coverage is at least half of what real samples have
    starved     none of these, and it is less
    """
    half, end = found.half, found.end
    if not found.finite or (found.growth > 3.0 and end.coverage < 0.5):
        return {DIVERGED}
    wrong = set()
    if end.cells < 0.8 and not (
        end.cells >= half.cells + 0.1 or end.variance >= max(1.2 * half.variance, half.variance + 0.02)
    ):
        wrong.add(COLLAPSED)
    if found.membership >= 0.8:
        wrong.add(OVERFITTED)
    stuck = end.coverage < 0.5 and not end.coverage >= half.coverage + 0.05
    if stuck and found.separated >= 0.995 and not found.sure < 0.9:
        wrong.add(WINS)
    return wrong or {GOOD if end.coverage >= 0.5 else STARVED}


def measure(recipe: Recipe, run: Path) -> list[Measured]:
    """Measures each GAN of a run from its checkpoints half way and at the end."""
    experiment = build(recipe, dataset=open_data(recipe))
    saved = checkpoint.saved_steps(run / "checkpoints")
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    kept = {
        step: experiment.apart(_restored(experiment, run, step))
        for step in saved[-1:] + [s for s in saved if s == recipe.steps // 2]
    }
    began = experiment.apart(jax.jit(experiment.gan.init)(experiment.key))
    found = []
    for i in range(len(experiment.members)):
        numbers = [rows[-1][name] if not experiment.several else rows[-1]["members"][name][i] for name in ("d_loss", "g_loss")]
        if not saved or any(x is None or not np.isfinite(x) for x in numbers):
            found.append(BROKEN)
            continue
        looks = {step: _look(experiment, each[i]) for step, each in kept.items()}
        half = looks.get(recipe.steps // 2, _NOTHING) if saved[-1] == recipe.steps else _NOTHING
        last = kept[saved[-1]][i]
        growth = max(
            _size(now) / _size(then) for now, then in ((last.g.params, began[i].g.params), (last.d.params, began[i].d.params))
        )
        found.append(Measured(True, growth, half, looks[saved[-1]], *_attacks(experiment, last)))
    return found


def _restored(experiment: Experiment, run: Path, step: int) -> GANState:
    return checkpoint.restore(run / "checkpoints", experiment.abstract, step=step, strict=True)


def _size(params: Any) -> float:
    flat = np.concatenate([np.asarray(leaf, np.float64).ravel() for leaf in jax.tree.leaves(params)])
    return float(np.sqrt(np.square(flat).mean()))


class _Pool(NamedTuple):
    """Real samples, in the units of training."""

    reference: np.ndarray
    others: np.ndarray
    labels: np.ndarray  # of the others
    unseen: np.ndarray | None
    unseen_labels: np.ndarray | None


@lru_cache(maxsize=1)
def _pool(experiment: Experiment) -> _Pool:
    """Returns two disjoint sets of real samples, of all splits together; and those that D never saw."""
    wanted, trained = experiment.recipe.data, experiment.dataset
    assert trained is not None
    parts, unseen = [], None
    if not isinstance(wanted, Data) or trained.size is None:
        parts.append(_drawn(trained, 2 * N, seed=97))
    else:
        split = real.held_out_split(wanted.name, split=wanted.split, image_size=wanted.image_size, channels=wanted.channels)
        for name in ("train", split):
            if name is not None:
                part = data.load(wanted.name, **wanted.how() | {"split": name})
                x, labels = _drawn(part, N * 2, seed=97)
                if part.units != trained.units and part.units is not None and trained.units is not None:
                    x = to_trained(to_user(x, part.units), trained.units)
                parts.append((np.asarray(x), labels))
        unseen = parts[-1] if split is not None else None
    x, labels = (np.concatenate(each) for each in zip(*parts, strict=True))
    order = np.random.default_rng(0).permutation(len(x))
    n = min(N, len(x) // 2)
    one, two = order[:n], order[n : 2 * n]
    return _Pool(x[one], x[two], labels[two], *(unseen or (None, None)))


def _drawn(dataset: Any, n: int, *, seed: int) -> tuple[np.ndarray, np.ndarray]:
    batch = dataset.batches(seed, min(n, dataset.size or n))(0)
    return np.asarray(batch["image"][0]), np.asarray(batch["label"][0])


def _given(experiment: Experiment, labels: np.ndarray) -> jax.Array:
    return jnp.asarray(labels if experiment.shape.classes else np.zeros_like(labels), jnp.int32)


@lru_cache(maxsize=1)
def _centres(experiment: Experiment) -> np.ndarray:
    if experiment.density is not None:
        return np.asarray(experiment.density.centres)
    flat = _pool(experiment).reference.reshape(len(_pool(experiment).reference), -1)
    return KMeans(CELLS, random_state=0, n_init=3).fit(flat).cluster_centers_


def _shares(experiment: Experiment, x: np.ndarray) -> np.ndarray:
    """Returns the share of samples nearest to each centre."""
    centres = _centres(experiment)
    flat = x.reshape(len(x), -1)
    nearest = np.array([np.square(centres - each).sum(1).argmin() for each in flat])
    return np.bincount(nearest, minlength=len(centres)) / len(x)


def _look(experiment: Experiment, state: GANState) -> Look:
    pool = _pool(experiment)
    fake = np.asarray(jax.jit(experiment.one.sample)(state.ema, jax.random.key(4321), _given(experiment, pool.labels)))
    if not np.isfinite(fake).all():
        return _NOTHING
    flat = [x.reshape(len(x), -1).astype(np.float64) for x in (pool.reference, pool.others, fake)]
    fair, hit = _shares(experiment, pool.others), _shares(experiment, fake)
    floor, covered = (prdc(flat[0], each, nearest=5).coverage for each in flat[1:])
    return Look(float((hit >= 0.2 * fair).mean()), float(flat[2].var(0).sum() / flat[1].var(0).sum()), covered / floor)


def _attacks(experiment: Experiment, state: GANState) -> tuple[float, float, float]:
    """Returns `separated`, `sure` and `membership`."""
    pool, key = _pool(experiment), jax.random.key(987)
    assert experiment.dataset is not None
    x, labels = _drawn(experiment.dataset, N, seed=98)
    fake = jax.jit(experiment.one.sample)(Weights(state.g.params, state.g.stats), key, _given(experiment, labels))

    def logits(x: Any, labels: np.ndarray) -> np.ndarray:
        critic = experiment.discriminator
        given = _given(experiment, labels)
        return np.asarray(
            mean_logit(critic.apply(state.d.params, state.d.stats, jnp.asarray(x), given, key, train=True)[0]), np.float64
        )

    real_logits, fake_logits = logits(x, labels), logits(fake, labels)
    if not (np.isfinite(real_logits).all() and np.isfinite(fake_logits).all()):
        return float("nan"), float("nan"), float("nan")
    classes = labels if experiment.shape.classes else np.zeros_like(labels)
    separated = _area(real_logits, classes, fake_logits, classes)
    pairs = [np.subtract.outer(real_logits[classes == each], fake_logits[classes == each]) for each in np.unique(classes)]
    sure = float(np.mean([expit(each).mean() for each in pairs])) if experiment.loss.equilibrium else float("nan")
    if pool.unseen is None or pool.unseen_labels is None:
        return separated, sure, float("nan")
    others = pool.unseen_labels if experiment.shape.classes else np.zeros_like(pool.unseen_labels)
    return separated, sure, _area(real_logits, classes, logits(pool.unseen, pool.unseen_labels), others)


def _area(high: np.ndarray, of_high: np.ndarray, low: np.ndarray, of_low: np.ndarray) -> float:
    """Returns P(high > low) within classes, the mean over them: what D thinks of a class says nothing."""
    areas = []
    for number in np.unique(of_high):
        a, b = high[of_high == number], low[of_low == number]
        if len(a) and len(b):
            ranks = rankdata(np.concatenate([a, b]))[: len(a)].sum()
            areas.append((ranks - len(a) * (len(a) + 1) / 2) / (len(a) * len(b)))
    return float(np.mean(areas))
