"""Reward functions in the shapes that trainers call.

| trainer | function |
|---|---|
| verl: `custom_reward_function` | `compute_score` |
| TRL, open-r1: `reward_funcs` | `accuracy_reward`, `code_reward` |
| SkyRL: an environment | `sky_verify.skyrl.VerifyEnv`, or `score` |

A reward is 1.0 for a right reply and 0.0 for any other. No reply raises or blocks. What raises is
the host: `SandboxError` when the sandbox cannot work.
"""

from __future__ import annotations

import threading

# Absolute, since verl may load this file by its path.
from sky_verify._native import MathChecker, Problem
from sky_verify.code import CodeChecker, problem

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

__all__ = [
    "accuracy_reward",
    "code_reward",
    "compute_score",
    "math_checker",
    "score",
    "set_code_checker",
]

math_checker = MathChecker()

_lock = threading.Lock()
_code_checker = None

# What verl names data sets of programs.
_CODE_SOURCES = ("apps", "codecontests", "codeforces", "livecodebench", "taco")


def set_code_checker(checker: CodeChecker) -> None:
    """Uses this `CodeChecker` for the rewards of programs, in place of one with defaults."""
    global _code_checker
    with _lock:
        _code_checker = checker


def _code():
    global _code_checker
    with _lock:
        if _code_checker is None:
            _code_checker = CodeChecker()
        return _code_checker


def score(reply: str, ground_truth: Any) -> float:
    """1.0 when `reply` is right, else 0.0.

    `ground_truth` is a gold answer, a list of gold answers of which any will do, or a row of tests
    (a mapping, or its JSON).
    """
    if _is_tests(ground_truth):
        return _score_code(reply, ground_truth)
    return _score_math(reply, ground_truth)


def compute_score(
    data_source: str,
    solution_str: str,
    ground_truth: Any,
    extra_info: dict[str, Any] | None = None,
    **kwargs: Any,
) -> float:
    """verl's `compute_score`: the reward of one reply.

    Tests are run for a `ground_truth` of tests, and for the data sources that verl has tests for.
    Anything else is compared as a mathematical answer. Further arguments of verl's are accepted
    and not needed.
    """
    if isinstance(data_source, str) and data_source.lower() in _CODE_SOURCES:
        return _score_code(solution_str, ground_truth)
    return score(solution_str, ground_truth)


def accuracy_reward(
    completions: Sequence[Any], solution: Sequence[Any] | None = None, **columns: Any
) -> list[float | None]:
    """TRL's and open-r1's accuracy reward: replies against the column `solution`.

    Without that column, `answer` or `ground_truth` is taken. None, which trainers leave out, for
    an example without a gold answer.
    """
    for name in ("answer", "ground_truth"):
        if solution is None:
            solution = columns.get(name)
    if solution is None:
        raise ValueError("accuracy_reward needs a column `solution`, `answer` or `ground_truth`")
    golds = [_answer(gold) for gold in solution]
    replies = [reply_text(completion) for completion in completions]
    verdicts = math_checker.check_many(golds, replies)
    return [float(v.correct) if gold else None for gold, v in zip(golds, verdicts)]


def code_reward(completions: Sequence[Any], **columns: Any) -> list[float | None]:
    """TRL's and open-r1's code reward: programs on the tests in the columns.

    The columns are those of APPS, TACO, LiveCodeBench, HumanEval or MBPP, or `verification_info`
    (open-r1), `tests` or `ground_truth`, which hold such a row. None for an example whose tests
    cannot judge a program.
    """
    replies = [reply_text(completion) for completion in completions]
    for name in ("verification_info", "tests", "ground_truth"):
        if columns.get(name) is not None:
            rows = list(columns[name])
            break
    else:
        lists = {
            name: values
            for name, values in columns.items()
            if hasattr(values, "__len__") and len(values) == len(replies)
        }
        rows = [{name: v[i] for name, v in lists.items()} for i in range(len(replies))]
    problems = [_problem(row) for row in rows]
    known = [i for i, found in enumerate(problems) if found is not None]
    rewards = [None] * len(replies)
    verdicts = _code().check_many([problems[i] for i in known], [replies[i] for i in known])
    for i, verdict in zip(known, verdicts):
        if verdict.verdict != "unsupported":
            rewards[i] = float(verdict.correct)
    return rewards


def reply_text(completion: Any) -> str:
    """The text of a completion: a str, or a list of messages with `content`."""
    if isinstance(completion, str):
        return completion
    try:
        content = completion[-1]["content"]
    except (TypeError, KeyError, IndexError):
        return ""
    return content if isinstance(content, str) else ""


def _answer(gold):
    return gold if isinstance(gold, str) else "" if gold is None else str(gold)


def _score_math(reply, gold):
    golds = gold if isinstance(gold, (list, tuple)) else [gold]
    reply = reply if isinstance(reply, str) else ""
    return float(any(math_checker.check(_answer(g), reply).correct for g in golds))


def _score_code(reply, tests):
    found = _problem(tests)
    if found is None:
        return 0.0
    return float(_code().check(found, reply if isinstance(reply, str) else "").correct)


def _is_tests(ground_truth):
    if isinstance(ground_truth, (dict, Problem)):
        return True
    if not isinstance(ground_truth, str) or not ground_truth.lstrip().startswith("{"):
        return False
    # A set such as `{1, 2}` is no JSON.
    return '"inputs"' in ground_truth or '"test' in ground_truth or '"input_output"' in ground_truth


def _problem(row):
    """The problem of a row; none when it has no tests that can be read."""
    try:
        return problem(row)
    except (KeyError, TypeError, ValueError):
        return None
