"""Generators and discriminators as flax.linen modules, one file per architecture; `from_linen` makes them networks."""

from jaxgan.nets import dcgan, mlp, r3gan, sngan, stylegan2

__all__ = ["dcgan", "mlp", "r3gan", "sngan", "stylegan2"]
