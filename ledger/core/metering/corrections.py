"""Deciding corrections: recorded usage given back, last slice first (rules D3, R1, T2).

The recorded slices are unwound, whatever today's order of grants is. Reads state, changes nothing:
the entry that is corrected comes with the command, as the journal has it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from ledger.core.admission import keys_exhausted, recorded_before, refuse_closed, unknown_account
from ledger.core.commands import AmendUsage, Original, ReverseUsage
from ledger.core.drawing.conversion import give_back_converted
from ledger.core.drawing.unwinding import Unwinding
from ledger.core.events import (
    AdjustmentNoted,
    Event,
    GaugeReported,
    PlanDeclared,
    Pot,
    RerateShare,
    RerateShared,
    ScopedAdvance,
    SuspenseRated,
    UsageLeased,
    UsageQuarantined,
    UsageQuoted,
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
from ledger.core.metering.levels import give_back_levels
from ledger.core.metering.usage import decide_replacement
from ledger.core.opening import declare
from ledger.core.outcomes import Known, Reason, Refusal
from ledger.core.pricing.cost_refunds import (
    bearing_nothing,
    cost_given_back,
    cost_shares,
    given_back_with,
    open_for,
)
from ledger.core.pricing.pricing import (
    NOTHING_MOVED,
    Place,
    closed_period,
    minimums_moved,
    moves_of,
    rating_fault,
)
from ledger.core.pricing.quoted import refund_quoted
from ledger.core.pricing.rerate_shares import given_by_others
from ledger.core.pricing.shared_totals import KIND_MASK, is_daily
from ledger.core.state import Account, Corrected, Family, State
from rating.functions import MEASURE_COST, SCOPE_MONTH
from rating.model_lines import Facts, Standing
from rating.plan import UNPRICED, Plan
from rating.price import RatingFault, own_quantities, refund, refund_own, rerate
from rating.rounding import rounded


class WholeRefund(NamedTuple):
    """What giving all that is left of an event back is to be: its quantities and lines, all that is
    given back with what earlier usage costs less by it, and how far totals move back."""

    quantities: tuple[int, ...]
    lines: tuple[int, ...]
    amount: int
    moves: Mapping[Place, int]


_OWED_BY_NOBODY = (Pot.GRANT, Pot.ABSORBED, Pot.CONVERTED)
_NOTHING = Corrected(0, (), 0, 0)


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
    parts = _parts(state, account, command, out)
    if command.as_charged:
        return _as_charged(state, account, command, parts, out)
    made = _by_quantities(state, account, command, parts, out)
    if isinstance(made, Refusal):
        del out[began:]
        return made
    if cost_plan is not None:
        left = _quantities_left(parts[-1].recorded, parts[-1].before)
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
            Reason.NOT_REVERSIBLE, "entry", entry, "the entry is no recorded usage of the account"
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


# -- how much ------------------------------------------------------------------------------------


def _as_charged(
    state: State,
    account: Account,
    command: ReverseUsage,
    parts: list[_Part],
    out: list[Event],
) -> Event | Refusal:
    """Goodwill: some of the charge, the quantities stay (rule R1)."""
    usage = parts[-1]
    stands = any(_quantities_left(usage.recorded, usage.before))
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


def _stands(account: Account, part: _Part, *, stands: bool) -> int:
    """What is left of a part's charge: of rows with a running total no more than they have drawn
    still, as re-rates give back of it too; none once all `stands` no more."""
    draws = part.recorded.draws
    if not draws:
        return part.left
    if not stands:
        return 0
    places = list({(each.key, each.scope, each.start): None for each in draws})
    drawn = sum(part.unwinding.drawn_by_rows(account, places, part.recorded.period).values())
    apart = _charge(part.recorded) - sum([each.amount for each in draws])
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
    parts: list[_Part],
    out: list[Event],
) -> UsageReversed | Refusal:
    """F(Q) - F(Q - q) of each line, out of the event's slices, last first."""
    usage = parts[-1]
    left = _quantities_left(usage.recorded, usage.before)
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


def _unwind(account: Account, part: _Part) -> int:
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
        beyond += unwinding.beyond(account, part.declared, more, period)
    return beyond


class _Costs:
    """What quantities cost less: each line, the totals that move back, and of the rows that have a
    running total (whose, the line, what of it the event has drawn itself)."""

    __slots__ = ("lines", "moves", "rerated", "rerates", "rows", "scoped")

    def __init__(self, count: int) -> None:
        self.lines: tuple[int, ...] = (0,) * count
        self.moves: tuple[tuple[int, int], ...] = ()
        self.scoped: tuple[ScopedAdvance, ...] = ()
        self.rows: list[tuple[tuple[int, int, int], int, int]] = []
        self.rerated = 0  # what earlier quantity costs more or less by it
        self.rerates = 0  # ... and that as a sum with its signs, above 0 where it costs less


