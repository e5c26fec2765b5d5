"""Pictures of the same latents and figures of quality, while a GAN trains."""

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from jaxgan import data, pictures, toy
from jaxgan.core import conditions
from jaxgan.core.logits import mean as mean_logit
from jaxgan.core.types import Dataset, GANState, PyTree, Weights
from jaxgan.core.units import to_trained, to_user
from jaxgan.evaluation import quality, settings, verdict, watching
from jaxgan.evaluation.features import real
from jaxgan.evaluation.features.real import Real
from jaxgan.recipes import Data, Recipe, code, evaluation
from jaxgan.system.messages import FieldError
from jaxgan.training import sampler
from jaxgan.training.dataset import open_data
from jaxgan.training.experiment import Experiment
from jaxgan.training.generate import batches, drawn, given_to, over_devices
from jaxgan.training.values import features_of, metrics_of

log = logging.getLogger("jaxgan")

_POINTS = 2_500  # PacGAN's protocol


class Examiner(NamedTuple):
    """Measures the averaged generator while it trains, by the metrics of `jaxgan evaluate`."""

    figures: Callable[[GANState], list[dict[str, float]]]  # of each member
    definitions: dict[str, str]  # of each figure, in words
    real: dict[str, float]  # of real samples, for figures of which the nearest to real is the best


class Monitor(NamedTuple):
    """Both take a state as training has it: of one GAN, or of all that are trained side by side."""

    picture: Callable[[GANState], Image.Image]  # the same latents at every call
    figures: Callable[[GANState], list[dict[str, float]]]  # of each member


def monitor(experiment: Experiment) -> Monitor:
    """Looks at the averaged generator with fixed latents, and at D's logits on what the generator in training makes.

    Args:
        experiment: what is trained; real samples to compare with come from its data set, the same ones at every call.

    Returns:
        A `Monitor`. The figures are `verdict.figures` and `verdict.overlap` of 512 samples, with the labels of the real
        ones, and for a mixture `modes`, `high_quality` and `reverse_kl` of 2,500 (`toy.coverage`); none where there are
        fewer than 40 real samples.
    """
    fixed, sample = _fixed(experiment), jax.jit(experiment.one.sample)
    return Monitor(_picture(experiment, fixed, sample), _figures(experiment, fixed, sample))


class _Fixed(NamedTuple):
    """Inputs of every picture and of every figure of a training."""

    key: jax.Array
    real: np.ndarray  # samples that figures compare with
    labels: jax.Array  # theirs
    given: PyTree  # those labels, or conditions, for which samples are drawn to be compared
    shown: PyTree  # likewise of a picture
    pictured: int  # samples of a picture


def _fixed(experiment: Experiment) -> _Fixed:
    recipe, dataset, classes = experiment.recipe, experiment.dataset, experiment.shape.classes
    assert dataset is not None
    points = len(experiment.shape.sample) == 1
    side_by_side = 100 // classes * classes if 1 < classes <= 16 else 64  # a column for each class
    shown = min(_POINTS, dataset.size or _POINTS) if points else side_by_side
    shown_labels = jnp.arange(shown, dtype=jnp.int32) % max(classes, 1)
    compared = min(verdict.SAMPLES, dataset.size or verdict.SAMPLES)
    compared -= compared % recipe.pack
    batch = jax.tree.map(lambda x: np.asarray(x[0]), dataset.batches(recipe.seed, compared)(0))
    labels = jnp.asarray(batch["label"] if classes else np.zeros(compared, np.int32))
    given, shown_given = labels, shown_labels
    if experiment.shape.condition is not None:
        given = jax.tree.map(jnp.asarray, batch["condition"])
        asked = batch["condition"] if dataset.shown is None else dataset.shown
        shown_given = jax.tree.map(jnp.asarray, conditions.take(asked, np.arange(shown)))
    return _Fixed(jax.random.key(recipe.seed), batch["image"], labels, given, shown_given, shown)


