"""The calls of AccountService on whether an account takes work, and on what people call it.

Reasons, actors, names and metadata are written beside the entry, where an erasure may blank them;
the entry holds their digest.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeAlias

from msgspec.structs import replace

from ledger.api.account_parts import AccountParts
from ledger.api.answers import Answer, answer_of, rendering
from ledger.api.calls import Call
from ledger.api.errors import directory_refused, refused
from ledger.api.ids import HOLD, mint
from ledger.api.limits import DISPLAY_NAME_BYTES_MAX, REASON_BYTES_MAX, Checked
from ledger.api.rendering.render_account import FreezeView, render_write_off
from ledger.core.accounts.moving import parent_elsewhere
from ledger.core.commands import (
    CloseAccount,
    FreezeAccount,
    MoveAccount,
    Names,
    ReopenAccount,
    UnfreezeAccount,
    UpdateProfile,
)
from ledger.core.events import (
    AccountClosed,
    AccountClosedOut,
    AccountFrozen,
    AccountMoved,
    AccountProfileUpdated,
    AccountReopened,
    AccountUnfrozen,
)
from ledger.engine.profiles import private_pairs, profile_pairs
from ledger.journal.directory import Entry, Refused
from ledger.v1 import account_pb2 as pb

Standing: TypeAlias = CloseAccount | FreezeAccount | MoveAccount | UnfreezeAccount | ReopenAccount


class Noted(Protocol):
    """A request that may say why, and who asks."""

    @property
    def tenant(self) -> str:
        """The tenant's name."""
        ...

    @property
    def request_id(self) -> str:
        """Identity of the call."""
        ...

    @property
    def account(self) -> str:
        """The account's own id."""
        ...

    @property
    def reason(self) -> str:
        """Why, for people."""
        ...

    @property
    def actor(self) -> str:
        """Who asks."""
        ...


