"""Copies stepped together behind Gymnasium's ``VectorEnv``."""

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from tradewind_envs.single import SEED_MAX
from tradewind_envs.spaces import action_space, as_actions, observation_space

WORDS = {AutoresetMode.SAME_STEP: "same_step", AutoresetMode.NEXT_STEP: "next_step"}


class Vector(VectorEnv):
    """``num_envs`` copies, stepped by one call without the interpreter's lock.

    Observations, rewards and flags are views of memory that Rust owns: the same arrays each time, which the next step or
    reset overwrites. Keep what you need with ``copy=True``, or copy it yourself. ``final_obs`` is always yours to keep.
    """

    metadata = {"render_modes": []}

    def __init__(
        self, source, num_envs=1, *, autoreset_mode=AutoresetMode.SAME_STEP, copy=False, render_mode=None, **settings
    ):
        if render_mode is not None:
            raise ValueError(f"render_mode={render_mode!r}: nothing is drawn, use None")
        mode = AutoresetMode(autoreset_mode)
        if mode not in WORDS:
            raise ValueError(f"{mode}: copies go on by themselves, use SAME_STEP or NEXT_STEP")
        self.copies = source(num_envs=num_envs, autoreset=WORDS[mode], **settings)
        self.num_envs = num_envs
        self.metadata = {**self.metadata, "autoreset_mode": mode}
        self.render_mode = None
        self.single_observation_space = observation_space(self.copies)
        self.single_action_space = action_space(self.copies)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._copy = copy
        self._tells_ends = mode == AutoresetMode.SAME_STEP
        # Held here, so that a step makes no array object.
        copies = self.copies
        self._observations, self._rewards = copies.observations, copies.rewards
        self._terminated, self._truncated = copies.terminated, copies.truncated

    def reset(self, *, seed=None, options=None):
        """Starts every copy anew. One seed is for all copies: each draws its own episodes from it."""
        if seed is not None and not isinstance(seed, (int, np.integer)):
            raise ValueError(f"seed={seed!r}: give one whole number for all copies")
        if options and "reset_mask" in options:
            raise ValueError("reset_mask: copies are reset together, and go on by themselves after an end")
        super().reset(seed=seed)
        self.copies.reset(int(self.np_random.integers(SEED_MAX) if seed is None else seed))
        return (self._observations.copy() if self._copy else self._observations), {}

    def step(self, actions):
        ended = self.copies.step(as_actions(self.copies, actions))
        infos = self._ends() if ended and self._tells_ends else {}
        results = (self._observations, self._rewards, self._terminated, self._truncated)
        if self._copy:
            results = tuple(array.copy() for array in results)
        return (*results, infos)

    def _ends(self):
        """The last observation of each copy whose episode ended, in Gymnasium's form."""
        over = self._terminated | self._truncated
        final = np.full(self.num_envs, None, dtype=object)
        for copy in np.flatnonzero(over):
            final[copy] = self.copies.final_observations[copy].copy()
        return {"final_obs": final, "_final_obs": over, "final_info": {}, "_final_info": over.copy()}
