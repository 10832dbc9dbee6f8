"""Deciding holds: authorise, extend, release, expire (rules H1 to H3).

A hold reserves exact slices as pending debits. Captures (`capturing`) may take parts of it; every
way out settles it exactly once. Reads state, changes nothing.
"""

from __future__ import annotations

from ledger.core.admission import (
    known_account,
    refuse_new,
)
from ledger.core.commands import ExtendHold, ReleaseHold, Sizing
from ledger.core.decisions.assessing import Assessment, within_wholes
from ledger.core.decisions.charging import charge_usage
from ledger.core.drawing.paying import post
from ledger.core.events import (
    Event,
    HoldAuthorized,
    HoldCharged,
    HoldExpired,
    HoldExtended,
    HoldReleased,
    HoldSized,
    HoldUpTo,
    Limit,
    OperationHeld,
    OperationPartHeld,
    OperationReserved,
    PolicyHeld,
    Ruling,
    Sized,
    SizedOperationHeld,
    UpTo,
)
from ledger.core.funding.following import follow_up, refill, returned_by
from ledger.core.holds import Estimate
from ledger.core.limits import (
    HOLD_LIFETIME_BATCH_MAX_US,
    HOLD_LIFETIME_DEFAULT_US,
)
from ledger.core.opening import declare, used_book
from ledger.core.outcomes import Known, Reason, Refusal
from ledger.core.state import Account, Hold, SettledHold, State


def authorized(
    state: State,
    account: Account,
    found: Assessment,
    quantities: tuple[int, ...],
    lifetime: int,
    out: list[Event],
    key: bytes = b"",
    trace: bytes = b"",
    quote: int = 0,
    up_to: UpTo | None = None,
    limit: Limit | None = None,
    ruling: Ruling | None = None,
    sizing: Sizing | None = None,
    operation: bytes = b"",
    reserves: bool = False,
    whole: int = 0,
) -> HoldAuthorized:
    """Append the hold of what was found, with the books that it opens. `up_to`: it is for as much
    as is affordable, where `limit` allows no more. `ruling`: what a policy had to say.
    `sizing`: its estimate is learned. `operation`: that it is part of; `reserves`: or that it is
    for, with all its calls; `whole`: that one's hold, of which this one is made first."""
    out.extend(found.opened)
    now = state.now
    terms = found.bound.terms
    figures = (
        key,
        account.number,
        state.next_hold,
        declare(state, found.bound.declaration, out),
        quantities,
        found.charges,
        used_book(state, found.bound, out) if found.charge else 0,
        found.slices,
        now,
        now + (lifetime or HOLD_LIFETIME_DEFAULT_US),
        lifetime,
        terms.lifetime_max,
        terms.expiry,
        account.calendar.start_of(now),
        account.version,
        trace,
        quote,
    )
    if whole:
        hold: HoldAuthorized = OperationPartHeld(
            *figures, up_to, limit, ruling, operation, whole, found.taken
        )
    elif sizing is not None and operation:
        hold = SizedOperationHeld(*figures, up_to, limit, ruling, *said_of(sizing), operation)
    elif reserves:
        hold = OperationReserved(*figures, up_to, limit, ruling, operation)
    elif operation:
        hold = OperationHeld(*figures, up_to, limit, ruling, operation)
    elif sizing is not None:
        hold = HoldSized(*figures, up_to, limit, ruling, *said_of(sizing))
    elif ruling is not None:
        hold = PolicyHeld(*figures, up_to, limit, ruling)
    else:
        hold = HoldAuthorized(*figures) if up_to is None else HoldUpTo(*figures, up_to, limit)
    out.append(hold)
    return hold


def said_of(sizing: Sizing) -> tuple[tuple[int, ...], tuple[Sized, ...], int, int]:
    """What an entry says of where its estimate comes from."""
    return sizing.asked, sizing.sizes, sizing.version, int(sizing.learned)


def hold_refused(account: Account, lifetime: int) -> Refusal | None:
    """Why the account may not have another hold of that lifetime, if it may not."""
    refusal = refuse_new(account)
    if refusal is not None:
        return refusal
    if not 0 <= lifetime <= HOLD_LIFETIME_BATCH_MAX_US:
        return lifetime_invalid(lifetime, HOLD_LIFETIME_BATCH_MAX_US)
    return holds_limit(account)


def holds_limit(account: Account) -> Refusal | None:
    """Whether the account has as many open holds as it may (rule H1)."""
    count = len(account.holds) - account.outcomes - len(account.leases)
    if count < account.policy.holds_open_max:
        return None
    return Refusal(
        Reason.HOLDS_LIMIT,
        "account",
        str(count),
        "the account has as many open holds as its policy allows; capture or release some",
    )


def lifetime_invalid(lifetime: int, longest: int) -> Refusal:
    """No hold for the product lives so long (rule H1)."""
    return Refusal(
        Reason.HOLD_LIFETIME_INVALID,
        "lifetime_us",
        str(lifetime),
        f"a hold for this product lives from 1 to {longest} us, extensions included; 0 is the "
        "default",
    )


