"""Deciding whether work may run: a hold, or the denial with the limit that decided it (H1, I2).

Reads state, changes nothing.
"""

from __future__ import annotations

from msgspec.structs import replace

from ledger.core.admission import known_account, outcome_expected
from ledger.core.budgets.operation_cover import Said, joining, joins_no_more
from ledger.core.commands import AuthorizeHold, DebitWork, Sizing
from ledger.core.decisions.affording import Afforded, afford
from ledger.core.decisions.assessing import Assessment, assess, within_wholes
from ledger.core.decisions.holds import authorized, hold_refused, lifetime_invalid, said_of
from ledger.core.decisions.operation_draws import paying_hold
from ledger.core.decisions.rule_faults import alternatives_invalid
from ledger.core.decisions.ruling import rule
from ledger.core.decisions.shortfall import limit_of
from ledger.core.events import (
    Event,
    HoldDebitDenied,
    PolicyDenied,
    Ruling,
    SizedDenied,
    UpTo,
    WorkDenied,
)
from ledger.core.funding.top_ups import pending_top_up, request_missing
from ledger.core.limits import INT64_MAX, OPERATIONS_KNOWN_MAX
from ledger.core.opening import declare
from ledger.core.outcomes import Known, Reason, Refusal
from ledger.core.pricing.contracted import bound_for
from ledger.core.shapes import Shape
from ledger.core.state import Account, Hold, State


def decide_authorize(
    state: State, command: AuthorizeHold, out: list[Event]
) -> Event | Known | Refusal:
    """Reserve the estimate's price, or record the denial: both replay (rules H1, I2)."""
    account = known_account(state, command.key, command.account)
    if not isinstance(account, Account):
        return account
    refusal = hold_refused(account, command.lifetime)
    if refusal is not None:
        return refusal
    sizing, most = command.sizing, command.quantities
    if sizing is not None:
        most = parts_within(state, account, command.shape, most, state.now)
    up_to = range_of(command.shape, most, command.up_to, command.minimum)
    if isinstance(up_to, Refusal):
        return up_to
    refusal = alternatives_refused(command)
    if refusal is not None:
        return refusal
    operation = command.operation
    refusal = operation_refused(state, account, operation)
    if refusal is not None:
        return refusal
    whole: Hold | None = None
    if command.hold:
        paying = paying_hold(
            state, account, command.hold, operation, command.shape, most, state.now
        )
        if isinstance(paying, Refusal):
            return paying
        whole = paying
        operation = operation or whole.operation
    afforded = assess_up_to(
        state, account, command.shape, most, up_to, state.now, command.quote, operation, whole
    )
    if isinstance(afforded, Refusal):
        return afforded
    found, quantities, limit = afforded
    terms = found.bound.terms
    if terms.outcome is not None:
        return outcome_expected(command.shape.product)
    if command.lifetime > terms.lifetime_max:
        return lifetime_invalid(command.lifetime, terms.lifetime_max)
    lifetime, ruling = command.lifetime, None
    if (account.rules is not None or command.alternatives) and not command.quote:
        ruled = rule(
            state, account, command.shape, most, up_to, command.alternatives,
            lifetime, afforded, state.now, operation, whole,
        )  # fmt: skip
        if ruled is not None:
            (found, quantities, limit), _, up_to, lifetime, ruling, _ = ruled
    if found.denied:
        return deny(
            state, account, found, most, out, command.key, command.trace,
            command.lifetime, command.quote, up_to, operation=operation, ruling=ruling,
            sizing=sizing, hold=command.hold,
        )  # fmt: skip
    return authorized(
        state,
        account,
        found,
        quantities,
        lifetime,
        out,
        command.key,
        command.trace,
        command.quote,
        up_to,
        limit,
        ruling,
        sizing,
        operation,
        whole=command.hold,
    )


def operation_refused(state: State, account: Account, operation: bytes) -> Refusal | None:
    """Why no work of the operation may run: a budget would have to cover it that can know of no
    more operations."""
    if not operation:
        return None
    if not joins_no_more(state, account, operation, state.now):
        return None
    return Refusal(
        Reason.OPERATIONS_LIMIT,
        "operation",
        str(OPERATIONS_KNOWN_MAX),
        "as many operations of the family have a budget, or are known to be below others, as may "
        "be; make calls part of those that are known, or let budgets of operations end sooner",
    )


