"""The rewards in the real packages; each is skipped where its package is not installed."""

import importlib
import os
import sys
import tempfile
import types
import unittest
from unittest import mock

import sky_verify
import sky_verify.parser
from common import HERE, say
from sky_verify import MathChecker, rewards

ROWS = [{"answer": str(n), "reply": f"It is {n + n % 2}."} for n in range(200)]
RIGHT = [n % 2 == 0 for n in range(200)]


def needs(module):
    try:
        importlib.import_module(module)
    except ImportError as error:
        say(f"{module}: {error}; its integration was not tried")
        return unittest.skip(f"{module} cannot be imported")
    return lambda test: test


class Judge:
    """As a class, so that each worker makes one checker."""

    def __init__(self):
        self.checker = MathChecker()

    def __call__(self, batch):
        verdicts = self.checker.check_many(list(batch["answer"]), list(batch["reply"]), threads=1)
        batch["correct"] = [verdict.correct for verdict in verdicts]
        return batch


class Frameworks(unittest.TestCase):
    @needs("datasets")
    def test_datasets_map(self):
        from datasets import Dataset

        judged = Dataset.from_list(ROWS).map(Judge(), batched=True, batch_size=50, num_proc=2)
        self.assertEqual(list(judged["correct"]), RIGHT)

    @needs("ray")
    def test_ray_data_with_two_workers(self):
        import ray

        # Ray writes a token to the home folder.
        with tempfile.TemporaryDirectory() as home, mock.patch.dict(os.environ, HOME=home):
            # The workers import this module.
            workers = {"env_vars": {"PYTHONPATH": HERE}}
            ray.init(
                num_cpus=4, include_dashboard=False, log_to_driver=False, runtime_env=workers
            )
            try:
                data = ray.data.from_items(ROWS).repartition(8)
                judged = data.map_batches(
                    Judge, compute=ray.data.ActorPoolStrategy(size=2), batch_size=25
                )
                found = {row["answer"]: bool(row["correct"]) for row in judged.take_all()}
            finally:
                ray.shutdown()
        self.assertEqual([found[row["answer"]] for row in ROWS], RIGHT)

    @needs("skyrl_gym")
    def test_skyrl(self):
        import skyrl_gym

        skyrl_gym.register(id="sky_verify", entry_point="sky_verify.skyrl:VerifyEnv")
        env = skyrl_gym.make("sky_verify", extras={"reward_spec": {"ground_truth": "1/2"}})
        env.init([{"role": "user", "content": "?"}])
        step = env.step("It is 0.5.")
        self.assertEqual((step["reward"], step["done"]), (1.0, True))

    @needs("verl.utils.import_utils")
    def test_verl_loads_the_function(self):
        from verl.utils.import_utils import load_extern_object

        for path in ("pkg://sky_verify.rewards", rewards.__file__):
            function = load_extern_object(path, "compute_score")
            self.assertEqual(function("math", r"\boxed{5}", "5", extra_info={}), 1.0)

    @needs("trl")
    def test_trl_s_own_reward_runs_over_this_package(self):
        """What replacing one import does, in code that others wrote, in a thread."""
        from concurrent.futures import ThreadPoolExecutor

        latex = types.ModuleType("latex2sympy2_extended")
        latex.NormalizationConfig = sky_verify.LatexNormalizationConfig
        modules = {"math_verify": sky_verify, "latex2sympy2_extended": latex}
        chats = [
            [{"role": "assistant", "content": text}]
            for text in (r"\boxed{\frac{1}{3}}", r"\boxed{\frac{1}{2}}", "It is 1/3.")
        ]
        with mock.patch.dict(sys.modules, modules):
            from trl.rewards import accuracy_reward

            with ThreadPoolExecutor(1) as pool:
                theirs = pool.submit(accuracy_reward, chats, ["1/3"] * 3).result(timeout=60)
        # Theirs wants LaTeX.
        self.assertEqual(theirs, [1.0, 0.0, 0.0])
        ours = rewards.accuracy_reward(completions=chats, solution=["1/3"] * 3)
        self.assertEqual(ours, [1.0, 0.0, 1.0])

    @needs("lighteval.metrics.utils.metric_utils")
    def test_lighteval(self):
        from lighteval.models.model_output import ModelResponse
        from lighteval.tasks.requests import Doc

        from sky_verify.metrics import lighteval_metric

        metric = lighteval_metric()
        doc = Doc(query="?", choices=["1/2"], gold_index=0)
        found = metric.compute_sample(doc=doc, model_response=ModelResponse(text=["It is 0.5."]))
        self.assertEqual(found, {"sky_verify": 1.0})


if __name__ == "__main__":
    unittest.main()
