"""Math-Verify's interface (0.9.0): the same names, arguments and defaults.

Differences, all of them deliberate: `parse` returns `ParsedAnswer` objects instead of SymPy
expressions; time limits are accepted and not needed, since every call ends within a budget of
steps; LaTeX normalization options are accepted and change nothing.
"""

from __future__ import annotations

from collections import namedtuple

from . import _native
from ._native import ParsedAnswer

TYPE_CHECKING = False
if TYPE_CHECKING:  # `typing` is not needed at run time, and slow to import.
    from collections.abc import Callable, Sequence
    from typing import Any

# Named tuples, since `dataclasses` alone would double the time of the import.
LatexNormalizationConfig = namedtuple(
    "LatexNormalizationConfig",
    ["basic_latex", "units", "malformed_operators", "nits", "boxed", "equations"],
    defaults=[True, True, True, True, "all", True],
)
LatexNormalizationConfig.__doc__ = "Accepted for compatibility; the parser needs no normalization."

LatexExtractionConfig = namedtuple(
    "LatexExtractionConfig",
    ["try_extract_without_anchor", "boxed_match_priority", "normalization_config"],
    defaults=[True, 50, LatexNormalizationConfig()],
)
LatexExtractionConfig.__doc__ = """Take answers written in LaTeX.

`try_extract_without_anchor=False`: only those that the text announces. A negative
`boxed_match_priority`: no boxes; other priorities change nothing, a box always goes first.
"""

ExprExtractionConfig = namedtuple(
    "ExprExtractionConfig", ["try_extract_without_anchor"], defaults=[True]
)
ExprExtractionConfig.__doc__ = "Take answers written as plain text, and in LaTeX too."

StringExtractionConfig = namedtuple(
    "StringExtractionConfig",
    ["strings", "try_extract_without_anchor", "lowercase"],
    defaults=[("A", "B", "C", "D"), True, True],
)
StringExtractionConfig.__doc__ = "Take one of these strings, where it stands alone."


def parse(
    pred: str,
    extraction_config: Sequence[Any] = (LatexExtractionConfig(), ExprExtractionConfig()),
    fallback_mode: str = "first_match",
    extraction_mode: str = "any_match",
    parsing_timeout: int | None = 5,
    raise_on_error: bool = False,
) -> list[ParsedAnswer | str]:
    """Finds the answer in a text: `[ParsedAnswer, str]`, or an empty list.

    With `fallback_mode="no_fallback"` the string is left out. `extraction_mode` and
    `parsing_timeout` change nothing: one answer is found, in bounded time, in any thread.
    """
    try:
        found = _parse(pred, tuple(extraction_config))
    except (TypeError, ValueError):
        if raise_on_error:
            raise
        return []
    return found[:1] if fallback_mode == "no_fallback" else found


def _parse(pred, configs):
    latex = [c for c in configs if isinstance(c, LatexExtractionConfig)]
    plain = [c for c in configs if isinstance(c, ExprExtractionConfig)]
    if latex or plain:
        if latex and all(c.boxed_match_priority < 0 for c in latex):
            pred = pred.replace("\\boxed", "").replace("\\fbox", "")
        answer = _native.find_answer(
            pred,
            latex_only=not plain,
            anchored_only=not any(c.try_extract_without_anchor for c in latex + plain),
        )
        if answer is not None:
            return [answer, answer.text]
    for config in configs:
        if isinstance(config, StringExtractionConfig):
            found = _find_string(pred, config)
            if found is not None:
                return [found.lower() if config.lowercase else found, found]
    return []


def _find_string(text, config):
    """The string that the text announces last, else (without an anchor) the first that begins it,
    else the last one that stands alone."""
    import re  # Here, since it would be half of the import's time.

    if not config.strings:
        return None
    anchor = re.compile(r"\b(?:answer|choice|option)\b\W*(?:is|:|=)?\W*$", re.IGNORECASE)
    choices = "|".join(re.escape(s) for s in sorted(config.strings, key=len, reverse=True))
    alone = re.compile(rf"(?<![\w\\])(?:{choices})(?!\w)")
    found = list(alone.finditer(text))
    for match in reversed(found):
        # A short stretch, so that the search stays linear.
        if anchor.search(text[max(0, match.start() - 40) : match.start()]):
            return match.group()
    if not found or not config.try_extract_without_anchor:
        return None
    begins = found[0].group() if not text[: found[0].start()].strip() else None
    return begins or found[-1].group()


def verify(
    gold: Any,
    target: Any,
    float_rounding: int = 6,
    numeric_precision: int = 15,
    strict: bool = True,
    allow_set_relation_comp: bool = False,
    timeout_seconds: int | None = 5,
    raise_on_error: bool = False,
) -> bool:
    """Whether any of `target` equals any of `gold`, both as `parse` returns them.

    Strings are compared as they are, as Math-Verify does. `strict=False` takes a tuple for a set;
    it does not rename variables. `numeric_precision` and `timeout_seconds` change nothing.
    """
    try:
        return _native.any_equal(
            _sides(gold), _sides(target), max(0, float_rounding), strict, allow_set_relation_comp
        )
    except (TypeError, ValueError):
        if raise_on_error:
            raise
        return False


def _sides(value):
    values = value if isinstance(value, list) else [value]
    return [v if isinstance(v, (str, ParsedAnswer)) else _number(v) for v in values]


def _number(value):
    """A number of Python's, or an expression of SymPy's, as an answer."""
    if value is None or isinstance(value, (list, tuple, dict, set, bytes)):
        raise TypeError(f"not an answer: {type(value).__name__}")
    return ParsedAnswer(str(value).replace("**", "^"))


def math_metric(
    gold_extraction_target: Sequence[Any] = (ExprExtractionConfig(),),
    pred_extraction_target: Sequence[Any] = (ExprExtractionConfig(),),
    aggregation_function: Callable[[list[float]], float] = max,
    precision: int = 6,
) -> Callable[[list[str], list[str]], tuple[float, tuple[list[str], list[str]]]]:
    """A metric over lists of golds and predictions: `(score, (golds, predictions))`."""

    def metric(golds, predictions):
        gold_answers = [parse(gold, gold_extraction_target) for gold in golds]
        if not all(gold_answers):
            raise ValueError(f"no answer in at least one gold: {golds!r}")
        pred_answers = [parse(pred, pred_extraction_target) for pred in predictions]
        scores = [
            float(any(verify(gold, pred, precision) for gold in gold_answers))
            for pred in pred_answers
        ]
        texts = [[str(a) for found in side for a in found] for side in (gold_answers, pred_answers)]
        return aggregation_function(scores), tuple(texts)

    return metric