def _picture(experiment: Experiment, fixed: _Fixed, sample: Callable[..., jax.Array]) -> Callable[[GANState], Image.Image]:
    dataset, classes, several = experiment.dataset, experiment.shape.classes, experiment.several
    assert dataset is not None
    points = len(experiment.shape.sample) == 1
    beneath = np.asarray(dataset.batches(experiment.recipe.seed, fixed.pictured)(0)["image"][0]) if points else None
    # Pictures and points in the plane are drawn here, all else as a view.
    plain = pictures.are_pictures(dataset.shape, dataset.units) or (points and dataset.shape[0] <= 2)

    def picture(state: GANState) -> Image.Image:
        count = fixed.pictured if not several or points else 10
        made_for = jax.tree.map(lambda x: x[:count], fixed.shown)
        images = [np.asarray(sample(each.ema, fixed.key, made_for)) for each in experiment.apart(state)]
        if plain and not points and (seen := pictures.pictured(made_for, dataset.shape)) is not None:
            return pictures.pairs(np.concatenate([seen] * len(images)), np.concatenate(images))
        if not plain:
            return pictures.tile([pictures.view(x, dataset.units, real=beneath) for x in images])
        if points:
            assert beneath is not None
            return _scattered(experiment, state, images, beneath)
        columns = 10 if several else pictures.columns_for(count, classes)
        names = [experiment.class_names[i % classes] if classes else "" for i in range(columns)]
        return pictures.grid(np.concatenate(images), columns=columns, headings=names)

    return picture


def _scattered(experiment: Experiment, state: GANState, points: list[np.ndarray], beneath: np.ndarray) -> Image.Image:
    """Draws points in the plane over real ones, a panel for each GAN."""
    step, several = f"step {int(state.step):,}", experiment.several
    titles = [f"{_name(each, experiment.recipe)}, {step}" for each in experiment.members] if several else [step]
    drawn, modes, pixels = pictures.plane(beneath), sampler.modes_of(experiment.density), 320 if several else 480
    panels = [
        pictures.scatter(pictures.plane(x), real=drawn, modes=modes, title=title, pixels=pixels)
        for x, title in zip(points, titles, strict=True)
    ]
    return pictures.tile(panels)


def _figures(
    experiment: Experiment, fixed: _Fixed, sample: Callable[..., jax.Array]
) -> Callable[[GANState], list[dict[str, float]]]:
    gan, critic, density, unseen = experiment.one, experiment.discriminator, experiment.density, _unseen(experiment)

    @jax.jit
    def logits(state: GANState) -> tuple[jax.Array, ...]:
        fake = gan.sample(Weights(state.g.params, state.g.stats), jax.random.fold_in(fixed.key, 2**32 - 2), fixed.given)

        def judged(x: jax.Array, given: PyTree = fixed.given) -> jax.Array:
            return mean_logit(critic.apply(state.d.params, state.d.stats, x, given, fixed.key, train=True)[0])

        others = () if unseen is None else (judged(jnp.asarray(unseen.images), unseen.given),)
        return judged(jnp.asarray(fixed.real)), judged(fake), *others

    def figures(state: GANState) -> list[dict[str, float]]:
        found: list[dict[str, float]] = []
        if len(fixed.real) < verdict.FEWEST:
            return [{} for _ in experiment.members]
        for each in experiment.apart(state):
            row = dict(verdict.figures(fixed.real, np.asarray(sample(each.ema, fixed.key, fixed.given)))._asdict())
            real_logits, fake_logits, *others = map(np.asarray, logits(each))
            middle = _middle(real_logits, fake_logits, fixed.labels, max(experiment.shape.classes, 1))
            real_logits, fake_logits = (x - middle[_of_packs(fixed.labels, x)] for x in (real_logits, fake_logits))
            row["overlap"] = verdict.overlap(real_logits, fake_logits)
            if unseen is not None:
                new = others[0] - middle[_of_packs(unseen.labels, others[0])]
                row["overfitting"] = verdict.overfitting(real_logits, new, fake_logits)
            if density is not None:
                seen = toy.coverage(np.asarray(sample(each.ema, fixed.key, fixed.shown)), density)
                row |= {"modes": seen.modes, "high_quality": seen.high_quality, "reverse_kl": seen.reverse_kl}
            found.append(row)
        return found

    return figures


def examiner(experiment: Experiment) -> Examiner | None:
    """Measures the averaged generator by the metrics that a recipe asks for, on the same latents at every call.

    Args:
        experiment: what is trained.

    Returns:
        An `Examiner`, its network and the statistics of the real images loaded or computed; None when no metric is asked for.

    Raises:
        ValueError, FileNotFoundError: when a metric cannot be had; the field is named.
    """
    recipe = experiment.recipe
    interval, metrics = evaluation(recipe)
    if not interval:
        return None
    try:
        real_, features = real_samples(recipe, experiment.dataset), features_of(recipe)
        suitable = features or settings.suitable(real_.name, real_.dataset.shape, real_.dataset.units)
        metrics = metrics or settings.usual_while_training(settings.name_of(suitable))
        asked = settings.settings(real_, metrics=metrics_of(metrics), features=features, n=recipe.eval_n)
        if experiment.shape.classes < 2 and (needy := [each.name for each in asked.metrics if "labels" in each.needs]):
            raise FieldError("metrics", needy[0], "it needs labels of several classes, and the generator takes none")
        checksum = code.source_sha256(asked.features) if callable(asked.features) else None
        against = quality.evaluator(asked, placement=over_devices(), checksum=checksum, begin=_told)
    except FieldError as error:
        raise error.renamed(f"eval_{error.field}") from error
    of_real, measured = watching.targets(against, recipe.keep_best), watching.watcher(against)
    draw, key = batches(experiment.one, batch=against.extractor.batch), jax.random.key(recipe.seed)
    z = drawn(experiment, recipe.seed, np.arange(asked.n))
    labels = quality.labels(against, asked.real.name, experiment.shape.classes)
    given = given_to(experiment.shape, asked.real.dataset, asked.n, labels)

    def figures(state: GANState) -> list[dict[str, float]]:
        return [measured(draw(each.ema, key, z, given), experiment.shape.sample) for each in experiment.apart(state)]

    drawn_how = f"averaged generator, latents of seed {recipe.seed}"
    return Examiner(figures, {name: f"{quality.definition(against, name)}; {drawn_how}" for name in against.figures}, of_real)


