"""The names of `math_verify.errors`."""

__all__ = ["TimeoutException"]


class TimeoutException(BaseException):
    """Never raised: every call ends within a budget of steps."""
