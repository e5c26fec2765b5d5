"""A recipe is a value: everything that a training run depends on."""

import dataclasses
import sys
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from jaxgan.recipes import code
from jaxgan.recipes.data import Data
from jaxgan.recipes.fields import Within
from jaxgan.recipes.networks import DCGAN, DCGANDiscriminator
from jaxgan.recipes.optimizers import Adam
from jaxgan.recipes.table import METRICS, NETWORKS, OPTIMIZERS, at, find, unknown
from jaxgan.system.messages import FieldError

Shard = Literal["none", "optimizer", "state"]
Steps = Annotated[int, Within(1, 2**31 - 1)]
Images = Annotated[int, Within(1, 10**12)]
EVAL_EVERY = 200_000  # images shown
# Figures that are looked at in any case, by which one state may be better than another.
LOOKED_AT = ("reach", "nearest_real", "overlap", "modes", "high_quality", "reverse_kl")
# Columns of a row of metrics that are not a metric's.
COLUMNS = (
    "step", "images", "seconds", "verdict", "evidence", "definitions", "real", "members", "standard_error", "d_loss", "g_loss",
    "d_real", "d_fake", "real_logits", "fake_logits", "real_sign", "penalty", "path_length", "augment_strength",
    "d_grad_norm", "g_grad_norm", "diversity", "duplicates", "overfitting", *LOOKED_AT,
)  # fmt: skip
# What `stop_on` may name, and the verdict it means.
STOP_WORDS = {
    "collapse": "mode collapse",
    "diverged": "diverged",
    "discriminator": "discriminator wins",
    "overfitting": "discriminator overfits",
    "converged": "converged",
}


@dataclass(frozen=True)
class Penalty:
    """A gradient penalty on D."""

    name: Any = "r1_r2"
    """none, r1, r2, r1_r2, r1_r2_approximate, gradient_penalty, dragan, or your own: (critic, real, fake, key) -> [B]."""
    gamma: Annotated[float, Within(0, 1e6)] = 0.1
    """Its weight at the first image."""
    final_gamma: Annotated[float | None, Within(0, 1e6)] = None
    """Its weight after `decay_images`, reached along half a cosine; constant when None."""
    gammas: Annotated[tuple[float, ...], Within(0, 1e6)] = ()
    """Instead of gamma: train a GAN with each of these weights, side by side in one program."""
    interval: Annotated[int, Within(1, 10_000)] = 1
    """Steps from one use of the penalty to the next; above 1 it acts that many times as strong, in an update of its own."""
    path_length: Annotated[float, Within(0, 1e6)] = 0.0
    """Weight of the penalty on G's path lengths; 0 for none (stylegan2)."""
    path_interval: Annotated[int, Within(1, 10_000)] = 4
    """Steps from one use of it to the next, likewise."""


