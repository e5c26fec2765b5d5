"""Latent spaces of a trained generator: what lies in them, the way between two places, and the place of an image."""