class StandingCalls(AccountParts):
    """Part of AccountService."""

    async def freeze(self, request: pb.FreezeRequest, call: Call) -> pb.FreezeResponse:
        """Let an account and what is below it take nothing new (rule I2)."""
        check = Checked()
        check.given("reason", bool(request.reason))
        entry, answer = await self._ask(FreezeAccount, request, check, call)
        event = answer.event
        assert isinstance(event, AccountFrozen), event
        with rendering(answer.position):
            view, _ = await self._view(entry)
            frozen = FreezeView(entry.number, answer.recorded_at_us, event.cause, 0)
            view = view._replace(frozen=frozen, closed_at_us=0)
            account = await self._render(entry, view, (request.reason, request.actor))
        return pb.FreezeResponse(
            account=account, position=answer.position, replayed=answer.replayed
        )

    async def unfreeze(self, request: pb.UnfreezeRequest, call: Call) -> pb.UnfreezeResponse:
        """Let it take new usage again, as far as nothing above it is frozen."""
        entry, answer = await self._ask(UnfreezeAccount, request, Checked(), call)
        assert isinstance(answer.event, AccountUnfrozen), answer.event
        with rendering(answer.position):
            view, _ = await self._view(entry)
            account = await self._render(entry, view._replace(frozen=None, closed_at_us=0))
        return pb.UnfreezeResponse(
            account=account, position=answer.position, replayed=answer.replayed
        )

    async def move(self, request: pb.MoveRequest, call: Call) -> pb.MoveResponse:
        """Put an account under another parent: recorded first, then written to the directory."""
        check = Checked()
        check.ids(parent=request.parent)
        check.between("expected_version", request.expected_version, 1)
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        moved = await edge.own_account(tenant, request.account)
        parent = await self._parent(tenant, request.parent)
        if parent.root != moved.root:
            raise refused(parent_elsewhere(request.parent))
        entry, answer = await self._ask(
            lambda key, account, note, names, trace: MoveAccount(
                key, account, parent.number, request.expected_version, note, names, trace
            ),
            request,
            check,
            call,
        )
        event = answer.event
        assert isinstance(event, AccountMoved), event
        with rendering(answer.position):
            view, _ = await self._view(entry)
            account = await self._render(entry, view)
        return pb.MoveResponse(account=account, position=answer.position, replayed=answer.replayed)

    async def close(
        self, request: pb.AccountServiceCloseRequest, call: Call
    ) -> pb.AccountServiceCloseResponse:
        """Close an account, at zero or with what it still has written off (rule T2)."""
        terms = {"write_off": request.write_off, "release_holds": request.release_holds}
        entry, answer = await self._ask(
            lambda key, account, note, names, trace: CloseAccount(
                key, account, names, trace, note=note, **terms
            ),
            request,
            Checked(),
            call,
        )
        event = answer.event
        assert isinstance(event, AccountClosed | AccountClosedOut), event
        with rendering(answer.position):
            view, _ = await self._view(entry)
            view = view._replace(closed_at_us=event.closed_at)
            response = pb.AccountServiceCloseResponse(
                account=await self._render(entry, view),
                position=answer.position,
                replayed=answer.replayed,
            )
        if isinstance(event, AccountClosedOut):
            shard, number = entry.shard, entry.number
            response.released_holds.extend([mint(HOLD, shard, number, x) for x in event.holds])
            response.write_offs.extend(
                [render_write_off(self._edge.assets, each, entry) for each in event.write_offs]
            )
        return response

    async def reopen(self, request: pb.ReopenRequest, call: Call) -> pb.ReopenResponse:
        """Open a closed account again (rule T2)."""
        entry, answer = await self._ask(ReopenAccount, request, Checked(), call)
        assert isinstance(answer.event, AccountReopened), answer.event
        with rendering(answer.position):
            view, _ = await self._view(entry)
            view = view._replace(closed_at_us=0, reopened_at_us=answer.recorded_at_us)
            account = await self._render(entry, view)
        return pb.ReopenResponse(
            account=account, position=answer.position, replayed=answer.replayed
        )

    async def update_metadata(
        self, request: pb.UpdateMetadataRequest, call: Call
    ) -> pb.UpdateMetadataResponse:
        """Replace display name and metadata: recorded first, then written to the directory."""
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        check = Checked()
        check.ids(request_id=request.request_id)
        check.text("display_name", request.display_name, DISPLAY_NAME_BYTES_MAX)
        check.attributes("metadata", request.metadata)
        check.between("expected_version", request.expected_version, 1)
        check.done()
        entry = await edge.account(tenant, request.account)
        family = edge.ledger.family(entry)
        display_name, metadata = request.display_name, dict(request.metadata)
        command = UpdateProfile(
            family.request(request.request_id),
            entry.number,
            family.pairs(profile_pairs(display_name, metadata)),
            request.expected_version,
            Names("", request.request_id, personal=private_pairs(display_name, metadata)),
            call.trace,
        )
        answer = answer_of(
            await call.submit(edge.ledger, entry, command), {"account": request.account}
        )
        event = answer.event
        assert isinstance(event, AccountProfileUpdated), event
        with rendering(answer.position):
            profile = await edge.ledger.directory.update_profile(
                tenant, entry.account_id, display_name, metadata, event.version
            )
            if isinstance(profile, Refused):
                raise directory_refused(profile, "account")
            view, _ = await self._view(entry)
            account = await self._rendered(
                replace(profile, display_name=display_name, metadata=metadata),
                view._replace(profile_version=event.version),
            )
        return pb.UpdateMetadataResponse(
            account=account, position=answer.position, replayed=answer.replayed
        )

    async def _ask(
        self,
        command: Callable[[bytes, int, bytes, Names, bytes], Standing],
        request: Noted,
        check: Checked,
        call: Call,
    ) -> tuple[Entry, Answer]:
        """Check a request that says why, and have its command decided."""
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        check.ids(request_id=request.request_id)
        check.text("reason", request.reason, REASON_BYTES_MAX)
        check.optional(actor=request.actor)
        check.done()
        entry = await edge.own_account(tenant, request.account)
        family = edge.ledger.family(entry)
        said = note_pairs(request.reason, request.actor)
        made = command(
            family.request(request.request_id),
            entry.number,
            family.pairs(said),
            Names("", request.request_id, personal=said),
            call.trace,
        )
        ticket = await call.submit(edge.ledger, entry, made)
        return entry, answer_of(ticket, {"account": request.account})


def note_pairs(reason: str, actor: str) -> tuple[tuple[str, str], ...]:
    """Reason and actor as they are digested and written beside the entry, without empty ones."""
    return tuple([pair for pair in (("actor", actor), ("reason", reason)) if pair[1]])
