"""What the benchmarks train: a recipe for each name, narrow where a CPU is to train it. No JAX here, nor PyTorch."""

from dataclasses import replace

from jaxgan.recipes import (
    DCGAN,
    MLP,
    R3GAN,
    SNGAN,
    Adam,
    Data,
    DCGANDiscriminator,
    MLPDiscriminator,
    Penalty,
    R3GANDiscriminator,
    Recipe,
    ResNet,
    ResNetDiscriminator,
    SNGANDiscriminator,
    StyleGAN2,
    StyleGAN2Discriminator,
    check,
)

ADAM = Adam(2e-4, beta1=0.5, beta2=0.999)
ADAM_0 = Adam(2e-4, beta1=0.0, beta2=0.99)


def _dcgan(size: int) -> Recipe:
    return Recipe(
        Data("none", image_size=size),
        DCGAN(width=64, norm="batch", latent_dim=100),
        DCGANDiscriminator(width=64, norm="batch"),
        loss="non_saturating",
        penalty=Penalty("none", 0.0),
        g_optimizer=ADAM,
        d_optimizer=ADAM,
        batch_size=64,
    )


def _r3gan(width: int, batch_size: int) -> Recipe:
    sizes = {"widths": (width,) * 4, "groups": (max(1, width // 8),) * 4}
    return Recipe(
        Data("none", image_size=32),
        R3GAN(latent_dim=64, **sizes),
        R3GANDiscriminator(**sizes),
        penalty=Penalty("r1_r2", 0.05),
        g_optimizer=ADAM_0,
        d_optimizer=ADAM_0,
        batch_size=batch_size,
    )


def _stylegan2(base: int, most: int, style: int, depth: int, batch_size: int, interval: int) -> Recipe:
    widths = {"channel_base": base, "channel_max": most}
    return Recipe(
        Data("none", image_size=64),
        StyleGAN2(latent_dim=style, style_dim=style, depth=depth, **widths),
        StyleGAN2Discriminator(**widths),
        loss="non_saturating",
        penalty=Penalty("r1", 0.05, interval=interval),
        g_optimizer=ADAM_0,
        d_optimizer=ADAM_0,
        batch_size=batch_size,
    )


MLP = Recipe(
    Data("none", image_size=28, channels=1),
    MLP(width=256, depth=3, latent_dim=64),
    MLPDiscriminator(width=256, depth=3),
    loss="non_saturating",
    penalty=Penalty("none", 0.0),
    g_optimizer=ADAM,
    d_optimizer=ADAM,
    batch_size=64,
    steps_per_dispatch=10,
)
SNGAN = Recipe(
    Data("none", image_size=32),
    SNGAN(width=256, latent_dim=128),
    SNGANDiscriminator(width=128),
    loss="hinge",
    penalty=Penalty("none", 0.0),
    g_optimizer=ADAM_0,
    d_optimizer=ADAM_0,
    batch_size=64,
)
RESNET = Recipe(
    Data("none", image_size=32),
    ResNet(width=32, latent_dim=64),
    ResNetDiscriminator(width=32),
    penalty=Penalty("r1_r2", 0.05),
    g_optimizer=ADAM_0,
    d_optimizer=ADAM_0,
    batch_size=32,
)
CPU = {
    "MLP": MLP,
    "DCGAN-32": _dcgan(32),
    "DCGAN-64": _dcgan(64),
    "SNGAN-32": SNGAN,
    "R3GAN-32 narrow": _r3gan(64, 32),
    "ResNet-32": RESNET,
    "StyleGAN2-64 narrow": _stylegan2(2_048, 64, 128, 4, 16, 4),
}
ACCELERATOR = {name: CPU[name] for name in ("MLP", "DCGAN-32", "DCGAN-64", "SNGAN-32", "ResNet-32")} | {
    "R3GAN-32 E": _r3gan(768, 256),
    "StyleGAN2-64": _stylegan2(16_384, 512, 512, 8, 32, 16),
}


def recipe_of(settings: dict[str, object]) -> Recipe:
    """The recipe that a side is told to train, `settings` as `settings_of` makes them."""
    recipe = (CPU if settings["device"] == "cpu" else ACCELERATOR)[str(settings["workload"])]
    size, batch = settings["size"], settings["batch"]
    precision = "bfloat16" if settings["precision"] == "bfloat16" else "float32"
    data = recipe.data if size is None else replace(recipe.data, image_size=size)
    recipe = replace(recipe, data=data, batch_size=recipe.batch_size if batch is None else batch, precision=precision)
    return check(replace(recipe, share_z=True))  # one G(z) for both updates, as most train


def settings_of(
    workload: str, device: str, precision: str = "float32", *, batch: int | None = None, size: int | None = None
) -> dict[str, object]:
    """What a side is started with: a workload, perhaps of another batch or side than its own."""
    return {"workload": workload, "device": device, "precision": precision, "batch": batch, "size": size}


def about(recipe: Recipe) -> str:
    """A workload in words."""
    penalty = recipe.penalty
    words = [recipe.loss.replace("_", " "), f"batch {recipe.batch_size}"]
    if penalty.name != "none":
        lazily = f" at every step in {penalty.interval}" if penalty.interval > 1 else ""
        words.insert(1, penalty.name.upper().replace("_", " + ") + lazily)
    if recipe.steps_per_dispatch > 1:
        words.append(f"in jaxgan {recipe.steps_per_dispatch} steps to a dispatch")
    return ", ".join(words)


def names(device: str) -> list[str]:
    """All workloads of a device."""
    return [*(CPU if device == "cpu" else ACCELERATOR)]