@dataclass(frozen=True)
class Recipe:
    """Everything a training run depends on.

    `data`, `generator`, `discriminator`, `g_optimizer` and `d_optimizer` are parts: frozen dataclasses with a method `build`,
    ours or yours. A text is short for the part of that name with its defaults, or a reference `file.py:NAME` to a part.
    `loss`, `penalty`, `terms`, `augment`, `eval_metrics` and `eval_features` are names, or values of your own that stand at the
    top level of a file; `data` may also be a function without arguments that returns a `Dataset`.
    """

    data: Any = field(default_factory=Data)
    generator: Any = field(default_factory=DCGAN)
    discriminator: Any = field(default_factory=DCGANDiscriminator)
    loss: Any = "relativistic"
    """Objective of both players: minimax, non_saturating, relativistic, relativistic_average, hinge, least_squares,
    wasserstein, or a jaxgan.Loss of your own."""
    penalty: Any = field(default_factory=Penalty)
    terms: tuple[Any, ...] = ()
    """Further terms of G's loss: l1, l2, feature_matching, power_spectrum, a jaxgan.Term, or a function: (fake, batch, key) ->
    [B]."""
    g_optimizer: Any = field(default_factory=Adam)
    d_optimizer: Any = field(default_factory=Adam)
    batch_size: Annotated[int, Within(1, 1_048_576)] = 128
    """Real images in one update."""
    disc_steps: Annotated[int, Within(1, 100)] = 1
    """D's updates for each one of G."""
    pack: Annotated[int, Within(1, 64)] = 1
    """Samples that D judges together (PacGAN)."""
    augment: Any = ""
    """Augmentation of all images that D sees: color, translation, cutout with commas between (DiffAugment), ada:PIPE, or a
    function of your own: (key, images, strength) -> images."""
    augment_strength: Annotated[float, Within(0, 1)] = 1.0
    """Probability with which each of them acts on an image."""
    final_augment_strength: Annotated[float | None, Within(0, 1)] = None
    """Its value after `decay_images`, reached along half a cosine; constant when None."""
    augment_target: Annotated[float | None, Within(-1, 1)] = None
    """Instead: steer the strength, from 0, so that the mean sign of D's logits of real images is this (ADA has 0.6)."""
    augment_images: Images = 500_000
    """Images shown to D in which a steered strength goes from 0 to 1."""
    share_z: bool = False
    """Let G's update use the z of D's last one; faster, but not two draws."""
    init_from: str = ""
    """Begin with the weights of another run or .safetensors file, as far as names and shapes agree."""
    freeze_d: Annotated[int, Within(0, 10_000)] = 0
    """Keep D's first stages, this many, as they begin: for transfer from another run."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Type of the activations; weights, statistics, losses and optimizers are float32 in any case. In r3gan and stylegan2
    bfloat16 is for all resolutions above 4x4, as `bfloat16_levels` is for some."""
    accumulate: Annotated[int, Within(1, 1_048_576)] = 1
    """Microbatches that an update's batch is cut into, to need the memory of one: their gradients are averaged."""
    remat: bool = False
    """Compute activations again for the gradients instead of keeping them: less memory, more time, the same numbers."""
    decay_images: Images = 256_000
    """Images shown to D after which every schedule has reached its final value."""
    ema_half_life: Annotated[float, Within(0, 1e12)] = 18_000.0
    """Images shown to D in which the averaged generator forgets half of what it was."""
    ema_rampup: Annotated[float, Within(0, 1e6)] = 0.1
    """The half-life is at most this share of the images shown so far."""
    initial_ema_half_life: Annotated[float | None, Within(0, 1e12)] = None
    """Instead of that: the half-life at the first image; it reaches its own after `decay_images`, along half a cosine."""
    seed: Annotated[int, Within(0, 2**32 - 1)] = 0
    """Seed of the weights, the latents and the order of the data."""
    seeds: Annotated[int, Within(1, 1_000)] = 1
    """GANs trained side by side in one program, with seeds from `seed` on."""
    steps: Steps = 2_000
    """Steps to train for; a finished run given more goes on."""
    steps_per_dispatch: Annotated[int, Within(1, 10_000)] = 1
    """Steps in one call of the compiled program; more is faster where a step is short. On CPU it slows convolutions."""
    shard: Shard = "none"
    """State that is sharded over the devices instead of replicated: the optimizers' moments and the averaged generator, or the
    parameters too. For networks that leave a device too little memory; it sends more."""
    log_interval: Steps = 50
    """Steps from one line of metrics to the next."""
    sample_interval: Steps = 200
    """Steps from one grid of samples to the next."""
    checkpoint_interval: Steps = 500
    """Steps from one checkpoint to the next."""
    keep_checkpoints: Annotated[int, Within(1, 10_000)] = 3
    """Latest checkpoints that are kept."""
    keep_best: str = "none"
    """Also keep the checkpoint that is best by this figure: `--best` draws from it. Of mixtures and images alike reach,
    nearest_real, overlap; of mixtures modes, high_quality, reverse_kl; and those that eval-metrics has, your own included."""
    eval_every: Annotated[int | None, Within(1, 10**12)] = None
    """Images shown from one evaluation to the next; by default 200,000 where eval-metrics or keep-best asks for any."""
    eval_metrics: tuple[Any, ...] = ()
    """Metrics of the averaged generator while it trains; by default fid (kid with EfficientNet-Lite0) and prdc where
    eval-every is given. Names, or a jaxgan.Metric of your own."""
    eval_features: Any = ""
    """Extractor of their features, as `jaxgan evaluate --features` has it, or a function of your own: images -> [B, F]; by
    default that which suits the data."""
    eval_n: Annotated[int | None, Within(2, 10_000_000)] = None
    """Images measured each time; by default 10,000 or as many as there are real ones."""
    stop_on: str = ""
    """Verdicts to stop at, with commas between: collapse, diverged, discriminator, overfitting, converged (twice in a row)."""
    on_nan: Literal["stop", "rollback"] = "stop"
    """Response to a loss or gradient that is not finite: stop, or go back to the last good checkpoint and on from there with
    smaller learning rates and another seed."""
    rollback_factor: Annotated[float, Within(0, 1)] = 0.5
    """Factor on the learning rates at each rollback."""
    rollbacks: Annotated[int, Within(1, 100)] = 3
    """Rollbacks in a run; the next divergence stops it."""

    def __post_init__(self) -> None:
        """Puts parts in the place of their short names."""
        for name in PARTS:
            object.__setattr__(self, name, part(name, getattr(self, name)))
        penalty: Any = self.penalty
        if not isinstance(penalty, Penalty):
            object.__setattr__(self, "penalty", Penalty(penalty))
        for name in ("eval_metrics", "terms"):
            given: Any = getattr(self, name)
            one = isinstance(given, str) or not hasattr(given, "__iter__")
            object.__setattr__(self, name, (given,) if one else tuple(given))


PARTS = ("data", "generator", "discriminator", "g_optimizer", "d_optimizer")


