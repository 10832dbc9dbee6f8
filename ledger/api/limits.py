"""What is checked at the edge, once: sizes of texts, ranges of numbers, counts, pages.

The figures are the core's (`ledger.core.limits`), and the protos' comments state them. `Checked`
collects every fault of a request, so that a caller sees them all at once. Text from a message is
valid UTF-8 already; NUL is refused because PostgreSQL keeps none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ledger.api.errors import Fault, invalid
from ledger.core.limits import (
    ATTRIBUTE_NAME_BYTES_MAX,
    ATTRIBUTE_VALUE_BYTES_MAX,
    ATTRIBUTES_MAX,
    ID_BYTES_MAX,
    INT64_MAX,
)

MESSAGE_BYTES_MAX: Final = 16 * 1024 * 1024
BATCH_EVENTS_MAX: Final = 8_192  # the engine's ticket; x ~1 kB fits a message
PAGE_SIZE_DEFAULT: Final = 100
PAGE_SIZE_MAX: Final = 1_000
DISPLAY_NAME_BYTES_MAX: Final = 256
REASON_BYTES_MAX: Final = 256  # why an account is frozen, closed or reopened
HOLDS_OPEN_MAX: Final = 1_000_000


def text_fault(field: str, value: str, bytes_max: int, *, empty: bool) -> Fault | None:
    """What is wrong with a text, or None."""
    if not value:
        if empty:
            return None
        return Fault("FIELD_REQUIRED", field, "", f"1 to {bytes_max} bytes are required")
    if "\0" in value:
        return Fault("TEXT_INVALID", field, value, "the character NUL is not allowed")
    size = len(value) if value.isascii() else len(value.encode())
    if size > bytes_max:
        return Fault("TEXT_TOO_LONG", field, value, f"{size} bytes; at most {bytes_max} allowed")
    return None


def id_fault(field: str, value: str) -> Fault | None:
    """What is wrong with a required id or name, or None."""
    return text_fault(field, value, ID_BYTES_MAX, empty=False)


def attributes_fault(field: str, attributes: Mapping[str, str]) -> Fault | None:
    """What is wrong with a map of attributes, or None."""
    if len(attributes) > ATTRIBUTES_MAX:
        message = f"{len(attributes)} attributes; at most {ATTRIBUTES_MAX} allowed"
        return Fault("TOO_MANY", field, str(len(attributes)), message)
    for name in sorted(attributes):
        fault = text_fault(
            f"{field}[{name!r}]", name, ATTRIBUTE_NAME_BYTES_MAX, empty=False
        ) or text_fault(
            f"{field}[{name!r}]", attributes[name], ATTRIBUTE_VALUE_BYTES_MAX, empty=True
        )
        if fault is not None:
            return fault
    return None


class Checked:
    """Faults of one request; `done` raises them."""

    __slots__ = ("_faults",)

    def __init__(self) -> None:
        self._faults: list[Fault] = []

    def fault(self, fault: Fault | None) -> None:
        """Note a fault, if there is one."""
        if fault is not None:
            self._faults.append(fault)

    def ids(self, **values: str) -> None:
        """Each is a required id of 1 to 128 bytes."""
        for field, value in values.items():
            self.fault(id_fault(field, value))

    def optional(self, **values: str) -> None:
        """Each is a text of at most 128 bytes."""
        for field, value in values.items():
            self.fault(text_fault(field, value, ID_BYTES_MAX, empty=True))

    def text(self, field: str, value: str, bytes_max: int) -> None:
        """A text of at most so many bytes."""
        self.fault(text_fault(field, value, bytes_max, empty=True))

    def attributes(self, field: str, values: Mapping[str, str]) -> None:
        """At most 16 pairs of 64 + 128 bytes."""
        self.fault(attributes_fault(field, values))

    def between(self, field: str, value: int, low: int, high: int = INT64_MAX) -> None:
        """A number in [low, high]."""
        if not low <= value <= high:
            message = f"must be from {low} to {high}"
            self._faults.append(Fault("NUMBER_OUT_OF_RANGE", field, str(value), message))

    def instant(self, field: str, value: int) -> None:
        """Microseconds since the epoch; 0 has its own meaning."""
        self.between(field, value, 0)

    def given(self, field: str, present: bool) -> None:
        """A part of the request that is required."""
        if not present:
            self._faults.append(Fault("FIELD_REQUIRED", field, "", "this field is required"))

    def one_of(self, field: str, value: int, allowed: Mapping[int, object]) -> None:
        """A value of an enum that a request may name."""
        if value not in allowed:
            message = f"not one of {', '.join(map(str, allowed))}, which may be asked for"
            self._faults.append(Fault("NUMBER_OUT_OF_RANGE", field, str(value), message))

    def page_size(self, value: int) -> int:
        """The size to use: 0 is the default, too large is clamped, negative is an error."""
        if value < 0:
            message = "a page size is 0 (= 100) or more"
            self._faults.append(Fault("PAGE_INVALID", "page_size", str(value), message))
        return min(value or PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX)

    def done(self) -> None:
        """Raise CallFailed if anything was wrong."""
        if self._faults:
            raise invalid(self._faults)
