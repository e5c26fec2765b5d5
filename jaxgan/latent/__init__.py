"""The latent space of a trained generator: directions, interpolation between latents, and the latent of an image."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=("directions", "first_layer", "inversion", "kept", "law", "opened", "residuals", "spaces", "targets", "walks"),
)
