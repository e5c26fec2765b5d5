"""Triples of digits as colours, in R3GAN's own setting.

Paper: Huang et al. 2024 (R3GAN), Stacked-MNIST.
Command: jaxgan train r3gan_stacked_mnist
Data: 128,000 triples of digits, 32x32: 1,000 modes
Needs: a GPU
Reached: not measured yet
"""

from jaxgan.recipes import R3GAN, Adam, Data, Penalty, R3GANDiscriminator, Recipe

recipe = Recipe(
    data=Data("stacked_mnist", image_size=32),
    generator=R3GAN(widths=(128, 128, 128, 128), groups=(16, 16, 16, 16), bfloat16_levels=3),
    discriminator=R3GANDiscriminator(widths=(128, 128, 128, 128), groups=(16, 16, 16, 16), bfloat16_levels=3),
    penalty=Penalty("r1_r2", gamma=1.0, final_gamma=0.1),
    g_optimizer=Adam(final_learning_rate=5e-05, beta2=0.9, final_beta2=0.99),
    d_optimizer=Adam(final_learning_rate=5e-05, beta2=0.9, final_beta2=0.99),
    batch_size=64,
    decay_images=3_200_000,
    ema_half_life=20_000.0,
    initial_ema_half_life=0.0,
    steps=50_000,
    log_interval=100,
    sample_interval=1000,
    checkpoint_interval=2000,
)
