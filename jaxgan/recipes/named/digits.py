"""Handwritten digits, by class: the first example of the README.

Paper: Huang et al. 2024 (R3GAN), relativistic loss with R1 and R2, here with fully connected networks.
Command: jaxgan train digits
Data: 1,797 handwritten digits, 8x8, by class
Needs: 2 CPU cores, half a minute
Reached: label accuracy 99.7 %, precision 0.940, coverage 0.968

It ends before it copies. Generated digits lie at 0.97 of the distance of unseen ones from training digits, with an authenticity
of 0.54 where unseen ones have 0.52; after 8,000 steps with gamma 0.3 at 0.86, with 0.38. At equal copying these were worse (one
seed, Frechet distance 0.286 here): gamma 0.3 (2,400 steps: 0.296, ratio 0.94), 8,000 steps with translations (0.34), with
cutouts besides (0.54), with approximate penalties (0.39).
"""

from jaxgan.recipes import MLP, Adam, Data, MLPDiscriminator, Penalty, Recipe

recipe = Recipe(
    data=Data("digits", conditional=True),
    generator=MLP(width=256, depth=3),
    discriminator=MLPDiscriminator(width=256, depth=3),
    penalty=Penalty("r1_r2", gamma=1.0),
    g_optimizer=Adam(learning_rate=0.001, final_learning_rate=0.0001, beta2=0.95),
    d_optimizer=Adam(learning_rate=0.001, final_learning_rate=0.0001, beta2=0.95),
    decay_images=307_200,
    ema_half_life=30_000.0,
    ema_rampup=0.2,
    steps=2400,
    log_interval=100,
    sample_interval=200,
    checkpoint_interval=600,
)
