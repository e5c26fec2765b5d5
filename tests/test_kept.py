"""Directions under a name: written, read, followed; what is not there, and files that are damaged."""

from pathlib import Path

import numpy as np
import pytest

from jaxgan.latent import kept
from jaxgan.latent.kept import Directions

FOUND = Directions("smile", "z", np.eye(4, dtype=np.float32)[:2] * 2.0, np.array([3.0, 1.0]), {"made": "by hand"})


def test_what_is_written_is_read_and_followed(tmp_path: Path) -> None:
    assert kept.names(tmp_path) == []
    file = kept.write(tmp_path, FOUND)
    assert file == tmp_path / "directions" / "smile.npz"
    assert kept.names(tmp_path) == ["smile"]
    again = kept.read(tmp_path, "smile")
    np.testing.assert_array_equal(again.vectors, FOUND.vectors)
    assert (again.space, again.about) == ("z", {"made": "by hand"})
    np.testing.assert_allclose(again.along(np.ones(4), 2, [-1.0, 0.0, 1.0])[:, 1], [-1.0, 1.0, 3.0])
    assert again.along(np.ones((3, 4)), 1, [1.0]).shape == (1, 3, 4)  # of styles all move
    assert kept.folder_of("x/g.safetensors") == Path("x/g-directions")
    assert kept.split("smile") == ("smile", 1)
    assert kept.split("3-to-7:4") == ("3-to-7", 4)


def test_mistakes(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^direction: smile, but there are none; jaxgan directions finds some$"):
        kept.read(tmp_path, "smile")
    kept.write(tmp_path, FOUND)
    with pytest.raises(ValueError, match=r"^direction: smil, but there are smile; did you mean 'smile'\?$"):
        kept.read(tmp_path, "smil")
    with pytest.raises(ValueError, match=r"^direction: smile:3, but it has 1 to 2$"):
        FOUND.along(np.ones(4), 3, [1.0])
    with pytest.raises(ValueError, match=r"^direction: smile:x, but it must be NAME, or NAME:3 for the third$"):
        kept.split("smile:x")
    with pytest.raises(ValueError, match=r"name: '\.\./x', but it must be of letters"):
        kept.check_name("../x")
    whole = (tmp_path / "directions" / "smile.npz").read_bytes()
    for damaged in (whole[:-40], b"no archive"):
        (tmp_path / "directions" / "smile.npz").write_bytes(damaged)
        with pytest.raises(ValueError, match=r"smile\.npz is damaged: "):
            kept.read(tmp_path, "smile")
    np.savez(tmp_path / "directions" / "smile.npz", vectors=np.full((1, 2), np.nan), values=[1.0], space="z", about="{}")
    with pytest.raises(ValueError, match=r"smile\.npz is damaged: vectors of shape \[1, 2\]"):
        kept.read(tmp_path, "smile")
