"""Data sources as parts of a recipe."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from jaxgan.recipes.fields import Within
from jaxgan.recipes.table import MIXTURES, find
from jaxgan.system.messages import FieldError

UNCONDITIONAL = "it must be False, --data.no-conditional"
# Names under which nothing can be opened: each in words, with the remedy.
NOT_AT_HAND = {
    "none": ("none", "a run without data can only be drawn from"),
    "given": ("data given in Python", "they must be given again: jaxgan.train(recipe, run, dataset=...)"),
}


@dataclass(frozen=True)
class Data:
    """A data set by name, with its split and the form of its samples."""

    name: str = "digits"
    """digits, halves, signals, fields, volumes, table, ring, grid, mnist, fashion_mnist, cifar10, stacked_mnist, tfds:NAME,
    folder:PATH, npz:PATH; none to draw only"""
    split: str = "train"
    """Split of the data set."""
    image_size: Annotated[int | None, Within(1, 4096)] = None
    """Side in pixels that images are cropped and resized to; the data's own when None."""
    channels: Annotated[int | None, Within(1, 4)] = None
    """Channels that images are converted to, 1, 3 or 4; the data's own when None."""
    fit: Literal["crop", "letterbox", "squeeze"] = "crop"
    """Fit of a picture that is not square: its central square, all of it on black, or all of it distorted."""
    dimensions: Annotated[int | None, Within(0, 3)] = None
    """Axes of space of an .npz's samples, without N and channels: 0 vectors, 1 signals, 2 pictures and fields, 3 volumes; by
    their number of axes when None, three being [N, H, W]."""
    value_range: tuple[float, ...] = ()
    """Values that become -1 and 1: LOW HIGH, or such a pair for each channel; found by `measure` when not given."""
    measure: Literal["auto", "minmax", "percentiles", "none"] = "auto"
    """Rule that finds the range: auto (bytes 0 to 255, floats within [0, 1] or [-1, 1] that, vectors of numbers up to 10 none,
    others minmax), the least and largest value of each channel, 0.1 and 99.9 % of each, or none: numbers as they are."""
    unit: str = ""
    """Unit of the values as people write it, K or m/s; it stands on the axes and bars of pictures."""
    conditional: bool = False
    """Give both networks the labels, or the condition where the data have one, so that it can be asked for."""
    mirror: bool = False
    """Turn half of the images left to right."""

    def how(self) -> dict[str, Any]:
        """Returns the arguments of `data.load` besides the name."""
        names = ("split", "image_size", "channels", "fit", "dimensions", "value_range", "measure", "unit")
        return {name: getattr(self, name) for name in names}

    def build(self) -> Any:
        """Returns the `Dataset` of that name, read from disk or drawn.

        Raises:
            FieldError: when there is none of that name, or the data do not fit a field.
            FileNotFoundError: when it is not there, with the command that prepares it.
        """
        if self.name in NOT_AT_HAND:
            raise FieldError("name", *NOT_AT_HAND[self.name])
        if self.name in MIXTURES:
            if self.conditional:
                raise FieldError("conditional", True, f"{self.name} has no labels; {UNCONDITIONAL}")
            from jaxgan import toy

            return toy.dataset(find(MIXTURES, "name", self.name)(), name=self.name)
        from jaxgan import data

        try:
            found = data.load(self.name, **self.how())
        except FieldError as error:
            if error.field != "name" or error.link != " is not one of ":
                raise
            raise FieldError("name", error.value, f"{', '.join(MIXTURES)}, {error.allowed}", link=error.link) from error
        if self.conditional and not found.class_names and found.condition is None:
            raise FieldError("conditional", True, f"{self.name} has no labels; {UNCONDITIONAL}")
        if not self.mirror:
            return found
        from jaxgan.data.mirror import mirrored

        return mirrored(found)