def real_samples(recipe: Recipe, dataset: Dataset | None) -> Real:
    """Returns the real samples that a recipe's generator is compared with, never mirrored.

    Args:
        recipe: of the run.
        dataset: of the recipe, where it is open already.

    Raises:
        FieldError, FileNotFoundError: when the data are not at hand.
    """
    asked = recipe.data
    if not isinstance(asked, Data) or asked.name == "given":
        return real.given(open_data(recipe) if dataset is None else dataset)
    wanted = replace(asked, mirror=False, conditional=False)
    loaded = open_data(replace(recipe, data=wanted)) if asked.mirror or dataset is None else dataset
    return real.named(loaded, asked.name, split=asked.split, image_size=asked.image_size, channels=asked.channels)


def _told(what: str, count: int) -> Callable[[int], object]:
    log.info("%s: %s samples", what, f"{count:,}")
    return lambda _: None


class _Unseen(NamedTuple):
    """Real samples that D is not trained on."""

    images: np.ndarray
    labels: jax.Array
    given: PyTree  # labels or conditions


def _unseen(experiment: Experiment) -> _Unseen | None:
    """Returns samples of the split that the data keep for tests; None where there is none."""
    recipe, wanted, trained = experiment.recipe, experiment.recipe.data, experiment.dataset
    if not isinstance(wanted, Data) or wanted.name == "given" or experiment.density is not None or trained is None:
        return None
    sides = {"image_size": wanted.image_size, "channels": wanted.channels}
    if (split := real.held_out_split(wanted.name, split=wanted.split, **sides)) is None:
        return None
    try:
        found = data.load(wanted.name, **wanted.how() | {"split": split}, stream=True)
    except (ValueError, OSError):  # such as a range that was given for the other split
        return None
    count = min(verdict.SAMPLES, found.size or 0)
    count -= count % recipe.pack
    if found.shape != trained.shape or found.class_names != trained.class_names or count < verdict.FEWEST:
        return None
    batch = jax.tree.map(lambda x: np.asarray(x[0]), found.batches(recipe.seed, count)(0))
    images = batch["image"]
    if found.units != trained.units and found.units is not None and trained.units is not None:
        images = to_trained(to_user(images, found.units), trained.units)
    labels = jnp.asarray(batch["label"] if experiment.shape.classes else np.zeros(count, np.int32))
    given = labels if experiment.shape.condition is None else jax.tree.map(jnp.asarray, batch["condition"])
    return _Unseen(images, labels, given)


def _of_packs(labels: jax.Array, logits: np.ndarray) -> np.ndarray:
    """Returns the label of each logit; that of a pack is its first sample's."""
    return np.asarray(labels)[:: len(labels) // len(logits)]


def _middle(real: np.ndarray, fake: np.ndarray, labels: jax.Array, classes: int) -> np.ndarray:
    """Returns the mean logit of each class: D judges within it, and what D thinks of a class says nothing."""
    own = _of_packs(labels, real)
    counts = np.bincount(own, minlength=classes)
    if (counts[own] < 16).any():
        return np.zeros(classes)  # too few of a class to know its mean
    found: np.ndarray = np.bincount(own, weights=0.5 * (real + fake), minlength=classes) / np.maximum(counts, 1)
    return found


def _name(member: Recipe, recipe: Recipe) -> str:
    """Returns the words that tell this GAN from the others of its run."""
    gamma = f"gamma {member.penalty.gamma:g}" if recipe.penalty.gammas else ""
    seed = f"seed {member.seed}" if recipe.seeds > 1 else ""
    return ", ".join(filter(None, (gamma, seed)))
