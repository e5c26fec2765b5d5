"""Arrays into pictures: grids of images, animations, points, views of any other samples, curves of a run.

Everything here returns a picture or writes one file; nothing is shown, and no global state of matplotlib is touched.
"""

from jaxgan.pictures.curves import curves
from jaxgan.pictures.grids import columns_for, grid, pairs, pictured, strip, tile, titled, to_uint8
from jaxgan.pictures.moving import animation, check_video, frames, progress
from jaxgan.pictures.points import plane, scatter
from jaxgan.pictures.series import series
from jaxgan.pictures.views import are_pictures, view
from jaxgan.pictures.writing import check_path, to_png, write

__all__ = [
    "animation",
    "are_pictures",
    "check_path",
    "check_video",
    "columns_for",
    "curves",
    "frames",
    "grid",
    "pairs",
    "pictured",
    "plane",
    "progress",
    "scatter",
    "series",
    "strip",
    "tile",
    "titled",
    "to_png",
    "to_uint8",
    "view",
    "write",
]
