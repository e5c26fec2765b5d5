"""Figures that say how good samples are, and the verdict on a run."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=(
        "comparison",
        "features",
        "metric",
        "metrics",
        "quality",
        "report",
        "resemblance",
        "settings",
        "verdict",
        "watching",
    ),
)