def parts_within(
    state: State, account: Account, shape: Shape, quantities: tuple[int, ...], now: int
) -> tuple[int, ...]:
    """Quantities that were learned one by one, parts cut to what is left of their whole (R8)."""
    return within_wholes(bound_for(state, account, shape, now, quantities).plan, quantities)


def alternatives_refused(command: AuthorizeHold | DebitWork) -> Refusal | None:
    """Why the request may not name these alternatives, if it may not."""
    if not command.alternatives:
        return None
    if isinstance(command, AuthorizeHold) and command.quote:
        return Refusal(
            Reason.ALTERNATIVES_INVALID,
            "alternatives",
            str(command.quote),
            "a quote prices the work that it is for; leave it or the alternatives out",
        )
    return alternatives_invalid(command.alternatives, Reason.ALTERNATIVES_INVALID)


def range_of(
    shape: Shape, quantities: tuple[int, ...], named: str, minimum: int
) -> UpTo | Refusal | None:
    """What is asked for as far as it is affordable: of a named quantity from a minimum to what the
    quantities say; None = all of it or nothing."""
    if not named:
        return None
    if named not in shape.quantity_names:
        return Refusal(
            Reason.UP_TO_INVALID, "up_to.quantity", named, "name one of the quantities asked for"
        )
    maximum = quantities[shape.quantity_names.index(named)]
    if not 0 <= minimum <= maximum:
        return Refusal(
            Reason.UP_TO_INVALID,
            "up_to.minimum",
            str(minimum),
            f"the minimum is from 0 to the quantity asked for, {maximum}",
        )
    return UpTo(named, minimum, maximum)


def assess_up_to(
    state: State,
    account: Account,
    shape: Shape,
    quantities: tuple[int, ...],
    up_to: UpTo | None,
    now: int,
    quote: int = 0,
    operation: bytes = b"",
    hold: Hold | None = None,
) -> Afforded | Refusal:
    """Decide without recording: all of it, or as much as is affordable of what may be less."""
    if up_to is not None:
        return afford(state, account, shape, quantities, up_to, now, operation=operation, hold=hold)
    found = assess(state, account, shape, quantities, now, quote, operation=operation, hold=hold)
    return found if isinstance(found, Refusal) else Afforded(found, quantities, None)


def deny(
    state: State,
    account: Account,
    found: Assessment,
    quantities: tuple[int, ...],
    out: list[Event],
    key: bytes,
    trace: bytes,
    lifetime: int = 0,
    quote: int = 0,
    up_to: UpTo | None = None,
    debit: int = 0,
    operation: bytes = b"",
    ruling: Ruling | None = None,
    sizing: Sizing | None = None,
    hold: int = 0,
) -> WorkDenied:
    """Append the denial of what was found, with the limit that decided it. Where a rule asks for a
    top-up, the account's own rule of top-ups asks for what is missing (rule H6). `hold`: of an
    operation, which was to pay first."""
    figures = (
        key,
        account.number,
        declare(state, found.bound.declaration, out),
        quantities,
        found.charge,
        min(found.available, INT64_MAX),  # a sum of grants may not fit (rule N1)
        found.denied,
        lifetime,
        account.version,
        trace,
        quote,
        limit_of(state, account, found, state.now),
        up_to,
        debit,
        operation,
    )
    joined: list[Said] = []
    if operation:
        place = state.batch_length + len(out)
        joined = joining(state, account, operation, place, state.now)
    if ruling is None and sizing is None:
        denied = WorkDenied(*figures) if not hold else HoldDebitDenied(*figures, None, hold)
        out.append(denied)
        out.extend(joined)
        return denied
    requested = None
    if ruling is not None and ruling.missing:
        requested = request_missing(state, account, found.asset, ruling.missing)
        number = requested.top_up if requested else pending_top_up(account, found.asset)
        ruling = replace(ruling, top_up=number)
    denied = PolicyDenied(*figures, ruling)
    if hold:
        denied = HoldDebitDenied(*figures, ruling, hold)
    elif sizing is not None:
        denied = SizedDenied(*figures, ruling, *said_of(sizing))
    out.append(denied)
    if requested is not None:
        out.append(requested)
    out.extend(joined)
    return denied