def _modeled(
    state: State,
    account: Account,
    plan: Plan,
    declared: PlanDeclared,
    recorded: UsageRecorded,
    before: Corrected,
    left: tuple[int, ...],
    quantities: tuple[int, ...],
    places: tuple[int, ...],
    moved: Mapping[Place, int],
) -> _Costs:
    """The same where rows have models, by what still stands of the event and its scopes (rule R1).

    Only of the quantities at `places`. A line whose day is forgotten, or that rests on a cost that
    its entry does not know, gives back its share of what it was charged, all of it with the last of
    its quantity.
    """
    costs = _Costs(len(quantities))
    starts = {key: (SCOPE_MONTH, recorded.period) for key, _ in recorded.advances}
    starts.update({each.key: (each.scope, each.start) for each in recorded.scoped})
    charged = _charges_left(recorded, before)
    forgotten = {
        key
        for key, (scope, start) in starts.items()
        if is_daily(scope) and start <= state.days_before
    }
    back, stood_costs = cost_shares(recorded, left, quantities)
    by_share = {
        index
        for index, function in enumerate(plan.functions)
        if plan.keys[index] in forgotten
        or (
            function is not None
            and function.measure == MEASURE_COST
            and (not back or back[index] == UNPRICED)
        )
    }
    stands = [
        UNPRICED if index not in places or index in by_share else charge
        for index, charge in enumerate(charged)
    ]
    totals = {
        key: state.total(account, (key, *start)) + moved.get((key, *start), 0)
        for key, start in starts.items()
    }
    facts = Facts(dict(declared.attributes), back)
    standing = Standing(left, stands, stood_costs)
    refunds, moves = refund(plan, quantities, totals, facts, standing)
    lines = list(refunds)
    own, stood = own_quantities(plan, quantities), own_quantities(plan, left)
    for index, key in enumerate(plan.keys):
        if index not in places:
            continue
        if plan.lists[index] is not None and own[index]:
            stays = stood[index] - own[index]
            lines[index] = _listed_refund(plan, recorded, index, stays, charged[index])
        elif index in by_share and charged[index] > 0 and own[index]:
            lines[index] = charged[index] * own[index] // stood[index]
        elif lines[index] and plan.functions[index] is not None and key in starts:
            drew = min(lines[index], charged[index])
            costs.rows.append(((key, *starts[key]), lines[index], drew))
    costs.lines = tuple(lines)
    costs.moves = tuple([each for each in moves if starts[each[0]][0] == SCOPE_MONTH])
    costs.scoped = tuple(
        [
            ScopedAdvance(key, *starts[key], quantity)
            for key, quantity in moves
            if starts[key][0] != SCOPE_MONTH
        ]
    )
    after = {key: totals[key] - quantity for key, quantity in moves}
    rerated = [amount for _, amount in rerate(plan, quantities, after)]
    costs.rerated = sum([abs(amount) for amount in rerated])
    costs.rerates = sum(rerated)
    return costs


