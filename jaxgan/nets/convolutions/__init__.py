"""Convolutions and the matrix products that they are made of, each in the form that is fastest on the backend it runs on."""

from jaxgan.nets.convolutions.any_axes import conv_same
from jaxgan.nets.convolutions.direct import conv, conv_transpose, grouped_conv
from jaxgan.nets.convolutions.products import full_precision, pointwise

__all__ = ["conv", "conv_same", "conv_transpose", "full_precision", "grouped_conv", "pointwise"]
