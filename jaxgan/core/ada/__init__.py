"""The augmentations of StyleGAN2-ADA: images that D sees are moved, recoloured, filtered and cut, with an adaptive probability.

An image passes through, in this order: mirror, quarter turns, shifts, scaling, rotation and stretching, all as one
resampling; brightness, contrast, flipped luma, hue and saturation, all as one affine map of its colours; a filter of its
frequencies; noise; a box cut out. Each acts with a probability of its own. Below certainty no transformation is more
likely than none, so G does not learn to make transformed images (Karras et al. 2020, section 2.2).

`draw` draws, `apply` applies: images go through linear maps and additions only, twice differentiable, as a gradient penalty
needs it. `ada` is both, an `Augment`; `adapt` moves the strength by the signs of D's logits on real images.
"""

from jaxgan.core.ada.operations import PIPES, Draws, Pipe
from jaxgan.core.ada.pipe import ada, apply, draw
from jaxgan.core.ada.strength import adapt, adaptive

__all__ = ["PIPES", "Draws", "Pipe", "ada", "adapt", "adaptive", "apply", "draw"]
