"""Balances of the past and what made the difference between two, from the read models (rule T5).

Says as of which instants an answer stands, and waits a moment for read models that have to come
further for it. Must not sum: `projections.past` does.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Final, NamedTuple
from zlib import crc32

from ledger.api.edge import Edge
from ledger.api.errors import CallFailed
from ledger.api.ids import GRANT, mint
from ledger.api.limits import Checked
from ledger.api.positions import minimum, position_of
from ledger.api.read_models import WAIT_S, behind
from ledger.api.rendering.render_usage import BookView, book_name
from ledger.core.events import OF_AN_ACCOUNT, BookKind
from ledger.core.limits import INT64_MAX
from ledger.core.shapes import Use
from ledger.core.state import State
from ledger.journal.directory import Entry
from ledger.projections.as_of import BookRow, History, Look, books_of
from ledger.projections.changes import PENDING, POSTED, RELEASED
from ledger.projections.past import (
    NOTHING,
    Leg,
    Past,
    PastAsset,
    PastGrant,
    Point,
    Shift,
    effect,
    shifts,
)
from ledger.v1 import balance_pb2 as pb
from ledger.v1 import types_pb2

GRANTS_SHOWN_MAX: Final = 1_000

_KINDS: Final = {
    POSTED: pb.BALANCE_CHANGE_KIND_POSTED,
    PENDING: pb.BALANCE_CHANGE_KIND_HELD,
    RELEASED: pb.BALANCE_CHANGE_KIND_RELEASED,
}
_LEGS_DONE: Final = -2  # as the entry of a page's end
LINES_MAX: Final = 2**31 - 1  # of an entry, as the read models count them


class Place(NamedTuple):
    """Where a page of changes begins: the two points, the last side seen, shifts shown already."""

    before: Point
    after: Point
    beyond: tuple[int, int, int] = (-1, 0, 0)
    shifts: int = 0


class PastBalances:
    """What BalanceService asks of the read models."""

    def __init__(self, edge: Edge, history: History | None) -> None:
        """`history` None: there are no read models."""
        self._edge = edge
        self._history = history

    async def get(self, request: pb.BalanceServiceGetRequest) -> pb.BalanceServiceGetResponse:
        """The balances of one account, or of one grant, at one point."""
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        check = Checked()
        check.optional(product=request.product)
        self._instants(check, tenant, "", request.effective_at_us, request.known_at_us)
        check.done()
        entry, grant = await self._meant(tenant, request)
        point = await self._point(
            entry, request.effective_at_us, request.known_at_us, request.min_position
        )
        use = await self._use(entry, request.product, point.effective_at)
        async with self._looking(entry) as look:
            if grant and not await look.knows(grant):
                raise _unknown_grant(request.grant_id)
            (past,) = await look.past([point], grant)
            position = position_of(entry.shard, look.standing.entries)
        await edge.assets.read(tenant)
        response = pb.BalanceServiceGetResponse(
            account=entry.account_id,
            as_of_us=point.effective_at,
            known_at_us=point.known_at,
            position=position,
        )
        found = [past.balance(asset, use) for asset in past.assets]
        for each in sorted(found, key=lambda each: edge.assets.of(each.asset).code):
            response.balances.append(self._balance(each, entry, product=bool(request.product)))
        return response

    async def list_changes(self, request: pb.ListChangesRequest) -> pb.ListChangesResponse:
        """One page of what made the difference between two balances."""
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        check = Checked()
        size = check.page_size(request.page_size)
        for name in ("before", "after"):
            given = getattr(request, name)
            self._instants(check, tenant, f"{name}.", given.effective_at_us, given.known_at_us)
        check.done()
        entry = await edge.account(tenant, request.account)
        place = _place(_listing(request, entry), request.page_token)
        if place is None:
            place = await self._first(request, entry)
        async with self._looking(entry) as look:
            was, now = await look.past([place.before, place.after])
            books = sorted({*books_of(was), *books_of(now)})
            legs: list[Leg] = []
            if place.beyond[0] != _LEGS_DONE and books:
                legs = await look.legs(books, place.before, place.after, place.beyond, size + 1)
            moved = shifts(was, now)
            sides = {leg.debit_book for leg in legs} | {leg.credit_book for leg in legs}
            rows = await look.books(sides) if sides else {}
            position = position_of(entry.shard, look.standing.entries)
        await edge.assets.read(tenant)
        response = pb.ListChangesResponse(
            account=entry.account_id,
            differences=self._differences(was, now),
            after=_instant(place.after),
            position=position,
        )
        if place.before != NOTHING:
            response.before.CopyFrom(_instant(place.before))
        owners = {row.owner for row in rows.values() if row.kind in OF_AN_ACCOUNT}
        names = await edge.names(owners)
        shown = legs[:size]
        response.changes.extend(self._leg(leg, rows, names, entry) for leg in shown)
        ending = place
        if len(legs) > size:
            last = shown[-1]
            ending = place._replace(beyond=(last.entry_seq, last.line, last.side))
        else:
            more = moved[place.shifts : place.shifts + size - len(shown)]
            response.changes.extend(self._shift(each, entry) for each in more)
            seen = place.shifts + len(more)
            if seen < len(moved):
                ending = place._replace(beyond=(_LEGS_DONE, 0, 0), shifts=seen)
        if ending != place:
            response.next_page_token = _token(_listing(request, entry), ending)
        return response

    # -- who and when ----------------------------------------------------------------------------

    async def _meant(self, tenant: int, request: pb.BalanceServiceGetRequest) -> tuple[Entry, int]:
        """The account, and the grant's number where one is named."""
        edge = self._edge
        if not request.grant_id:
            return await edge.account(tenant, request.account), 0
        minted, entry = await edge.minted(tenant, GRANT, request.grant_id)
        if request.account and (await edge.account(tenant, request.account)).number != entry.number:
            raise _unknown_grant(request.grant_id)
        return entry, minted.number

    def _instants(
        self, check: Checked, tenant: int, prefix: str, effective_at: int, known_at: int
    ) -> None:
        now_us = self._edge.now_us(tenant)
        for name, value in (("effective_at_us", effective_at), ("known_at_us", known_at)):
            check.instant(prefix + name, value)
            if value > now_us:
                raise CallFailed(
                    "IN_FUTURE",
                    f"{prefix}{name} lies in the future: it is {now_us} now",
                    field=prefix + name,
                    value=str(value),
                )

    async def _first(self, request: pb.ListChangesRequest, entry: Entry) -> Place:
        position, given = request.min_position, request.after
        after = await self._point(entry, given.effective_at_us, given.known_at_us, position)
        before = NOTHING
        if request.HasField("before"):
            given = request.before
            before = await self._point(entry, given.effective_at_us, given.known_at_us, position)
        return Place(before, after)

    async def _point(
        self, entry: Entry, effective_at: int, known_at: int, min_position: str
    ) -> Point:
        """The point that is meant, once the read models know all that it counts.

        Whatever is recorded after the shard was asked for its position is recorded later than now.
        """
        history = self._there()
        least = minimum(min_position, entry.shard)
        standing = await history.standing(entry.tenant, entry.shard)
        if known_at > standing.recorded_at:
            _, reached = await self._edge.writer(entry).read(_nothing)
            least = max(least, reached)
        if standing.entries < least:
            standing = await history.reach(entry.tenant, entry.shard, least, WAIT_S)
        if standing.entries < least:
            raise behind(
                history,
                entry.shard,
                standing,
                least,
                "known_at_us",
                str(known_at),
                "ask again, or for an earlier known_at_us",
            )
        now_us = self._edge.now_us(entry.tenant)
        return Point(effective_at or known_at or now_us, known_at or standing.recorded_at)

    def _looking(self, entry: Entry) -> AbstractAsyncContextManager[Look]:
        return self._there().look(entry.tenant, entry.shard, entry.number)

    def _there(self) -> History:
        if self._history is None:
            raise CallFailed(
                "READ_MODELS_ABSENT",
                "this server keeps nothing in PostgreSQL, so that it has no read models to look "
                "back in",
            )
        return self._history

    async def _use(self, entry: Entry, product: str, at: int) -> Use | None:
        """What usage of a product was at an instant: its tags are those of the rate card then."""
        if not product:
            return None

        def look(state: State) -> Use:
            account = state.accounts.get(entry.number)
            if account is None:
                return Use(product)
            return state.catalog.card(account.card_key).use_at(product, at)

        use, _ = await self._edge.writer(entry).read(look, accounts=(entry.number,))
        return use

    # -- messages --------------------------------------------------------------------------------

    def _balance(self, view: PastAsset, entry: Entry, *, product: bool) -> pb.AssetBalance:
        asset = self._edge.assets.of(view.asset)
        return pb.AssetBalance(
            asset=asset.code,
            scale=asset.scale,
            available=str(view.available),
            applicable=str(view.applicable) if product else "",
            granted=str(view.granted),
            pending=str(view.held),
            advance=str(view.advance),
            credits_posted=str(view.credits_posted),
            debits_posted=str(view.debits_posted),
            expired_unposted=str(view.expired_unposted),
            overdraft_limit=str(view.overdraft_limit),
            overage_posted=str(view.overage),
            past_grants=[_grant(grant, entry) for grant in view.grants[:GRANTS_SHOWN_MAX]],
        )

    def _differences(self, was: Past, now: Past) -> list[pb.BalanceDifference]:
        found = []
        for number in was.assets | now.assets:
            asset = self._edge.assets.of(number)
            before = was.balance(number, None).available
            after = now.balance(number, None).available
            found.append(
                pb.BalanceDifference(
                    asset=asset.code,
                    scale=asset.scale,
                    available_before=str(before),
                    available_after=str(after),
                    difference=str(after - before),
                )
            )
        return sorted(found, key=lambda each: each.asset)

    def _leg(
        self, leg: Leg, rows: dict[int, BookRow], names: dict[int, str], entry: Entry
    ) -> pb.BalanceChange:
        asset = self._edge.assets.of(leg.asset)
        own = rows[leg.book]

        def name(book: int) -> str:
            row = rows[book]
            view = BookView(row.kind, row.owner, row.name, 0, row.account, 0)
            return book_name(view, entry.shard, names)

        return pb.BalanceChange(
            kind=_KINDS[leg.phase],
            asset=asset.code,
            scale=asset.scale,
            amount=str(effect(leg, POSTED, PENDING, RELEASED)),
            removed=not leg.added,
            grant_id=_grant_id(own.owner, own.account, entry) if own.kind == BookKind.GRANT else "",
            shard=entry.shard,
            entry_seq=leg.entry_seq,
            line=leg.line,
            debit_account=name(leg.debit_book),
            credit_account=name(leg.credit_book),
            effective_at_us=leg.effective_at,
            recorded_at_us=leg.recorded_at,
            source=leg.source or "",
            usage_id=leg.event_id or "",
        )

    def _shift(self, shift: Shift, entry: Entry) -> pb.BalanceChange:
        asset = self._edge.assets.of(shift.asset)
        change = pb.BalanceChange(
            kind=pb.BALANCE_CHANGE_KIND_OVERDRAFT_LIMIT,
            asset=asset.code,
            scale=asset.scale,
            amount=str(shift.amount),
        )
        if shift.grant is not None:
            change.kind = pb.BALANCE_CHANGE_KIND_GRANT
            change.grant_id = _grant_id(shift.grant, shift.account, entry)
            change.state_before = _state(shift.before)
            change.state_after = _state(shift.after)
        return change


