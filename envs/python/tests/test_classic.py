"""The classic problems beside Gymnasium's own."""

import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from stable_baselines3.common.env_checker import check_env as check_env_of_sb3
from tradewind_envs.sources import CLASSICS


@pytest.mark.parametrize("kind", CLASSICS)
def test_both_checkers_find_nothing(kind):
    env = gymnasium.make(f"tradewind/{kind}").unwrapped
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # Gymnasium names bounds of observations, we do not; stable-baselines3 prefers actions within -1 and 1.
        warnings.filterwarnings("ignore", ".*(minimum|maximum) value is -?infinity")
        warnings.filterwarnings("ignore", ".*normaliz.*")
        check_env(env, skip_render_check=True)
        check_env_of_sb3(env)


@pytest.mark.parametrize("kind", CLASSICS)
def test_spaces_are_gymnasiums_but_for_the_bounds_of_observations(kind):
    ours, theirs = gymnasium.make(f"tradewind/{kind}"), gymnasium.make(kind)
    assert ours.action_space == theirs.action_space
    assert ours.observation_space.shape == theirs.observation_space.shape
    assert ours.observation_space.dtype == theirs.observation_space.dtype == np.float32


@pytest.mark.parametrize("kind", ["CartPole-v1", "MountainCar-v0", "MountainCarContinuous-v0"])
def test_from_one_start_the_dynamics_are_gymnasiums(kind):
    ours, theirs = gymnasium.make(f"tradewind/{kind}"), gymnasium.make(kind)
    start, _ = ours.reset(seed=3)
    theirs.reset(seed=0)
    theirs.unwrapped.state = np.array(start, np.float64)
    ours.action_space.seed(1)
    for _ in range(100):
        action = ours.action_space.sample()
        (shown, reward, *ends), (expected, expected_reward, *expected_ends) = (
            env.step(action)[:4] for env in (ours, theirs)
        )
        np.testing.assert_allclose(shown, expected, rtol=1e-4, atol=1e-5)
        assert reward == pytest.approx(expected_reward, rel=1e-5) and ends == expected_ends
        if any(ends):
            break


def test_a_vector_action_beyond_the_box_is_its_nearest_point_and_counted():
    envs = gymnasium.make_vec("tradewind/Pendulum-v1", num_envs=2, copy=True)
    envs.reset(seed=1)
    beyond = envs.step(np.array([[3.0], [-9.0]], np.float32))[0]
    assert envs.unwrapped.copies.clamped == 2
    envs.reset(seed=1)
    assert np.array_equal(envs.step(np.array([[2.0], [-2.0]], np.float32))[0], beyond)
    with pytest.raises(ValueError, match=r"shape \[num_envs, components\]"):
        envs.step(np.zeros((2, 2), np.float32))
    with pytest.raises(ValueError, match=r"shape \[num_envs, components\]"):
        envs.step(np.zeros(2, np.float32))


def test_next_step_copies_of_a_classic_show_their_end_first():
    envs = gymnasium.make_vec("tradewind/Pendulum-v1", num_envs=2, autoreset_mode="NextStep", copy=True)
    envs.reset(seed=1)
    rest = np.zeros((2, 1), np.float32)
    results = [envs.step(rest) for _ in range(201)]
    assert results[199][3].all() and not results[200][3].any()
    assert results[200][1].tolist() == [0.0, 0.0] and all(result[4] == {} for result in results)
