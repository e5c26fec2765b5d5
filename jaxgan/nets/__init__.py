"""Networks: one file an architecture, the bridges from modules of other libraries, and networks made of networks."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
