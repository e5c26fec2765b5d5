"""A recipe is a value: every number of a training run. No JAX here, so that the command line answers at once."""

import dataclasses
import math
import typing
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import NoneType, UnionType
from typing import Any, Literal

from jaxgan.system.messages import did_you_mean as did_you_mean

Objective = Literal[
    "minimax", "non_saturating", "relativistic", "relativistic_average", "hinge", "least_squares", "wasserstein"
]


Shard = Literal["none", "optimizer", "state"]
NetworkName = Literal["mlp", "dcgan", "sngan", "r3gan", "stylegan2"]
ImageMetric = Literal["fid", "fid_population", "kid", "is", "prdc", "precision_recall", "diversity", "memorisation"]
Metric = Literal[ImageMetric, "modes"]
# The figures by which one state is better than another, and the metric that has them; others are looked at in any case.
LOOKED_AT = ("reach", "nearest_real", "overlap", "modes", "high_quality", "reverse_kl")
MEASURED = {
    "fid": "fid",
    "fid_population": "fid_population",
    "kid": "kid",
    "inception_score": "is",
    "precision": "prdc",
    "recall": "prdc",
    "density": "prdc",
    "coverage": "prdc",
    "improved_precision": "precision_recall",
    "improved_recall": "precision_recall",
}
Best = Literal[
    "none", "reach", "nearest_real", "overlap", "modes", "high_quality", "reverse_kl", "fid", "fid_population", "kid",
    "inception_score", "precision", "recall", "density", "coverage", "improved_precision", "improved_recall",
]  # fmt: skip
EVAL_EVERY = 200_000  # images shown


@dataclass(frozen=True)
class Data:
    """What is learnt."""

    name: str = "digits"
    """digits, ring, grid, mnist, fashion_mnist, cifar10, stacked_mnist, tfds:NAME, folder:PATH, npz:PATH; none to draw only"""
    split: str = "train"
    """Split of the data set."""
    image_size: int | None = None
    """Side in pixels that images are cropped and resized to; the data's own when None."""
    channels: int | None = None
    """Channels that images are converted to, 1, 3 or 4; the data's own when None."""
    conditional: bool = False
    """Give both networks the labels, so that a class can be asked for."""
    mirror: bool = False
    """Turn half of the images left to right."""


@dataclass(frozen=True)
class Generator:
    """G: latents to images."""

    network: NetworkName = "dcgan"
    """Architecture."""
    width: int = 64
    """Channels of the widest resolution's layer (dcgan), of every layer (sngan), or units of a hidden layer (mlp)."""
    depth: int = 2
    """Hidden layers of an mlp, layers of stylegan2's mapping; a convolutional network's follow from the image size."""
    norm: Literal["batch", "none"] = "none"
    """Normalisation (mlp, dcgan)."""
    latent_dim: int = 64
    """Length of z."""
    latent: Literal["normal", "uniform", "sphere"] = "normal"
    """Distribution of z."""
    widths: tuple[int, ...] = ()
    """Channels of each resolution, from 4x4 up (r3gan)."""
    groups: tuple[int, ...] = ()
    """Groups of each resolution's 3x3 convolutions (r3gan)."""
    blocks: tuple[int, ...] = ()
    """Residual blocks of each resolution; two each when not given (r3gan)."""
    expansion: int = 2
    """Channels within a block over those between blocks (r3gan)."""
    embedding: int = 64
    """Length of the label's vector (r3gan)."""
    style_dim: int = 512
    """Length of w (stylegan2)."""
    channel_base: int = 16_384
    """Channels of a resolution are this over its side, at most channel_max (stylegan2)."""
    channel_max: int = 512
    """Most channels of a resolution (stylegan2)."""
    architecture: Literal["skip", "resnet", "orig"] = "skip"
    """How resolutions are joined (stylegan2)."""
    style_mixing: float = 0.0
    """Probability with which a batch is made of two styles each (stylegan2)."""
    clamp: float | None = None
    """Bound of the activations; none by default (stylegan2)."""
    half: int = 0
    """Resolutions, from the highest down, computed in bfloat16 (r3gan, stylegan2)."""


