"""PyTorch's weight files read without PyTorch and without trust: nothing that a file names is imported or called.

A `.pth`, `.pt` or `.pkl` is a pickle, a program for a small stack machine that may call any function of any module. Here
`machine` runs it over `pickletools.genops`, which only decodes, and the few names that weights need stand for functions in
`names`; every other name is refused. Sizes are checked against what the file holds before anything is allocated.
"""

from jaxgan.weights.torch_file.containers import read
from jaxgan.weights.torch_file.names import Name, Record
from jaxgan.weights.torch_file.networks import init_kwargs, state_dicts

__all__ = ["Name", "Record", "init_kwargs", "read", "state_dicts"]
