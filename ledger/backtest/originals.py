"""Which entries are corrected later: found by a look ahead that decodes nothing else.

A correction gives back what the replay drew, so what it will correct is to be kept when it comes.
Every entry but a reversal is read as its tag alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from operator import or_
from typing import Any, Final, get_args

import msgspec

from ledger.core.events import Event, UsageReversed
from ledger.core.outcomes import split_locator
from ledger.core.upcast import UPCASTS
from ledger.journal.codec import UNDECODABLE, unpack
from ledger.journal.errors import JournalCorrupt


class _Reversal(
    msgspec.Struct,
    frozen=True,
    array_like=True,
    gc=False,
    tag=UsageReversed.__struct_config__.tag,
):
    """The beginning of a UsageReversed."""

    key: bytes
    account: int
    original: int


def _tag_alone(event: Any) -> Any:
    tag = event.__struct_config__.tag
    return msgspec.defstruct(f"Tag{tag}", [], array_like=True, gc=False, frozen=True, tag=tag)


_briefly: Final[Any] = reduce(
    or_,
    [_tag_alone(each) for each in (*get_args(Event), *UPCASTS) if each is not UsageReversed],
    _Reversal,
)
_decode: Final = msgspec.msgpack.Decoder(list[_briefly]).decode


class Corrected:
    """Collects what payloads say is corrected: batch -> indexes."""

    def __init__(self) -> None:
        self._found: dict[int, set[int]] = {}

    def look(self, payload: bytes) -> None:
        """Note what a batch's reversals correct. Raises JournalCorrupt."""
        try:
            entries = _decode(unpack(payload))
        except UNDECODABLE as error:
            raise JournalCorrupt(f"a payload holds no batch of events: {error}") from error
        self.note([entry.original for entry in entries if type(entry) is _Reversal])

    def note(self, locators: Iterable[int]) -> None:
        """These entries are corrected."""
        for locator in locators:
            batch_seq, index = split_locator(locator)
            self._found.setdefault(batch_seq, set()).add(index)

    @property
    def places(self) -> dict[int, frozenset[int]]:
        """Batch -> indexes in it."""
        return {batch_seq: frozenset(each) for batch_seq, each in self._found.items()}
