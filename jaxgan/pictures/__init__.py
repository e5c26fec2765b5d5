"""Arrays into pictures: grids and strips of images, animations, points in the plane, curves of a run.

Everything here returns a picture or writes one file; nothing is shown, and no global state of matplotlib is touched.
"""

from jaxgan.pictures.curves import curves
from jaxgan.pictures.grids import columns_for, grid, strip, tile, titled, to_uint8
from jaxgan.pictures.moving import animation, frames, progress
from jaxgan.pictures.points import plane, scatter
from jaxgan.pictures.writing import check_path, write

__all__ = [
    "animation",
    "check_path",
    "columns_for",
    "curves",
    "frames",
    "grid",
    "plane",
    "progress",
    "scatter",
    "strip",
    "tile",
    "titled",
    "to_uint8",
    "write",
]