@dataclass(frozen=True)
class Discriminator:
    """D: images to logits."""

    network: NetworkName = "dcgan"
    """Architecture."""
    width: int = 64
    """Channels of the first layer (dcgan), of every layer (sngan), or units of a hidden layer (mlp)."""
    depth: int = 2
    """Hidden layers of an mlp, layers of stylegan2's mapping of labels; of other networks they follow from the image size."""
    norm: Literal["batch", "none", "spectral"] = "none"
    """Normalisation (mlp, dcgan)."""
    pack: int = 1
    """Samples that D judges together (PacGAN)."""
    widths: tuple[int, ...] = ()
    """Channels of each resolution, from 4x4 up (r3gan)."""
    groups: tuple[int, ...] = ()
    """Groups of each resolution's 3x3 convolutions (r3gan)."""
    blocks: tuple[int, ...] = ()
    """Residual blocks of each resolution; two each when not given (r3gan)."""
    expansion: int = 2
    """Channels within a block over those between blocks (r3gan)."""
    embedding: int | None = None
    """Length of the label's vector; the channels at 4x4 when None (r3gan)."""
    channel_base: int = 16_384
    """Channels of a resolution are this over its side, at most channel_max (stylegan2)."""
    channel_max: int = 512
    """Most channels of a resolution (stylegan2)."""
    architecture: Literal["resnet", "orig", "skip"] = "resnet"
    """How resolutions are joined (stylegan2)."""
    group: int = 4
    """Images whose deviation D sees together; 0 for the whole batch (stylegan2)."""
    group_features: int = 1
    """Features that tell of it (stylegan2)."""
    clamp: float | None = None
    """Bound of the activations; none by default (stylegan2)."""
    half: int = 0
    """Resolutions, from the highest down, computed in bfloat16 (r3gan, stylegan2)."""


@dataclass(frozen=True)
class Penalty:
    """A gradient penalty on D."""

    name: Literal["none", "r1", "r2", "r1_r2", "gradient_penalty", "dragan"] = "r1_r2"
    """Which."""
    gamma: float = 0.1
    """Its weight at the first image."""
    final_gamma: float | None = None
    """Its weight after `decay_images`, reached along half a cosine; constant when None."""
    gammas: tuple[float, ...] = ()
    """Instead of gamma: train a GAN with each of these weights, side by side in one program."""
    interval: int = 1
    """Steps from one use of the penalty to the next; above 1 it acts that many times as strong, in an update of its own."""
    path_length: float = 0.0
    """Weight of the penalty on G's path lengths; 0 for none (stylegan2)."""
    path_interval: int = 4
    """Steps from one use of it to the next, likewise."""


@dataclass(frozen=True)
class Optimizer:
    """Adam, for one player."""

    learning_rate: float = 2e-4
    """Step size at the first image."""
    final_learning_rate: float | None = None
    """Step size after `decay_images`; constant when None."""
    decay: Literal["cosine", "linear"] = "cosine"
    """Its way there: half a cosine or a straight line."""
    beta1: float = 0.0
    """Decay of the first moment, per update."""
    beta2: float = 0.99
    """Decay of the second moment, per update, at the first image."""
    final_beta2: float | None = None
    """Its value after `decay_images`, reached along half a cosine; constant when None."""


