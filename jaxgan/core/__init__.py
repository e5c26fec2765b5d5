"""The GAN as formulas: pure functions over parameter pytrees."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=(
        "ada",
        "augment",
        "conditions",
        "cost",
        "gan",
        "latents",
        "logits",
        "losses",
        "penalties",
        "play",
        "protocols",
        "regularise",
        "resample",
        "schedules",
        "sweep",
        "term",
        "terms",
        "types",
        "units",
        "weighing",
    ),
)
