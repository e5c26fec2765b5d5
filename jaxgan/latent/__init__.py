"""Latent spaces of a trained generator: what lies in them, the way between two places, and the place of an image."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=("directions", "first_layer", "inversion", "kept", "law", "opened", "residuals", "spaces", "targets", "walks"),
)
