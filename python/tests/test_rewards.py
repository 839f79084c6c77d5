"""Reward functions, called as the trainers call them; no reply raises."""

import json
import threading
import time
import unittest
from concurrent.futures import ThreadPoolExecutor

from common import HOSTILE, needs_guest
from sky_verify import rewards
from sky_verify.metrics import process_results
from test_sandbox import ADD, DOUBLE, IO_TESTS, ROWS, SUBTRACT, TRIPLE


class Math(unittest.TestCase):
    def test_verl(self):
        call = rewards.compute_score
        self.assertEqual(call("openai/gsm8k", "So 72.\n#### 72", "72", {"index": 0}), 1.0)
        self.assertEqual(
            call(data_source="math", solution_str=r"\boxed{3}", ground_truth="4", extra_info=None),
            0.0,
        )
        self.assertEqual(call("aime", r"\boxed{204}", 204, sandbox_fusion_url=None), 1.0)
        self.assertEqual(call("math", r"\boxed{1/2}", ["2", "0.5"]), 1.0)
        self.assertEqual(call("math", None, "5"), 0.0)
        self.assertEqual(call("math", r"\boxed{\{1, 2\}}", "{1, 2}"), 1.0)

    def test_trl_and_open_r1(self):
        chats = [[{"role": "assistant", "content": r"It is \boxed{\frac{1}{3}}"}]] * 3
        found = rewards.accuracy_reward(
            prompts=["?"] * 3, completions=chats, solution=[r"$\frac13$", "1/2", ""], completion_ids=[]
        )
        self.assertEqual(found, [1.0, 0.0, None])
        self.assertEqual(rewards.accuracy_reward(["It is 5."], answer=["5"]), [1.0])
        self.assertEqual(rewards.accuracy_reward([[], [{}], None], ground_truth=[1, 2, 3]), [0.0] * 3)
        with self.assertRaises(ValueError):
            rewards.accuracy_reward(["5"])

    def test_lm_evaluation_harness(self):
        self.assertEqual(process_results({"answer": "5"}, ["It is 5."]), {"sky_verify": 1.0})
        self.assertEqual(process_results({"solution": r"\boxed{5}"}, ["6"]), {"sky_verify": 0.0})
        with self.assertRaises(KeyError):
            process_results({}, ["5"])

    def test_a_loop_of_16_threads_with_hostile_replies_never_blocks(self):
        """verl's reward loop: one call a reply, in a pool of threads, beside an event loop."""
        beats, done = [], threading.Event()

        def beat():
            while not done.is_set():
                beats.append(time.perf_counter())
                time.sleep(0.002)

        heart = threading.Thread(target=beat)
        heart.start()
        replies = (HOSTILE + [r"\boxed{5}"] * 5) * 8
        with ThreadPoolExecutor(16) as pool:
            found = list(pool.map(lambda r: rewards.compute_score("math", r, "5"), replies, timeout=120))
        done.set()
        heart.join()
        self.assertEqual(sum(found), 5 * 8)
        # The GIL is never held for long.
        pause = max(b - a for a, b in zip(beats, beats[1:]))
        self.assertLess(pause, 2.0)


@needs_guest
class Code(unittest.TestCase):
    def test_verl(self):
        call = rewards.compute_score
        for tests in (IO_TESTS, json.dumps(IO_TESTS)):
            self.assertEqual(call("taco", DOUBLE, tests), 1.0)
            self.assertEqual(call("somewhere", TRIPLE, tests), 0.0)
        self.assertEqual(call("apps", DOUBLE, "no tests"), 0.0)

    def test_trl_and_open_r1(self):
        row, right, wrong = ROWS["open-r1"]
        info = [row, row, {}]
        found = rewards.code_reward([right, wrong, right], verification_info=info, prompts=["?"] * 3)
        self.assertEqual(found, [1.0, 0.0, None])
        columns = {"test_list": [["assert add(1, 2) == 3"]] * 2, "text": ["Add."] * 2}
        chats = [[{"role": "assistant", "content": reply}] for reply in (ADD, SUBTRACT)]
        self.assertEqual(rewards.code_reward(chats, **columns), [1.0, 0.0])

    def test_hostile_programs_block_nobody(self):
        programs = [
            "while True: pass",
            "x = []\nwhile True: x.append('x' * 10**6)",
            "def f(): f()\nimport sys\nsys.setrecursionlimit(10**9)\nf()",
            "import os; os.kill(0, 9)",
            "while True: print('x' * 10**6)",
            "import threading; threading.Event().wait()",
            "input(); input(); input()",
            "import signal; signal.pause()",
            "9**9**9**9",
        ]
        replies = [f"```python\n{program}\n```" for program in programs] + [DOUBLE]
        tests = {**IO_TESTS, "timeout_s": 0.05}
        with ThreadPoolExecutor(16) as pool:
            found = list(pool.map(lambda r: rewards.score(r, tests), replies, timeout=300))
        self.assertEqual(found, [0.0] * len(programs) + [1.0])


if __name__ == "__main__":
    unittest.main()
