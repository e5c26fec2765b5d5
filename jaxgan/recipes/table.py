"""The names that a recipe may use: one row for each part, value and metric of the library.

A row says where the thing is, `MODULE:NAME`; its module is imported when the name is used, never before. This file and the
recipes load nothing but the standard library, so that the command line answers at once.
"""

from collections.abc import Iterable, Mapping
from importlib import import_module
from typing import Any, NamedTuple

from jaxgan.system.messages import FieldError, did_you_mean, shown


class Pair(NamedTuple):
    """The parts of one architecture, a frozen dataclass for each player."""

    generator: str
    discriminator: str


class Measure(NamedTuple):
    """A metric, and the figures by which it can tell the better of two states."""

    where: str
    figures: tuple[str, ...]


NETWORKS: dict[str, Pair] = {
    "mlp": Pair("jaxgan.recipes.networks:MLP", "jaxgan.recipes.networks:MLPDiscriminator"),
    "dcgan": Pair("jaxgan.recipes.networks:DCGAN", "jaxgan.recipes.networks:DCGANDiscriminator"),
    "sngan": Pair("jaxgan.recipes.networks:SNGAN", "jaxgan.recipes.networks:SNGANDiscriminator"),
    "resnet": Pair("jaxgan.recipes.networks:ResNet", "jaxgan.recipes.networks:ResNetDiscriminator"),
    "r3gan": Pair("jaxgan.recipes.networks:R3GAN", "jaxgan.recipes.networks:R3GANDiscriminator"),
    "pix2pix": Pair("jaxgan.recipes.pix2pix:Pix2Pix", "jaxgan.recipes.pix2pix:Pix2PixDiscriminator"),
    "stylegan2": Pair("jaxgan.recipes.networks:StyleGAN2", "jaxgan.recipes.networks:StyleGAN2Discriminator"),
}
OPTIMIZERS: dict[str, str] = {
    "adam": "jaxgan.recipes.optimizers:Adam",
    "adamw": "jaxgan.recipes.optimizers:AdamW",
    "rmsprop": "jaxgan.recipes.optimizers:RMSProp",
    "sgd": "jaxgan.recipes.optimizers:SGD",
}
LOSSES: dict[str, str] = {
    "minimax": "jaxgan.core.losses:minimax",
    "non_saturating": "jaxgan.core.losses:non_saturating",
    "relativistic": "jaxgan.core.losses:relativistic",
    "relativistic_average": "jaxgan.core.losses:relativistic_average",
    "hinge": "jaxgan.core.losses:hinge",
    "least_squares": "jaxgan.core.losses:least_squares",
    "wasserstein": "jaxgan.core.losses:wasserstein",
}
PENALTIES: dict[str, str] = {
    "none": "jaxgan.core.penalties:none",
    "r1": "jaxgan.core.penalties:r1",
    "r2": "jaxgan.core.penalties:r2",
    "r1_r2": "jaxgan.core.penalties:r1_r2",
    "r1_r2_approximate": "jaxgan.core.penalties:r1_r2_approximate",
    "gradient_penalty": "jaxgan.core.penalties:gradient_penalty",
    "dragan": "jaxgan.core.penalties:dragan",
}
TERMS: dict[str, str] = {
    "l1": "jaxgan.core.terms:l1",
    "l2": "jaxgan.core.terms:l2",
    "feature_matching": "jaxgan.core.terms:feature_matching",
    "power_spectrum": "jaxgan.core.terms:power_spectrum",
}
LATENTS: dict[str, str] = {
    "normal": "jaxgan.core.latents:normal",
    "uniform": "jaxgan.core.latents:uniform",
    "sphere": "jaxgan.core.latents:sphere",
}
MIXTURES: dict[str, str] = {
    "ring": "jaxgan.toy:ring",
    "grid": "jaxgan.toy:grid",
}
GENERATED = ("signals", "fields", "volumes", "table")  # names of data sets that are computed
METRICS: dict[str, Measure] = {
    "fid": Measure("jaxgan.evaluation.metrics.frechet:FID", ("fid",)),
    "fid_population": Measure("jaxgan.evaluation.metrics.frechet:FID_POPULATION", ("fid_population",)),
    "kid": Measure("jaxgan.evaluation.metrics.kernel:KID", ("kid",)),
    "sliced_wasserstein": Measure("jaxgan.evaluation.metrics.sliced_wasserstein:SLICED_WASSERSTEIN", ("sliced_wasserstein",)),
    "tstr": Measure("jaxgan.evaluation.metrics.tstr:TSTR", ("tstr",)),
    "is": Measure("jaxgan.evaluation.metrics.inception_score:INCEPTION_SCORE", ("inception_score",)),
    "prdc": Measure("jaxgan.evaluation.metrics.prdc:PRDC", ("precision", "recall", "density", "coverage")),
    "precision_recall": Measure(
        "jaxgan.evaluation.metrics.precision_recall:PRECISION_RECALL", ("improved_precision", "improved_recall")
    ),
    "spectrum": Measure("jaxgan.evaluation.metrics.spectrum:SPECTRUM", ("spectrum", "spectrum_worst")),
    "waveforms": Measure("jaxgan.evaluation.metrics.families:WAVEFORMS", ("waveform_coverage", "waveform_misfit")),
    "ellipsoids": Measure("jaxgan.evaluation.metrics.families:ELLIPSOIDS", ("ellipsoid_coverage", "ellipsoid_misfit")),
    "columns": Measure("jaxgan.evaluation.metrics.columns:COLUMNS", ("marginals", "correlations", "predicts")),
    "diversity": Measure("jaxgan.evaluation.metrics.diversity:DIVERSITY", ()),
    "memorisation": Measure("jaxgan.evaluation.metrics.memorisation:MEMORISATION", ()),
}


