"""Handwritten digits, by class: the first example of the README.

Paper: Huang et al. 2024 (R3GAN), relativistic loss with R1 and R2, here with fully connected networks.
Command: jaxgan train digits
Data: 1,797 handwritten digits, 8x8, by class
Needs: 2 CPU cores, 1 minute
Reached: label accuracy 99.9 %, precision 0.954, coverage 0.986

Generated digits lie at 0.86 of the distance of unseen ones from training digits, with an authenticity of 0.38 where unseen ones
have 0.52. Other penalties did not help: gamma 1, 3 and 10 (0.87, 0.89, 0.89; authenticity 0.37, 0.41, 0.40).
"""

from jaxgan.recipes import MLP, Adam, Data, MLPDiscriminator, Penalty, Recipe

recipe = Recipe(
    data=Data("digits", conditional=True),
    generator=MLP(width=256, depth=3),
    discriminator=MLPDiscriminator(width=256, depth=3),
    penalty=Penalty("r1_r2", gamma=0.3),
    g_optimizer=Adam(learning_rate=0.001, final_learning_rate=0.0001, beta2=0.95),
    d_optimizer=Adam(learning_rate=0.001, final_learning_rate=0.0001, beta2=0.95),
    decay_images=1_024_000,
    ema_half_life=30_000.0,
    ema_rampup=0.2,
    steps=8000,
    log_interval=200,
    sample_interval=400,
    checkpoint_interval=1000,
)
