"""Photographs of 32x32 pixels, by class, in R3GAN's own setting.

Paper: Huang et al. 2024, The GAN is dead; long live the GAN (R3GAN), configuration E for CIFAR-10.
Command: jaxgan train r3gan_cifar10
Data: 50,000 photographs, 32x32, by class; the paper's setting
Needs: 8 GPUs
Reached: not measured yet
"""

from jaxgan.recipes import R3GAN, Adam, Data, Penalty, R3GANDiscriminator, Recipe

recipe = Recipe(
    data=Data("cifar10", conditional=True, mirror=True),
    generator=R3GAN(widths=(768, 768, 768, 768), groups=(96, 96, 96, 96), bfloat16_levels=3),
    discriminator=R3GANDiscriminator(widths=(768, 768, 768, 768), groups=(96, 96, 96, 96), bfloat16_levels=3),
    penalty=Penalty("r1_r2", gamma=0.05, final_gamma=0.005),
    g_optimizer=Adam(final_learning_rate=5e-05, beta2=0.9, final_beta2=0.99),
    d_optimizer=Adam(final_learning_rate=5e-05, beta2=0.9, final_beta2=0.99),
    batch_size=512,
    augment="ada:r3gan",
    augment_strength=0.0,
    final_augment_strength=0.55,
    decay_images=20_000_000,
    ema_half_life=5_000_000.0,
    initial_ema_half_life=0.0,
    steps=39_062,
    log_interval=100,
    sample_interval=1000,
    checkpoint_interval=2000,
)
