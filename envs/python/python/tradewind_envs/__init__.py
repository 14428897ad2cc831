"""Tradewind's environments for Gymnasium: trading over real bars, classic control, and probes with known answers.

Importing this module registers the ids of ``IDS``. Each has a single environment (``gymnasium.make``) and copies stepped
together in Rust (``gymnasium.make_vec``).
"""

from functools import partial

import gymnasium

from tradewind_envs._native import Bars
from tradewind_envs.single import Single
from tradewind_envs.sources import CLASSICS, bars, classic, probe, trading
from tradewind_envs.vector import Vector

__all__ = ["IDS", "Bars", "Single", "Vector", "bars", "classic", "probe", "trading"]

IDS = {"tradewind/Trading-v0": trading, "tradewind/Probe-v0": probe}
IDS |= {f"tradewind/{kind}": partial(classic, kind) for kind in CLASSICS}


for _name, _source in IDS.items():
    gymnasium.register(_name, entry_point=partial(Single, _source), vector_entry_point=partial(Vector, _source))
