"""The calls of AccountService on other names: aliases, from an instant on, until an instant.

Names stand in the directory, not in the journal: a call is idempotent by its content.
"""

from __future__ import annotations

from ledger.api.account_parts import AccountParts
from ledger.api.calls import Call
from ledger.api.errors import CallFailed, Fault, directory_refused
from ledger.api.limits import Checked
from ledger.api.pages import page_after, page_token
from ledger.api.positions import minimum, position_of
from ledger.api.rendering.render_account import render_alias
from ledger.core.limits import ATTRIBUTE_NAME_BYTES_MAX, ATTRIBUTE_VALUE_BYTES_MAX
from ledger.journal.directory import AliasRange, Refused
from ledger.v1 import account_pb2 as pb


class Aliases(AccountParts):
    """Part of AccountService."""

    async def assign_alias(
        self, request: pb.AssignAliasRequest, call: Call
    ) -> pb.AssignAliasResponse:
        """Map a name to an account; a mapping in force already is answered again."""
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        check = Checked()
        check.ids(request_id=request.request_id, alias=request.alias)
        check.instant("effective_from_us", request.effective_from_us)
        check.text("seat_attribute", request.seat_attribute, ATTRIBUTE_NAME_BYTES_MAX)
        check.text("seat", request.seat, ATTRIBUTE_VALUE_BYTES_MAX)
        if bool(request.seat) != bool(request.seat_attribute):
            message = "an alias that names a seat names the attribute of it, and the seat"
            check.fault(Fault("FIELD_REQUIRED", "seat_attribute", request.seat_attribute, message))
        check.done()
        entry = await edge.own_account(tenant, request.account)
        await self._view(entry)
        at_us = request.effective_from_us or edge.now_us(tenant)
        found = await self._alias(tenant, request.alias, request.account, at_us, ending=False)
        exact = request.effective_from_us != 0
        seat = (request.seat_attribute, request.seat)
        known = found is not None and (not exact or found.effective_from_us == at_us)
        known = known and found is not None and (found.seat_attribute, found.seat) == seat
        if not known:
            made = await edge.ledger.directory.assign_alias(
                tenant,
                request.alias,
                request.account,
                at_us,
                seat=seat if request.seat else None,
            )
            if isinstance(made, Refused):
                raise directory_refused(made, "alias")
            found = made
            self._parking.appeared(tenant, request.alias)
        assert found is not None
        return pb.AssignAliasResponse(
            alias=render_alias(found), position=self._durable(entry), replayed=known
        )

    async def end_alias(self, request: pb.EndAliasRequest, call: Call) -> pb.EndAliasResponse:
        """End a mapping at an instant."""
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        check = Checked()
        check.ids(request_id=request.request_id, alias=request.alias)
        check.instant("effective_to_us", request.effective_to_us)
        check.done()
        entry = await edge.own_account(tenant, request.account)
        edge.writer(entry)  # its owner knows what the alias meant until now
        at_us = request.effective_to_us or edge.now_us(tenant)
        found = await self._alias(tenant, request.alias, request.account, at_us, ending=True)
        if found is None:
            raise CallFailed(
                "ALIAS_UNKNOWN",
                "the name is not mapped to this account just before that instant",
                field="alias",
                value=request.alias,
            )
        known = found.effective_to_us == at_us
        if not known:
            ended = await edge.ledger.directory.end_alias(tenant, request.alias, at_us)
            if isinstance(ended, Refused):
                raise directory_refused(ended, "alias")
            found = ended
        return pb.EndAliasResponse(
            alias=render_alias(found), position=self._durable(entry), replayed=known
        )

    async def list_aliases(
        self, request: pb.ListAliasesRequest, call: Call
    ) -> pb.ListAliasesResponse:
        """The aliases of an account by name and start."""
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        check = Checked()
        size = check.page_size(request.page_size)
        check.done()
        entry = await edge.own_account(tenant, request.account)
        listing = f"aliases/{entry.number}"
        after = page_after(listing, request.page_token)
        _, reached = await self._view(entry, minimum(request.min_position, entry.shard))
        every = await edge.ledger.directory.list_aliases(tenant, request.account)
        page = every[after : after + size]
        more = len(every) > after + size
        return pb.ListAliasesResponse(
            aliases=[render_alias(found) for found in page],
            next_page_token=page_token(listing, after + size) if more else "",
            position=position_of(entry.shard, reached),
        )

    # -- parts -----------------------------------------------------------------------------------

    async def _alias(
        self, tenant: int, alias: str, account_id: str, at_us: int, *, ending: bool
    ) -> AliasRange | None:
        """The account's range of an alias that is in force at, or (`ending`) up to, an instant."""
        for found in await self._edge.ledger.directory.list_aliases(tenant, account_id):
            starts, ends = found.effective_from_us, found.effective_to_us
            if found.alias != alias:
                continue
            if ending and starts < at_us and (ends is None or at_us <= ends):
                return found
            if not ending and starts <= at_us and (ends is None or at_us < ends):
                return found
        return None