@dataclass(frozen=True)
class Recipe:
    """Everything a training run depends on."""

    data: Data = field(default_factory=Data)
    generator: Generator = field(default_factory=Generator)
    discriminator: Discriminator = field(default_factory=Discriminator)
    loss: Objective = "relativistic"
    """Objective of both players."""
    penalty: Penalty = field(default_factory=Penalty)
    g_optimizer: Optimizer = field(default_factory=Optimizer)
    d_optimizer: Optimizer = field(default_factory=Optimizer)
    batch_size: int = 128
    """Real images in one update."""
    disc_steps: int = 1
    """D's updates for each one of G."""
    augment: str = ""
    """What images pass through on their way to D: color, translation, cutout with commas between (DiffAugment), or ada:PIPE."""
    augment_strength: float = 1.0
    """Probability with which each of them acts on an image."""
    final_augment_strength: float | None = None
    """Its value after `decay_images`, reached along half a cosine; constant when None."""
    augment_target: float | None = None
    """Instead: steer the strength, from 0, so that the mean sign of D's logits of real images is this (ADA has 0.6)."""
    augment_images: int = 500_000
    """Images shown to D in which a steered strength goes from 0 to 1."""
    share_z: bool = False
    """Let G's update use the z of D's last one; faster, but not two draws."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """What activations are computed in; weights, statistics, losses and optimizers are float32 in any case. Of r3gan and
    stylegan2 bfloat16 is for all resolutions above 4x4, as `half` is for some."""
    accumulate: int = 1
    """Microbatches that an update's batch is cut into, to need the memory of one: their gradients are averaged."""
    remat: bool = False
    """Compute activations again for the gradients instead of keeping them: less memory, more time, the same numbers."""
    decay_images: int = 256_000
    """Images shown to D after which every schedule has reached its final value."""
    ema_half_life: float = 18_000.0
    """Images shown to D in which the averaged generator forgets half of what it was."""
    ema_rampup: float = 0.1
    """The half-life is at most this share of the images shown so far."""
    initial_ema_half_life: float | None = None
    """Instead of that: the half-life at the first image; it reaches its own after `decay_images`, along half a cosine."""
    seed: int = 0
    """Seed of the weights, the latents and the order of the data."""
    seeds: int = 1
    """GANs trained side by side in one program, with seeds from `seed` on."""
    steps: int = 2_000
    """Steps to train for; a finished run given more goes on."""
    steps_per_dispatch: int = 1
    """Steps in one call of the compiled program; more pays where a step is short. On CPU it slows convolutions."""
    shard: Shard = "none"
    """What is cut over the devices instead of being whole on each: the optimizers' moments and the averaged generator, or the
    parameters too. For networks that leave a device too little memory; it sends more."""
    log_interval: int = 50
    """Steps from one line of metrics to the next."""
    sample_interval: int = 200
    """Steps from one grid of samples to the next."""
    checkpoint_interval: int = 500
    """Steps from one checkpoint to the next."""
    keep_checkpoints: int = 3
    """Latest checkpoints that are kept."""
    keep_best: Best = "none"
    """Also keep the checkpoint that is best by this figure: `--best` draws from it. Of mixtures and images alike reach,
    nearest_real, overlap; of mixtures modes, high_quality, reverse_kl; of images those that eval-metrics has."""
    eval_every: int | None = None
    """Images shown from one evaluation to the next; by default 200,000 where eval-metrics or keep-best asks for any."""
    eval_metrics: tuple[ImageMetric, ...] = ()
    """What the averaged generator is measured by while it trains; by default fid and prdc where eval-every is given."""
    eval_features: str | None = None
    """Extractor of their features, as `jaxgan evaluate --features` has it; by default that which suits the data."""
    eval_n: int | None = None
    """Images measured each time; by default 10,000 or as many as there are real ones."""
    stop_on: str = ""
    """Verdicts to stop at, with commas between: collapse, diverged, discriminator, converged."""


# Fields that may differ when a run goes on: none of them changes what a step computes.
FREE = (
    "steps", "log_interval", "sample_interval", "checkpoint_interval", "keep_checkpoints", "keep_best", "stop_on",
    "eval_every", "eval_metrics", "eval_features", "eval_n", "remat", "shard",
)  # fmt: skip


def _mixture(name: str, gamma: float) -> Recipe:
    return Recipe(
        data=Data(name),
        generator=Generator("mlp", width=128, depth=3, latent_dim=16),
        discriminator=Discriminator("mlp", width=128, depth=3),
        penalty=Penalty("r1_r2", gamma),
        g_optimizer=Optimizer(2e-3, 0.0, beta2=0.99),
        d_optimizer=Optimizer(2e-3, 0.0, beta2=0.99),
        batch_size=256,
        steps=40_000,
        decay_images=40_000 * 256,
        ema_half_life=88_000.0,
        steps_per_dispatch=100,
        log_interval=500,
        sample_interval=2_000,
        checkpoint_interval=5_000,
    )


