"""An environment of SkyRL's. Needs the package `skyrl-gym`.

    from skyrl_gym.envs import register
    register(id="sky_verify", entry_point="sky_verify.skyrl:VerifyEnv")
"""

from skyrl_gym.envs.base_text_env import BaseTextEnv, BaseTextEnvStepOutput

from .rewards import score

__all__ = ["VerifyEnv"]


class VerifyEnv(BaseTextEnv):
    """One reply, judged against `reward_spec.ground_truth`: an answer, or a row of tests."""

    def __init__(self, env_config=None, extras=None):
        super().__init__()
        spec = (extras or {}).get("reward_spec") or {}
        if "ground_truth" not in spec:
            raise ValueError("reward_spec.ground_truth is required")
        self.ground_truth = spec["ground_truth"]

    def step(self, action):
        """Judges the reply; the episode ends."""
        reward = score(action, self.ground_truth)
        return BaseTextEnvStepOutput(observations=[], reward=reward, done=True, metadata={})
