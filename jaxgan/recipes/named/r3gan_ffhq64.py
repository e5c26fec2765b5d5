"""A folder of 70,000 faces of 64x64 pixels, in R3GAN's own setting.

Paper: Huang et al. 2024 (R3GAN), FFHQ-64.
Command: jaxgan train r3gan_ffhq64
Data: a folder of 70,000 faces, 64x64; the paper's setting
Needs: 8 GPUs
Reached: not measured yet
"""

from jaxgan.recipes import R3GAN, Adam, Data, Penalty, R3GANDiscriminator, Recipe

recipe = Recipe(
    data=Data("folder:ffhq64", image_size=64, mirror=True),
    generator=R3GAN(widths=(768, 768, 768, 768, 384), groups=(96, 96, 96, 96, 48), bfloat16_levels=4),
    discriminator=R3GANDiscriminator(widths=(768, 768, 768, 768, 384), groups=(96, 96, 96, 96, 48), bfloat16_levels=4),
    penalty=Penalty("r1_r2", gamma=2.0, final_gamma=0.2),
    g_optimizer=Adam(final_learning_rate=5e-05, beta2=0.9, final_beta2=0.99),
    d_optimizer=Adam(final_learning_rate=5e-05, beta2=0.9, final_beta2=0.99),
    batch_size=256,
    augment="ada:r3gan",
    augment_strength=0.0,
    final_augment_strength=0.3,
    decay_images=20_000_000,
    ema_half_life=500_000.0,
    initial_ema_half_life=0.0,
    steps=78_125,
    log_interval=100,
    sample_interval=1000,
    checkpoint_interval=2000,
)
