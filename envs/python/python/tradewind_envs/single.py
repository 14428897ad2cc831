"""One environment behind Gymnasium's ``Env``."""

import gymnasium
import numpy as np

from tradewind_envs.spaces import action_space, as_actions, observation_space

#: Seeds are 64 bits without a sign in Rust, with one in NumPy.
SEED_MAX = 2**63 - 1


class Single(gymnasium.Env):
    """One copy. With the same seed it is the first of a :class:`Vector`, step by step.

    Observations are fresh arrays; ``copy=False`` gives views that the next step or reset overwrites.
    """

    metadata = {"render_modes": []}

    def __init__(self, source, *, copy=True, render_mode=None, **settings):
        if render_mode is not None:
            raise ValueError(f"render_mode={render_mode!r}: nothing is drawn, use None")
        self.copies = source(num_envs=1, **settings)
        if self.copies.resets_next_step:
            raise ValueError("a single environment waits for reset(): leave autoreset out")
        self.render_mode = None
        self.observation_space = observation_space(self.copies)
        self.action_space = action_space(self.copies)
        self._copy = copy
        self._actions = (1, *self.action_space.shape)
        self._state = "unseeded"

    def reset(self, *, seed=None, options=None):
        """Begins an episode. Without a seed, after an end, it is the one that the copies of a vector go on with."""
        super().reset(seed=seed)
        if seed is not None:
            self.copies.reset(seed)
        elif self._state != "over":
            self.copies.reset(int(self.np_random.integers(SEED_MAX)))
        self._state = "running"
        return self._shown(self.copies.observations), {}

    def step(self, action):
        if self._state != "running":
            raise gymnasium.error.ResetNeeded("call reset() before step(): no episode is running")
        copies = self.copies
        ended = copies.step(as_actions(copies, action).reshape(self._actions))
        if ended:
            self._state = "over"
        observations = copies.final_observations if ended else copies.observations
        terminated, truncated = bool(copies.terminated[0]), bool(copies.truncated[0])
        return self._shown(observations), float(copies.rewards[0]), terminated, truncated, {}

    def _shown(self, observations):
        return np.array(observations[0]) if self._copy else observations[0]
