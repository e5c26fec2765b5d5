"""Metrics: pure functions on arrays of features, one file each, with the record that names, defines and measures each."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=(
        "columns",
        "diversity",
        "families",
        "frechet",
        "inception_score",
        "kernel",
        "memorisation",
        "modes",
        "moments",
        "prdc",
        "precision_recall",
        "sliced_wasserstein",
        "spectrum",
        "tstr",
    ),
    submod_attrs={"named": ["NAMES", "find"]},
)
