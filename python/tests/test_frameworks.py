"""The rewards in the real packages; each is skipped where its package is not installed."""

import importlib.util
import unittest

from common import say
from sky_verify import MathChecker, rewards

ROWS = [{"answer": str(n), "reply": f"It is {n + n % 2}."} for n in range(200)]
RIGHT = [n % 2 == 0 for n in range(200)]


def needs(name):
    found = importlib.util.find_spec(name) is not None
    if not found:
        say(f"{name} is not installed here; its integration was not tried")
    return unittest.skipUnless(found, f"{name} is not installed")


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

        ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
        try:
            data = ray.data.from_items(ROWS).repartition(8)
            judged = data.map_batches(
                Judge, compute=ray.data.ActorPoolStrategy(size=2), batch_size=25, num_cpus=1
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

    @needs("verl")
    def test_verl_loads_the_function_from_its_file(self):
        from verl.utils.import_utils import load_extern_object

        function = load_extern_object(rewards.__file__, "compute_score")
        self.assertEqual(function("math", r"\boxed{5}", "5", extra_info={}), 1.0)

    @needs("trl")
    def test_trl_s_own_checks_of_a_reward_function(self):
        import inspect

        self.assertFalse(inspect.iscoroutinefunction(rewards.accuracy_reward))
        chats = [[{"role": "assistant", "content": r"\boxed{\frac{1}{3}}"}]]
        self.assertEqual(rewards.accuracy_reward(completions=chats, solution=["1/3"]), [1.0])

    @needs("lighteval")
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
