"""Triples of digits as colours, a test of mode coverage.

Paper: Lin et al. 2018 (PacGAN), section 4.2, data and protocol.
Command: jaxgan train stacked_mnist
Data: 128,000 triples of digits, 28x28: 1,000 modes
Needs: a GPU
Reached: not measured yet
"""

from jaxgan.recipes import DCGAN, Adam, Data, DCGANDiscriminator, Penalty, Recipe

recipe = Recipe(
    data=Data("stacked_mnist"),
    generator=DCGAN(),
    discriminator=DCGANDiscriminator(),
    penalty=Penalty("r1_r2", gamma=1.0, final_gamma=0.1),
    g_optimizer=Adam(learning_rate=0.0005, final_learning_rate=0.0001, beta2=0.95),
    d_optimizer=Adam(learning_rate=0.0005, final_learning_rate=0.0001, beta2=0.95),
    batch_size=64,
    decay_images=3_200_000,
    ema_half_life=20_000.0,
    steps=50_000,
    log_interval=100,
    sample_interval=1000,
    checkpoint_interval=1000,
)
