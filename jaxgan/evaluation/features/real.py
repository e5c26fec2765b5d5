"""Real samples that generated ones are compared with: a data set, and what is known of its files and other splits."""

from collections.abc import Callable
from typing import NamedTuple

from jaxgan import data
from jaxgan.core.types import Dataset
from jaxgan.data.identity import fingerprint
from jaxgan.evaluation.features.inputs import are_images
from jaxgan.recipes.table import MIXTURES

_HELD_OUT = ("test", "validation")


class Real(NamedTuple):
    """A set of real samples."""

    name: str  # of the data set
    split: str
    dataset: Dataset  # not mirrored
    fingerprint: Callable[[], str] | None  # changes whenever the files do; None: there is nothing to keep statistics by
    held_out: Callable[[], Dataset | None]  # loads unseen samples, of another split

    @property
    def kind(self) -> str:
        """The noun for its samples."""
        units = self.dataset.units
        return "images" if are_images(self.dataset.shape) and (units is None or units.are_bytes) else "samples"


def given(dataset: Dataset, *, held_out: Dataset | None = None) -> Real:
    """Real samples of any data set. Statistics of them are computed for each evaluation and not kept on disk.

    Args:
        dataset: the samples, finite or drawn from a density.
        held_out: unseen samples of the same distribution, where there are any.
    """
    return Real(dataset.name, dataset.split, dataset, None, lambda: held_out)


def named(
    dataset: Dataset, name: str, *, split: str = "train", image_size: int | None = None, channels: int | None = None
) -> Real:
    """Real samples of a data set that `data.load` knows by name. Statistics are kept on disk as long as its files stay.

    Args:
        dataset: the data set, loaded and not mirrored.
        name: name for `data.load`.
        split: split of the data set.
        image_size: as for `data.load`.
        channels: as for `data.load`.

    Returns:
        A `Real`, with the test or validation split held out where there is one. Mixtures have neither files nor splits.
    """
    if name in MIXTURES or dataset.size is None:
        return given(dataset)

    def held_out() -> Dataset | None:
        other = held_out_split(name, split=split, image_size=image_size, channels=channels)
        return None if other is None else data.load(name, split=other, image_size=image_size, channels=channels)

    return Real(name, split, dataset, lambda: fingerprint(name), held_out)


def held_out_split(name: str, *, split: str, image_size: int | None = None, channels: int | None = None) -> str | None:
    """Returns the split that a data set keeps for tests, other than the one trained on, or None.

    Args:
        name: name for `data.load`, and the rest likewise.
        split: the split trained on.
        image_size: as for `data.load`.
        channels: as for `data.load`.
    """
    for other in _HELD_OUT:
        if other == split:
            continue
        try:
            data.load(name, split=other, image_size=image_size, channels=channels, stream=True)
        except (ValueError, FileNotFoundError):
            continue
        return other
    return None
