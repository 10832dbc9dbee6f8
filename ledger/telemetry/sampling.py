"""Which calls are recorded: the standard samplers, by `OTEL_TRACES_SAMPLER` and its argument.

Decides as the OpenTelemetry SDK's samplers do, without its objects. Calls that fail or are slow
are recorded whatever this says (see `rpc`).
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Final

from ledger.telemetry.traceparent import Remote

SAMPLER: Final = "OTEL_TRACES_SAMPLER"
SAMPLER_ARGUMENT: Final = "OTEL_TRACES_SAMPLER_ARG"
SAMPLER_DEFAULT: Final = "parentbased_always_on"

_ALL: Final = 1 << 64  # ratios compare the low 8 bytes of the trace id
_KNOWN: Final = ("always_on", "always_off", "traceidratio")


class SamplerUnknown(ValueError):
    """The environment asks for a sampler that there is not; the message says which there are."""


class Sampler:
    """`bound` of 2^64 trace ids are recorded; with `follow_parent` a caller's word comes first."""

    __slots__ = ("bound", "follow_parent")

    def __init__(self, bound: int, follow_parent: bool) -> None:
        self.bound = bound
        self.follow_parent = follow_parent

    def samples(self, trace_id: bytes, parent: Remote | None) -> bool:
        """Whether a call of that trace is recorded."""
        if parent is not None and self.follow_parent:
            return parent.sampled
        bound = self.bound
        return bound == _ALL or int.from_bytes(trace_id[8:], "big") < bound


def sampler_from(environment: Mapping[str, str]) -> Sampler:
    """The sampler that the standard variables name. Raises SamplerUnknown."""
    name = environment.get(SAMPLER, "").strip().lower() or SAMPLER_DEFAULT
    kind = name.removeprefix("parentbased_")
    if kind not in _KNOWN:
        known = ", ".join([*_KNOWN, *(f"parentbased_{each}" for each in _KNOWN)])
        raise SamplerUnknown(f"{SAMPLER}={name}: the samplers are {known}")
    bound = {"always_on": _ALL, "always_off": 0}.get(kind)
    if bound is None:
        bound = _bound_of(environment.get(SAMPLER_ARGUMENT, "").strip() or "1")
    return Sampler(bound, name != kind)


def _bound_of(ratio: str) -> int:
    try:
        share = Decimal(ratio)
        if share.is_finite() and 0 <= share <= 1:
            return int(share * _ALL)
    except InvalidOperation:
        pass
    raise SamplerUnknown(f"{SAMPLER_ARGUMENT}={ratio}: a share between 0 and 1 is needed")