def _listed_refund(plan: Plan, recorded: UsageRecorded, index: int, stays: int, left: int) -> int:
    """What a line with a list price costs less where `stays` of its quantity is left: commitments
    pay what they did, as far as that costs so much at commit rate, and the rest stays at list
    (rules R9, D3). So parts that are given back add up to what was charged."""
    if left <= 0:
        return 0
    line = next((each for each in recorded.listed if each.place == index), None)
    if line is None or stays <= 0:
        return left
    whole = own_quantities(plan, recorded.quantities)[index]
    paid = min(line.paid, line.commit * stays // whole)
    rest = rounded(
        line.listed * (line.commit * stays - paid * whole), line.commit * whole, plan.rounding
    )
    return max(0, left - paid - rest)


def _charges_left(recorded: UsageRecorded, before: Corrected) -> list[int]:
    """What of each line was not given back, -1 where it waits for its price."""
    refunds = before.refunds or (0,) * len(recorded.charges)
    return [
        charge if charge == UNPRICED else max(0, charge - refunded)
        for charge, refunded in zip(recorded.charges, refunds, strict=True)
    ]


def _record(
    state: State,
    account: Account,
    part: _Part,
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
    state: State, account: Account, part: _Part, made: UsageReversed, out: list[Event]
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
        return hold.authorized_at
    settled = state.settled_hold(account, recorded.hold)
    return settled.authorized_at if settled is not None else 0


class _Part:
    """One entry that charged the usage: its own, or one that rated what had waited (rule B8)."""

    def __init__(
        self,
        state: State,
        account: Account,
        command: ReverseUsage,
        out: list[Event],
        earlier: Unwinding | None,
    ) -> None:
        """`command` names the entry; `earlier` is what this decision has given back already."""
        recorded = command.original.event
        declared = command.original.plan
        assert isinstance(recorded, UsageRecorded) and declared is not None
        family = state.families[account.root]
        locator = command.original.locator
        if recorded.cost is not None:  # it goes back apart, where it does
            recorded = replace(recorded, slices=bearing_nothing(recorded.slices))
        self.command = command
        self.recorded = recorded
        self.declared = declared
        self.before = family.corrected.get(locator, _NOTHING)
        self.left = _charge(recorded) - self.before.amount
        self.unwinding = Unwinding(
            state, declared.product, recorded.used_book, command.ended, locator, out, earlier
        )
        self.costs = _Costs(len(recorded.quantities))
        self.of_others: list[tuple[Place, int]] = []  # what others bear, of totals they share
        self._state = state
        self._account = account
        self._waiting = family.waiting.get(locator)
        self._waits_no_more = False
        self._places: tuple[int, ...] | None = None  # that it charged; None = all with a price
        if isinstance(recorded, SuspenseRated):
            self._places = recorded.rated

    @property
    def refunds_any(self) -> bool:
        """Whether there is anything to be recorded of it."""
        return bool(self.costs.moves or self.costs.scoped) or any(self.costs.lines)

    def price(
        self,
        quantities: tuple[int, ...],
        rest: tuple[int, ...],
        moved: Mapping[Place, int] = NOTHING_MOVED,
    ) -> RatingFault | None:
        """Work out what these quantities cost less where `rest` stays; or what is wrong. `moved`:
        see `ledger.core.pricing.pricing.price`."""
        account, declared, recorded = self._account, self.declared, self.recorded
        plan = self._state.catalog.plan_of(account.tenant, declared)
        own: Sequence[int] = rest
        if plan is not None:
            assert plan.rows == declared.rows, (plan.rows, declared.rows)
            try:
                own = own_quantities(plan, rest)
                if plan.modeled:
                    left = tuple([a + b for a, b in zip(rest, quantities, strict=True)])
                    places = tuple(range(plan.count)) if self._places is None else self._places
                    self.costs = _modeled(
                        self._state, account, plan, declared, recorded, self.before, left,
                        quantities, places, moved,
                    )  # fmt: skip
                else:
                    totals = _totals(account, plan, recorded.period, moved)
                    if isinstance(recorded, UsageQuoted) and recorded.part is not None:
                        refunds, moves = refund_quoted(
                            self._state, account, plan, recorded, quantities, rest, totals
                        )
                    else:
                        back = self._charged_here(own_quantities(plan, quantities))
                        refunds, moves = refund_own(plan, back, back, totals)
                    self.costs.lines, self.costs.moves = refunds, moves
            except RatingFault as fault:
                return fault
        if self._waiting is not None:
            self._waits_no_more = not any(own[place] for place in self._waiting.places)
        return None

    def _charged_here(self, own: Sequence[int]) -> Sequence[int]:
        """Only those of the quantities that the entry charged: others never moved its totals."""
        places = self._places
        if places is None:
            return own
        return [quantity if at in places else 0 for at, quantity in enumerate(own)]

    def waits_no_more(self) -> int:
        """1: nothing of what it put aside is left."""
        return 1 if self._waits_no_more else 0


def _parts(state: State, account: Account, command: ReverseUsage, out: list[Event]) -> list[_Part]:
    """The entries that charged the usage, in the order in which they give back: the last first,
    that of the usage itself at the end."""
    parts: list[_Part] = []
    earlier: Unwinding | None = None
    for rated in reversed(command.rated):
        apart = replace(command, key=b"", original=rated)
        part = _Part(state, account, apart, out, earlier)
        earlier = part.unwinding
        parts.append(part)
    parts.append(_Part(state, account, command, out, earlier))
    return parts


def whole_refund(
    state: State, account: Account, original: Original, moved: Mapping[Place, int]
) -> WholeRefund | RatingFault:
    """What giving all that is left of an event back is to be, without doing it: what is decided to
    come before has `moved` totals so far. Of usage that was rated at once."""
    part = _Part(state, account, ReverseUsage(b"", account.number, original), [], None)
    left = _quantities_left(part.recorded, part.before)
    fault = part.price(left, (0,) * len(left), moved)
    if fault is not None:
        return fault
    costs, period = part.costs, part.recorded.period
    moves: dict[Place, int] = {(key, SCOPE_MONTH, period): by for key, by in costs.moves}
    for each in costs.scoped:
        moves[each.key, each.scope, each.start] = each.quantity
    return WholeRefund(left, costs.lines, sum(costs.lines) + costs.rerates, moves)


def _charge(recorded: UsageRecorded) -> int:
    return sum([piece.amount for piece in recorded.slices])


def _quantities_left(recorded: UsageRecorded, before: Corrected) -> tuple[int, ...]:
    if not before.quantities:
        return recorded.quantities
    return tuple([a - b for a, b in zip(recorded.quantities, before.quantities, strict=True)])


def _totals(
    account: Account, plan: Plan, period: int, moved: Mapping[Place, int]
) -> dict[int, int]:
    """Rounding positions of the event's period (rule R1)."""
    return {
        row: account.totals.get((row, period), 0) + moved.get((row, SCOPE_MONTH, period), 0)
        for row, _ in plan.running
    }


def _too_large(field: str, left: int, of_what: str) -> Refusal:
    return Refusal(
        Reason.CORRECTION_TOO_LARGE,
        field,
        str(left),
        f"more {of_what} would be given back than is left of the event",
    )
