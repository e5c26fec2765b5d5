"""Saving and restoring `GANState` with Orbax, and detecting a restored state that differs from the saved one.

A run's `checkpoints/` holds one folder per saved step. In it `state` is the whole state and `generator` the averaged
generator alone, so that sampling reads nothing else. Orbax does not notice flipped bits, so every array's checksum is
kept beside it and compared on the way back: a restored state is the saved one, bit for bit, or it is refused.
"""

from jaxgan.training.checkpoint.checksums import checksum
from jaxgan.training.checkpoint.errors import CheckpointError, SaveError
from jaxgan.training.checkpoint.restoring import restore, restore_generator, saved_steps
from jaxgan.training.checkpoint.writing import Checkpoints, bytes_of, open_checkpoints

__all__ = [
    "CheckpointError",
    "Checkpoints",
    "SaveError",
    "bytes_of",
    "checksum",
    "open_checkpoints",
    "restore",
    "restore_generator",
    "saved_steps",
]
