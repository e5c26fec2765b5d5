"""Handwritten digits, by class: the first example of the README.

Paper: Huang et al. 2024 (R3GAN), relativistic loss with R1 and R2, here with fully connected networks.
Command: jaxgan train digits
Data: 1,797 handwritten digits, 8x8, by class
Needs: 2 CPU cores, half a minute
Reached: label accuracy 99.7 %, precision 0.940, coverage 0.968, the worst of three seeds

Training ends before G copies: generated digits lie at 0.97 of the distance of unseen ones from training digits (the ratio), and
their authenticity is 0.54 (unseen digits: 0.52). After 8,000 steps with gamma 0.3 these are 0.86 and 0.38. What copied about as
little had a larger Frechet distance (seed 0: 0.286 here): gamma 0.3 for 2,400 steps 0.296 (ratio 0.94); 8,000 steps with
translations 0.34, with translations and cutouts 0.54, with approximate penalties 0.39.
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
