"""Ellipsoids of any place and size in 16x16x16 places: residual networks in three dimensions.

Paper: Huang et al. 2024 (R3GAN), relativistic loss with R1 and R2.
Command: jaxgan train volumes
Data: 4,096 volumes, 16x16x16, in counts, int16
Needs: 2 CPU cores, 5 minutes
Reached: coverage of places and sizes 0.84, power that fits no ellipsoid 2.4 % (real 0.7 %)

Seed 0, `jaxgan evaluate runs/volumes --metrics ellipsoids`. A third of the steps, with gamma 2 throughout, ends at a coverage
of 0.19 and 42 %; what is left is texture: 0.4 % of the samples are as good as 99 % of the real ones.
"""

from jaxgan.recipes import Adam, Data, Penalty, Recipe, ResNet, ResNetDiscriminator

recipe = Recipe(
    data=Data("volumes", value_range=(0.0, 1000.0)),
    generator=ResNet(width=16, max_width=64, patch=2),
    discriminator=ResNetDiscriminator(width=16, max_width=64, patch=2),
    penalty=Penalty("r1_r2", gamma=1.0, final_gamma=0.1),
    g_optimizer=Adam(learning_rate=0.002, final_learning_rate=0.0001, beta2=0.95),
    d_optimizer=Adam(learning_rate=0.002, final_learning_rate=0.0001, beta2=0.95),
    batch_size=32,
    decay_images=96_000,
    ema_half_life=3_000.0,
    steps=3_000,
    log_interval=50,
    sample_interval=500,
    checkpoint_interval=250,
    eval_metrics=("ellipsoids",),
)
