"""Answers: verdicts, many at once, threads, strings that are no text."""

import pickle
import random
import sys
import threading
import time
import unittest

from common import HOSTILE
from sky_verify import MathChecker, Verdict

PAIRS = [
    (r"\frac{3}{4}", r"It is $\boxed{0.75}$.", True),
    ("1/2", r"$\boxed{\frac{1}{3}}$", False),
    (r"\{1, 2\}", r"\boxed{2, 1}", True),
    ("(1, 2)", r"\boxed{(2, 1)}", False),
    (r"\sqrt{8}", r"The answer is $2\sqrt{2}$.", True),
    ("5", "no answer here at all", False),
    ("72", "#### 72", True),
    ("x^2+2x+1", r"\boxed{(x+1)^2}", True),
]


class Checks(unittest.TestCase):
    def test_verdicts_say_what_was_found_and_why(self):
        checker = MathChecker()
        for gold, reply, right in PAIRS:
            verdict = checker.check(gold, reply)
            self.assertEqual(verdict.correct, right, (gold, reply, verdict))
            self.assertEqual(bool(verdict), right)
            self.assertIsInstance(verdict.reason, str)
        verdict = checker.check(r"\frac{3}{4}", r"\boxed{75\%}")
        self.assertEqual(
            (verdict.verdict, verdict.extracted, verdict.rule), ("correct", r"75\%", "boxed")
        )
        nothing = checker.check("5", "")
        self.assertEqual((nothing.verdict, nothing.extracted), ("unparsed", None))

    def test_options_are_the_crate_s_and_wrong_ones_are_named(self):
        gold, reply = "5", r"\boxed{5\text{ cm}}"
        self.assertTrue(MathChecker().check(gold, reply))
        self.assertFalse(MathChecker(units_optional=False).check(gold, reply))
        self.assertFalse(MathChecker("strict").check(gold, reply))
        self.assertTrue(MathChecker("strict", units_optional=True).check(gold, reply))
        rounded = MathChecker(decimal_gold_digits=None, round_decimals=2)
        self.assertEqual(rounded.options["round_decimals"], 2)
        self.assertIsNone(rounded.options["decimal_gold_digits"])
        for wrong in [
            {"unit_optional": True},
            {"budget": 0},
            {"budget": -1},
            {"round_decimals": 10**6},
            {"percent": "tenth"},
            {"units_optional": "yes"},
            {"preset": "lax"},
        ]:
            with self.assertRaises(ValueError, msg=wrong):
                MathChecker(**wrong)
        with self.assertRaises(TypeError):
            MathChecker(budget=object())

    def test_other_methods(self):
        checker = MathChecker()
        self.assertTrue(checker.equal("1/2", "0.5"))
        self.assertEqual(checker.extract(r"so \boxed{7}"), "7")
        self.assertIsNone(checker.extract(""))
        self.assertIn("verdict: Correct", checker.explain("1/2", "0.5"))
        self.assertTrue(checker.check_choice("B", "The answer is (B) because of that."))
        self.assertIn("MathChecker", repr(checker))

    def test_wrong_types_are_told(self):
        checker = MathChecker()
        for gold, reply in [(5, "5"), ("5", None), (b"5", "5")]:
            with self.assertRaises(TypeError):
                checker.check(gold, reply)
        with self.assertRaises(TypeError):
            checker.check_many("ab", "ab")
        with self.assertRaisesRegex(TypeError, r"golds\[1\] must be a str, not int"):
            checker.check_many(["1", 2], ["1", "2"])
        with self.assertRaises(ValueError):
            checker.check_many(["1"], [])
        with self.assertRaises(ValueError):
            checker.check_many(["1"], ["1"], threads=0)

    def test_pickles_keep_everything(self):
        checker = pickle.loads(pickle.dumps(MathChecker("strict", budget=1000)))
        self.assertEqual(checker.options, MathChecker("strict", budget=1000).options)
        verdict = checker.check("5", "5")
        again = pickle.loads(pickle.dumps(verdict))
        self.assertEqual(again, verdict)
        self.assertEqual(hash(again), hash(verdict))
        self.assertIsInstance(again, Verdict)


class Many(unittest.TestCase):
    def test_many_are_as_one_by_one_on_any_number_of_threads(self):
        rng = random.Random(1)
        pairs = [rng.choice(PAIRS) for _ in range(3_000)]
        pairs += [("5", reply, False) for reply in HOSTILE]
        rng.shuffle(pairs)
        golds, replies = [p[0] for p in pairs], [p[1] for p in pairs]
        checker = MathChecker()
        alone = [checker.check(g, r) for g, r in zip(golds, replies)]
        for threads in (None, 1, 2, 7, 300):
            self.assertEqual(checker.check_many(golds, replies, threads), alone)
        # Any iterable, a column for one.
        self.assertEqual(checker.check_many(iter(golds), tuple(replies)), alone)
        self.assertEqual(checker.check_many([], []), [])

    def test_the_gil_is_free_meanwhile(self):
        checker = MathChecker()
        golds = ["x^2+2x+1"] * 30_000
        replies = [r"\boxed{(x+1)^2}"] * 30_000
        counted, done = [0], threading.Event()

        def count():
            while not done.is_set():
                counted[0] += 1
                time.sleep(0.001)

        counter = threading.Thread(target=count)
        counter.start()
        time.sleep(0.05)
        start, before = time.perf_counter(), counted[0]
        checker.check_many(golds, replies, threads=1)
        took, ticks = time.perf_counter() - start, counted[0] - before
        done.set()
        counter.join()
        # With the GIL held there would be no tick at all.
        self.assertGreater(ticks, took * 20, f"{ticks} ticks in {took:.2f} s")


class Threads(unittest.TestCase):
    def test_hostile_replies_block_none_of_16_threads(self):
        checker = MathChecker()
        alone = [checker.check("5", reply) for reply in HOSTILE]
        worst, wrong = [], []

        def loop(seed):
            rng = random.Random(seed)
            slowest = 0.0
            for _ in range(40):
                index = rng.randrange(len(HOSTILE))
                start = time.thread_time()
                verdict = checker.check("5", HOSTILE[index])
                slowest = max(slowest, time.thread_time() - start)
                if verdict != alone[index]:
                    wrong.append(index)
            worst.append(slowest)

        threads = [threading.Thread(target=loop, args=(seed,), daemon=True) for seed in range(16)]
        start = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=120)
            self.assertFalse(thread.is_alive(), "a thread hangs")
        took = time.perf_counter() - start
        self.assertEqual(wrong, [])
        self.assertEqual(len(worst), 16)
        # Processor time, which the machine's load does not stretch much.
        print(
            f"16 threads, 640 hostile replies: {took:.2f} s, slowest {max(worst) * 1000:.0f} ms",
            file=sys.stderr,
        )
        self.assertLess(max(worst), 2.0)

    def test_a_small_stack_is_enough(self):
        """Threads of Python's may have a smaller stack than the main one."""
        before = threading.stack_size(1 << 20)
        try:
            found = []
            checker = MathChecker()
            thread = threading.Thread(
                target=lambda: found.extend(checker.check("5", reply) for reply in HOSTILE)
            )
            thread.start()
            thread.join()
        finally:
            threading.stack_size(before)
        self.assertEqual(len(found), len(HOSTILE))


if __name__ == "__main__":
    unittest.main()
