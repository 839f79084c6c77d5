"""Programs judged by the tests of a data set's row."""

from __future__ import annotations

from . import _native
from ._native import Problem, Verdict

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from os import PathLike
    from typing import Any, Union

    Row = Union[Mapping[str, Any], str, bytes, Problem]

__all__ = ["CodeChecker", "problem"]


def problem(row: Row, format: str | None = None) -> Problem:
    """The problem of a row: a `Problem`, which checks read faster than the row.

    `row` is a mapping with the fields of APPS, TACO, LiveCodeBench, HumanEval, MBPP, or of Sky's
    own `problems.jsonl`; a JSON text of one; or open-r1's `verification_info`. `format` (`apps`,
    `taco`, `livecodebench`, `humaneval`, `mbpp`, `problems`) is found from the fields when it is
    not given. ValueError: the row has no tests, or is none of these.
    """
    if isinstance(row, Problem):
        return row
    from . import _rows

    return _native.problem(*_rows.as_json(row, format))


class CodeChecker:
    """Runs the program of a reply on the tests of a problem, in a sandbox.

    `home` is the folder that `cargo xtask setup` filled (else `SKY_HOME`, else `.sky`); `cache`
    is where prepared interpreters are kept, when it is not in `home`. The limits are those of
    tests without one of their own, in seconds of a native interpreter. `all_tests=True` runs
    every test instead of stopping at the first failure.
    """

    __slots__ = ("_native",)

    def __init__(
        self,
        home: str | PathLike[str] | None = None,
        cache: str | PathLike[str] | None = None,
        *,
        test_seconds: float = 4.0,
        program_seconds: float = 3.0,
        memory_mb: int = 256,
        output_mb: int = 16,
        all_tests: bool = False,
    ) -> None:
        self._native = _native.ProgramChecker(
            home, cache, test_seconds, program_seconds, memory_mb, output_mb, all_tests
        )

    def check(self, row: Row, reply: str, format: str | None = None) -> Verdict:
        """Judges one reply by the tests of `row`: a row, or what `problem` made of it."""
        return self._native.check(problem(row, format), reply)

    def check_many(
        self,
        rows: Iterable[Row],
        replies: Iterable[str],
        threads: int | None = None,
        format: str | None = None,
    ) -> list[Verdict]:
        """Judges many replies, each by the row at its position, on all cores."""
        return self._native.check_many([problem(r, format) for r in rows], replies, threads)

    def __repr__(self):
        return f"CodeChecker({self._native!r})"

    def __getstate__(self):
        return self._native

    def __setstate__(self, state):
        self._native = state
