"""Outcomes as messages, in their present state: what pends, and what was settled as long as it is
remembered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple, TypeAlias

from ledger.api.assets import Assets
from ledger.api.ids import GRANT, OUTCOME, mint
from ledger.api.rendering.render_hold import SETTLED_SCAN_MAX, HeldView, held_slices
from ledger.core.events import Pot
from ledger.core.state import (
    HOLD_CAPTURED,
    HOLD_CHARGED,
    HOLD_EXPIRED,
    NEVER,
    Account,
    Hold,
    SettledHold,
    State,
)
from ledger.v1 import outcome_pb2 as pb
from ledger.v1 import types_pb2
from rating.v1 import card_pb2

Status: TypeAlias = pb.OutcomeStatus.ValueType

_CONFIRMED: Final = (HOLD_CAPTURED, HOLD_CHARGED)
_BY_TIME: Final = (HOLD_EXPIRED, HOLD_CHARGED)


class OutcomeDetails(NamedTuple):
    """What an outcome's message needs of the state, taken at one position."""

    number: int
    account: int
    product: str
    attributes: Mapping[str, str]
    quantities: Mapping[str, int]
    status: Status
    by_time: bool
    reserved: int
    charge: int
    asset: int
    effective_at_us: int
    reported_at_us: int
    due_at_us: int
    confirms: bool
    settled_at_us: int
    reported_by: int  # locators of the entries that evidence stands beside
    settled_by: int
    slices: tuple[HeldView, ...]


class OutcomePage(NamedTuple):
    """Some outcomes; the next page begins after this number, 0 = there is none."""

    outcomes: list[OutcomeDetails]
    after: int


def find_outcome(state: State, account: int, number: int) -> OutcomeDetails | None:
    """The account's outcome of that number, pending or settled within the window."""
    owner = state.accounts.get(account)
    if owner is None:
        return None
    hold = owner.holds.get(number)
    if hold is not None:
        return _pending(state, hold)
    settled = state.settled_hold(owner, number)
    if settled is None or settled.account is not owner:
        return None
    return _settled(settled)


def status_of(state: State, account: int, number: int) -> Status:
    """The same of its state alone; unspecified where it is remembered no more."""
    found = find_outcome(state, account, number)
    return pb.OUTCOME_STATUS_UNSPECIFIED if found is None else found.status


def list_outcomes(
    state: State, account: Account | None, subtree: bool, status: Status, after: int, size: int
) -> OutcomePage:
    """A page of the outcomes of an account, or of those below it too."""
    if account is None:
        return OutcomePage([], 0)
    accounts = [account]
    if subtree:
        for each in accounts:
            accounts.extend(each.children)
    if status == pb.OUTCOME_STATUS_PENDING:
        return _page_of_pending(state, accounts, after, size)
    return _page_of_settled(state, accounts, status, after, size)


def _page_of_pending(state: State, accounts: list[Account], after: int, size: int) -> OutcomePage:
    """Those with a number above `after`, ascending."""
    numbers = sorted(
        number
        for account in accounts
        for number, hold in account.holds.items()
        if number > after and hold.outcome is not None
    )
    page = [_pending(state, state.holds[number]) for number in numbers[:size]]
    found = [each for each in page if each is not None]
    return OutcomePage(found, numbers[size - 1] if len(numbers) > size else 0)


def _page_of_settled(
    state: State, accounts: list[Account], status: Status, after: int, size: int
) -> OutcomePage:
    """Those of a status, last settled first, from that which comes after `after`."""
    numbers = {account.number for account in accounts}
    page: list[OutcomeDetails] = []
    last = looked_at = 0
    for hold in reversed(state.families[accounts[0].root].settled.values()):
        if after:
            after = 0 if hold.number == after else after
            continue
        if hold.settled_at <= state.settled_before:
            break
        if len(page) == size or looked_at == SETTLED_SCAN_MAX:
            return OutcomePage(page, last)
        last, looked_at = hold.number, looked_at + 1
        found = _settled(hold) if hold.account.number in numbers else None
        if found is not None and found.status == status:
            page.append(found)
    return OutcomePage(page, 0)


def _pending(state: State, hold: Hold) -> OutcomeDetails | None:
    outcome = hold.outcome
    if outcome is None:
        return None
    names = outcome.estimate.plan.quantity_names
    return OutcomeDetails(
        hold.number,
        hold.account.number,
        hold.product,
        dict(hold.attributes),
        dict(zip(names, outcome.estimate.quantities, strict=True)),
        pb.OUTCOME_STATUS_PENDING,
        False,
        hold.amount,
        0,
        hold.asset,
        hold.authorized_at,
        outcome.reported_at,
        0 if hold.expires_at == NEVER else hold.expires_at,
        outcome.confirms,
        0,
        outcome.reported_by,
        0,
        held_slices(state, hold),
    )


def _settled(hold: SettledHold) -> OutcomeDetails | None:
    outcome = hold.outcome
    if outcome is None:
        return None
    confirmed = hold.ended in _CONFIRMED
    return OutcomeDetails(
        hold.number,
        hold.account.number,
        hold.product,
        dict(hold.attributes),
        dict(zip(outcome.quantity_names, outcome.quantities, strict=True)),
        pb.OUTCOME_STATUS_CONFIRMED if confirmed else pb.OUTCOME_STATUS_REJECTED,
        hold.ended in _BY_TIME,
        hold.amount,
        outcome.charge,
        hold.asset,
        hold.authorized_at,
        outcome.reported_at,
        0 if hold.expires_at == NEVER else hold.expires_at,
        False,
        hold.settled_at,
        outcome.reported_by,
        outcome.settled_by,
        (),
    )


def render_outcome(
    assets: Assets, outcome: OutcomeDetails, shard: int, names: Mapping[int, str]
) -> pb.Outcome:
    """An outcome without its evidence; `names` are the ids of its account and of whoever pays."""
    asset = assets.of(outcome.asset)
    timeout = card_pb2.OUTCOME_TIMEOUT_UNSPECIFIED
    if outcome.status == pb.OUTCOME_STATUS_PENDING and outcome.due_at_us:
        timeout = timeout_of(outcome.confirms)
    return pb.Outcome(
        outcome_id=mint(OUTCOME, shard, outcome.account, outcome.number),
        account=names[outcome.account],
        product=outcome.product,
        attributes=outcome.attributes,
        quantities=outcome.quantities,
        status=outcome.status,
        by_time=outcome.by_time,
        reserved=outcome.reserved,
        charge=outcome.charge,
        asset=asset.code,
        scale=asset.scale,
        effective_at_us=outcome.effective_at_us,
        reported_at_us=outcome.reported_at_us,
        due_at_us=outcome.due_at_us,
        on_timeout=timeout,
        settled_at_us=outcome.settled_at_us,
        slices=[
            pb.OutcomeSlice(
                pot=types_pb2.Pot.ValueType(piece.pot),
                grant_id=(
                    mint(GRANT, shard, piece.payer, piece.grant) if piece.pot == Pot.GRANT else ""
                ),
                payer=names[piece.payer] if piece.payer not in (0, outcome.account) else "",
                amount=piece.left,
            )
            for piece in outcome.slices
        ],
    )


def timeout_of(confirms: bool) -> card_pb2.OutcomeTimeout.ValueType:
    """What becomes of an outcome when it is due."""
    return card_pb2.OUTCOME_TIMEOUT_CONFIRM if confirms else card_pb2.OUTCOME_TIMEOUT_CANCEL