# Names that others have for the same, in small letters and without signs between.
_ALIASES: dict[str, str] = {
    "wgan": "wasserstein",
    "wgangp": "wasserstein with --penalty.name gradient_penalty",
    "gp": "gradient_penalty",
    "lsgan": "least_squares",
    "ls": "least_squares",
    "mse": "least_squares",
    "vanilla": "minimax, or non_saturating, which trains better",
    "bce": "non_saturating",
    "ns": "non_saturating",
    "nsgan": "non_saturating",
    "saturating": "minimax",
    "rpgan": "relativistic",
    "ragan": "relativistic_average",
    "r1r2": "r1_r2",
    "stylegan": "stylegan2",
    "stylegan2ada": "stylegan2 with --augment ada:bgc",
    "frechet": "fid",
    "inceptionscore": "is",
    "swd": "sliced_wasserstein",
    "precision": "prdc",
    "recall": "prdc",
    "gaussian": "normal",
}


def unknown(field: str, name: Any, names: Iterable[str]) -> FieldError:
    """Returns the error of a name that is not in a table, with the name that was probably meant."""
    names = list(names)
    plain = "".join(letter for letter in str(name).lower() if letter.isalnum())
    meant = _ALIASES.get(plain, "")
    if meant.partition(" ")[0].rstrip(",") in names:
        told = f"; it is called {meant}" if " " in meant else f"; did you mean {meant!r}?"
    else:
        told = did_you_mean(str(name), names)
    return FieldError(field, shown(name), f"{', '.join(names)}{told}", link=" is not one of ")


def find(names: Mapping[str, str], field: str, name: str) -> Any:
    """Returns what a name of one of these tables stands for, importing the module that holds it.

    Args:
        names: one of the tables of this file.
        field: what is being set, for the message.
        name: a key of the table.

    Raises:
        FieldError: when the table has no such name.
    """
    if name not in names:
        raise unknown(field, name, names)
    return at(names[name])


def at(where: str) -> Any:
    """Returns what stands at `MODULE:NAME`, importing the module."""
    module, _, name = where.partition(":")
    return getattr(import_module(module), name)
