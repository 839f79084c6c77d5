"""The native half of the package."""

from collections.abc import Iterable
from os import PathLike
from typing import Any, Literal, final

__version__: str

class SandboxError(RuntimeError):
    """The sandbox itself failed: the guest is missing, or the host cannot run it."""

@final
class Verdict:
    """What a checker says of one reply, and why. True when the reply is right."""

    def __new__(
        cls,
        correct: bool,
        verdict: str,
        reason: str,
        extracted: str | None = None,
        rule: str | None = None,
    ) -> Verdict: ...
    @property
    def correct(self) -> bool: ...
    @property
    def verdict(self) -> str:
        """`correct`, `wrong`, `unparsed`, and for programs `timed_out`, `runtime_error`, ..."""
    @property
    def reason(self) -> str: ...
    @property
    def extracted(self) -> str | None:
        """The answer or the program that was found in the reply."""
    @property
    def rule(self) -> str | None:
        """The rule that found the answer: `boxed`, `phrase`, `last_number`, ..."""
    def __bool__(self) -> bool: ...
    def __hash__(self) -> int: ...

@final
class MathChecker:
    """Compares answers by value, under fixed conventions. Safe to share between threads."""

    def __new__(
        cls,
        preset: Literal["default", "math_verify", "strict"] = "default",
        *,
        assignment_is_value: bool = ...,
        units_optional: bool = ...,
        degrees_optional: bool = ...,
        percent: Literal["hundredth", "hundredth_or_bare"] = ...,
        relation_as_set: bool = ...,
        bare_list: bool = ...,
        point_or_interval: bool = ...,
        base_optional: bool = ...,
        decimal_log: bool = ...,
        decimal_gold_digits: int | None = ...,
        round_decimals: int | None = ...,
        ignore_case: bool = ...,
        budget: int = ...,
        **options: Any,
    ) -> MathChecker: ...
    @property
    def options(self) -> dict[str, Any]: ...
    def check(self, gold: str, reply: str) -> Verdict:
        """Judges a reply against a gold answer, or against a gold solution with a box."""
    def check_choice(self, letter: str, reply: str) -> Verdict:
        """Judges a reply to a multiple-choice problem against the letter of the right choice."""
    def check_many(
        self, golds: Iterable[str], replies: Iterable[str], threads: int | None = None
    ) -> list[Verdict]:
        """Judges many replies, each against the gold answer at its position, on all cores."""
    def equal(self, a: str, b: str) -> bool:
        """Whether two bare answers mean the same. Symmetric."""
    def extract(self, reply: str) -> str | None:
        """The answer of a whole reply; none when there is none."""
    def explain(self, gold: str, reply: str) -> str:
        """A verdict spelled out for a person, with both parse trees."""

@final
class ParsedAnswer:
    """An answer that `parse` found. `str()` gives it as it was written."""

    def __new__(cls, text: str) -> ParsedAnswer: ...
    @property
    def text(self) -> str: ...
    def __hash__(self) -> int: ...

def find_answer(
    text: str, latex_only: bool = False, anchored_only: bool = False
) -> ParsedAnswer | None: ...
def any_equal(
    gold: list[ParsedAnswer | str],
    target: list[ParsedAnswer | str],
    rounding: int,
    strict: bool,
    relations: bool,
) -> bool: ...

@final
class Outcome:
    """What one run leaves behind. True when the program ended by itself with exit code 0."""

    @property
    def stdout(self) -> str: ...
    @property
    def stderr(self) -> str: ...
    @property
    def exit(self) -> str:
        """`exited`, `raised`, `compile_error`, `out_of_instructions`, `out_of_memory`, ..."""
    @property
    def exit_code(self) -> int | None: ...
    @property
    def error(self) -> str | None: ...
    @property
    def instructions(self) -> int: ...
    @property
    def peak_memory(self) -> int: ...
    @property
    def seconds(self) -> float: ...
    @property
    def ok(self) -> bool: ...
    def __bool__(self) -> bool: ...

@final
class Sandbox:
    """Untrusted Python programs, each in a fresh interpreter that sees nothing but its input."""

    def __new__(
        cls, home: str | PathLike[str] | None = None, cache: str | PathLike[str] | None = None
    ) -> Sandbox: ...
    def run(
        self,
        code: str,
        stdin: str | bytes | None = None,
        seconds: float = 10.0,
        memory_mb: int = 256,
        output_mb: int = 16,
    ) -> Outcome:
        """Runs one program and returns when it has ended, however it ends."""

@final
class Problem:
    """A problem with its tests, read from a row once."""

    def __new__(cls, json: str) -> Problem: ...
    @property
    def id(self) -> str: ...
    @property
    def source(self) -> str: ...
    @property
    def prompt(self) -> str: ...

def problem(format: str, row: str) -> Problem: ...
@final
class ProgramChecker:
    """Judges programs in replies by running them on a problem's tests."""

    def __new__(
        cls,
        home: str | PathLike[str] | None = None,
        cache: str | PathLike[str] | None = None,
        test_seconds: float = 4.0,
        program_seconds: float = 3.0,
        memory_mb: int = 256,
        output_mb: int = 16,
        all_tests: bool = False,
    ) -> ProgramChecker: ...
    def check(self, problem: Problem, reply: str) -> Verdict: ...
    def check_many(
        self, problems: list[Problem], replies: Iterable[str], threads: int | None = None
    ) -> list[Verdict]: ...
