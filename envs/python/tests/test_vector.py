"""Copies stepped together: views, ends, seeds."""

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

STEPS = 45


def make(settings, num_envs=4, **more):
    return gymnasium.make_vec("tradewind/Trading-v0", num_envs=num_envs, **settings, **more)


def actions(step, num_envs):
    return (np.arange(num_envs) + step) % 3


def test_shapes_dtypes_and_batched_spaces(settings):
    envs = make(settings)
    assert envs.num_envs == 4
    assert envs.observation_space.shape == (4, 26)
    assert isinstance(envs.action_space, gymnasium.spaces.MultiDiscrete)
    observations, infos = envs.reset(seed=1)
    assert (observations.shape, observations.dtype, infos) == ((4, 26), np.float32, {})
    results = envs.step(envs.action_space.sample())
    dtypes = [(array.shape, array.dtype) for array in results[1:4]]
    assert dtypes == [((4,), np.float32), ((4,), np.bool_), ((4,), np.bool_)]


def test_every_step_shows_the_same_memory(settings):
    envs = make(settings)
    observations, _ = envs.reset(seed=1)
    address = observations.ctypes.data
    first = envs.step(actions(0, 4))
    addresses = [array.ctypes.data for array in first[:4]]
    before = observations.copy()
    for step in range(1, STEPS):
        assert [array.ctypes.data for array in envs.step(actions(step, 4))[:4]] == addresses
    assert addresses[0] == address == envs.reset()[0].ctypes.data
    assert not np.array_equal(observations, before), "a view shows the present, not the past"


def test_copies_are_the_callers_to_keep(settings):
    envs = make(settings, copy=True)
    observations, _ = envs.reset(seed=1)
    before = observations.copy()
    results = envs.step(actions(0, 4))[:4]
    kept = [array.copy() for array in results]
    envs.step(actions(1, 4))
    assert np.array_equal(observations, before)
    assert all(np.array_equal(array, then) for array, then in zip(results, kept, strict=True))


def test_one_seed_is_one_trace(settings):
    def run(seed):
        envs = make(settings, copy=True)
        rows = [envs.reset(seed=seed)[0]]
        for step in range(STEPS):
            rows += [array.astype(np.float32) for array in envs.step(actions(step, 4))[:4]]
        return np.concatenate([row.ravel() for row in rows])

    assert np.array_equal(run(3), run(3))
    assert not np.array_equal(run(3), run(4))


def test_the_first_copy_is_the_single_environment(settings):
    envs, env = make(settings), gymnasium.make("tradewind/Trading-v0", **settings)
    assert np.array_equal(envs.reset(seed=9)[0][0], env.reset(seed=9)[0])
    for step in range(STEPS):
        action = actions(step, 4)
        observations, rewards, terminated, truncated, infos = envs.step(action)
        shown = env.step(action[0])
        assert shown[1:4] == (rewards[0], terminated[0], truncated[0])
        if truncated[0]:
            assert np.array_equal(infos["final_obs"][0], shown[0])
            assert np.array_equal(observations[0], env.reset()[0])
        else:
            assert np.array_equal(observations[0], shown[0])


def test_same_step_shows_the_new_episode_and_keeps_the_end_in_the_infos(settings):
    envs = make(settings, autoreset_mode=AutoresetMode.SAME_STEP)
    assert envs.metadata["autoreset_mode"] == AutoresetMode.SAME_STEP
    envs.reset(seed=1)
    hold = np.full(4, 2)
    for _ in range(19):
        *_, truncated, infos = envs.step(hold)
        assert not truncated.any() and infos == {}
    observations, _, _, truncated, infos = envs.step(hold)
    assert truncated.all() and infos["_final_obs"].all()
    assert observations[:, -2].tolist() == [0.0] * 4, "the new episode holds nothing"
    assert all(final[-2] == pytest.approx(1, abs=0.02) for final in infos["final_obs"]), "the old one held shares"
    kept = infos["final_obs"][0].copy()
    for _ in range(20):
        envs.step(hold)
    assert np.array_equal(infos["final_obs"][0], kept)


def test_next_step_shows_the_end_and_begins_anew_a_step_later(settings):
    envs = make(settings, autoreset_mode=AutoresetMode.NEXT_STEP)
    assert envs.metadata["autoreset_mode"] == AutoresetMode.NEXT_STEP
    envs.reset(seed=1)
    hold = np.full(4, 2)
    for _ in range(20):
        observations, _, _, truncated, infos = envs.step(hold)
    assert truncated.all() and infos == {}
    assert observations[:, -2] == pytest.approx(1, abs=0.02)
    observations, rewards, terminated, truncated, _ = envs.step(hold)
    assert not (terminated | truncated).any()
    assert rewards.tolist() == [0.0] * 4 and observations[:, -2].tolist() == [0.0] * 4


def test_both_modes_live_the_same_episodes(settings):
    same, later = make(settings, copy=True), make(settings, copy=True, autoreset_mode="NextStep")
    for envs in (same, later):
        envs.reset(seed=6)
    hold = np.full(4, 2)
    rewards = np.array([same.step(hold)[1] for _ in range(60)])
    delayed = np.array([later.step(hold)[1] for _ in range(62)])
    assert np.array_equal(rewards, np.delete(delayed, [20, 41], axis=0))


def test_what_copies_cannot_do_is_refused(settings):
    for mode in ("Disabled", AutoresetMode.DISABLED):
        with pytest.raises(ValueError, match="SAME_STEP or NEXT_STEP"):
            make(settings, autoreset_mode=mode)
    envs = make(settings)
    with pytest.raises(ValueError, match="one whole number"):
        envs.reset(seed=[1, 2, 3, 4])
    with pytest.raises(ValueError, match="reset together"):
        envs.reset(options={"reset_mask": np.array([True, False, False, False])})
