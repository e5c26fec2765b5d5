"""Weights made elsewhere, and files of weights that others can read."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=(
        "foreign",
        "names",
        "torch_file",
    ),
)