def part(name: str, value: Any) -> Any:
    """Returns the part that a short name, a reference or a part itself stands for; a name's has its defaults.

    Args:
        name: one of `PARTS`.
        value: a short name, a reference to code, or a part.

    Raises:
        FieldError: for an unknown name, a class in place of its value, or a generator's part where a discriminator's belongs.
    """
    if isinstance(value, type):
        raise FieldError(name, f"the class {value.__name__}", f"it must be a value of it: write {value.__name__}()")
    if isinstance(value, str):
        value = _by_name(name, value)
    if isinstance(value, type) and dataclasses.is_dataclass(value):
        try:
            value = value()
        except TypeError as error:
            raise FieldError(name, value.__name__, f"it has fields without a default: {error}") from error
    return _as_discriminator(value) if name == "discriminator" else value


def _by_name(name: str, value: str) -> Any:
    if name == "data":
        return code.named(value, name) if code.is_reference(value) else Data(value)
    if name in ("g_optimizer", "d_optimizer"):
        return code.named(value, name) if code.is_reference(value) else find(OPTIMIZERS, name, value)
    if code.is_reference(value):
        return code.named(value, name)
    if value not in NETWORKS:
        raise unknown(name, value, NETWORKS)
    return at(getattr(NETWORKS[value], name))


def short_names(player: str) -> dict[type, str]:
    """Returns the short name of each of the library's networks, by the class of its part for one player.

    Only modules of recipes are loaded; a network whose part lives elsewhere is named by what is imported already.
    """
    found = {}
    for short, pair in NETWORKS.items():
        module, _, name = getattr(pair, player).partition(":")
        if module in sys.modules:
            found[getattr(sys.modules[module], name)] = short
    return found


def _as_discriminator(value: Any) -> Any:
    """Returns D's part of an architecture where G's was given, whose class has the shorter name."""
    short = short_names("generator").get(type(value))
    if short is None:
        return value
    kind = at(NETWORKS[short].discriminator)
    if kind is type(value):
        return value
    fields = {each.name for each in dataclasses.fields(kind)}
    for each in dataclasses.fields(value):
        given = getattr(value, each.name)
        if each.name not in fields and given != each.default:
            raise FieldError(f"discriminator.{each.name}", given, f"{kind.__name__} has no such field")
    return kind(**{each.name: getattr(value, each.name) for each in dataclasses.fields(value) if each.name in fields})


def members(recipe: Recipe) -> list[Recipe]:
    """Returns the recipes of the GANs it trains side by side, each as if trained alone; itself alone when it is one.

    Returns:
        For each weight of the penalty, each seed.
    """
    if recipe.seeds == 1 and not recipe.penalty.gammas:
        return [recipe]
    return [
        dataclasses.replace(
            recipe, seed=recipe.seed + i, seeds=1, penalty=dataclasses.replace(recipe.penalty, gamma=gamma, gammas=())
        )
        for gamma in recipe.penalty.gammas or (recipe.penalty.gamma,)
        for i in range(recipe.seeds)
    ]


def figures(recipe: Recipe) -> dict[str, Any]:
    """Returns the figures by which checkpoints may be compared, each with its metric; the recipe's own metrics are included."""
    found: dict[str, Any] = {figure: name for name, row in METRICS.items() for figure in row.figures}
    for metric in recipe.eval_metrics:
        if not isinstance(metric, str):
            names = tuple(getattr(metric, "figures", None) or ()) or (metric_name(metric),)
            found |= dict.fromkeys(names, metric)
        elif code.is_reference(metric):
            found[metric.rpartition(":")[2]] = metric
    return found


def metric_name(metric: Any) -> str:
    """Returns the name of a metric: its own, or that under which it stands in its file."""
    if isinstance(metric, str):
        return metric.rpartition(":")[2]
    return getattr(metric, "name", "") or code.reference(metric, "eval_metrics").rpartition(":")[2]


def term_name(term: Any) -> str:
    """Returns the name of a term: its own, that of its function, or that of the class of a part that builds one."""
    if isinstance(term, str):
        return term.rpartition(":")[2]
    return str(getattr(term, "label", "") or getattr(term, "name", "") or getattr(term, "__name__", type(term).__name__))


def evaluation(recipe: Recipe) -> tuple[int, tuple[Any, ...]]:
    """Returns the interval at which a run is measured while it trains, and the metrics.

    Returns:
        Images shown from one evaluation to the next, and metrics, by name or as values, none for those that suit the features;
        `(0, ())` when it is not.
    """
    wanted = figures(recipe).get(recipe.keep_best)
    metrics = tuple(dict.fromkeys((*recipe.eval_metrics, *([] if wanted is None else [wanted]))))
    if recipe.eval_every is None:
        return (EVAL_EVERY, metrics) if metrics else (0, ())
    return recipe.eval_every, metrics


def stop_words(recipe: Recipe) -> set[str]:
    """Returns the verdicts at which training is to stop.

    Raises:
        FieldError: when `stop_on` names another.
    """
    words = [word.strip() for word in recipe.stop_on.split(",") if word.strip()]
    for word in words:
        if word not in STOP_WORDS:
            raise unknown("stop_on", word, STOP_WORDS)
    return {STOP_WORDS[word] for word in words}
