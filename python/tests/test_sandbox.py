"""Programs: the sandbox, rows of data sets, forks, threads, a missing guest."""

import json
import multiprocessing
import os
import pickle
import tempfile
import threading
import unittest

from common import HAS_GUEST, needs_guest
from sky_verify import CodeChecker, Sandbox, SandboxError
from sky_verify.code import problem

DOUBLE = "```python\nprint(int(input()) * 2)\n```"
TRIPLE = "```python\nprint(int(input()) * 3)\n```"
ADD = "```python\ndef add(a, b):\n    return a + b\n```"
SUBTRACT = "```python\ndef add(a, b):\n    return a - b\n```"
METHOD = "```python\nclass Solution:\n    def add(self, a, b):\n        return a + b\n```"

IO_TESTS = {"inputs": ["1\n", "21\n"], "outputs": ["2\n", "42\n"]}
CALLS = {"inputs": [[1, 2], [3, 4]], "outputs": [[3], [7]], "fn_name": "add"}
ROWS = {
    "apps": ({"question": "Double.", "input_output": json.dumps(IO_TESTS)}, DOUBLE, TRIPLE),
    "taco": ({"question": "Add.", "input_output": CALLS}, ADD, SUBTRACT),
    "livecodebench": (
        {
            "question_content": "Add.",
            "question_id": "7",
            "public_test_cases": json.dumps(
                [{"input": "1\n2", "output": "3", "testtype": "functional"}]
            ),
            "private_test_cases": "[]",
            "metadata": json.dumps({"func_name": "add"}),
        },
        METHOD,
        SUBTRACT,
    ),
    "humaneval": (
        {
            "task_id": "HumanEval/0",
            "prompt": 'def add(a, b):\n    """The sum."""\n',
            "test": "def check(candidate):\n    assert candidate(1, 2) == 3\n",
            "entry_point": "add",
        },
        ADD,
        SUBTRACT,
    ),
    "mbpp": ({"task_id": 1, "text": "Add.", "test_list": ["assert add(1, 2) == 3"]}, ADD, SUBTRACT),
    "mbpp, sanitized": (
        {"task_id": 1, "prompt": "Add.", "test_list": ["assert add(1, 2) == 3"], "test_imports": []},
        ADD,
        SUBTRACT,
    ),
    "verl": (IO_TESTS, DOUBLE, TRIPLE),
    "open-r1": (
        {
            "language": "python",
            "test_cases": [{"input": "1\n", "output": "2\n", "type": "stdin_stdout"}],
        },
        DOUBLE,
        TRIPLE,
    ),
}


class Missing(unittest.TestCase):
    def test_a_missing_guest_is_told_with_what_to_do(self):
        with tempfile.TemporaryDirectory() as folder:
            for make in (Sandbox, CodeChecker):
                with self.assertRaisesRegex(SandboxError, "cargo xtask setup"):
                    make(home=folder)
            self.assertEqual(os.listdir(folder), [])

    def test_rows_that_are_none_are_told(self):
        for row in [{}, {"input_output": ""}, {"input_output": "{"}, {"test_list": []}, 5, "[]"]:
            with self.assertRaises((TypeError, ValueError), msg=row):
                problem(row)
        with self.assertRaisesRegex(ValueError, "no format"):
            problem({"input_output": "{}"}, format="appz")
        with self.assertRaises(ValueError):
            problem({"question": "1+1?", "answer": "#### 2"}, format="gsm8k")

    def test_problems_are_pickled(self):
        row, _, _ = ROWS["humaneval"]
        again = pickle.loads(pickle.dumps(problem(row)))
        self.assertEqual((again.id, again.source), ("humaneval/0", "humaneval"))


def double_in_child(sandbox, queue):
    queue.put([sandbox.run("print(int(input()) * 2)", f"{n}\n").stdout for n in range(20)])


