"""Checks replies of language models: math answers by value, programs in a sandbox.

    from sky_verify import parse, verify          # Math-Verify's two functions
    from sky_verify import MathChecker            # one call, with a reason
    from sky_verify import Sandbox, CodeChecker   # untrusted programs
    from sky_verify import rewards                # for verl, TRL, open-r1, SkyRL

Nothing here uses signals, and everything works in any thread. The GIL is free during checks.
"""

from ._math_verify import (
    ExprExtractionConfig,
    LatexExtractionConfig,
    LatexNormalizationConfig,
    StringExtractionConfig,
    math_metric,
    parse,
    verify,
)
from ._native import (
    MathChecker,
    Outcome,
    ParsedAnswer,
    Problem,
    Sandbox,
    SandboxError,
    Verdict,
    __version__,
)
from .code import CodeChecker

__all__ = [
    "CodeChecker",
    "ExprExtractionConfig",
    "LatexExtractionConfig",
    "LatexNormalizationConfig",
    "MathChecker",
    "Outcome",
    "ParsedAnswer",
    "Problem",
    "Sandbox",
    "SandboxError",
    "StringExtractionConfig",
    "Verdict",
    "__version__",
    "math_metric",
    "parse",
    "verify",
]
