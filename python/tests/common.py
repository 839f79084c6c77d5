"""What the tests share."""

import os
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))


def say(text):
    """Writes a line that `cargo xtask test` collects."""
    print(f"SKIPPED: {text}", file=sys.stderr)


def _has_guest():
    home = os.environ.get("SKY_HOME") or ".sky"
    return os.path.isdir(os.path.join(home, "python-guest"))


HAS_GUEST = _has_guest()
if not HAS_GUEST:
    say("Python's sandbox; `cargo xtask setup` fetches the guest, SKY_HOME names its folder")

needs_guest = unittest.skipUnless(HAS_GUEST, "no guest")

# Replies that make other graders hang, raise or run out of memory.
HOSTILE = [
    r"\boxed{9^{9^{9^{9^9}}}}",
    r"\boxed{10^{10^{10}}!}",
    "(" * 100_000 + "1" + ")" * 100_000,
    r"\boxed{" * 50_000,
    "$" * 100_000,
    r"\boxed{" + r"\sqrt{" * 5_000 + "2" + "}" * 5_001,
    r"\boxed{\sum_{n=1}^{10^{18}} \frac{1}{n^2}}",
    r"\boxed{\int_0^\infty e^{-x^2} \sin(x^{x}) dx}",
    r"\boxed{" + "+".join(f"x_{{{i}}}^{{{i}}}" for i in range(3_000)) + "}",
    r"\boxed{(x+y+z+w)^{500}}",
    "the answer is " * 50_000,
    "1" * 1_000_000,
    "\ud800\udfff lone halves \udc00 \\boxed{\ud800}",
    "\0\0\0\\boxed{\0}",
    "",
    "<think>" * 10_000,
    r"\boxed{\begin{pmatrix}" + r"1 & 2 \\ " * 5_000 + r"\end{pmatrix}}",
    r"\frac" * 50_000,
    "\u202e\u200b\ufeff" * 10_000,
]