@needs_guest
class Runs(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.sandbox = Sandbox()

    def test_outcomes(self):
        run = self.sandbox.run
        done = run("print(int(input()) * 2)", stdin="21\n")
        self.assertEqual((done.stdout, done.exit, done.exit_code, done.ok), ("42\n", "exited", 0, True))
        self.assertEqual(run("import sys; sys.exit(3)").exit_code, 3)
        self.assertFalse(run("import sys; sys.exit(3)"))
        raised = run("1 / 0")
        self.assertEqual((raised.exit, raised.error), ("raised", "ZeroDivisionError: division by zero"))
        self.assertIn("Traceback", raised.stderr)
        self.assertEqual(run("def").exit, "compile_error")
        self.assertEqual(run("while True: pass", seconds=0.05).exit, "out_of_instructions")
        self.assertEqual(run("x = bytearray(10**9)", memory_mb=16).exit, "out_of_memory")
        self.assertEqual(run("while True: print('x' * 10**6)", output_mb=1).exit, "output_limit")
        echoed = run("import sys; sys.stdout.buffer.write(sys.stdin.buffer.read())", b"\xff")
        self.assertEqual(echoed.stdout, "\ufffd")

    def test_wrong_limits_are_told(self):
        for limits in [{"seconds": 0}, {"seconds": float("nan")}, {"memory_mb": 0}, {"memory_mb": 2000}]:
            with self.assertRaises(ValueError, msg=limits):
                self.sandbox.run("", **limits)
        with self.assertRaises(TypeError):
            self.sandbox.run("", stdin=5)

    def test_the_program_sees_nothing_of_the_host(self):
        seen = self.sandbox.run("import os; print(os.path.exists('/etc/passwd'), dict(os.environ))")
        self.assertTrue(seen.stdout.startswith("False"), seen)
        self.assertNotIn("SKY_HOME", seen.stdout)

    def test_a_child_of_a_fork_has_guests_of_its_own(self):
        self.sandbox.run("x = 1")
        context = multiprocessing.get_context("fork")
        queue = context.Queue()
        children = [
            context.Process(target=double_in_child, args=(self.sandbox, queue)) for _ in range(3)
        ]
        for child in children:
            child.start()
        expected = [f"{2 * n}\n" for n in range(20)]
        for _ in children:
            self.assertEqual(queue.get(timeout=120), expected)
        for child in children:
            child.join()
            self.assertEqual(child.exitcode, 0)

    def test_a_sandbox_is_pickled_by_its_folders(self):
        self.assertEqual(pickle.loads(pickle.dumps(self.sandbox)).run("print(1)").stdout, "1\n")

    def test_ctrl_c_ends_a_run(self):
        import signal
        import time

        def interrupt():
            time.sleep(0.5)
            os.kill(os.getpid(), signal.SIGINT)

        threading.Thread(target=interrupt, daemon=True).start()
        start = time.perf_counter()
        with self.assertRaises(KeyboardInterrupt):
            self.sandbox.run("while True: pass", seconds=600)
        self.assertLess(time.perf_counter() - start, 30)


@needs_guest
class Judges(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.checker = CodeChecker()

    def test_rows_of_every_format(self):
        for name, (row, right, wrong) in ROWS.items():
            verdict = self.checker.check(row, right)
            self.assertTrue(verdict, (name, verdict))
            self.assertIn("add" if "add" in right else "print", verdict.extracted)
            self.assertFalse(self.checker.check(row, wrong), name)
            self.assertEqual(self.checker.check(row, "").verdict, "unparsed", name)
            self.assertTrue(self.checker.check(json.dumps(row), right), name)

    def test_many_are_as_one_by_one(self):
        rows, replies = [], []
        for row, right, wrong in ROWS.values():
            rows += [row, row, row]
            replies += [right, wrong, "```python\n1 / 0\n```"]
        alone = [self.checker.check(row, reply) for row, reply in zip(rows, replies)]
        self.assertEqual(self.checker.check_many(rows, replies), alone)
        self.assertEqual(self.checker.check_many(map(problem, rows), replies, threads=1), alone)
        with self.assertRaises(ValueError):
            self.checker.check_many(rows, [])

    def test_a_test_that_proves_nothing_is_no_verdict(self):
        verdict = self.checker.check({"test": "", "entry_point": "add"}, ADD)
        self.assertEqual(verdict.verdict, "unsupported")

    def test_options(self):
        quick = CodeChecker(program_seconds=0.01)
        row = {"test_list": ["assert f() == 1"]}
        slow = "```python\ndef f():\n    return sum(range(10**7)) and 1\n```"
        self.assertEqual(quick.check(row, slow).verdict, "timed_out")
        self.assertTrue(pickle.loads(pickle.dumps(self.checker)).check(ROWS["mbpp"][0], ADD))
        with self.assertRaises(ValueError):
            CodeChecker(test_seconds=-1)


if __name__ == "__main__":
    assert HAS_GUEST
    unittest.main()
