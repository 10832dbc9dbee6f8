"""Deciding corrections: recorded usage given back, last slice first (rules D3, R1, T2).

The recorded slices are unwound, whatever today's order of grants is. Reads state, changes nothing:
the entry that is corrected comes with the command, as the journal has it.
"""

from __future__ import annotations

from msgspec.structs import replace

from ledger.core.admission import keys_exhausted, recorded_before, refuse_closed, unknown_account
from ledger.core.commands import AmendUsage, Original, ReverseUsage
from ledger.core.drawing.conversion import give_back_converted
from ledger.core.drawing.unwinding import Unwinding
from ledger.core.events import (
    AdjustmentNoted,
    Event,
    GaugeReported,
    Pot,
    RerateShare,
    RerateShared,
    SuspenseRated,
    UsageLeased,
    UsageQuarantined,
    UsageRecorded,
    UsageReversed,
)
from ledger.core.limits import (
    CORRECTED_A_FAMILY_MAX,
    CORRECTION_WINDOW_US,
    INT64_MAX,
    QUANTITIES_MAX,
)
from ledger.core.metering.gauging import take_report_back
from ledger.core.metering.given_back import RecordedPart, charge_of, parts_of, quantities_left
from ledger.core.metering.levels import give_back_levels
from ledger.core.metering.usage import decide_replacement
from ledger.core.opening import declare
from ledger.core.outcomes import Known, Reason, Refusal
from ledger.core.pricing.cost_refunds import (
    cost_given_back,
    given_back_with,
    open_for,
)
from ledger.core.pricing.pricing import (
    Place,
    closed_period,
    minimums_moved,
    moves_of,
    rating_fault,
)
from ledger.core.pricing.rerate_shares import given_by_others
from ledger.core.pricing.shared_totals import KIND_MASK
from ledger.core.state import Account, Family, State

_OWED_BY_NOBODY = (Pot.GRANT, Pot.ABSORBED, Pot.CONVERTED)


def decide_reverse(
    state: State, command: ReverseUsage, out: list[Event]
) -> Event | Known | Refusal:
    """Give back what is asked for of the event that comes with the command, or say why not."""
    known = recorded_before(state, command.key)
    if known is not None:
        return known
    account = state.accounts.get(command.account)
    if account is None:
        return unknown_account(command.account)
    if isinstance(command.original.event, GaugeReported):
        return take_report_back(state, account, command, out)
    return _decide(state, command, out, command.replaced_by, command.replacement)


def _decide(
    state: State,
    command: ReverseUsage,
    out: list[Event],
    replaced_by: bytes = b"",
    replacement: bytes = b"",
) -> Event | Refusal:
    account = state.accounts[command.account]
    refusal = _refused(state, account, command)
    if refusal is not None:
        return refusal
    began = len(out)
    cost_plan = command.original.cost_plan if command.refund_cost or replaced_by else None
    if command.as_charged:
        cost_plan = None  # the quantities stay
    cost_index = 0
    if cost_plan is not None:
        cost_index = declare(state, cost_plan, out)
        open_for(state, account, command.original, out)
    parts = parts_of(state, account, command, out)
    if command.as_charged:
        return _as_charged(state, account, command, parts, out)
    made = _by_quantities(state, account, command, parts, out)
    if isinstance(made, Refusal):
        del out[began:]
        return made
    if cost_plan is not None:
        left = quantities_left(parts[-1].recorded, parts[-1].before)
        cost = cost_given_back(
            state, account, command.original, left, made.quantities, cost_index, out
        )
        place = out.index(made)
        returned = given_back_with(made.given_back, cost.total)
        made = out[place] = replace(made, cost=cost, given_back=returned)
    if replaced_by:
        place = out.index(made)
        made = replace(made, replaced_by=replaced_by, replacement=replacement)
        out[place] = made
    return made


def decide_amend(state: State, command: AmendUsage, out: list[Event]) -> Event | Known | Refusal:
    """The reversal of an amendment; what stands in its stead is decided upon it (`execute`).

    Refused as a whole where either would be.
    """
    known = recorded_before(state, command.key)
    if known is not None:
        return known
    if state.keys.find(command.usage.key) is not None or command.usage.key == command.key:
        return Refusal(
            Reason.CONFLICT,
            "replacement.id",
            "",
            "the id of the usage that is to stand in its stead is recorded already; use a new one",
        )
    if command.account not in state.accounts:
        return unknown_account(command.account)
    if len(state.keys.newest) + 2 > state.keys.newest_max:
        return keys_exhausted(state)
    tried: list[Event] = []
    refusal = decide_replacement(state, command.usage, tried)
    if isinstance(refusal, Refusal):
        return refusal
    charge = sum([piece.amount for piece in refusal.slices])
    if refusal.cost is not None:
        charge = max(charge, refusal.cost.total)
    if charge > INT64_MAX - QUANTITIES_MAX:  # rounding may add 1 a line once the other is reversed
        return Refusal(
            Reason.OVERFLOW,
            "quantities",
            str(charge),
            "the charge hardly fits 64 bits; reverse the usage and record it anew in parts",
        )
    reversal = ReverseUsage(
        command.key,
        command.account,
        command.original,
        (),
        0,
        command.ended,
        command.note,
        command.names,
        command.trace,
        command.rated,
    )
    made = list(out)
    reversed_ = _decide(state, reversal, made, command.usage.key, command.body)
    if isinstance(reversed_, UsageReversed):  # what it takes off totals may make the other dearer
        moved = {place: -by for place, by in moves_of(reversed_).items()}
        again = decide_replacement(state, command.usage, [], moved)
        if isinstance(again, Refusal):
            return again
    out[:] = made
    return reversed_


