"""Recipes: what to train, as values. Nothing here loads JAX, so that the command line answers at once."""

from jaxgan.recipes.checks import check, check_divides, divides
from jaxgan.recipes.code import Origin, UserCodeError
from jaxgan.recipes.data import Data
from jaxgan.recipes.fields import Within
from jaxgan.recipes.formats import FORMAT, FREE, differences, from_dict, to_dict
from jaxgan.recipes.loader import Loader
from jaxgan.recipes.networks import (
    DCGAN,
    MLP,
    R3GAN,
    SNGAN,
    DCGANDiscriminator,
    MLPDiscriminator,
    R3GANDiscriminator,
    ResNet,
    ResNetDiscriminator,
    SNGANDiscriminator,
    StyleGAN2,
    StyleGAN2Discriminator,
)
from jaxgan.recipes.optimizers import SGD, Adam, AdamW, RMSProp, Schedules
from jaxgan.recipes.presets import NAMES, preset
from jaxgan.recipes.recipe import EVAL_EVERY, LOOKED_AT, Penalty, Recipe, Shard, evaluation, figures, members, stop_words

__all__ = [
    "DCGAN",
    "EVAL_EVERY",
    "FORMAT",
    "FREE",
    "LOOKED_AT",
    "MLP",
    "NAMES",
    "R3GAN",
    "SGD",
    "SNGAN",
    "Adam",
    "AdamW",
    "DCGANDiscriminator",
    "Data",
    "Loader",
    "MLPDiscriminator",
    "Origin",
    "Penalty",
    "R3GANDiscriminator",
    "RMSProp",
    "Recipe",
    "ResNet",
    "ResNetDiscriminator",
    "SNGANDiscriminator",
    "Schedules",
    "Shard",
    "StyleGAN2",
    "StyleGAN2Discriminator",
    "UserCodeError",
    "Within",
    "check",
    "check_divides",
    "differences",
    "divides",
    "evaluation",
    "figures",
    "from_dict",
    "members",
    "preset",
    "stop_words",
    "to_dict",
]
