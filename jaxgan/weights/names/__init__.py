"""PyTorch's names of the networks: the place of each tensor of a state dict, a file for each architecture."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submodules=("dcgan", "r3gan", "sngan", "stylegan2"))
