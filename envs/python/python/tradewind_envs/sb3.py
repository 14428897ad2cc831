"""Copies as the ``VecEnv`` of stable-baselines3."""

import numpy as np
from gymnasium.vector import AutoresetMode
from stable_baselines3.common.vec_env import VecEnv


class Sb3Vector(VecEnv):
    """A :class:`tradewind_envs.Vector` for stable-baselines3.

    Arrays are copied: its algorithms keep the last observation while they take the next step.
    """

    def __init__(self, vector):
        if vector.metadata["autoreset_mode"] != AutoresetMode.SAME_STEP:
            raise ValueError("stable-baselines3 resets in the same step: make the vector with AutoresetMode.SAME_STEP")
        self.vector = vector
        self.render_mode = None
        self._seed = None
        self._actions = None
        super().__init__(vector.num_envs, vector.single_observation_space, vector.single_action_space)

    def seed(self, seed=None):
        """Taken up by the next reset."""
        self._seed = seed
        return [seed] * self.num_envs

    def reset(self):
        observations, _ = self.vector.reset(seed=self._seed)
        self._seed = None
        self.reset_infos = [{} for _ in range(self.num_envs)]
        return observations.copy()

    def step_async(self, actions):
        self._actions = actions

    def step_wait(self):
        observations, rewards, terminated, truncated, ends = self.vector.step(self._actions)
        infos = [{} for _ in range(self.num_envs)]
        dones = terminated | truncated
        for copy in np.flatnonzero(dones):
            cut_off = bool(truncated[copy])
            infos[copy] = {"terminal_observation": ends["final_obs"][copy], "TimeLimit.truncated": cut_off}
        return observations.copy(), rewards.copy(), dones, infos

    def close(self):
        self.vector.close()

    def env_is_wrapped(self, wrapper_class, indices=None):
        return [False for _ in self._get_indices(indices)]

    def get_attr(self, attr_name, indices=None):
        value = getattr(self.vector, attr_name)
        return [value for _ in self._get_indices(indices)]

    def set_attr(self, attr_name, value, indices=None):
        raise NotImplementedError("copies share their settings: make another vector")

    def env_method(self, method_name, *method_args, indices=None, **method_kwargs):
        raise NotImplementedError("copies are stepped together: call the vector's own methods")
