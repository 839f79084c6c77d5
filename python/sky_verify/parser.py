"""The names of `math_verify.parser`."""

from ._math_verify import (
    ExprExtractionConfig,
    LatexExtractionConfig,
    StringExtractionConfig,
    parse,
)

__all__ = ["ExprExtractionConfig", "LatexExtractionConfig", "StringExtractionConfig", "parse"]
