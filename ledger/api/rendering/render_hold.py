"""Holds as messages, in their present state: open ones with their slices, settled ones as long as
they are remembered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from ledger.api.assets import Assets
from ledger.api.ids import GRANT, HOLD, QUOTE, mint
from ledger.api.rendering.render_decision import ENDED, HOLD_STATE_OPEN, HoldState
from ledger.core.events import HoldExpiry, Pot
from ledger.core.identity import KEY_BYTES
from ledger.core.state import Account, Hold, SettledHold, State
from ledger.v1 import decision_pb2 as pb
from ledger.v1 import types_pb2
from rating.v1 import card_pb2

SETTLED_SCAN_MAX: Final = 100_000  # settled holds of a family that one page looks at; x ~50 ns


class HeldView(NamedTuple):
    """What a hold reserves of one pot, and which grant or payer that is, by number."""

    pot: int
    grant: int
    payer: int
    left: int


class HoldDetails(NamedTuple):
    """What a hold's message needs of the state, taken at one position."""

    number: int
    account: int
    product: str
    attributes: Mapping[str, str]
    state: HoldState
    amount: int
    captured: int
    left: int
    asset: int
    captures: int
    authorized_at_us: int
    expires_at_us: int
    extendable_to_us: int
    hold_expiry: int
    settled_at_us: int
    slices: tuple[HeldView, ...]
    quote: int = 0
    operation: bytes = b""
    drawn: Mapping[str, int] | None = None
    part_of: int = 0


class HoldPage(NamedTuple):
    """Some of an account's holds; the next page begins after this number, 0 = there is none."""

    holds: list[HoldDetails]
    after: int


def find_hold(state: State, account: int, number: int) -> HoldDetails | None:
    """The account's hold of that number, open or settled within the window."""
    owner = state.accounts.get(account)
    if owner is None:
        return None
    hold = owner.holds.get(number)
    if hold is not None:
        return _open(state, hold) if _is_of_request(hold) else None
    settled = state.settled_hold(owner, number)
    if settled is None or settled.account is not owner or not _is_of_request(settled):
        return None
    return _settled(settled)


def open_holds(state: State, account: Account | None, after: int, size: int) -> HoldPage:
    """The account's open holds with a number above `after`, ascending."""
    holds = account.holds if account is not None else {}
    # In order: they were added in it.
    numbers = [number for number, hold in holds.items() if number > after and _is_of_request(hold)]
    page = [_open(state, holds[number]) for number in numbers[:size]]
    return HoldPage(page, page[-1].number if len(numbers) > size else 0)


def settled_holds(state: State, account: Account | None, after: int, size: int) -> HoldPage:
    """The account's settled holds, last settled first, from that which comes after `after`."""
    page: list[HoldDetails] = []
    if account is None:
        return HoldPage(page, 0)
    last = looked_at = 0
    for hold in reversed(state.families[account.root].settled.values()):
        if after:
            after = 0 if hold.number == after else after
            continue
        if hold.settled_at <= state.settled_before:
            break
        if len(page) == size or looked_at == SETTLED_SCAN_MAX:
            return HoldPage(page, last)
        last, looked_at = hold.number, looked_at + 1
        if hold.account is account and _is_of_request(hold):
            page.append(_settled(hold))
    return HoldPage(page, 0)


def _is_of_request(hold: Hold | SettledHold) -> bool:
    """Whether it is of one piece of work: no outcome, and no lease."""
    return hold.outcome is None and hold.lease is None


def _open(state: State, hold: Hold) -> HoldDetails:
    expiry = HoldExpiry.RELEASE if hold.estimate is None else HoldExpiry.CHARGE
    left = hold.left
    return HoldDetails(
        hold.number,
        hold.account.number,
        hold.product,
        dict(hold.attributes),
        HOLD_STATE_OPEN,
        hold.amount,
        hold.amount - left,
        left,
        hold.asset,
        hold.captures,
        hold.authorized_at,
        hold.expires_at,
        hold.authorized_at + hold.lifetime_max,
        int(expiry),
        0,
        held_slices(state, hold),
        hold.quote,
        hold.operation[:KEY_BYTES],
        dict(hold.drawn) if hold.drawn is not None else None,
        hold.part_of,
    )


def held_slices(state: State, hold: Hold) -> tuple[HeldView, ...]:
    """What it reserves of each pot, and whose that is."""
    return tuple([_held(state, hold, piece.pot, piece.book, piece.amount) for piece in hold.slices])


def _held(state: State, hold: Hold, pot: int, number: int, left: int) -> HeldView:
    book = state.books.accounts[number]
    if book.grant is not None:
        return HeldView(pot, book.grant.number, book.grant.account.number, left)
    return HeldView(pot, 0, book.owner, left)


def _settled(hold: SettledHold) -> HoldDetails:
    return HoldDetails(
        hold.number,
        hold.account.number,
        hold.product,
        dict(hold.attributes),
        ENDED[hold.ended],
        hold.amount,
        hold.captured,
        0,
        hold.asset,
        hold.captures,
        hold.authorized_at,
        hold.expires_at,
        0,
        0,
        hold.settled_at,
        (),
        operation=hold.operation[:KEY_BYTES],
        drawn=hold.drawn,
    )


def render_hold(assets: Assets, hold: HoldDetails, shard: int, names: Mapping[int, str]) -> pb.Hold:
    """A hold; `names` are the ids of its account and of whoever pays."""
    asset = assets.of(hold.asset)
    return pb.Hold(
        hold_id=mint(HOLD, shard, hold.account, hold.number),
        account=names[hold.account],
        product=hold.product,
        attributes=hold.attributes,
        state=hold.state,
        amount=hold.amount,
        captured=hold.captured,
        left=hold.left,
        asset=asset.code,
        scale=asset.scale,
        captures=hold.captures,
        authorized_at_us=hold.authorized_at_us,
        expires_at_us=hold.expires_at_us,
        extendable_to_us=hold.extendable_to_us,
        hold_expiry=card_pb2.HoldExpiry.ValueType(hold.hold_expiry),
        settled_at_us=hold.settled_at_us,
        quote_id=mint(QUOTE, shard, hold.account, hold.quote) if hold.quote else "",
        covers_operation=hold.drawn is not None,
        operation_key=hold.operation.hex(),
        drawn=hold.drawn or {},
        operation_hold_id=mint(HOLD, shard, hold.account, hold.part_of) if hold.part_of else "",
        slices=[
            pb.HeldSlice(
                pot=types_pb2.Pot.ValueType(piece.pot),
                grant_id=(
                    mint(GRANT, shard, piece.payer, piece.grant) if piece.pot == Pot.GRANT else ""
                ),
                payer=names[piece.payer] if piece.payer != hold.account else "",
                left=piece.left,
            )
            for piece in hold.slices
        ],
    )
