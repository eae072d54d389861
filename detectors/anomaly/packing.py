"""A model of windows as bytes, exact to the bit: names and arrays of doubles, under a digest of their layout."""

import hashlib
from array import array
from typing import Final, TypeAlias

import msgspec

from detectors.anomaly import layout as at
from detectors.anomaly.budget import BINS, Budget, Tally
from detectors.anomaly.features import MEASURES

Arrays: TypeAlias = "dict[str, array[float]]"
_FORMAT: Final = 1
_LAYOUT: Final = hashlib.blake2b(repr((_FORMAT, at.SIZE, at.CHANNELS, MEASURES)).encode(), digest_size=16).digest()


class Limits(msgspec.Struct, array_like=True, frozen=True):
    """What a model was made with, and how many windows it judged of agents it had no room for."""

    alarms_per_day: float
    most_agents: int
    most_groups: int
    unprofiled: int


class _Budget(msgspec.Struct, array_like=True, frozen=True):
    tallies: list[tuple[bytes, float]]
    thresholds: list[float]
    scale: float
    day: int


class _Model(msgspec.Struct, array_like=True, frozen=True):
    layout: bytes
    limits: Limits
    agents: dict[str, bytes]
    groups: dict[str, bytes]
    budget: _Budget


def pack(limits: Limits, agents: Arrays, groups: Arrays, budget: Budget) -> bytes:
    """Return a model as bytes."""
    tallies = [(tally.counts.tobytes(), tally.days) for tally in budget.tallies]
    packed = _Budget(tallies, budget.thresholds, budget.scale, budget.day)
    return msgspec.msgpack.encode(_Model(_LAYOUT, limits, _bytes(agents), _bytes(groups), packed))


def unpack(data: bytes) -> tuple[Limits, Arrays, Arrays, Budget]:
    """Return what was packed. Raises ValueError for bytes that are no model, or one of another layout."""
    try:
        model = msgspec.msgpack.decode(data, type=_Model)
    except msgspec.MsgspecError as error:
        raise ValueError(f"not a model of windows: {error}") from None
    if model.layout != _LAYOUT:
        raise ValueError("a model of windows of another layout: learn it anew")
    states = [{name: doubles(state, at.SIZE) for name, state in kept.items()} for kept in (model.agents, model.groups)]
    return model.limits, states[0], states[1], _budget(model.budget)


def _bytes(states: Arrays) -> dict[str, bytes]:
    return {name: state.tobytes() for name, state in states.items()}


def _budget(packed: _Budget) -> Budget:
    if len(packed.tallies) != len(at.CHANNELS) + 1 or len(packed.thresholds) != len(at.CHANNELS):
        raise ValueError("a model of windows with other channels: learn it anew")
    budget = Budget(packed.thresholds, packed.day)
    budget.scale = packed.scale
    budget.tallies = [Tally(doubles(counts, BINS), days) for counts, days in packed.tallies]
    return budget


def pack_one(state: "array[float]") -> bytes:
    """Return one agent's numbers as bytes, their layout before them."""
    return _LAYOUT + state.tobytes()


def unpack_one(data: bytes) -> "array[float]":
    """Return what was packed. Raises ValueError for bytes that are none, or of another layout."""
    if data[: len(_LAYOUT)] != _LAYOUT:
        raise ValueError("a model of windows of another layout: learn it anew")
    return doubles(data[len(_LAYOUT) :], at.SIZE)


def doubles(data: bytes, count: int) -> "array[float]":
    """Return bytes as that many doubles. Raises ValueError if they are not."""
    if len(data) != 8 * count:
        raise ValueError(f"not a model of windows: {count} doubles expected, {len(data)} bytes found")
    return array("d", data)
