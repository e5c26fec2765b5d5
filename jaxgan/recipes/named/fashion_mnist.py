"""Garments of 28x28 pixels, by class.

Paper: Xiao et al. 2017 (data); Huang et al. 2024 (R3GAN), relativistic loss with R1 and R2, on DCGAN's networks.
Command: jaxgan train fashion_mnist
Data: 60,000 garments, 28x28, by class
Needs: 2 CPU cores, 17 minutes
Reached: Frechet distance 9.6 (real 0.2), coverage 0.59

What did not help: resnet 32 with patch 2, coarsest 7, learning rates of 1e-3, gamma 0.3 to 0.03, 3,000 steps: D wins early,
Frechet distance 43, recall 0.
"""

from jaxgan.recipes import DCGAN, Adam, Data, DCGANDiscriminator, Penalty, Recipe

recipe = Recipe(
    data=Data("fashion_mnist", conditional=True),
    generator=DCGAN(width=32, blocks=1, dense=2),
    discriminator=DCGANDiscriminator(width=32, dense=2),
    penalty=Penalty("r1_r2", gamma=0.5, final_gamma=0.05),
    g_optimizer=Adam(learning_rate=0.0005, final_learning_rate=1e-5, beta2=0.95),
    d_optimizer=Adam(learning_rate=0.0005, final_learning_rate=1e-5, beta2=0.95),
    batch_size=64,
    decay_images=768_000,
    ema_half_life=20_000.0,
    steps=12_000,
)
