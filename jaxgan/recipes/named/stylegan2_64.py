"""A folder of 70,000 faces of 64x64 pixels.

Paper: Karras et al. 2020, Analyzing and improving the image quality of StyleGAN (StyleGAN2).
Command: jaxgan train stylegan2_64
Data: a folder of 70,000 faces, 64x64
Needs: a GPU, days
Reached: not measured yet
"""

from jaxgan.recipes import Adam, Data, Penalty, Recipe, StyleGAN2, StyleGAN2Discriminator

recipe = Recipe(
    data=Data("folder:ffhq64", image_size=64, mirror=True),
    generator=StyleGAN2(depth=8, style_mixing=0.9, latent_dim=512),
    discriminator=StyleGAN2Discriminator(),
    loss="non_saturating",
    penalty=Penalty("r1", gamma=0.05, interval=16, path_length=2.0),
    g_optimizer=Adam(learning_rate=0.0025),
    d_optimizer=Adam(learning_rate=0.0025),
    batch_size=32,
    augment="ada:bgc",
    augment_target=0.6,
    decay_images=12_800_000,
    ema_half_life=10_000.0,
    ema_rampup=0.05,
    steps=400_000,
    log_interval=100,
    sample_interval=4000,
    checkpoint_interval=4000,
)
