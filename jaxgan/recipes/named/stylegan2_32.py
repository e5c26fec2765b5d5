"""Photographs of 32x32 pixels, by class, after StyleGAN2-ADA's setting for CIFAR-10.

Paper: Karras et al. 2020, Training generative adversarial networks with limited data (StyleGAN2-ADA).
Command: jaxgan train stylegan2_32
Data: 50,000 photographs, 32x32, by class; StyleGAN2-ADA's setting
Needs: a GPU, days
Reached: not measured yet
"""

from jaxgan.recipes import Adam, Data, Penalty, Recipe, StyleGAN2, StyleGAN2Discriminator

# "cifar" is the configuration of that name among the reference's; its values stand beside the fields that are set here.
recipe = Recipe(
    data=Data("cifar10", conditional=True, mirror=True),  # cifar: mirror 1
    generator=StyleGAN2(
        depth=2,  # cifar: map 2, of G alone
        latent_dim=512,  # z 512
        channel_base=32_768,  # cifar: fmaps 1, of 32,768
        clamp=256.0,  # conv_clamp 256
    ),
    discriminator=StyleGAN2Discriminator(
        depth=8,  # of labels: the default, which map leaves as it is
        channel_base=32_768,
        architecture="orig",  # cifar
        group=32,  # cifar: mbstd 32
        clamp=256.0,
    ),
    loss="non_saturating",
    penalty=Penalty("r1", gamma=0.01, interval=16),  # cifar: gamma 0.01, path lengths 0; D_reg_interval 16
    # cifar: lrate 0.0025, betas 0 and 0.99. G's are taken by 4/5 although it has no penalty: G_reg_interval is 4. D's, by
    # 16/17, follow from the penalty's interval.
    g_optimizer=Adam(learning_rate=0.0025 * 4 / 5, beta2=0.99 ** (4 / 5)),
    d_optimizer=Adam(learning_rate=0.0025, beta2=0.99),
    batch_size=64,  # cifar: mb 64
    augment="ada:bgc",
    augment_target=0.6,
    decay_images=25_600_000,  # of no schedule here
    ema_half_life=500_000.0,  # cifar: ema 500 kimg
    ema_rampup=0.05,  # cifar: ramp 0.05
    steps=400_000,  # 25.6 million images; the reference's 100 million are 1,562,500
    log_interval=100,
    sample_interval=4000,
    checkpoint_interval=4000,
)
