"""Price sheets: which version prices usage of an instant, and that version as canonical JSON."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from ledger.api.edge import Edge
from ledger.api.errors import CallFailed, Fault
from ledger.api.limits import Checked
from ledger.api.published import Published
from ledger.api.rendering.render_card import render_version
from ledger.api.rendering.render_override import OverridesView, overrides_view, render_standing
from ledger.core.state import State
from ledger.journal.configuration import CONTENT_HASH_BYTES, ConfigurationEntry
from rating.sheet import sheet_bytes
from rating.v1 import override_pb2
from rating.v1 import pricing_pb2 as pb
from rating.versions import version_at

SHEET_BYTES_MAX: Final = 14 << 20  # of a message of 16 MiB


async def price_sheet(
    edge: Edge, published: Published, request: pb.GetPriceSheetRequest
) -> pb.GetPriceSheetResponse:
    """The sheet asked for. Raises CallFailed."""
    tenant = await edge.tenant(request.tenant)
    check = Checked()
    check.optional(account=request.account)
    check.between("version", request.version, 0)
    check.instant("at_us", request.at_us)
    if len(request.if_none_match) not in (0, CONTENT_HASH_BYTES):
        size = len(request.if_none_match)
        check.between("if_none_match", size, CONTENT_HASH_BYTES, CONTENT_HASH_BYTES)
    if request.name and request.account:
        message = "name a rate card or an account, not both"
        check.fault(Fault("FIELD_NOT_ALLOWED", "account", request.account, message))
    elif not request.account:
        check.ids(name=request.name)
    check.done()
    name = request.name
    overrides: list[override_pb2.StandingOverride] = []
    if request.account:
        name, overrides = await _of_account(edge, tenant, request.account)
    at_us = request.at_us or edge.now_us(tenant)
    moves = await published.aliases(tenant, name)
    meant = _in_force(moves, at_us)
    card_name = (await published.alias_body(meant)).card if meant is not None else name
    versions = await published.versions(tenant, card_name)
    found = (
        next((each for each in versions if each.version == request.version), None)
        if request.version
        else _in_force(versions, at_us)
    )
    if found is None:
        raise CallFailed(
            "RATE_CARD_UNKNOWN",
            "the tenant has no such version of a rate card, or none that is in force then",
            field="account" if request.account else "name",
            value=f"{name} version {request.version}" if request.version else name,
        )
    card = await published.card(found)
    reply = pb.GetPriceSheetResponse(
        version=render_version(found, card),
        not_modified=found.content_hash == request.if_none_match,
        at_us=at_us,
        valid_until_us=_next_change(moves, versions, at_us),
        overrides=overrides,
    )
    if not reply.not_modified:
        # Beside the loop: a card of 65,536 rows takes most of a second, and writers go on.
        reply.sheet = await asyncio.to_thread(sheet_bytes, card, found.version, found.content_hash)
        if len(reply.sheet) > SHEET_BYTES_MAX:
            raise CallFailed(
                "SHEET_TOO_LARGE",
                f"the sheet has {len(reply.sheet)} bytes, at most {SHEET_BYTES_MAX} fit a reply; "
                "read the card with GetRateCard",
                field="name",
                value=name,
            )
    return reply


async def _of_account(
    edge: Edge, tenant: int, account: str
) -> tuple[str, list[override_pb2.StandingOverride]]:
    """The name of the card that prices the account's usage, and what stands over its prices."""
    entry = await edge.account(tenant, account)

    def look(state: State) -> tuple[str, OverridesView] | None:
        view = overrides_view(state, entry.number)
        return (state.accounts[entry.number].card_key[1], view) if view is not None else None

    found = await edge.writer(entry).look(look, (entry.number,))
    if found is None:
        raise CallFailed(
            "ACCOUNT_UNKNOWN",
            "the account is not open yet; send its Create again",
            field="account",
            value=account,
        )
    name, view = found
    names = await edge.names({entry.number, *[number for number, _, _ in view.inherited]})
    own = [render_standing(each.numbered, each.set_at_us, entry.number, names) for each in view.own]
    return name, own + [
        render_standing(each.numbered, each.set_at_us, number, names, source)
        for number, each, source in view.inherited
    ]


def _in_force(versions: Sequence[ConfigurationEntry], at_us: int) -> ConfigurationEntry | None:
    """The version that usage of that time goes by, of a card or of an alias."""
    times = [(each.version, each.published_at_us, each.effective_from_us) for each in versions]
    number = version_at(times, at_us)
    return next((each for each in versions if each.version == number), None)


def _next_change(
    moves: Sequence[ConfigurationEntry], versions: Sequence[ConfigurationEntry], at_us: int
) -> int:
    """When another of what is published prices usage than at that time; 0 = never."""
    meant, found = _in_force(moves, at_us), _in_force(versions, at_us)
    starts = {max(each.published_at_us, each.effective_from_us) for each in (*moves, *versions)}
    for start in sorted(start for start in starts if start > at_us):
        if _in_force(moves, start) != meant or _in_force(versions, start) != found:
            return start
    return 0
