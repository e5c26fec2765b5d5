"""Runs: what trains, saves, resumes and reads them."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=(
        "checkpoint",
        "generate",
        "loop",
        "monitor",
        "runs",
        "tensors",
        "train",
    ),
)
