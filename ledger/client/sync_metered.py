"""A metered block for callers that do not await; see metered. Any thread may meter."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import TracebackType
from typing import Self, TypeVar

from ledger.client import metered
from ledger.client.looping import LoopThread
from ledger.v1 import decision_pb2 as pb

T = TypeVar("T")


class MeteredCall:
    """One call of a model while it runs; see metered.MeteredCall. May be metered by any thread."""

    def __init__(self, call: metered.MeteredCall, loop: LoopThread) -> None:
        self._call = call
        self._loop = loop
        self._lock = threading.Lock()

    @property
    def decision(self) -> pb.AuthorizeResponse | None:
        """What Authorize answered; None before the block is entered."""
        return self._call.decision

    @property
    def settled(self) -> pb.CaptureResponse | pb.ReleaseResponse | None:
        """What Capture or Release answered; None before."""
        return self._call.settled

    @property
    def used(self) -> Mapping[str, int]:
        """What was metered so far, by quantity."""
        return self._call.used

    @property
    def hold_id(self) -> str:
        """The hold; "" before the block is entered."""
        return self._call.hold_id

    @property
    def allowed_quantity(self) -> int:
        """Of a call with `up_to`: how much of that quantity is held for."""
        return self._call.allowed_quantity

    @property
    def instead(self) -> pb.Ruling | None:
        """The work that is to run in the stead of what was asked for; None = what was asked for."""
        return self._call.instead

    def add(self, **quantities: int) -> None:
        """So much more was used, in minor units of the meters."""
        self.add_all(quantities)

    def add_all(self, quantities: Mapping[str, int]) -> None:
        """The same for names that are no names of arguments."""
        with self._lock:
            self._call.add_all(quantities)

    def set(self, **quantities: int) -> None:
        """So much was used in all: what a model reports at the end instead of what was counted."""
        with self._lock:
            self._call.set(**quantities)

    def metering(self, chunks: Iterable[T], count: Callable[[T], Mapping[str, int]]) -> Iterator[T]:
        """The chunks as they come; `count` says what each of them used."""
        for chunk in chunks:
            self.add_all(count(chunk))
            yield chunk

    def __enter__(self) -> Self:
        """Hold. Raises Denied, Refused, NotApplied, OutcomeUnknown, ClientClosed."""
        self._loop.run(self._call.__aenter__())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Settle; see metered.MeteredCall."""
        self._loop.run(self._call.__aexit__(kind, error, traceback))
