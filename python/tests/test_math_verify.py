"""Math-Verify's two functions: signatures, switches, any thread."""

import inspect
import threading
import unittest

from common import HOSTILE
from sky_verify import (
    ExprExtractionConfig,
    LatexExtractionConfig,
    LatexNormalizationConfig,
    ParsedAnswer,
    StringExtractionConfig,
    math_metric,
    parse,
    verify,
)


class Signatures(unittest.TestCase):
    def test_names_and_defaults_are_math_verify_s(self):
        def shape(function):
            return [(p.name, p.default) for p in inspect.signature(function).parameters.values()]

        empty = inspect.Parameter.empty
        self.assertEqual(
            shape(parse),
            [
                ("pred", empty),
                ("extraction_config", (LatexExtractionConfig(), ExprExtractionConfig())),
                ("fallback_mode", "first_match"),
                ("extraction_mode", "any_match"),
                ("parsing_timeout", 5),
                ("raise_on_error", False),
            ],
        )
        self.assertEqual(
            shape(verify),
            [
                ("gold", empty),
                ("target", empty),
                ("float_rounding", 6),
                ("numeric_precision", 15),
                ("strict", True),
                ("allow_set_relation_comp", False),
                ("timeout_seconds", 5),
                ("raise_on_error", False),
            ],
        )

    def test_modules_have_the_same_names(self):
        from sky_verify.errors import TimeoutException
        from sky_verify.grader import verify as graded
        from sky_verify.metric import math_metric as metric
        from sky_verify.parser import LatexExtractionConfig as latex

        self.assertIs(graded, verify)
        self.assertIs(metric, math_metric)
        self.assertIs(latex, LatexExtractionConfig)
        self.assertTrue(issubclass(TimeoutException, BaseException))


class Parse(unittest.TestCase):
    def test_a_list_of_the_answer_and_its_text(self):
        found = parse(r"The answer is $\frac{1}{2}$")
        self.assertEqual([str(part) for part in found], [r"\frac{1}{2}"] * 2)
        self.assertIsInstance(found[0], ParsedAnswer)
        self.assertEqual(len(parse("$5$", fallback_mode="no_fallback")), 1)
        self.assertEqual(parse(""), [])
        self.assertEqual(parse(None), [])
        with self.assertRaises((TypeError, AttributeError)):
            parse(None, raise_on_error=True)

    def test_switches(self):
        latex = [LatexExtractionConfig()]
        self.assertEqual(parse("it is 5", latex), [])
        self.assertTrue(parse("it is $5$", latex))
        self.assertTrue(parse(r"\boxed{5}", latex))
        self.assertEqual(parse(r"\boxed{5}", [LatexExtractionConfig(boxed_match_priority=-1)]), [])
        anchored = [
            LatexExtractionConfig(
                try_extract_without_anchor=False,
                boxed_match_priority=0,
                normalization_config=LatexNormalizationConfig(units=True),
            )
        ]
        self.assertEqual(parse("We have $x = 5$ and more to do.", anchored), [])
        self.assertTrue(parse(r"so $\boxed{5}$", anchored))

    def test_strings(self):
        for text, found in [
            ("The answer is A.", ["a", "A"]),
            ("Final answer is B", ["b", "B"]),
            ("No valid answer here", []),
            ("A. Because B is not valid", ["a", "A"]),
            ("Because B is valid", ["b", "B"]),
        ]:
            self.assertEqual(parse(text, [StringExtractionConfig()]), found, text)
        config = StringExtractionConfig(lowercase=False)
        self.assertEqual(parse("The answer is A.", [config]), ["A", "A"])
        self.assertEqual(
            parse("The answer is U.", [StringExtractionConfig(strings=("U",))]), ["u", "U"]
        )


class Verify(unittest.TestCase):
    def equal(self, gold, target, **switches):
        return verify(parse(gold), parse(target), **switches)

    def test_values(self):
        self.assertTrue(self.equal("$0.5$", r"$\frac12$"))
        self.assertTrue(self.equal(r"$\{1, 2\}$", r"$\{2, 1\}$"))
        self.assertFalse(self.equal("$1$", "$2$"))
        self.assertTrue(self.equal("$1$, $2$ and $3$", r"\boxed{1,2,3}"))
        self.assertFalse(self.equal("$1$, $2$ and $3$", "$3$"))
        self.assertTrue(verify(0.5, parse("1/2")))
        self.assertTrue(verify("A", "A") and not verify("A", "a") and not verify("", ""))
        self.assertFalse(verify([], []) or verify(parse("5"), []))
        self.assertFalse(verify(None, parse("5")))
        with self.assertRaises(TypeError):
            verify(None, parse("5"), raise_on_error=True)

    def test_switches(self):
        self.assertFalse(self.equal("$0.3333$", "$0.33$"))
        self.assertTrue(self.equal("$0.3333$", "$0.33$", float_rounding=2))
        self.assertFalse(self.equal(r"$\{1, 2\}$", "$(2, 1)$"))
        self.assertTrue(self.equal(r"$\{1, 2\}$", "$(2, 1)$", strict=False))
        self.assertTrue(self.equal("$1 < x < 2$", "$(1, 2)$"))
        self.assertFalse(self.equal("$(1, 2)$", "$1 < x < 2$"))
        self.assertTrue(self.equal("$(1, 2)$", "$1 < x < 2$", allow_set_relation_comp=True))

    def test_in_a_thread_with_time_limits_and_hostile_replies(self):
        found = []

        def work():
            for reply in HOSTILE:
                parsed = parse(reply, parsing_timeout=1)
                found.append(verify(parse("$5$"), parsed, timeout_seconds=1))

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        thread.join(timeout=60)
        self.assertEqual(found, [False] * len(HOSTILE))

    def test_the_metric(self):
        metric = math_metric()
        score, (golds, predictions) = metric(["1/2"], ["The answer is 0.5.", "3"])
        self.assertEqual((score, golds[0], predictions[0]), (1.0, "1/2", "0.5"))
        with self.assertRaises(ValueError):
            metric([""], ["3"])


if __name__ == "__main__":
    unittest.main()
