"""Roll-ups: what an account, and it with all below it, can spend and owe, and what they used.

Balances of now come from durable state, those of other instants from the read models; usage from
the read models, as statements do.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from ledger.api.edge import Edge
from ledger.api.errors import CallFailed
from ledger.api.limits import Checked
from ledger.api.positions import minimum, position_of
from ledger.api.read_models import WAIT_S, behind
from ledger.api.rendering.render_statement import StatementRendering
from ledger.core.drawing.drawdown import grace_ended, overdraft_limit
from ledger.core.limits import INT64_MAX
from ledger.core.state import GRANT_OPEN, Account, State
from ledger.journal.directory import Entry
from ledger.projections.as_of import History
from ledger.projections.past import ADVANCE, OVERAGE, Past, Point
from ledger.projections.rolled_up import roll_up
from ledger.statements.figures import Head, Line
from ledger.statements.reading import read
from ledger.v1 import statement_pb2 as pb
from rating.card import ATTRIBUTE_NAME_BYTES_MAX


class Standing(NamedTuple):
    """What an account, or several, have in one asset: their own pots alone."""

    granted: int = 0
    drawn: int = 0
    held: int = 0
    overdraft: int = 0
    overage: int = 0
    headroom: int = 0  # what the overdraft affords still; below zero where more is owed

    @property
    def available(self) -> int:
        """Rule B6."""
        return self.granted - self.held + self.headroom

    def with_more(self, more: Standing) -> Standing:
        """Both together."""
        return Standing(*(a + b for a, b in zip(self, more, strict=True)))


NOTHING: Final = Standing()


class RollUps:
    """See StatementService.RollUp."""

    def __init__(self, edge: Edge, history: History | None) -> None:
        """`history` None: there are no read models, only balances of now."""
        self._edge = edge
        self._history = history

    async def roll_up(self, request: pb.RollUpRequest) -> pb.RollUpResponse:
        """Balances at one instant, and usage of a span of time if one is named."""
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        check = Checked()
        now_us = edge.now_us(tenant)
        for name in ("effective_at_us", "from_us", "to_us"):
            check.instant(name, getattr(request, name))
        check.text("attribute", request.attribute, ATTRIBUTE_NAME_BYTES_MAX)
        check.done()
        if request.effective_at_us > now_us:
            raise CallFailed(
                "IN_FUTURE",
                f"effective_at_us lies in the future: it is {now_us} now",
                field="effective_at_us",
                value=str(request.effective_at_us),
            )
        entry = await edge.account(tenant, request.account)
        least = minimum(request.min_position, entry.shard)
        if request.effective_at_us:
            found, position = await self._past(entry, request.effective_at_us, least)
            as_of = request.effective_at_us
        else:
            (found, as_of), position = await self._present(entry, least)
        if not found:
            raise CallFailed(
                "ACCOUNT_UNKNOWN",
                "the account was not open then",
                field="account",
                value=request.account,
            )
        lines: tuple[Line, ...] = ()
        if request.from_us or request.to_us:
            end = request.to_us or INT64_MAX
            lines, position = await self._usage(
                entry, request.from_us, end, request.attribute, position
            )
        payers = {number for number, line in found.items() if any(s.overage for s in line.values())}
        named = {*payers, *(line.key.account for line in lines)}
        named |= {each.payer.account for line in lines for each in line.paid}
        names = await edge.names(named)
        await edge.assets.read(tenant)
        rendering = StatementRendering(edge.assets, entry.shard, names)
        return pb.RollUpResponse(
            account=entry.account_id,
            own=_rendered(rendering, found[entry.number]),
            total=_rendered(rendering, _sum(found.values())),
            accounts=len(found),
            overage=[
                pb.PayerOverage(account=names[number], amount=rendering.amount(asset, each.overage))
                for number in sorted(payers)
                for asset, each in sorted(found[number].items())
                if each.overage
            ],
            usage=[rendering.line(line) for line in lines],
            as_of_us=as_of,
            position=position_of(entry.shard, position),
        )

    async def _present(
        self, entry: Entry, least: int
    ) -> tuple[tuple[dict[int, dict[int, Standing]], int], int]:
        """By account and asset, out of the state; as of when, and its position."""
        clock_us = self._edge.ledger.clock.now_us()

        def find(state: State) -> tuple[dict[int, dict[int, Standing]], int]:
            account = state.accounts.get(entry.number)
            if account is None:
                return {}, 0
            now = max(clock_us, state.recorded_at) + state.offsets.get(account.tenant, 0)
            return {each.number: standing_of(each, now) for each in account.below()}, now

        return await self._edge.writer(entry).read(find, least, (entry.number,))

    async def _past(
        self, entry: Entry, at: int, least: int
    ) -> tuple[dict[int, dict[int, Standing]], int]:
        """By account and asset, out of the read models; and what they rest on."""
        history, entries = await self._reached(entry, least)
        standing = await history.standing(entry.tenant, entry.shard)
        point = Point(at, standing.recorded_at)
        found = await roll_up(history.pool, entry.tenant, entry.shard, entry.number, point)
        return {number: past_standing(past) for number, past in found.items()}, entries

    async def _usage(
        self, entry: Entry, start: int, end: int, attribute: str, least: int
    ) -> tuple[tuple[Line, ...], int]:
        """What was used in a span of time, by all that the read models know."""
        history, _ = await self._reached(entry, least)
        async with read(history.pool, entry.tenant, entry.shard, entry.number) as reading:
            entries = reading.standing.entries
            head = Head(
                entry.tenant, entry.shard, entry.number, 0, True, attribute, start, end, entries
            )
            return (await reading.figures(head, entries, ())).lines, entries

    async def _reached(self, entry: Entry, least: int) -> tuple[History, int]:
        """The read models, once they are so far, and how far that is. Raises CallFailed."""
        history = self._history
        if history is None:
            raise CallFailed(
                "READ_MODELS_ABSENT",
                "this server keeps nothing in PostgreSQL, so that it has no read models to roll up",
            )
        standing = await history.reach(entry.tenant, entry.shard, least, WAIT_S)
        if standing.entries < least:
            raise behind(history, entry.shard, standing, least, "min_position", str(least))
        return history, standing.entries


def standing_of(account: Account, now: int) -> dict[int, Standing]:
    """What an account has of its own, by asset."""
    found: dict[int, Standing] = defaultdict(Standing)
    for grant in account.grants:
        if grant.settled == GRANT_OPEN and grant.effective_at <= now < grant.expires_at:
            book = grant.book
            left = book.credits_posted - book.debits_posted
            more = Standing(left, grant.drawn, book.debits_pending)
            found[grant.asset] = found[grant.asset].with_more(more)
    for asset, book in account.overage.items():
        owed = book.debits_posted - book.credits_posted
        found[asset] = found[asset].with_more(Standing(overage=owed))
    assets = {*account.advance, account.policy.overdraft_asset} - {0}
    for asset in assets:
        advance = account.advance.get(asset)
        owed = advance.owed if advance is not None else 0
        pending = advance.debits_pending if advance is not None else 0
        limit = 0 if grace_ended(account, asset, now) else overdraft_limit(account, asset)
        more = Standing(overdraft=owed, headroom=limit - owed - pending)
        found[asset] = found[asset].with_more(more)
    return dict(found)


def past_standing(past: Past) -> dict[int, Standing]:
    """The same of an account at a point of the past."""
    found: dict[int, Standing] = defaultdict(Standing)
    for grant in past.grants:
        if grant.counts:
            more = Standing(grant.left, grant.drawn, grant.held)
            found[grant.row.asset] = found[grant.row.asset].with_more(more)
    if past.overdraft.asset:
        limit = past.limit(past.overdraft.asset)
        more = Standing(headroom=limit)
        found[past.overdraft.asset] = found[past.overdraft.asset].with_more(more)
    for row, counters in past.debts:
        owed = counters.debits_posted - counters.credits_posted
        if row.kind == OVERAGE:
            more = Standing(overage=owed)
        else:
            assert row.kind == ADVANCE, row
            more = Standing(overdraft=owed, headroom=-owed - counters.debits_pending)
        found[row.asset] = found[row.asset].with_more(more)
    return dict(found)


def _sum(standings: Iterable[Mapping[int, Standing]]) -> dict[int, Standing]:
    found: dict[int, Standing] = defaultdict(Standing)
    for line in standings:
        for asset, each in line.items():
            found[asset] = found[asset].with_more(each)
    return dict(found)


def _rendered(
    rendering: StatementRendering, standings: Mapping[int, Standing]
) -> list[pb.RolledUp]:
    return [
        pb.RolledUp(
            available=rendering.amount(asset, each.available),
            granted=rendering.amount(asset, each.granted),
            drawn=rendering.amount(asset, each.drawn),
            held=rendering.amount(asset, each.held),
            overdraft=rendering.amount(asset, each.overdraft),
            overage=rendering.amount(asset, each.overage),
        )
        for asset, each in sorted(standings.items())
        if each != NOTHING
    ]
