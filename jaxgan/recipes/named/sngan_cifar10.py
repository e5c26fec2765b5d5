"""Photographs of 32x32 pixels with spectral normalisation.

Paper: Miyato et al. 2018, Spectral normalization for GANs.
Command: jaxgan train sngan_cifar10
Data: 50,000 photographs, 32x32
Needs: a GPU
Reached: not measured yet
"""

from jaxgan.recipes import SNGAN, Adam, Data, Penalty, Recipe, SNGANDiscriminator

recipe = Recipe(
    data=Data("cifar10"),
    generator=SNGAN(width=256, latent_dim=128),
    discriminator=SNGANDiscriminator(width=128),
    loss="hinge",
    penalty=Penalty("none", gamma=0.0),
    g_optimizer=Adam(final_learning_rate=0.0, decay="linear", beta2=0.9),
    d_optimizer=Adam(final_learning_rate=0.0, decay="linear", beta2=0.9),
    batch_size=64,
    disc_steps=5,
    decay_images=32_000_000,
    ema_half_life=100_000.0,
    steps=100_000,
    log_interval=100,
    sample_interval=2000,
    checkpoint_interval=2000,
)
