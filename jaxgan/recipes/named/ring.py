"""Eight Gaussians on a circle, a test of mode coverage in the plane.

Paper: Lin et al. 2018 (PacGAN), section 4.1, data and protocol.
Command: jaxgan train ring
Data: 8 Gaussians on a circle
Needs: 2 CPU cores, 4 minutes
Reached: 8 modes, reverse KL 0.0018
"""

from jaxgan.recipes import MLP, Adam, Data, MLPDiscriminator, Penalty, Recipe

recipe = Recipe(
    data=Data("ring"),
    generator=MLP(width=128, depth=3, latent_dim=16),
    discriminator=MLPDiscriminator(width=128, depth=3),
    penalty=Penalty("r1_r2", gamma=0.02),
    g_optimizer=Adam(learning_rate=0.002, final_learning_rate=0.0),
    d_optimizer=Adam(learning_rate=0.002, final_learning_rate=0.0),
    batch_size=256,
    decay_images=10_240_000,
    ema_half_life=88_000.0,
    steps=40_000,
    steps_per_dispatch=100,
    log_interval=500,
    sample_interval=2000,
    checkpoint_interval=5000,
)
