"""Gymnasium's spaces and actions for what the copies say of themselves."""

import numpy as np
from gymnasium import spaces


def observation_space(copies):
    return spaces.Box(-np.inf, np.inf, (copies.observation_width,), np.float32)


def action_space(copies):
    if copies.actions is not None:
        return spaces.Discrete(copies.actions)
    low, high = (np.asarray(bound, np.float32) for bound in copies.action_bounds)
    return spaces.Box(low, high, dtype=np.float32)


def as_actions(copies, actions):
    """``actions`` as the copies take them; no copy is made where dtype and order are right."""
    actions = np.asarray(actions)
    if copies.actions is None:
        if actions.dtype.kind not in "fiu":
            raise ValueError(f"actions are {actions.dtype}: use float32")
        return np.ascontiguousarray(actions, np.float32)
    if actions.dtype.kind not in "iu":
        raise ValueError(f"actions are {actions.dtype}: use int64")
    return actions.astype(np.int64, copy=False)