def decide_extend(state: State, command: ExtendHold, out: list[Event]) -> Event | Known | Refusal:
    """Move an open hold's expiry to `lifetime` from now, later or earlier (rule H1).

    Never beyond the longest lifetime that its product had at the authorisation, counted from there.
    """
    account = known_account(state, command.key, command.account)
    if not isinstance(account, Account):
        return account
    hold = open_hold(state, account, command.hold)
    if isinstance(hold, Refusal):
        return hold
    now = state.now
    longest = hold.authorized_at + hold.lifetime_max - now
    lifetime = command.lifetime or HOLD_LIFETIME_DEFAULT_US
    if not 0 < lifetime <= longest:
        return Refusal(
            Reason.HOLD_LIFETIME_INVALID,
            "lifetime_us",
            str(command.lifetime),
            f"the hold may live {longest} us more: it ends {hold.lifetime_max} us after its "
            "authorisation at the latest",
        )
    extended = HoldExtended(
        command.key, account.number, hold.number, command.lifetime, now + lifetime, command.trace
    )
    out.append(extended)
    return extended


def open_hold(state: State, account: Account, number: int) -> Hold | Refusal:
    """The account's hold if it is open, else why it is not."""
    hold = state.holds.get(number)
    if hold is not None and hold.account is account and is_of_request(hold):
        return hold
    settled = state.settled_hold(account, number)
    if settled is None or settled.account is not account or not is_of_request(settled):
        return unknown_hold(number)
    return hold_settled(number, settled.settled_at)


def is_of_request(hold: Hold | SettledHold) -> bool:
    """Whether a hold is of one piece of work that was authorised: no outcome, and no lease."""
    return hold.outcome is None and hold.lease is None


def decide_release(state: State, command: ReleaseHold, out: list[Event]) -> Event | Known | Refusal:
    """Give a hold back; one that is settled already is refused by name."""
    account = known_account(state, command.key, command.account)
    if not isinstance(account, Account):
        return account
    hold = open_hold(state, account, command.hold)
    if isinstance(hold, Refusal):
        return hold
    released = HoldReleased(command.key, command.account, command.hold, command.trace)
    refill(state, hold, (), out)
    out.append(released)
    follow_up(state, returned_by(state, hold, ()), out)
    return released


def expire_hold(state: State, hold: Hold, out: list[Event]) -> None:
    """Post the expiry of an overdue hold as an entry of its own: it is released, or what was
    estimated and not captured is charged, as its product's policy was at its authorisation (H2)."""
    assert state.now >= hold.expires_at, (state.now, hold.expires_at)
    estimate = hold.estimate
    if estimate is not None and any(estimate.quantities):
        charged = _charge_estimate(state, hold, estimate, out)
        if charged:
            return
    refill(state, hold, (), out)
    out.append(HoldExpired(hold.account.number, hold.number))
    follow_up(state, returned_by(state, hold, ()), out)


def _charge_estimate(state: State, hold: Hold, estimate: Estimate, out: list[Event]) -> bool:
    """Charge it at the hold's expiry, by the price rows of the authorisation. As any usage it goes
    on from the running totals of its period (rule R1), so that rounding may differ by a unit.

    False where the charge would fit no transfer, which only a total at the very limit can do.
    """
    account, at = hold.account, hold.expires_at
    shape = state.catalog.shape(hold.product, hold.attributes, estimate.plan.quantity_names)
    card = state.catalog.card((account.tenant, estimate.plan.rate_card))
    bound = card.declared(shape, estimate.plan)
    quantities = within_wholes(bound.plan, estimate.quantities)
    began = len(out)  # the plan of a cost is named by its place in the batch
    charge = charge_usage(state, account, hold, bound, shape, quantities, at, out)
    if isinstance(charge, Refusal):
        del out[began:]
        return False
    priced, payment = charge.priced, charge.payment
    charged = HoldCharged(
        b"",
        account.number,
        at,
        declare(state, bound.declaration, out),
        quantities,
        priced.charges,
        payment.used,
        payment.slices,
        priced.period,
        priced.advances,
        payment.over_limit,
        priced.suspense,
        hold=hold.number,
        operation=hold.operation,
        totals_before=priced.totals_before,
        listed=priced.listed,
        reasons=priced.reasons,
        scoped=priced.scoped,
        draws=charge.draws,
        cost=charge.cost,
    )
    returned = returned_by(state, hold, charge.taken)
    refill(state, hold, charge.taken, out)
    post(state, account, bound, priced, payment, charged, out, returned)
    return True


def unknown_hold(number: int) -> Refusal:
    """No such hold of this account, or settled longer ago than the dedupe window."""
    return Refusal(
        Reason.HOLD_UNKNOWN,
        "hold_id",
        str(number),
        "the account has no such hold, or it was settled more than 35 days ago; record the work "
        "as usage",
    )


def hold_settled(number: int, settled_at: int) -> Refusal:
    """Every hold settles exactly once."""
    return Refusal(
        Reason.HOLD_SETTLED,
        "hold_id",
        str(number),
        f"the hold was captured, released or let expire at {settled_at}; record what came later "
        "as usage",
    )
