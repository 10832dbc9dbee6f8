"""The part of JournalService that proves: proofs of entries, seals, public keys."""

from __future__ import annotations

from typing import Final

from ledger.api.calls import Call
from ledger.api.edge import Edge
from ledger.api.errors import CallFailed
from ledger.api.limits import Checked
from ledger.api.pages import page_after, page_token
from ledger.integrity.describe import event_of
from ledger.integrity.proof import Identity, IdentityKind, Proof, ProvenEntry, encode_proof
from ledger.integrity.prover import NotSealed, prove
from ledger.integrity.seal import Seal
from ledger.integrity.store import SealStore
from ledger.journal.directory import Entry
from ledger.v1 import journal_pb2 as pb

RETRY_AFTER_US: Final = 1_000_000  # until the next seal it is seconds


class ProofCalls:
    """Part of JournalService; see ledger/v1/journal.proto."""

    _edge: Edge
    _seals: SealStore

    async def get_proof(self, request: pb.GetProofRequest, call: Call) -> pb.GetProofResponse:
        """One entry, its path and its seal. A seal comes seconds after the entry: NOT_SEALED."""
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        which = request.WhichOneof("key")
        _check(request, which)
        entry = await edge.account(tenant, request.account)
        shard, entry_seq, identity = await self._named(request, which, entry)
        try:
            proof = await prove(edge.journal(shard), self._seals, entry_seq, identity)
        except NotSealed as error:
            raise CallFailed("NOT_SEALED", str(error), retry_after_us=RETRY_AFTER_US) from error
        if which == "entry" and not self._is_about(entry, proof):
            raise _unknown(str(entry_seq))
        number = getattr(event_of(proof.entry.event), "account", 0)
        await call.found(tenant, shard, number, "account", request.account)
        return pb.GetProofResponse(
            seal=_seal(proof.seal),
            entry=_entry(proof.entry),
            plan=_entry(proof.plan) if proof.plan is not None else None,
            document=encode_proof(proof),
        )

    async def _named(
        self, request: pb.GetProofRequest, which: str | None, entry: Entry
    ) -> tuple[int, int, Identity | None]:
        """(shard, entry, identity to reveal) of what is asked for."""
        edge = self._edge
        if which == "entry":
            if request.entry.shard != entry.shard:
                raise _unknown(str(request.entry.entry_seq))
            return entry.shard, request.entry.entry_seq, None
        family = edge.ledger.family(entry)
        if which == "usage":
            identity = Identity(
                IdentityKind.USAGE, request.usage.source, request.usage.id, entry.family_key
            )
            key = family.usage(identity.source, identity.id)
        else:
            identity = Identity(IdentityKind.REQUEST, "", request.request_id, entry.family_key)
            key = family.request(identity.id)
        recorded = await edge.writer(entry).recorded.under(key)
        if recorded is None:
            raise _unknown(identity.id)
        return entry.shard, recorded.entry_seq, identity if request.reveal_identity else None

    def _is_about(self, entry: Entry, proof: Proof) -> bool:
        """Whether a proven entry is about an account of the family: others are not shown."""
        number = getattr(event_of(proof.entry.event), "account", 0)
        account = self._edge.writer(entry).state.accounts.get(number)
        return account is not None and account.root == entry.root

    async def list_seals(self, request: pb.ListSealsRequest, call: Call) -> pb.ListSealsResponse:
        """Seals of one shard, oldest first."""
        await self._edge.tenant(request.tenant)
        check = Checked()
        check.between("shard", request.shard, 0, self._edge.ledger.directory.shards - 1)
        check.between("after_seal_seq", request.after_seal_seq, 0)
        size = check.page_size(request.page_size)
        check.done()
        listing = f"seals/{request.shard}"
        after = max(page_after(listing, request.page_token), request.after_seal_seq)
        found = await self._seals.page(request.shard, after, size + 1)
        page = [_seal(stored.seal) for stored in found[:size]]
        more = len(found) > size
        return pb.ListSealsResponse(
            seals=page,
            next_page_token=page_token(listing, page[-1].seal_seq) if more else "",
        )

    async def get_seal_keys(
        self, request: pb.GetSealKeysRequest, call: Call
    ) -> pb.GetSealKeysResponse:
        """Every public key that ever sealed, in order."""
        await self._edge.tenant(request.tenant)
        return pb.GetSealKeysResponse(
            instance=self._seals.instance,
            keys=[
                pb.SealKey(
                    key_seq=record.key_seq,
                    key_id=record.key_id,
                    public_key=record.public_key,
                    introduced_at_us=record.introduced_at_us,
                    introduced_by=record.introduced_by,
                    prev_hash=record.prev_hash,
                    old_signature=record.old_signature,
                    signature=record.signature,
                )
                for record in await self._seals.keys()
            ],
        )


def _check(request: pb.GetProofRequest, which: str | None) -> None:
    check = Checked()
    check.ids(account=request.account)
    check.given("key", which is not None)
    if which == "usage":
        check.ids(**{"usage.source": request.usage.source, "usage.id": request.usage.id})
    elif which == "request_id":
        check.ids(request_id=request.request_id)
    elif which == "entry":
        check.between("entry.shard", request.entry.shard, 0)
        check.between("entry.entry_seq", request.entry.entry_seq, 0)
    check.done()


def _unknown(value: str) -> CallFailed:
    return CallFailed(
        "ENTRY_UNKNOWN", "no entry of the account's family is recorded so", value=value
    )


def _seal(seal: Seal) -> pb.Seal:
    return pb.Seal(**{name: getattr(seal, name) for name in Seal.__struct_fields__})


def _entry(entry: ProvenEntry) -> pb.ProvenEntry:
    return pb.ProvenEntry(**{name: getattr(entry, name) for name in ProvenEntry.__struct_fields__})
