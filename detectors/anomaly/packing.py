"""A model of windows as bytes, exact to the bit: names and arrays of doubles, under a digest of their layout."""

import hashlib
from array import array
from collections.abc import Mapping
from typing import Final

import msgspec

from detectors.anomaly import layout as at
from detectors.anomaly.budget import BINS, Budget
from detectors.anomaly.features import MEASURES
from detectors.anomaly.peers import Peers

_FORMAT: Final = 1
_LAYOUT: Final = hashlib.blake2b(repr((_FORMAT, at.SIZE, at.CHANNELS, MEASURES)).encode(), digest_size=16).digest()


class Limits(msgspec.Struct, array_like=True, frozen=True):
    """What a model was made with, and how many windows it judged of agents it had no room for."""

    alarms_per_day: float
    most_agents: int
    most_groups: int
    unprofiled: int


class _Group(msgspec.Struct, array_like=True, frozen=True):
    state: bytes
    budgets: list[tuple[bytes, float]]
    thresholds: list[float]
    thresholds_of_day: int


class _Model(msgspec.Struct, array_like=True, frozen=True):
    layout: bytes
    limits: Limits
    agents: dict[str, bytes]
    groups: dict[str, _Group]


def pack(limits: Limits, agents: "Mapping[str, array[float]]", groups: Mapping[str, Peers]) -> bytes:
    """Return a model as bytes."""
    states = {name: state.tobytes() for name, state in agents.items()}
    return msgspec.msgpack.encode(
        _Model(_LAYOUT, limits, states, {name: _packed(peers) for name, peers in groups.items()})
    )


def unpack(data: bytes) -> "tuple[Limits, dict[str, array[float]], dict[str, Peers]]":
    """Return what was packed. Raises ValueError for bytes that are no model, or one of another layout."""
    try:
        model = msgspec.msgpack.decode(data, type=_Model)
    except msgspec.MsgspecError as error:
        raise ValueError(f"not a model of windows: {error}") from None
    if model.layout != _LAYOUT:
        raise ValueError("a model of windows of another layout: learn it anew")
    agents = {name: doubles(state, at.SIZE) for name, state in model.agents.items()}
    return model.limits, agents, {name: _unpacked(group) for name, group in model.groups.items()}


def doubles(data: bytes, count: int) -> "array[float]":
    """Return bytes as that many doubles. Raises ValueError if they are not."""
    if len(data) != 8 * count:
        raise ValueError(f"{count} doubles expected, {len(data)} bytes found: learn it anew")
    return array("d", data)


def _packed(peers: Peers) -> _Group:
    budgets = [(budget.counts.tobytes(), budget.days) for budget in peers.budgets]
    return _Group(peers.state.tobytes(), budgets, peers.thresholds, peers.thresholds_of_day)


def _unpacked(group: _Group) -> Peers:
    budgets = tuple(Budget(doubles(counts, BINS), days) for counts, days in group.budgets)
    if not len(budgets) == len(group.thresholds) == len(at.CHANNELS):
        raise ValueError("a model of windows with other channels: learn it anew")
    return Peers(doubles(group.state, at.SIZE), budgets, list(group.thresholds), group.thresholds_of_day)
