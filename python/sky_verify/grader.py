"""The names of `math_verify.grader`."""

from ._math_verify import verify

__all__ = ["verify"]
