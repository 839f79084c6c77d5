"""Rows of data sets as the JSON that the native half reads."""

from __future__ import annotations

import json
from collections.abc import Mapping

# The first format whose fields a row has.
_FIELDS = (
    ("problems", ("answer", "domain", "source")),
    ("livecodebench", ("public_test_cases",)),
    ("mbpp", ("test_list",)),
    ("humaneval", ("test", "entry_point")),
    ("apps", ("input_output",)),
)


def as_json(row, format=None):
    """The format of a row, and its JSON."""
    if isinstance(row, (str, bytes)):
        row = json.loads(row)
    if not isinstance(row, Mapping):
        raise TypeError(f"a row must be a mapping or its JSON, not {type(row).__name__}")
    row = _bare_tests(dict(row))
    format = format or _format(row)
    return format, json.dumps(_complete(format, row), default=_plain)


def _bare_tests(row):
    """Wraps tests without a row around them: verl's ground truth, open-r1's test cases."""
    cases = row.get("test_cases")
    if isinstance(cases, str):
        cases = json.loads(cases)
    if cases is not None and "inputs" not in row:
        cases = list(cases)
        row = {
            "inputs": [case["input"] for case in cases],
            "outputs": [case["output"] for case in cases],
            "fn_name": next((case["fn_name"] for case in cases if case.get("fn_name")), None),
        }
    if "inputs" in row and "outputs" in row:
        return {"input_output": row}
    return row


def _format(row):
    for name, fields in _FIELDS:
        if all(field in row for field in fields):
            return name
    known = "; ".join(f"{name}: {', '.join(fields)}" for name, fields in _FIELDS)
    raise ValueError(f"no known format has the fields {sorted(map(str, row))} ({known})")


def _complete(format, row):
    """Adds what the converter wants and a check does not need; mends what publishers vary."""
    if format in ("apps", "taco"):
        row.setdefault("question", "")
        tests = row.get("input_output")
        if isinstance(tests, Mapping):
            # Text keeps integers beyond 64 bits.
            row["input_output"] = json.dumps(tests, default=_plain)
    elif format == "livecodebench":
        row.setdefault("question_content", "")
        row.setdefault("question_id", "")
    elif format == "humaneval":
        row.setdefault("prompt", "")
        row.setdefault("task_id", "")
    elif format == "mbpp":
        # The sanitized version has `prompt` and `test_imports`.
        row.setdefault("text", row.get("prompt") or "")
        row.setdefault("task_id", 0)
        row["test_list"] = list(row["test_list"])
        if "test_imports" in row:
            row.setdefault("test_setup_code", "\n".join(row["test_imports"]))
    return row


def _plain(value):
    """Values that JSON does not have: arrays of NumPy, dates of pandas."""
    to_list = getattr(value, "tolist", None)
    if to_list is not None:
        return to_list()
    return str(value)
