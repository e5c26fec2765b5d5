"""Convolutions and the matrix products that they are made of, each in the form that is fastest on the backend it runs on."""

from jaxgan.convolutions.direct import conv, conv_transpose
from jaxgan.convolutions.products import pointwise, product

__all__ = ["conv", "conv_transpose", "pointwise", "product"]
