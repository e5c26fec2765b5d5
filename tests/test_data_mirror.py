"""Mirrored data: each image as it is or turned left to right, by coins that depend on the seed and the step only."""

import numpy as np
import pytest

from jaxgan import data, toy
from jaxgan.data.mirror import mirrored

IMAGES = np.random.default_rng(0).integers(0, 256, (40, 4, 6, 3), dtype=np.uint8)


def test_half_of_the_images_are_turned_and_nothing_else_changes():
    plain = data.from_array(IMAGES)
    turned = mirrored(plain)
    assert (turned.shape, turned.size, turned.name) == (plain.shape, plain.size, plain.name)
    before, after = plain.batches(3, 40)(0, 5), turned.batches(3, 40)(0, 5)
    np.testing.assert_array_equal(before["label"], after["label"])
    same = (np.asarray(before["image"]) == np.asarray(after["image"])).all(axis=(2, 3, 4))
    flipped = (np.asarray(before["image"])[:, :, :, ::-1] == np.asarray(after["image"])).all(axis=(2, 3, 4))
    assert (same ^ flipped).all()
    assert abs(flipped.mean() - 0.5) < 4 * 0.5 / np.sqrt(200)  # four standard errors of 200 coins
    assert len({tuple(row) for row in flipped}) == 5  # each step throws its own


def test_a_batch_depends_on_the_seed_and_its_step_only():
    turned = mirrored(data.from_array(IMAGES))
    draw = turned.batches(3, 8)
    together = draw(2, 3)["image"]
    for i in range(3):
        np.testing.assert_array_equal(turned.batches(3, 8)(2 + i)["image"][0], together[i])
    assert (np.asarray(turned.batches(4, 8)(2, 3)["image"]) != np.asarray(together)).any()


def test_points_have_no_mirror_image():
    with pytest.raises(ValueError, match="mirror: True, but ring holds points in the plane"):
        mirrored(toy.dataset(toy.ring(), name="ring"))