def _grant(grant: PastGrant, entry: Entry) -> pb.GrantBalance:
    row = grant.row
    return pb.GrantBalance(
        grant_id=_grant_id(row.number, row.account, entry),
        amount=str(row.amount),
        drawn=str(grant.drawn),
        held=str(grant.held),
        left=str(grant.left),
        returned=str(grant.returned),
        state=_state(grant.state),
        effective_at_us=row.effective_at,
        expires_at_us=row.expires_at or 0,
    )


def _grant_id(number: int, account: int, entry: Entry) -> str:
    return mint(GRANT, entry.shard, account, number)


def _state(name: str) -> types_pb2.GrantState.ValueType:
    if not name:
        return types_pb2.GRANT_STATE_UNSPECIFIED
    return types_pb2.GrantState.Value(f"GRANT_STATE_{name}")


def _instant(point: Point) -> pb.BalanceInstant:
    return pb.BalanceInstant(effective_at_us=point.effective_at, known_at_us=point.known_at)


def _unknown_grant(grant_id: str) -> CallFailed:
    return CallFailed(
        "GRANT_UNKNOWN", "the account has no such grant", field="grant_id", value=grant_id
    )


def _nothing(_: object) -> None:
    """Only the position is asked for."""


# -- pages -----------------------------------------------------------------------------------------


