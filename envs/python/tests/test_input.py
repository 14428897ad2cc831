"""Data and settings from Python: what is taken, and what is refused in which words."""

import gymnasium
import numpy as np
import pytest
import tradewind_envs

FEATURES = [{"log_return": {"bars": 1}}]


def make(settings, **other):
    return gymnasium.make("tradewind/Trading-v0", **{**settings, **other})


def columns(csv):
    """The file's prices, adjusted by hand."""
    rows = np.genfromtxt(csv, delimiter=",", names=True, dtype=None, encoding="utf-8")
    factor = rows["adj_close"] / rows["close"]
    prices = {name: rows[name] * factor for name in ("open", "high", "low", "close")}
    return {"time": rows["timestamp"].astype("datetime64[D]"), **prices, "volume": rows["volume"]}


def test_arrays_columns_and_a_file_are_the_same_bars(settings, csv):
    data = columns(csv)
    values = np.column_stack([data[name] for name in ("open", "high", "low", "close", "volume")])
    times = data["time"].astype("datetime64[us]").astype(np.int64)
    first = make(settings).reset(seed=1)[0]
    for other in (data, (times, values), tradewind_envs.bars(csv)):
        assert np.array_equal(make(settings, data=other).reset(seed=1)[0], first)


def test_yaml_and_python_values_are_the_same_settings(settings):
    text = "- log_return: { bars: 1 }\n- rsi: { bars: 14 }\n- realised_volatility: { bars: 20 }\n"
    env = "positions: long_short\nepisode_bars: 20\n"
    first = make(settings).reset(seed=1)[0]
    assert np.array_equal(make(settings, features=text, env=env).reset(seed=1)[0], first)


def test_defaults_are_those_of_an_experiment_file(settings):
    env = make(settings, env=None)
    assert env.action_space.n == 2, "long or flat"
    env.reset(seed=0)
    steps = next(step for step in range(1, 1000) if env.step(0)[3])
    assert steps == 252


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"env": {"cahs": 1}}, "unknown key `cahs`, `env` has no such key, did you mean `cash`"),
        ({"env": {"costs": {"slippage": 1}}}, "`env.costs` has no such key"),
        ({"env": {"cash": 0}}, "`env.cash` is 0, that is out of range"),
        ({"env": "cash: [1"}, "env:2:1: not YAML"),
        ({"features": []}, "no feature"),
        ({"features": [{"rsi": {"bars": 1}}]}, "`features.0.rsi.bars` is 1"),
        ({"features": [{"rsii": {"bars": 14}}]}, "did you mean `rsi`"),
        ({"window": 0}, "make no rows"),
        ({"window": -1}, "invalid value"),
        ({"episodes": "sometimes"}, "unknown variant `sometimes`"),
        ({"period": ("2013-01-02", "soon")}, "`soon` is not a time"),
        ({"period": ("2030-01-01", "2031-01-01")}, "no complete feature row"),
        ({"fit": ("2013-01-02", "2013-01-10")}, "no complete feature row"),
        ({"interval": "2d"}, "unknown variant `2d`"),
        ({"symbol": "MSFT"}, "MSFT"),
        ({"adjustment": "split"}, "unknown variant `split`"),
        ({"data": "no/such.csv"}, "no/such.csv"),
        ({"data": {"time": np.array(["2020-01-02"], "datetime64[D]")}}, "has not the columns"),
        ({"data": (np.array([0.5]), np.ones((1, 5)))}, "use datetime64 or microseconds"),
        ({"data": (np.array([1, 2]), np.ones((3, 5)))}, r"use \[bars\] and \[bars, 5\]"),
        ({"autoreset": "next_step"}, "waits for reset"),
    ],
)
def test_bad_input_is_a_value_error_in_the_words_of_the_fault(settings, other, words):
    with pytest.raises(ValueError, match=words):
        make(settings, **other)


def test_bars_that_no_feature_may_be_made_of_are_refused(csv, settings):
    def spoilt(**change):
        data = {name: values.copy() for name, values in columns(csv).items()}
        for name, (index, value) in change.items():
            data[name][index] = value
        return data

    for data, words in [
        (spoilt(close=(50, np.nan)), "not a finite number"),
        (spoilt(low=(50, 1e6)), "outside low to high"),
        (spoilt(time=(50, np.datetime64("2012-01-03"))), "does not come after"),
        (spoilt(time=(slice(50, None), columns(csv)["time"][50:] + 7)), "leaves a gap"),
    ]:
        with pytest.raises(ValueError, match=words):
            make(settings, data=data)


def test_actions_outside_the_space_or_of_another_kind_are_refused(settings):
    envs = gymnasium.make_vec("tradewind/Trading-v0", num_envs=2, **settings)
    before, _ = envs.reset(seed=0)
    before = before.copy()
    for actions, words in [
        ([0, 3], "action 3 of copy 1 is not below 3"),
        ([-1, 0], "action -1 of copy 0"),
        ([0], r"shape \[num_envs\]"),
        ([[0, 1]], r"shape \[num_envs\]"),
        ([0.0, 1.0], "use int64"),
    ]:
        with pytest.raises(ValueError, match=words):
            envs.step(np.array(actions))
    assert np.array_equal(envs.reset(seed=0)[0], before)


def test_no_copies_and_many_single_passes_are_refused(settings):
    with pytest.raises(ValueError, match="at least one"):
        gymnasium.make_vec("tradewind/Trading-v0", num_envs=0, **settings)
    with pytest.raises(ValueError, match="num_envs=1"):
        gymnasium.make_vec("tradewind/Trading-v0", num_envs=2, episodes="one_pass", **settings)
    with pytest.raises(ValueError, match="at least one"):
        gymnasium.make_vec("tradewind/Probe-v0", num_envs=0)


def test_one_pass_goes_once_over_the_whole_period(settings):
    env = make(settings, episodes="one_pass", period=("2020-01-02", "2020-12-31"), fit=("2013-01-02", "2018-12-31"))
    env.reset(seed=0)
    steps = next(step for step in range(1, 1000) if env.step(1)[3])
    assert steps == 252, "2020 had 253 sessions"
