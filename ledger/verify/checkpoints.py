"""The stored checkpoint as a claim about the state: the shard, each family, every identity.

The same state packs into the same bytes, so a family is compared as a whole and its parts are named
where it differs. Identities are looked up one by one, in the bucket and filter that a writer would
ask: one that is missing there would be counted twice.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any, Final

import msgspec

from ledger.core.packing import (
    FORMAT,
    PackedFamily,
    PackedShard,
    family_due,
    forget_settled,
    pack_family,
    pack_shard,
)
from ledger.core.state import State
from ledger.engine.segments import KeySegment, bucket_of, key_number
from ledger.journal.checkpoint import (
    FamilyPlace,
    StoredCheckpoint,
    StoredFamily,
    StoredSegment,
    records_of,
)
from ledger.journal.checkpoint_postgres import (
    bucket_page,
    family_page,
    load_checkpoint,
    load_segments,
)
from ledger.journal.connection import Connection
from ledger.verify.reflections import Reflection, Tally
from ledger.verify.report import Findings

_UNREADABLE: Final = "bytes that can be read"


class Checkpoint:
    """One shard's stored checkpoint, read whole."""

    name = "checkpoint"

    def __init__(self, stored: StoredCheckpoint) -> None:
        self.batch_seq = stored.batch_seq
        self.entries = stored.entry_seq
        self.stored = stored
        self.families: dict[int, StoredFamily] = {}
        self.segments: dict[int, StoredSegment] = {}
        self.buckets: dict[int, list[tuple[int, bytes]]] = {}

    def compare(self, state: State, tally: Tally, head_hash: bytes, findings: Findings) -> None:
        """See Reflection."""
        stored = self.stored
        findings.compare("checkpoint's hash", head_hash, stored.hash)
        findings.compare("checkpoint's entries", state.entry_seq, stored.entry_seq)
        findings.compare("checkpoint's recorded time", state.recorded_at, stored.recorded_at_us)
        if stored.format != FORMAT:
            return  # a writer of this version ignores it, too
        body = pack_shard(state, state.batch_seq, state.entry_seq, state.recorded_at)
        _compare_packed("shard", PackedShard, body, stored.body, findings)
        self._compare_families(state, findings)
        self._compare_keys(state, findings)

    def _compare_families(self, state: State, findings: Findings) -> None:
        for root in sorted(state.families.keys() | self.families.keys()):
            what = f"checkpoint of family {root}"
            family = self.families.get(root)
            if root not in state.families or family is None:
                expected = "stored" if root in state.families else "no such family"
                findings.add(what, expected, "not stored" if family is None else "stored")
                continue
            accounts = tuple([account.number for account in state.family_accounts(root)])
            tenant = state.accounts[root].tenant
            place = FamilyPlace(root, accounts, family_due(state, root), FORMAT, tenant)
            findings.compare(f"place in the {what}", place, family.place)
            body = pack_family(state, root, state.settled_before)
            found = family.body
            if found != body:
                with contextlib.suppress(msgspec.MsgspecError):  # said below
                    found = forget_settled(found, state.settled_before)
            _compare_packed(f"family {root}", PackedFamily, body, found, findings)

    def _compare_keys(self, state: State, findings: Findings) -> None:
        find = state.keys.find
        held = 0
        for number, stored in self.segments.items():
            what = f"key segment {number}"
            try:
                segment = KeySegment.load(stored)
            except ValueError as error:
                findings.add(what, "a filter that can be read", error)
                continue
            records = 0
            for bucket, body in self.buckets[number]:
                for key, locator in records_of(body):
                    records += 1
                    findings.compare(f"identity {key.hex()} in {what}", find(key), locator)
                    place = key_number(key)
                    if place not in segment.filter:
                        findings.add(f"filter of {what}", f"to have {key.hex()}", "it has not")
                    if bucket_of(place, stored.bucket_bits) != bucket:
                        findings.add(f"bucket {bucket} of {what}", "keys of its own", key.hex())
            findings.compare(f"identities in {what}", stored.keys, records)
            held += records
        findings.compare("identities in key segments", len(state.keys), held)


async def stored_checkpoint(connection: Connection, shard: int) -> Reflection | None:
    """See ReflectionSource. None where nothing was checkpointed yet."""
    stored = await load_checkpoint(connection, shard)
    if stored is None or stored.batch_seq == 0:
        return None
    claim = Checkpoint(stored)
    after = -1
    while page := await family_page(connection, shard, after):
        claim.families.update({family.place.root: family for family in page})
        after = page[-1].place.root
    for segment in await load_segments(connection, shard):
        claim.segments[segment.number] = segment
        buckets = claim.buckets[segment.number] = []
        after = -1
        while part := await bucket_page(connection, shard, segment.number, after):
            buckets += part
            after = part[-1][0]
    return claim


def _compare_packed(
    what: str, kind: type[msgspec.Struct], expected: bytes, found: bytes, findings: Findings
) -> None:
    """Name the parts that differ."""
    if expected == found:
        return
    decode: Callable[[bytes], Any] = msgspec.msgpack.Decoder(kind).decode
    wanted = decode(expected)
    try:
        stored = decode(found)
    except msgspec.MsgspecError as error:
        findings.add(f"checkpoint of {what}", _UNREADABLE, error)
        return
    differing = [
        field
        for field in kind.__struct_fields__
        if getattr(wanted, field) != getattr(stored, field)
    ]
    for field in differing:
        findings.add(
            f"{field} in the checkpoint of {what}", getattr(wanted, field), getattr(stored, field)
        )
    if not differing:
        findings.add(f"checkpoint of {what}", "the bytes that its state packs into", "others")