def _refused(state: State, account: Account, command: ReverseUsage) -> Refusal | None:
    """Why the entry cannot be corrected, whatever is asked of it."""
    recorded = command.original.event
    entry = str(command.original.entry_seq)
    if isinstance(recorded, UsageReversed):
        return Refusal(
            Reason.NOT_REVERSIBLE,
            "entry",
            entry,
            "the entry is a reversal itself, which is not reversed; record the usage again under a "
            "new id",
        )
    if isinstance(recorded, UsageQuarantined):
        return Refusal(
            Reason.NOT_REVERSIBLE, "entry", entry, "the usage is quarantined: it was never charged"
        )
    if isinstance(recorded, GaugeReported):
        return Refusal(
            Reason.NOT_REVERSIBLE,
            "entry",
            entry,
            "a report of a gauge is not amended before its scope is charged: reverse it, and "
            "report what the gauge shows",
        )
    if (
        not isinstance(recorded, UsageRecorded)
        or isinstance(recorded, SuspenseRated)
        or recorded.account != command.account
        or command.original.plan is None
    ):
        return Refusal(
            Reason.NOT_REVERSIBLE,
            "entry",
            entry,
            "the entry is no recorded usage of the account; name one that is",
        )
    if recorded.effective_at < state.now - CORRECTION_WINDOW_US:
        return Refusal(
            Reason.CORRECTION_TOO_OLD,
            "entry",
            str(recorded.effective_at),
            "usage older than 400 days is not reversed; make a manual adjustment instead",
        )
    if account.closed_at:
        refusal = refuse_closed(state, account, recorded.effective_at)
        if refusal is not None:
            return refusal
    family = state.families[account.root]
    refusal = _refused_as_rated(family, command, recorded)
    if refusal is not None:
        return refusal
    if any(_is_written_off(state, account, each) for each in (command.original, *command.rated)):
        return Refusal(
            Reason.NOT_REVERSIBLE,
            "entry",
            entry,
            "what was owed for the usage was written off as its account closed; make a manual "
            "adjustment instead",
        )
    if (
        len(family.corrected) >= CORRECTED_A_FAMILY_MAX
        and command.original.locator not in family.corrected
        and len(family.remembered(state.corrected_before)) >= CORRECTED_A_FAMILY_MAX
    ):
        return Refusal(
            Reason.CORRECTIONS_LIMIT,
            "entry",
            str(CORRECTED_A_FAMILY_MAX),
            "so many usage events of the family were corrected within 400 days; make a manual "
            "adjustment instead",
        )
    return None


def _refused_as_rated(
    family: Family, command: ReverseUsage, recorded: UsageRecorded
) -> Refusal | None:
    """Why not, of usage that was rated after it had waited: what rated it is to come along."""
    locator = command.original.locator
    rated = family.rated.get(locator)
    if tuple([part.locator for part in command.rated]) != (rated.entries if rated else ()):
        return Refusal(
            Reason.RATED_MEANWHILE,
            "entry",
            str(command.original.entry_seq),
            "a price came for what waited of the usage; send the same again",
        )
    if (
        recorded.suspense
        and rated is None
        and locator <= family.rated_forgotten
        and locator not in family.waiting
    ):
        return Refusal(
            Reason.NOT_REVERSIBLE,
            "entry",
            str(command.original.entry_seq),
            "what rated the usage after it had waited is not remembered, for so many of the "
            "family's were; make a manual adjustment instead",
        )
    return None


def _is_written_off(state: State, account: Account, original: Original) -> bool:
    """Whether debt that the event drew is not owed any more, by the account or one above it."""
    locator, recorded = original.locator, original.event
    assert isinstance(recorded, UsageRecorded)
    slices = recorded.slices
    if original.conversion is not None:
        slices += original.conversion.slices
    if all(piece.pot in _OWED_BY_NOBODY for piece in slices):
        return False
    payers = (account, *state.ever_above(account))
    return any(locator < payer.written_off for payer in payers)


