"""From a user's words to copies of an environment. Each source takes ``num_envs``, ``autoreset`` and its own settings."""

import json
import os

import numpy as np

from tradewind_envs import _native

CLASSICS = ("CartPole-v1", "Pendulum-v1", "Acrobot-v1", "MountainCar-v0", "MountainCarContinuous-v0")
COLUMNS = ("open", "high", "low", "close", "volume")


def bars(data, *, symbol=None, interval="1d", adjustment="adjusted_close"):
    """Bars from ``data``: a path of a CSV file, ``(times, values)``, or columns by name.

    Columns (a dict, a structured array, a data frame) are ``time``, ``open``, ``high``, ``low``, ``close``, ``volume``;
    ``values`` is ``[bars, 5]`` in that order. Times are ``datetime64`` or microseconds since 1970, both UTC.
    ``adjustment`` concerns files alone: ``adjusted_close`` scales prices by ``adj_close / close``, ``none`` does not.
    """
    if isinstance(data, _native.Bars):
        return data
    if isinstance(data, (str, os.PathLike)):
        return _native.Bars.from_csv(os.fspath(data), symbol, interval, adjustment)
    if isinstance(data, tuple):
        times, values = data
    else:
        try:
            times, values = data["time"], np.column_stack([np.asarray(data[name], np.float64) for name in COLUMNS])
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise ValueError(f"data has not the columns time, {', '.join(COLUMNS)}: {error}") from error
    values = np.ascontiguousarray(values, np.float64)
    times = _micros(np.asarray(times))
    if times.ndim != 1 or values.ndim != 2:
        raise ValueError(f"times of shape {times.shape} and values of shape {values.shape}: use [bars] and [bars, 5]")
    return _native.Bars.from_arrays(times, values, symbol or "ASSET", interval)


def trading(
    data,
    features,
    *,
    env=None,
    window=1,
    episodes="random",
    period=None,
    fit=None,
    symbol=None,
    interval="1d",
    adjustment="adjusted_close",
    num_envs=1,
    autoreset="same_step",
):
    """Copies of the trading environment; see the README for each setting."""
    settings = {
        "num_envs": num_envs,
        "autoreset": autoreset,
        "window": window,
        "episodes": episodes,
        "period": _dates(period),
        "fit": _dates(fit),
    }
    source = bars(data, symbol=symbol, interval=interval, adjustment=adjustment)
    return _native.trading(source, _yaml(features), _yaml({} if env is None else env), json.dumps(settings))


def probe(kind="matching_action", *, num_envs=1, autoreset="same_step"):
    """Copies of a probe: a problem so small that the right policy is known."""
    if autoreset != "same_step":
        raise ValueError("a probe begins its next episode in the same step: use autoreset='same_step'")
    return _native.probe(kind, num_envs)


def classic(kind, *, num_envs=1, autoreset="same_step"):
    """Copies of one of :data:`CLASSICS`, with the dynamics of Gymnasium's environment of that id."""
    return _native.classic(kind, num_envs, autoreset)


def _yaml(section):
    """JSON is YAML, so one reader takes both."""
    return section if isinstance(section, str) else json.dumps(section)


def _dates(pair):
    return None if pair is None else [str(moment) for moment in pair]


def _micros(times):
    if times.dtype.kind == "M":
        return times.astype("datetime64[us]").astype(np.int64)
    if times.dtype.kind in "iu":
        return np.ascontiguousarray(times, np.int64)
    raise ValueError(f"times are {times.dtype}: use datetime64 or microseconds as int64")