def _mnist_like(name: str) -> Recipe:
    return Recipe(
        data=Data(name, conditional=True),
        generator=Generator(width=32),
        discriminator=Discriminator(width=32),
        penalty=Penalty("r1_r2", 1.0, 0.1),
        g_optimizer=Optimizer(5e-4, 1e-4, beta2=0.95),
        d_optimizer=Optimizer(5e-4, 1e-4, beta2=0.95),
        batch_size=64,
        steps=6_000,
        decay_images=6_000 * 64,
        ema_half_life=10_000.0,
    )


def _r3gan(
    data: Data, widths: tuple[int, ...], *, batch_size: int, gamma: float, strength: float, half_life: float, images: int
) -> Recipe:
    """Configuration E: 16 channels in a group, all schedules over the same images, half of the resolutions in bfloat16."""
    sizes: dict[str, Any] = {"widths": widths, "groups": tuple(width // 8 for width in widths)}
    optimizer = Optimizer(2e-4, 5e-5, beta2=0.9, final_beta2=0.99)
    return Recipe(
        data=data,
        generator=Generator("r3gan", latent_dim=64, half=len(widths) - 1, **sizes),
        discriminator=Discriminator("r3gan", half=len(widths) - 1, **sizes),
        penalty=Penalty("r1_r2", gamma, gamma / 10),
        g_optimizer=optimizer,
        d_optimizer=optimizer,
        batch_size=batch_size,
        augment="ada:r3gan" if strength else "",
        augment_strength=0.0 if strength else 1.0,
        final_augment_strength=strength or None,
        decay_images=images,
        ema_half_life=half_life,
        initial_ema_half_life=0.0,
        steps=images // batch_size,
        log_interval=100,
        sample_interval=1_000,
        checkpoint_interval=2_000,
    )


@dataclass(frozen=True)
class Named:
    """A recipe with what a reader of the list wants to know."""

    recipe: Recipe
    about: str
    needs: str
    reached: str


RECIPES: dict[str, Named] = {
    "digits": Named(
        Recipe(
            data=Data("digits", conditional=True),
            generator=Generator("mlp", width=256, depth=3),
            discriminator=Discriminator("mlp", width=256, depth=3),
            penalty=Penalty("r1_r2", 0.3),
            g_optimizer=Optimizer(1e-3, 1e-4, beta2=0.95),
            d_optimizer=Optimizer(1e-3, 1e-4, beta2=0.95),
            steps=8_000,
            decay_images=8_000 * 128,
            ema_half_life=30_000.0,
            ema_rampup=0.2,
            log_interval=200,
            sample_interval=400,
            checkpoint_interval=1_000,
        ),
        about="1,797 handwritten digits, 8x8, by class",
        needs="2 CPU cores, 1 minute",
        reached="label accuracy 99.9 %, precision 0.954, coverage 0.986",
    ),
    "mnist": Named(
        _mnist_like("mnist"),
        "60,000 handwritten digits, 28x28, by class",
        "2 CPU cores, 10 minutes",
        "Frechet distance 3.2 (real 0.5), coverage 0.71",
    ),
    "fashion_mnist": Named(
        _mnist_like("fashion_mnist"),
        "60,000 garments, 28x28, by class",
        "2 CPU cores, 10 minutes",
        "Frechet distance 9.6 (real 0.2), coverage 0.59",
    ),
    "cifar10": Named(
        Recipe(
            data=Data("cifar10", conditional=True),
            generator=Generator(width=64, latent_dim=128),
            discriminator=Discriminator(width=64),
            penalty=Penalty("r1_r2", 0.5, 0.05),
            g_optimizer=Optimizer(2e-4, 5e-5, beta2=0.99),
            d_optimizer=Optimizer(2e-4, 5e-5, beta2=0.99),
            batch_size=64,
            steps=100_000,
            decay_images=100_000 * 64,
            ema_half_life=100_000.0,
            log_interval=100,
            sample_interval=2_000,
            checkpoint_interval=2_000,
        ),
        about="50,000 photographs, 32x32, by class",
        needs="a GPU",
        reached="",
    ),
    "stacked_mnist": Named(
        Recipe(
            data=Data("stacked_mnist"),
            generator=Generator(width=64),
            discriminator=Discriminator(width=64),
            penalty=Penalty("r1_r2", 1.0, 0.1),
            g_optimizer=Optimizer(5e-4, 1e-4, beta2=0.95),
            d_optimizer=Optimizer(5e-4, 1e-4, beta2=0.95),
            batch_size=64,
            steps=50_000,
            decay_images=50_000 * 64,
            ema_half_life=20_000.0,
            log_interval=100,
            sample_interval=1_000,
            checkpoint_interval=1_000,
        ),
        about="128,000 triples of digits, 28x28: 1,000 modes",
        needs="a GPU",
        reached="",
    ),
    "sngan_cifar10": Named(
        Recipe(
            data=Data("cifar10"),
            generator=Generator("sngan", width=256, latent_dim=128),
            discriminator=Discriminator("sngan", width=128),
            loss="hinge",
            penalty=Penalty("none", 0.0),
            g_optimizer=Optimizer(2e-4, 0.0, "linear", beta2=0.9),
            d_optimizer=Optimizer(2e-4, 0.0, "linear", beta2=0.9),
            batch_size=64,
            disc_steps=5,
            steps=100_000,
            decay_images=100_000 * 5 * 64,
            ema_half_life=100_000.0,
            log_interval=100,
            sample_interval=2_000,
            checkpoint_interval=2_000,
        ),
        about="50,000 photographs, 32x32",
        needs="a GPU",
        reached="",
    ),
    "r3gan_cifar10": Named(
        _r3gan(
            Data("cifar10", conditional=True, mirror=True),
            (768,) * 4,
            batch_size=512,
            gamma=0.05,
            strength=0.55,
            half_life=5e6,
            images=20_000_000,
        ),
        about="50,000 photographs, 32x32, by class; the paper's setting",
        needs="8 GPUs",
        reached="",
    ),
    "r3gan_stacked_mnist": Named(
        _r3gan(
            Data("stacked_mnist", image_size=32),
            (128,) * 4,
            batch_size=64,
            gamma=1.0,
            strength=0.0,
            half_life=20_000.0,
            images=3_200_000,
        ),
        about="128,000 triples of digits, 32x32: 1,000 modes",
        needs="a GPU",
        reached="",
    ),
    "r3gan_ffhq64": Named(
        _r3gan(
            Data("folder:ffhq64", image_size=64, mirror=True),
            (768, 768, 768, 768, 384),
            batch_size=256,
            gamma=2.0,
            strength=0.3,
            half_life=5e5,
            images=20_000_000,
        ),
        about="a folder of 70,000 faces, 64x64; the paper's setting",
        needs="8 GPUs",
        reached="",
    ),
    "r3gan_small": Named(
        _r3gan(
            Data("cifar10", conditional=True, mirror=True),
            (192,) * 4,
            batch_size=128,
            gamma=0.05,
            strength=0.3,
            half_life=200_000.0,
            images=4_000_000,
        ),
        about="50,000 photographs, 32x32, by class",
        needs="a GPU",
        reached="",
    ),
    "stylegan2_32": Named(
        Recipe(
            data=Data("cifar10", conditional=True, mirror=True),
            generator=Generator("stylegan2", depth=2, latent_dim=512, channel_base=32_768),
            discriminator=Discriminator("stylegan2", depth=2, channel_base=32_768, architecture="orig", group=32),
            loss="non_saturating",
            penalty=Penalty("r1", 0.01, interval=16),
            g_optimizer=Optimizer(2.5e-3),
            d_optimizer=Optimizer(2.5e-3),
            batch_size=64,
            steps=400_000,
            decay_images=400_000 * 64,
            augment="ada:bgc",
            augment_target=0.6,
            ema_half_life=500_000.0,
            ema_rampup=0.05,
            log_interval=100,
            sample_interval=4_000,
            checkpoint_interval=4_000,
        ),
        about="50,000 photographs, 32x32, by class; StyleGAN2-ADA's setting",
        needs="a GPU, days",
        reached="",
    ),
    "stylegan2_64": Named(
        Recipe(
            data=Data("folder:ffhq64", image_size=64, mirror=True),
            generator=Generator("stylegan2", depth=8, latent_dim=512, channel_base=16_384, style_mixing=0.9),
            discriminator=Discriminator("stylegan2", channel_base=16_384),
            loss="non_saturating",
            penalty=Penalty("r1", 0.05, interval=16, path_length=2.0),
            g_optimizer=Optimizer(2.5e-3),
            d_optimizer=Optimizer(2.5e-3),
            batch_size=32,
            steps=400_000,
            decay_images=400_000 * 32,
            augment="ada:bgc",
            augment_target=0.6,
            ema_half_life=10_000.0,
            ema_rampup=0.05,
            log_interval=100,
            sample_interval=4_000,
            checkpoint_interval=4_000,
        ),
        about="a folder of 70,000 faces, 64x64",
        needs="a GPU, days",
        reached="",
    ),
    "ring": Named(_mixture("ring", 0.02), "8 Gaussians on a circle", "2 CPU cores, 4 minutes", "8 modes, reverse KL 0.0018"),
    "grid": Named(_mixture("grid", 0.1), "25 Gaussians on a square", "2 CPU cores, 4 minutes", "25 modes, reverse KL 0.0054"),
}

# Least and greatest value of each number. The greatest ones catch a slip of the hand before it fills the memory.
_RANGES: dict[str, tuple[float, float]] = {
    "image_size": (1, 4096),
    "channels": (1, 4),
    "width": (1, 4096),
    "widths": (1, 16_384),
    "groups": (1, 16_384),
    "blocks": (1, 64),
    "embedding": (1, 65_536),
    "expansion": (1, 64),
    "style_dim": (1, 65_536),
    "channel_base": (1, 2**20),
    "channel_max": (1, 16_384),
    "style_mixing": (0, 1),
    "clamp": (1e-6, 1e9),
    "half": (0, 16),
    "group": (0, 1_048_576),
    "group_features": (0, 16_384),
    "interval": (1, 10_000),
    "path_length": (0, 1e6),
    "path_interval": (1, 10_000),
    "pack": (1, 64),
    "depth": (1, 64),
    "latent_dim": (1, 65_536),
    "gamma": (0, 1e6),
    "final_gamma": (0, 1e6),
    "learning_rate": (0, 10),
    "final_learning_rate": (0, 10),
    "beta1": (0, 0.999999),
    "beta2": (0, 0.999999),
    "final_beta2": (0, 0.999999),
    "batch_size": (1, 1_048_576),
    "disc_steps": (1, 100),
    "accumulate": (1, 1_048_576),
    "decay_images": (1, 10**12),
    "augment_strength": (0, 1),
    "final_augment_strength": (0, 1),
    "augment_target": (-1, 1),
    "augment_images": (1, 10**12),
    "initial_ema_half_life": (0, 1e12),
    "ema_half_life": (0, 1e12),
    "ema_rampup": (0, 1e6),
    "gammas": (0, 1e6),
    "seed": (0, 2**32 - 1),
    "seeds": (1, 1_000),
    "steps": (1, 2**31 - 1),
    "steps_per_dispatch": (1, 10_000),
    "log_interval": (1, 2**31 - 1),
    "sample_interval": (1, 2**31 - 1),
    "checkpoint_interval": (1, 2**31 - 1),
    "keep_checkpoints": (1, 10_000),
    "eval_every": (1, 10**12),
    "eval_n": (2, 10_000_000),
}


def named(name: str) -> Recipe:
    """The recipe of that name.

    Raises:
        ValueError: when there is none.
    """
    if name not in RECIPES:
        raise ValueError(f"recipe: {name!r} is not one of {', '.join(RECIPES)}{did_you_mean(name, RECIPES)}")
    return RECIPES[name].recipe


def check(recipe: Recipe) -> Recipe:
    """Refuses a recipe with a value that no run could use; which data fit which network only `build` can tell.

    Returns:
        The recipe, unchanged.

    Raises:
        ValueError: one line with the first such field, its value and what is allowed.
    """
    for path, value, annotation in _leaves(recipe):
        _check_value(path, value, annotation)
    _check_together(recipe)
    return recipe


def _check_together(recipe: Recipe) -> None:
    """Fields that are right one by one may not fit each other."""
    if recipe.seed + recipe.seeds > 2**32:
        raise ValueError(f"seeds: {recipe.seeds} from seed {recipe.seed} on, but a seed is at most {2**32 - 1:,}")
    if recipe.shard != "none" and len(members(recipe)) > 1:
        raise ValueError(f"shard: {recipe.shard}, but of GANs side by side each device has its own; it must be none")
    stop_words(recipe)
    pack, accumulate = recipe.discriminator.pack, recipe.accumulate
    if recipe.batch_size % pack:
        raise ValueError(f"discriminator.pack: {pack}, but it must divide the batch size, {recipe.batch_size}")
    images, left = divmod(recipe.batch_size, accumulate)
    if left:
        raise ValueError(f"accumulate: {accumulate}, but it must divide the batch size, {recipe.batch_size}")
    # A group of packs, as stylegan2's D has it, is at most the microbatch.
    group = recipe.discriminator.group if recipe.discriminator.network == "stylegan2" else 0
    for name, value, several in (("pack", pack, pack), ("group", group, min(group * pack, images))):
        if accumulate > 1 and several and images % several:
            told = f"discriminator.{name}, {value}, does not divide the {images} images of a microbatch"
            raise ValueError(f"accumulate: {accumulate}, but {told}")
    if pack > 1 and recipe.data.conditional:
        raise ValueError(f"discriminator.pack: {pack}, but a pack has no label of its own; set --data.no-conditional")
    gammas, name = recipe.penalty.gammas, recipe.penalty.name
    if gammas and (recipe.penalty.final_gamma is not None or name == "none"):
        reason = "name none takes no weight" if name == "none" else "final_gamma is for one weight that changes"
        raise ValueError(f"penalty.gammas: {' '.join(map(str, gammas))}, but {reason}")
    if len(set(gammas)) < len(gammas):
        raise ValueError(f"penalty.gammas: {' '.join(map(str, gammas))}, but each weight may stand there once")


def divides(recipe: Recipe, devices: int) -> bool:
    """Whether so many devices have the same share of each microbatch; GANs side by side are not cut."""
    return len(members(recipe)) > 1 or recipe.batch_size // recipe.accumulate % devices == 0


def check_divides(recipe: Recipe, devices: int) -> None:
    """Refuses a checked recipe whose batch, or microbatch, so many devices cannot share.

    Raises:
        ValueError: one line with the field, its value and what is allowed.
    """
    if divides(recipe, devices):
        return
    if recipe.batch_size % devices:
        raise ValueError(f"batch_size: {recipe.batch_size}, but it must be a multiple of the {devices} devices")
    images = recipe.batch_size // recipe.accumulate
    raise ValueError(
        f"accumulate: {recipe.accumulate}, but a microbatch, {images} images, must be a multiple of the {devices} devices"
    )


# What `stop_on` may name, and the verdict it means.
STOP_WORDS = {
    "collapse": "mode collapse",
    "diverged": "diverged",
    "discriminator": "discriminator wins",
    "converged": "converged",
}


def stop_words(recipe: Recipe) -> set[str]:
    """The verdicts at which training is to stop.

    Raises:
        ValueError: when `stop_on` names another.
    """
    words = [word.strip() for word in recipe.stop_on.split(",") if word.strip()]
    for word in words:
        if word not in STOP_WORDS:
            raise ValueError(f"stop_on: {word!r} is not one of {', '.join(STOP_WORDS)}{did_you_mean(word, STOP_WORDS)}")
    return {STOP_WORDS[word] for word in words}


def evaluation(recipe: Recipe) -> tuple[int, tuple[str, ...]]:
    """How often a run is measured while it trains, and by what.

    Returns:
        Images shown from one evaluation to the next, and names of metrics; `(0, ())` when it is not.
    """
    wanted = MEASURED.get(recipe.keep_best)
    metrics = tuple(dict.fromkeys((*recipe.eval_metrics, *([wanted] if wanted else []))))
    if recipe.eval_every is None:
        return (EVAL_EVERY, metrics) if metrics else (0, ())
    return recipe.eval_every, metrics or ("fid", "prdc")


def members(recipe: Recipe) -> list[Recipe]:
    """The recipes of the GANs it trains side by side, each as if trained alone; itself alone when it is one.

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


def to_dict(recipe: Recipe) -> dict[str, Any]:
    """A recipe as nested dicts of plain values, ready for JSON."""
    return dataclasses.asdict(recipe)


def from_dict(fields: dict[str, Any]) -> Recipe:
    """The inverse of `to_dict`; a field that is missing takes its default.

    Raises:
        ValueError: when a field is unknown or its value is not allowed.
    """
    return check(_from_dict(Recipe, fields, ""))


def differences(old: Recipe, new: Recipe) -> list[str]:
    """The fields that matter to what a step computes and differ, a line each: `batch_size: 128 -> 64`."""
    pairs = zip(_leaves(old), _leaves(new), strict=True)
    return [f"{path}: {was} -> {now}" for (path, was, _), (_, now, _) in pairs if was != now and path not in FREE]


def _leaves(value: Any, prefix: str = "") -> Iterator[tuple[str, Any, Any]]:
    hints = typing.get_type_hints(type(value))
    for item in dataclasses.fields(value):
        inner = getattr(value, item.name)
        if dataclasses.is_dataclass(hints[item.name]):
            yield from _leaves(inner, f"{prefix}{item.name}.")
        else:
            yield prefix + item.name, inner, hints[item.name]


def _check_value(path: str, value: Any, annotation: Any) -> None:
    if isinstance(annotation, UnionType):
        if value is None and NoneType in typing.get_args(annotation):
            return
        annotation = next(kind for kind in typing.get_args(annotation) if kind is not NoneType)
    if typing.get_origin(annotation) is tuple:
        if not isinstance(value, tuple):
            raise ValueError(f"{path}: {value!r}, but it must be a tuple")
        for item in value:
            _check_value(path, item, typing.get_args(annotation)[0])
        return
    if typing.get_origin(annotation) is Literal:
        allowed = typing.get_args(annotation)
        if value not in allowed:
            raise ValueError(f"{path}: {value!r} is not one of {', '.join(allowed)}{did_you_mean(str(value), allowed)}")
        return
    kinds = (int, float) if annotation is float else (annotation,)
    if type(value) not in kinds:  # bool is an int to isinstance
        raise ValueError(f"{path}: {value!r}, but it must be of type {annotation.__name__}")
    name = path.rpartition(".")[2]
    if name in _RANGES:
        least, most = _RANGES[name]
        if not (math.isfinite(value) and least <= value <= most):
            raise ValueError(f"{path}: {value}, but it must be from {least:,} to {most:,}")


def _from_dict(kind: Any, fields: Any, prefix: str) -> Any:
    if not isinstance(fields, dict):
        raise ValueError(f"{prefix.rstrip('.') or 'recipe'}: {fields!r}, but it must be a set of fields")
    hints = typing.get_type_hints(kind)
    for name in fields:
        if name not in hints:
            raise ValueError(f"{prefix}{name}: no such field{did_you_mean(name, hints)}")
    values = {}
    for name, value in fields.items():
        if dataclasses.is_dataclass(hints[name]):
            value = _from_dict(hints[name], value, f"{prefix}{name}.")
        values[name] = tuple(value) if isinstance(value, list) else value  # JSON knows no tuples
    return kind(**values)
