"""The single environment against Gymnasium's contract."""

import warnings

import gymnasium
import numpy as np
import pytest
import tradewind_envs
from gymnasium.utils.env_checker import check_env


def make(settings, **more):
    return gymnasium.make("tradewind/Trading-v0", **settings, **more)


def trace(env, seed, steps=60):
    observation, _ = env.reset(seed=seed)
    rows = [observation]
    for step in range(steps):
        observation, reward, terminated, truncated, _ = env.step(step * 7 % 3)
        rows += [observation, reward, terminated, truncated]
        if terminated or truncated:
            rows.append(env.reset()[0])
    return np.concatenate([np.atleast_1d(row).ravel() for row in rows])


def test_spaces_shapes_and_dtypes_are_as_stated(settings):
    env = make(settings)
    assert env.observation_space == gymnasium.spaces.Box(-np.inf, np.inf, (8 * 3 + 2,), np.float32)
    assert env.action_space == gymnasium.spaces.Discrete(3)
    observation, info = env.reset(seed=1)
    assert (observation.shape, observation.dtype, info) == ((26,), np.float32, {})
    observation, reward, terminated, truncated, _ = env.step(env.action_space.sample())
    assert env.observation_space.contains(observation)
    assert [type(value) for value in (reward, terminated, truncated)] == [float, bool, bool]


def test_gymnasiums_checker_finds_nothing(settings):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # A feature is clipped, a position's return is not: there is no bound to name.
        warnings.filterwarnings("ignore", ".*(minimum|maximum) value is -?infinity")
        check_env(make(settings).unwrapped, skip_render_check=True)
        check_env(gymnasium.make("tradewind/Probe-v0").unwrapped, skip_render_check=True)


def test_one_seed_is_one_trace_and_another_is_another(settings):
    env = make(settings)
    first = trace(env, 3)
    assert np.array_equal(first, trace(env, 3))
    assert np.array_equal(first, trace(make(settings), 3))
    assert not np.array_equal(first, trace(env, 4))


def test_without_a_seed_each_reset_is_another_episode(settings):
    env = make(settings)
    starts = {env.reset()[0].tobytes() for _ in range(5)}
    assert len(starts) == 5
    env.reset(seed=8)
    follower = env.reset()[0]
    env.reset(seed=8)
    assert np.array_equal(env.reset()[0], follower), "what follows a seed follows from it"


def test_an_episode_is_cut_off_at_its_last_bar_and_stepping_on_is_refused(settings):
    env = make(settings).unwrapped
    env.reset(seed=0)
    ends = [env.step(1)[2:4] for _ in range(20)]
    assert ends == [(False, False)] * 19 + [(False, True)]
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.step(1)


def test_observations_are_the_callers_unless_views_are_asked_for(settings):
    kept, _ = (env := make(settings)).reset(seed=0)
    before = kept.copy()
    env.step(0)
    assert np.array_equal(kept, before)
    view, _ = (env := make(settings, copy=False).unwrapped).reset(seed=0)
    env.step(0)
    assert not np.array_equal(view, before)


def test_holding_nothing_earns_nothing_and_costs_are_paid(settings):
    env = make(settings)
    env.reset(seed=5)
    assert [env.step(1)[1] for _ in range(5)] == [0.0] * 5
    settings["env"] = {**settings["env"], "costs": {"commission_bps": 100}}
    rewards = []
    for costly in (env, make(settings)):
        costly.reset(seed=5)
        rewards.append(costly.step(2)[1])
    assert rewards[0] - rewards[1] == pytest.approx(0.0099, abs=2e-4), "1 % of the notional, less the default's 0.01 %"


def test_a_saved_state_goes_on_bit_for_bit(settings):
    copies = tradewind_envs.trading(**settings, num_envs=3)
    copies.reset(2)
    action = np.array([0, 1, 2])
    copies.step(action)
    state = copies.state()
    copies.step(action)
    after = copies.observations.copy()
    copies.restore(state)
    copies.step(action)
    assert np.array_equal(copies.observations, after)
    with pytest.raises(ValueError, match="cannot be read"):
        copies.restore(b"nonsense")