def _listing(request: pb.ListChangesRequest, entry: Entry) -> bytes:
    """What a token is good for: this account and these instants as they were asked for."""
    before = request.before.SerializeToString() if request.HasField("before") else b"-"
    return b"%d/%b/%b" % (entry.number, before, request.after.SerializeToString())


def _token(listing: bytes, place: Place) -> str:
    figures: Sequence[int] = (*place.before, *place.after, *place.beyond, place.shifts)
    body = ",".join(map(str, figures)).encode()
    check = crc32(body, crc32(listing))
    return urlsafe_b64encode(b"%b.%d" % (body, check)).rstrip(b"=").decode()


def _place(listing: bytes, token: str) -> Place | None:
    """Where a page begins; None = the first. Raises CallFailed PAGE_INVALID."""
    if not token:
        return None
    try:
        text = urlsafe_b64decode(token.encode("ascii") + b"=" * (-len(token) % 4))
        body, _, _ = text.partition(b".")
        a, b, c, d, entry_seq, line, side, seen = map(int, body.split(b","))
        place = Place(Point(a, b), Point(c, d), (entry_seq, line, side), seen)
        if _can_be(place) and _token(listing, place) == token:
            return place
    except ValueError:
        pass
    raise CallFailed(
        "PAGE_INVALID",
        "this is no page token of this listing; hand it back unchanged, with the same instants",
        field="page_token",
        value=token,
    )


def _can_be(place: Place) -> bool:
    """Whether its figures are of a size that places have."""
    (entry_seq, line, side), seen = place.beyond, place.shifts
    instants = (*place.before, *place.after, entry_seq)
    if not all(-INT64_MAX <= each <= INT64_MAX for each in instants):
        return False
    return 0 <= line <= LINES_MAX and side in (0, 1) and 0 <= seen <= INT64_MAX
