"""The names of `math_verify.metric`."""

from ._math_verify import math_metric

__all__ = ["math_metric"]
