"""A trained generator with what is known of it, and the options with which it is published."""

import logging
from pathlib import Path
from typing import Any, NamedTuple

from jaxgan import recipes
from jaxgan.core.types import Weights
from jaxgan.publishing import onnx_file
from jaxgan.recipes import Recipe
from jaxgan.training.run import Run
from jaxgan.training.sampler import Generator

log = logging.getLogger("jaxgan")


class Wish(NamedTuple):
    """The options of an export besides the run and the path."""

    form: str = "file"
    precision: str = "float32"
    license: str | None = None
    push: str | None = None
    runtime: Path | None = None
    overwrite: bool = False


class Product(NamedTuple):
    """A trained generator, and what is known of it."""

    run: Run
    generator: Generator
    weights: Weights
    own_recipe: Recipe  # of this one GAN
    step: int

    @property
    def recipe(self) -> dict[str, Any]:
        """The recipe as JSON holds it."""
        return recipes.to_dict(self.own_recipe)

    @property
    def data(self) -> str:
        """The name of the data: of a folder or file the last part, as paths are the machine's; or a reference to code."""
        data = self.recipe["data"]
        named = data.get("name", data.get("type")) if isinstance(data, dict) else data
        return Path(str(named)).name


def onnx_bytes(product: Product, wish: Wish) -> bytes:
    """Returns the bytes of an `.onnx` file, and says by how much its images differ from the sampler's."""
    about = {"recipe": product.recipe, "step": product.step}
    run, precision = product.run, wish.precision
    content, apart = onnx_file.to_bytes(product.generator, product.weights, about, precision=precision, shown=run.shown)
    told = "onnx, %s weights, %.1f MB: images differ from the sampler's by %.3f %% of the range in the mean, %.1f %% at most"
    log.info(told, precision, len(content) / 1e6, 100 * apart.mean, 100 * apart.most)
    return content
