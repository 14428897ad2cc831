"""What the tests trade on: ten years of one share, three features, both directions."""

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="session")
def csv():
    return ROOT / "data" / "aapl_daily_2013_2023.csv"


@pytest.fixture
def settings(csv):
    features = [{"log_return": {"bars": 1}}, {"rsi": {"bars": 14}}, {"realised_volatility": {"bars": 20}}]
    env = {"positions": "long_short", "episode_bars": 20}
    return {"data": csv, "features": features, "env": env, "window": 8, "period": ("2013-01-02", "2018-12-31")}
