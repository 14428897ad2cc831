"""A stock stable-baselines3 checks the environments and learns on them."""

import warnings

import gymnasium
import numpy as np
import pytest
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.env_checker import check_env
from stable_baselines3.common.evaluation import evaluate_policy
from tradewind_envs.sb3 import Sb3Vector

torch.set_num_threads(1)


def test_its_checker_finds_nothing(settings):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(gymnasium.make("tradewind/Trading-v0", **settings).unwrapped)
        check_env(gymnasium.make("tradewind/Probe-v0").unwrapped)


def test_ppo_trains_on_the_single_trading_environment(settings):
    env = gymnasium.make("tradewind/Trading-v0", **settings)
    model = PPO("MlpPolicy", env, n_steps=512, batch_size=256, seed=1, device="cpu")
    before = model.policy.state_dict()["action_net.weight"].clone()
    model.learn(2_048)
    after = model.policy.state_dict()["action_net.weight"]
    assert torch.isfinite(after).all() and not torch.equal(before, after)
    assert {info["l"] for info in model.ep_info_buffer} == {20}


def test_ppo_trains_on_copies_of_the_trading_environment(settings):
    envs = Sb3Vector(gymnasium.make_vec("tradewind/Trading-v0", num_envs=16, **settings))
    model = PPO("MlpPolicy", envs, n_steps=128, batch_size=256, seed=1, device="cpu")
    model.learn(4_096)
    assert model.num_timesteps == 4_096
    assert torch.isfinite(model.policy.state_dict()["action_net.weight"]).all()


@pytest.mark.parametrize("kind", ["action_reward", "matching_action"])
def test_ppo_solves_a_probe_on_copies(kind):
    envs = Sb3Vector(gymnasium.make_vec("tradewind/Probe-v0", num_envs=16, kind=kind))
    model = PPO("MlpPolicy", envs, n_steps=32, batch_size=64, gamma=0.0, learning_rate=3e-3, seed=1, device="cpu")
    model.learn(4_096)
    env = gymnasium.make("tradewind/Probe-v0", kind=kind)
    env.reset(seed=2)
    mean, _ = evaluate_policy(model, env, n_eval_episodes=50, warn=False)
    assert mean == 1.0


def test_the_adapter_hands_over_ends_as_stable_baselines3_has_them(settings):
    envs = Sb3Vector(gymnasium.make_vec("tradewind/Trading-v0", num_envs=3, **settings))
    envs.seed(4)
    first = envs.reset()
    kept = first.copy()
    for _ in range(20):
        observations, _, dones, infos = envs.step(np.full(3, 2))
    assert np.array_equal(first, kept), "what it returned stays as it was"
    assert dones.all() and all(info["TimeLimit.truncated"] for info in infos)
    assert all(info["terminal_observation"][-2] == pytest.approx(1, abs=0.02) for info in infos)
    assert observations[:, -2].tolist() == [0.0] * 3
    next_step = gymnasium.make_vec("tradewind/Trading-v0", num_envs=3, autoreset_mode="NextStep", **settings)
    with pytest.raises(ValueError, match="SAME_STEP"):
        Sb3Vector(next_step)
