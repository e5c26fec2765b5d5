"""Photographs of 32x32 pixels, by class, after StyleGAN2-ADA's setting for CIFAR-10.

Paper: Karras et al. 2020, Training generative adversarial networks with limited data (StyleGAN2-ADA).
Command: jaxgan train stylegan2_32
Data: 50,000 photographs, 32x32, by class; StyleGAN2-ADA's setting
Needs: a GPU, days
Reached: not measured yet
"""

from jaxgan.recipes import Adam, Data, Penalty, Recipe, StyleGAN2, StyleGAN2Discriminator

recipe = Recipe(
    data=Data("cifar10", conditional=True, mirror=True),
    generator=StyleGAN2(channel_base=32_768, latent_dim=512),
    discriminator=StyleGAN2Discriminator(channel_base=32_768, architecture="orig", group=32),
    loss="non_saturating",
    penalty=Penalty("r1", gamma=0.01, interval=16),
    g_optimizer=Adam(learning_rate=0.0025),
    d_optimizer=Adam(learning_rate=0.0025),
    batch_size=64,
    augment="ada:bgc",
    augment_target=0.6,
    decay_images=25_600_000,
    ema_half_life=500_000.0,
    ema_rampup=0.05,
    steps=400_000,
    log_interval=100,
    sample_interval=4000,
    checkpoint_interval=4000,
)
