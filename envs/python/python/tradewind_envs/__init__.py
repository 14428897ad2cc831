"""Tradewind's environments for Gymnasium: trading over real bars, and probes with known answers.

Importing this module registers the ids of ``IDS``. Each has a single environment (``gymnasium.make``) and copies stepped
together in Rust (``gymnasium.make_vec``).
"""

from functools import partial

import gymnasium

from tradewind_envs._native import Bars
from tradewind_envs.single import Single
from tradewind_envs.sources import bars, probe, trading
from tradewind_envs.vector import Vector

__all__ = ["IDS", "Bars", "Single", "Vector", "bars", "probe", "trading"]

IDS = {"tradewind/Trading-v0": trading, "tradewind/Probe-v0": probe}


for _name, _source in IDS.items():
    gymnasium.register(_name, entry_point=partial(Single, _source), vector_entry_point=partial(Vector, _source))