def _as_charged(
    state: State,
    account: Account,
    command: ReverseUsage,
    parts: list[RecordedPart],
    out: list[Event],
) -> Event | Refusal:
    """Goodwill: some of the charge, the quantities stay (rule R1)."""
    usage = parts[-1]
    stands = any(quantities_left(usage.recorded, usage.before))
    most = [_stands(account, part, stands=stands) for part in parts]
    left = sum(most)
    if command.as_charged > left:
        return _too_large("as_charged", left, "of the charge")
    due, apart = command.as_charged, 0
    for part, may in zip(parts, most, strict=True):
        own = min(due, may)
        if own == 0 and part is not parts[-1]:
            continue
        part.unwinding.unwind(part.recorded.slices, part.before.amount, own)
        _lower_rows(account, part.recorded, part.unwinding, own)
        due -= own
        made = _record(
            state,
            account,
            part,
            out,
            quantities=(0,) * len(part.recorded.quantities),
            as_charged=own,
            apart=apart if part is parts[-1] else 0,
        )
        apart += own
    return made


def _stands(account: Account, part: RecordedPart, *, stands: bool) -> int:
    """What is left of a part's charge: of rows with a running total no more than they have drawn
    still, as re-rates give back of it too; none once all `stands` no more."""
    draws = part.recorded.draws
    if not draws:
        return part.left
    if not stands:
        return 0
    places = list({(each.key, each.scope, each.start): None for each in draws})
    drawn = sum(part.unwinding.drawn_by_rows(account, places, part.recorded.period).values())
    apart = charge_of(part.recorded) - sum([each.amount for each in draws])
    return min(part.left, apart + drawn)


def _lower_rows(
    account: Account,
    recorded: UsageRecorded,
    unwinding: Unwinding,
    amount: int,
) -> None:
    """Goodwill is drawn no more by the rows of the event either, the last line first: it is not
    given back again by a re-rate."""
    drawn: dict[tuple[int, int, int], int] = {}
    for each in recorded.draws:
        place = (each.key, each.scope, each.start)
        drawn[place] = drawn.get(place, 0) + each.amount
    for place in reversed(list(drawn)):
        part = min(amount, drawn[place])
        unwinding.lower_row(account, place, part, recorded.period)
        amount -= part


def _by_quantities(
    state: State,
    account: Account,
    command: ReverseUsage,
    parts: list[RecordedPart],
    out: list[Event],
) -> UsageReversed | Refusal:
    """F(Q) - F(Q - q) of each line, out of the event's slices, last first."""
    usage = parts[-1]
    left = quantities_left(usage.recorded, usage.before)
    quantities = command.quantities or left
    if not any(left):
        return _too_large("quantities", 0, "of the quantities")
    for given, most in zip(quantities, left, strict=True):
        if given < 0:
            return Refusal(
                Reason.QUANTITY_INVALID, "quantities", str(given), "a quantity is zero or more"
            )
        if given > most:
            return _too_large("quantities", most, "of a quantity")
    if not any(quantities):
        return Refusal(
            Reason.QUANTITIES_ALL_ZERO, "quantities", "0", "at least one quantity is above zero"
        )
    rest = tuple([a - b for a, b in zip(left, quantities, strict=True)])
    for part in parts:
        fault = part.price(quantities, rest)
        if fault is not None:
            return rating_fault(fault)
        most = max(part.costs.rerated, sum([abs(line) for line in part.costs.lines]))
        if most > INT64_MAX:  # tiers may give back more than the event was charged
            return Refusal(
                Reason.OVERFLOW,
                "quantities",
                str(most),
                "what it gives back, or what earlier usage costs anew by it, does not fit 64 bits; "
                "reverse it in parts",
            )
    apart = 0
    for part in parts:
        beyond = _unwind(account, part)
        if part is usage or part.refunds_any:
            made = _record(
                state,
                account,
                part,
                out,
                quantities=quantities,
                beyond=beyond,
                suspended=part.waits_no_more(),
                apart=apart if part is usage else 0,
            )
            _note_others(state, account, part, made, out)
        apart += sum([piece.amount for piece in part.unwinding.given_back])
    return made


