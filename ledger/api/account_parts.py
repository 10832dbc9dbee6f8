"""What the calls on accounts share: an account as it stands, and what is written beside entries.

Display name and metadata stand in the directory, which follows the journal: a row that is behind,
because a server died between the two, is brought up to date here from the private records.
"""

from __future__ import annotations

from ledger.api.edge import Edge
from ledger.api.errors import CallFailed, directory_refused
from ledger.api.intake.parking import Parking
from ledger.api.positions import position_of
from ledger.api.rendering.render_account import (
    AccountView,
    FreezeView,
    account_view,
    render_account,
)
from ledger.core.outcomes import split_locator
from ledger.engine.profiles import profile_from
from ledger.journal.directory import AccountProfile, Entry, Refused
from ledger.v1 import account_pb2 as pb

NO_NOTE = ("", "")


class AccountParts:
    """Part of AccountService."""

    def __init__(self, edge: Edge, parking: Parking) -> None:
        self._edge = edge
        self._parking = parking

    async def _view(self, entry: Entry, min_entries: int = 0) -> tuple[AccountView, int]:
        writer = self._edge.writer(entry)
        view, reached = await writer.read(
            lambda state: account_view(state, entry.number), min_entries, (entry.number,)
        )
        if view is None:
            raise CallFailed(
                "ACCOUNT_UNKNOWN",
                "the account's opening is not recorded; send its Create again",
                field="account",
                value=entry.account_id,
            )
        return view, reached

    async def _parent(self, tenant: int, name: str) -> Entry:
        try:
            return await self._edge.own_account(tenant, name)
        except CallFailed as failure:
            if failure.reason != "ACCOUNT_UNKNOWN":
                raise
            raise CallFailed(
                "PARENT_UNKNOWN",
                "there is no such account; create it first",
                field="parent",
                value=name,
            ) from failure

    def _durable(self, entry: Entry) -> str:
        return position_of(entry.shard, self._edge.writer(entry).durable_position)

    async def _render(
        self, entry: Entry, view: AccountView, note: tuple[str, str] | None = None
    ) -> pb.Account:
        """The account; `note`: reason and actor of its freeze, as far as the caller knows them."""
        profile = await self._edge.ledger.directory.get_account(entry.tenant, entry.account_id)
        if isinstance(profile, Refused):
            raise directory_refused(profile, "account")
        return await self._rendered(profile, view, note)

    async def _rendered(
        self, profile: AccountProfile, view: AccountView, note: tuple[str, str] | None = None
    ) -> pb.Account:
        profile = await self._current(profile, view)
        freeze = view.freeze
        if freeze is not None and note is None:
            note = await self._note(profile.entry.shard, freeze)
        root = profile.entry.root
        wanted = [root] if freeze is None else [root, freeze.account]
        names = await self._edge.names(wanted)
        return render_account(self._edge.assets, profile, names, view, note or NO_NOTE)

    async def _note(self, shard: int, freeze: FreezeView) -> tuple[str, str]:
        """Reason and actor of a freeze, as they stand beside its entry; empty once erased."""
        said = await self._beside(shard, freeze.recorded_by)
        return (said.get("reason", ""), said.get("actor", "")) if said is not None else NO_NOTE

    async def _current(self, profile: AccountProfile, view: AccountView) -> AccountProfile:
        """The profile in the version that the journal has reached, below the parent of now."""
        if profile.place_version < view.place_version:
            profile = await self._edge.ledger.directory.place(
                profile, view.parent, view.place_version
            )
        if profile.version >= view.profile_version or profile.erased_at_us:
            return profile
        said = await self._beside(profile.entry.shard, view.profile_at)
        display_name, metadata = (None, None) if said is None else profile_from(said)
        current = await self._edge.ledger.directory.update_profile(
            profile.entry.tenant,
            profile.entry.account_id,
            display_name,
            metadata,
            view.profile_version,
        )
        return profile if isinstance(current, Refused) else current

    async def _beside(self, shard: int, locator: int) -> dict[str, str] | None:
        """What is written beside an entry; None where nothing is, or where it was erased."""
        batch_seq, index = split_locator(locator)
        _, records = await self._edge.private(shard, batch_seq)
        return records.personal.get(index)