def _unwind(account: Account, part: RecordedPart) -> int:
    """Give back what a part costs less: out of its own slices as far as it drew it itself; returns
    what comes from other usage, of the same row for a line with a running total, else as rounding
    does (rule R1)."""
    unwinding, costs, before = part.unwinding, part.costs, part.before
    of_rows = min(sum([own for _, _, own in costs.rows]), part.left)
    due = sum(costs.lines) - sum([line for _, line, _ in costs.rows])
    of_others = min(due, part.left - of_rows)
    drawn: dict[int, int] | None = None
    if costs.rows:  # re-rates have given back of what it drew itself, and have drawn elsewhere
        places = [place for place, _, _ in costs.rows]
        drawn = unwinding.drawn_by_rows(account, places, part.recorded.period)
        if of_others:
            for piece in part.recorded.slices:
                drawn[piece.book] = drawn.get(piece.book, 0) + of_others
    missed = unwinding.unwind(part.recorded.slices, before.amount, of_rows + of_others, drawn)
    of_rows -= min(missed, of_rows)
    elsewhere: list[tuple[Place, int]] = []
    for place, line, own in reversed(costs.rows):
        taken = min(own, of_rows)
        unwinding.lower_row(account, place, taken, part.recorded.period)
        of_rows -= taken
        more = min(own - taken, missed)
        missed -= more
        elsewhere.append((place, more if before.as_charged else line - own + more))
    beyond = 0
    for place, more in elsewhere:
        given = unwinding.from_row(account, place, more)
        if place[1] > KIND_MASK and given < more and not before.as_charged:
            part.of_others.append((place, more - given))
        beyond += given
    if due > of_others and not before.as_charged:
        more, period = due - of_others, part.recorded.period
        at = part.recorded.effective_at
        beyond += unwinding.beyond(account, part.declared, more, period, at)
    return beyond


def _record(
    state: State,
    account: Account,
    part: RecordedPart,
    out: list[Event],
    *,
    quantities: tuple[int, ...],
    beyond: int = 0,
    suspended: int = 0,
    as_charged: int = 0,
    apart: int = 0,
) -> UsageReversed:
    command, recorded, unwinding = part.command, part.recorded, part.unwinding
    scoped = part.costs.scoped
    minimums = state.catalog.minimums_of(account.tenant, part.declared)
    if minimums:
        back = sum([piece.amount for piece in unwinding.given_back]) + unwinding.kept
        lines = recorded.charges if as_charged else part.costs.lines
        scoped += minimums_moved(minimums, recorded.scoped, back, lines)
    reversal = UsageReversed(
        command.key,
        account.number,
        command.original.locator,
        command.original.entry_seq,
        recorded.effective_at,
        declare(state, part.declared, out),
        quantities,
        part.costs.lines,
        unwinding.used_book,
        tuple(unwinding.given_back),
        recorded.period,
        part.costs.moves,
        as_charged,
        beyond,
        unwinding.kept,
        suspended,
        0 if command.quantities or command.as_charged else 1,
        command.ended,
        command.note,
        trace=command.trace,
        apart=apart,
        scoped=scoped,
        draws=unwinding.draws,
        refund_cost=int(command.refund_cost),
        counted_at=_counted_at(state, account, recorded),
    )
    entry = state.batch_length + len(out)
    out.append(reversal)
    give_back_converted(state, account, command, entry, unwinding, out)
    if not isinstance(recorded, SuspenseRated):
        give_back_levels(state, account, command, quantities, entry, out)
    closed, period = closed_period(state, account, recorded.effective_at)
    if closed is not None:
        out.append(AdjustmentNoted(account.number, entry, closed, period))
    return reversal


def _note_others(
    state: State, account: Account, part: RecordedPart, made: UsageReversed, out: list[Event]
) -> None:
    """Append what other accounts are owed, for the reversal gives back more than its own was ever
    charged by a total that they share (rules R1, D8)."""
    shares: list[RerateShare] = []
    plan = state.catalog.plan_of(account.tenant, part.declared)
    moved = {(each.key, each.scope, each.start): each.quantity for each in part.costs.scoped}
    for place, amount in part.of_others:
        assert plan is not None
        index = plan.keys.index(place[0])
        row, function = plan.rows[index], plan.functions[index]
        assert function is not None, place
        by = moved.get(place, 0)
        share = given_by_others(state, account, place, row, function, amount, by)
        if share is not None:
            shares.append(share)
    if shares:
        entry = state.batch_length + out.index(made)
        out.append(RerateShared(account.number, entry, made.effective_at, made.plan, tuple(shares)))


def _counted_at(state: State, account: Account, recorded: UsageRecorded) -> int:
    """When the usage of a child counts towards caps, where it captured a hold that is remembered
    (rule H5)."""
    if not recorded.hold or recorded.late or account.parent is None:
        return 0
    if isinstance(recorded, UsageLeased):
        return recorded.counted_at
    hold = state.holds.get(recorded.hold)
    if hold is not None:
        return hold.counted_at
    settled = state.settled_hold(account, recorded.hold)
    return settled.counted_at if settled is not None else 0


def _too_large(field: str, left: int, of_what: str) -> Refusal:
    return Refusal(
        Reason.CORRECTION_TOO_LARGE,
        field,
        str(left),
        f"more {of_what} would be given back than is left of the event; give back at most that",
    )
