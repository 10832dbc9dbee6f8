"""Budgets of operations: what calls say of their tree, what counts, what allows no more (rule H4).

What counts in a budget is written down with the usage, so that a reversal lowers just that. What
follows an entry is worked out once all that was decided with it stands: `Shard.behind`.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from msgspec.structs import replace

from ledger.core import events as e
from ledger.core.events import BudgetMeasure, BudgetMove, BudgetTerms, GrantKind, WindowKind
from ledger.core.limits import DAY_US
from ledger.simulation.model.shard import WINDOW_US, Shard
from ledger.simulation.model.windows import (
    ALWAYS,
    FOR_EVER,
    count,
    kept,
    left_in,
    place_of,
    tally,
    told_until,
    within,
)
from ledger.simulation.naive_holdings import (
    NaiveAccount,
    NaiveBudget,
    NaiveHold,
    NaiveUsage,
    Operations,
    Piece,
    Use,
)
from ledger.simulation.rules import Rule

RULE: Final = Rule.BUDGETED
DIGEST: Final = 16  # bytes of an operation's digest; behind it stands that of its parent
AT_ONCE: Final = (BudgetMeasure.REQUESTS, BudgetMeasure.QUANTITY)
CHANGEABLE: Final = ("limit", "hard", "thresholds")
ENDED_AT_ONCE: Final = 16


# -- set, joined, ended ----------------------------------------------------------------------------


def budget_set(m: Shard, event: e.OperationBudgetSet) -> None:
    """A new one, or another limit of one that goes on counting; those that stood idle have gone."""
    account = m.deciding(event.account)
    m.expect(Rule.CLOSED_TAKES_NOTHING, "budget of a closed account", 0, account.closed_at)
    family = m.operations.setdefault(account.root, Operations())
    m.ahead = [each for each in m.ahead if not isinstance(each, e.OperationBudgetEnded)]
    budget = family.own.get(event.operation)
    version = budget.version if budget is not None else 0
    if event.expected_version:
        m.expect(Rule.POLICY_VERSIONS, "as expected", version, event.expected_version)
    m.expect(Rule.POLICY_VERSIONS, "version of the budget", version + 1, event.version)
    m.expect(RULE, "window", WindowKind.LIFETIME, event.terms.window.kind)
    if len(family.own) < ENDED_AT_ONCE:
        left = [each.number for each in family.own.values() if idle(m, each)]
        m.expect(RULE, "budgets that stand idle and are kept", [], left)
    if budget is None:
        m.budgets_made += 1
        budget = NaiveBudget(m.budgets_made, account.number, event.operation, event.terms)
        family.own[event.operation] = budget
    elif fixed_field(budget, account, event.terms):
        m.fail(RULE, f"{event} changes what {budget} counts")
    m.expect(RULE, "number", budget.number, event.budget)
    budget.version, budget.terms, budget.idle = event.version, event.terms, event.idle
    told = budget.crossed
    budget.crossed = {each: told[each] for each in told if each in event.terms.thresholds}
    budget.seen_at = m.recorded_at


def budget_ended(m: Shard, event: e.OperationBudgetEnded) -> None:
    """Nothing counted there for as long as it stands idle. The setting of another one says so, or
    that its operation joins what it covered: then it follows a call."""
    end_budget(m, event)
    m.ahead.append(event)


def end_budget(m: Shard, event: e.OperationBudgetEnded) -> None:
    """What it covered is covered by the one above it."""
    family = m.operations[m.accounts[event.account].root]
    budget = family.own.pop(event.operation)
    facts = (budget.number, budget.account)
    m.expect(RULE, "budget that ends", facts, (event.budget, event.account))
    if not idle(m, budget):
        m.fail(RULE, f"{budget} ends, and is not idle")
    above = family.joined.get(event.operation)
    for operation, joined in list(family.joined.items()):
        if joined is budget and above is None:
            del family.joined[operation]
        elif joined is budget and above is not None:
            family.joined[operation] = above


def fixed_field(budget: NaiveBudget, account: NaiveAccount, terms: BudgetTerms) -> str:
    """In what terms are others that never change; "" = in nothing."""
    if budget.account != account.number:
        return "account"
    for field in BudgetTerms.__struct_fields__:
        if field not in CHANGEABLE and getattr(terms, field) != getattr(budget.terms, field):
            return field
    return ""


def idle(m: Shard, budget: NaiveBudget) -> bool:
    """Whether it counts no more: no hold pends there, and nothing has counted for long."""
    return not budget.held and budget.seen_at + budget.idle <= m.recorded_at


def standing(m: Shard, account: NaiveAccount, operation: bytes) -> NaiveBudget | None:
    """The budget that an operation has itself."""
    family = m.operations.get(account.root)
    budget = family.own.get(operation) if family is not None else None
    return budget if budget is not None and not idle(m, budget) else None


# -- which budgets cover a call --------------------------------------------------------------------


def covering(m: Shard, account: NaiveAccount, said: bytes) -> list[NaiveBudget]:
    """The budgets that cover a call: that of its operation, then those above it, once it has joined
    what its parent says. Of accounts elsewhere none does, nor does one that stands idle."""
    family = m.operations.get(account.root)
    if not said or family is None:
        return []
    operation = said[:DIGEST]
    joined = joining(m, account, said) or family.joined.get(operation)
    own = family.own.get(operation)
    found = [each for each in (own, *line_of(family, joined)) if each is not None]
    line = {each.number for each in m.line(account)}
    return [each for each in found if each.account in line and not idle(m, each)]


def line_of(family: Operations, budget: NaiveBudget | None) -> list[NaiveBudget]:
    """A budget, and those that cover it, too."""
    found = []
    while budget is not None:
        found.append(budget)
        budget = family.joined.get(budget.operation)
    return found


def joining(m: Shard, account: NaiveAccount, said: bytes) -> NaiveBudget | None:
    """The budget that an operation joins by such a call: the nearest of its parent that goes on and
    is for the account. Once it has joined one it stays there for as long as that or one above goes
    on, and none is below itself."""
    family = m.operations.get(account.root)
    if len(said) <= DIGEST or family is None:
        return None
    operation, parent = said[:DIGEST], said[DIGEST:]
    if not all(idle(m, each) for each in line_of(family, family.joined.get(operation))):
        return None
    line = {each.number for each in m.line(account)}
    above = line_of(family, family.own.get(parent) or family.joined.get(parent))
    for budget in above:
        if budget.account in line and not idle(m, budget):
            of_itself = [x for x in line_of(family, budget) if x.operation == operation]
            return None if of_itself and not idle(m, of_itself[0]) else budget
    return None


def budgeted(m: Shard, account: NaiveAccount) -> bool:
    """Whether a budget of its own or of one above it bounds it, as that of a mandate."""
    return any(each.budgets for each in m.line(account))


def counting(m: Shard, account: NaiveAccount, said: bytes) -> list[NaiveBudget]:
    """The budgets that count a call: those of accounts, the nearest first, then those of its
    operation."""
    own = [budget for each in m.line(account) for budget in each.budgets]
    return [*own, *covering(m, account, said)]


# -- what counts -----------------------------------------------------------------------------------


def applies(terms: BudgetTerms, use: Use) -> bool:
    """Whether it counts such usage."""
    named = not terms.products and not terms.tags
    named = named or use.product in terms.products or bool(set(terms.tags) & set(use.tags))
    return named and set(terms.attributes) <= set(use.attributes)


def amount_of(
    m: Shard,
    terms: BudgetTerms,
    asset: int,
    pieces: list[Piece],
    names: tuple[str, ...],
    quantities: tuple[int, ...],
    charge: int,
) -> int:
    """What some work counts."""
    match terms.measure:
        case BudgetMeasure.REQUESTS:
            return 1
        case BudgetMeasure.QUANTITY:
            return dict(zip(names, quantities, strict=True)).get(terms.quantity, 0)
        case BudgetMeasure.CHARGE:
            return charge if asset == terms.asset else 0
        case BudgetMeasure.NET_CHARGE if asset == terms.asset:
            return net(m, pieces)
        case _:
            return 0  # worlds have no costs


def net(m: Shard, pieces: list[Piece]) -> int:
    """What of them promotional grants do not pay."""
    return sum(piece.amount for piece in pieces if not _promotional(m, piece.place))


def reserves(terms: BudgetTerms, asset: int) -> bool:
    """Whether a hold of an operation pends there: it counts the charge of all usage in an asset."""
    of_all = not terms.products and not terms.tags and not terms.attributes
    of_charge = terms.measure in (BudgetMeasure.CHARGE, BudgetMeasure.NET_CHARGE)
    return of_all and of_charge and terms.asset == asset


def _promotional(m: Shard, place: tuple[str, int]) -> bool:
    kind, number = place
    return kind == "grant" and m.grants[number].kind == GrantKind.PROMOTIONAL


def exceeded(
    m: Shard,
    account: NaiveAccount,
    operation: bytes,
    use: Use,
    asset: int,
    pieces: list[Piece],
    names: tuple[str, ...],
    quantities: tuple[int, ...],
    charge: int,
    drawn: Taken | None = None,
) -> tuple[NaiveBudget, int] | None:
    """The first hard budget that does not allow work, and what is left of it. What is `drawn` of a
    hold that pends there has been allowed before."""
    for budget in counting(m, account, operation):
        terms = budget.terms
        amount = amount_of(m, terms, asset, pieces, names, quantities, charge)
        if not terms.hard or not applies(terms, use):
            continue
        if drawn is not None and drawn.hold.number in budget.held:
            pends = budget.held[drawn.hold.number]
            units = min(pends, taken_in(m, terms, drawn))
            if amount <= units or counts_on(m, budget, drawn.hold):
                amount -= min(units, amount)
        if amount <= 0:
            continue
        left = left_in(m, budget)
        if drawn is not None:
            left = min(left, left_then(m, budget, drawn.hold))
        if amount > left:
            return budget, max(0, left)
    return None


class Taken(NamedTuple):
    """What work draws of each piece of a hold of its operation."""

    hold: NaiveHold
    amounts: list[int]
    asked: bool = False  # it was asked whether limits allow it; else it has happened


def taken_in(m: Shard, terms: BudgetTerms, drawn: Taken) -> int:
    """What that was in a budget in which the hold pends."""
    if terms.measure == BudgetMeasure.CHARGE:
        return sum(drawn.amounts)
    pieces = zip(drawn.hold.pieces, drawn.amounts, strict=True)
    return sum(amount for piece, amount in pieces if not _promotional(m, piece.place))


def left_then(m: Shard, budget: NaiveBudget, hold: NaiveHold) -> int:
    """What is left of the window in which a hold pends, where that is over and kept: what is drawn
    of it counts there."""
    span = budget.pends_in.get(hold.number, ALWAYS)
    if hold.number not in budget.held or span[1] > m.recorded_at or span not in budget.windows:
        return FOR_EVER
    return budget.terms.limit - sum(budget.windows[span])


def counts_on(m: Shard, budget: NaiveBudget, hold: NaiveHold) -> bool:
    """Whether the window in which a hold pends still counts for somebody."""
    span, window = budget.pends_in[hold.number], budget.terms.window
    if window.kind == WindowKind.SLIDING:
        return span[1] > m.recorded_at - window.length
    return span[1] > m.recorded_at or span in budget.windows


def after_denial(m: Shard, account: NaiveAccount, said: bytes) -> None:
    """A denial says what its operation is below, as any call does."""
    entry = m.index
    m.behind.append(lambda: _joined(m, account, said, entry))


def after_hold(m: Shard, account: NaiveAccount, hold: NaiveHold, charge: int) -> None:
    """Its estimate pends until it settles."""
    entry, said, names = m.index, hold.operation, hold.names

    def follow() -> list[e.Event]:
        moves = []
        for budget in counting(m, account, said):
            amount = amount_of(m, budget.terms, hold.asset, hold.pieces, names, hold.asked, charge)
            if amount > 0 and applies(budget.terms, hold.use):
                span = place_of(m, budget, hold.authorized_at)
                moves.append(BudgetMove(budget.number, *span, 0, amount))
                hold.budgets.append(budget)
        return [*_joined(m, account, said, entry), *_counted(account, entry, moves, hold.number)]

    if said or budgeted(m, account):
        m.behind.append(follow)


def after_reserve(m: Shard, account: NaiveAccount, event: e.OperationReserved) -> None:
    """Its units pend where calls of whatever product count by their charge."""
    entry, said = m.index, event.operation

    def follow() -> list[e.Event]:
        moves, hold = [], m.holds[event.hold]
        for budget in counting(m, account, said):
            if not reserves(budget.terms, hold.asset):
                continue
            of_charge = budget.terms.measure == BudgetMeasure.CHARGE
            amount = hold.reserved if of_charge else net(m, hold.pieces)
            if amount:
                span = place_of(m, budget, hold.authorized_at)
                moves.append(BudgetMove(budget.number, *span, 0, amount))
                hold.budgets.append(budget)
        return [*_joined(m, account, said, entry), *_counted(account, entry, moves, hold.number)]

    m.behind.append(follow)


def after_usage(
    m: Shard,
    account: NaiveAccount,
    used: NaiveUsage,
    said: bytes,
    charge: int,
    hold: NaiveHold | None,
    part: bool,
    drawn: Taken | None = None,
) -> None:
    """It counts what it is charged or takes, in the stead of what pended of its hold; of a `part`
    no more than that pends no longer, or than was `drawn` of a hold of an operation."""
    entry, quantities, pieces = m.index, used.quantities, list(used.pieces)

    def follow() -> list[e.Event]:
        moves = []
        pending = (
            [] if hold is None else [each for each in hold.budgets if hold.number in each.held]
        )
        for budget in counting(m, account, said):
            if not applies(budget.terms, used.use):
                continue
            posted = amount_of(m, budget.terms, used.asset, pieces, used.names, quantities, charge)
            if used.rated is not None and budget.terms.measure in AT_ONCE:
                posted = 0  # it counted as it was recorded
            less = 0
            asked = drawn is not None and drawn.asked
            at = used.effective_at if asked else _counts_at(budget, hold, used)
            span = place_of(m, budget, at)
            if hold is not None and budget in pending:
                pending.remove(budget)
                there = kept(m, budget, budget.pends_in[hold.number])
                less = budget.held[hold.number]
                most = max(0, posted) if drawn is None else taken_in(m, budget.terms, drawn)
                less = min(less, most) if part else less
                if not asked or posted <= less or counts_on(m, budget, hold):
                    span = there
                elif less:
                    moves.append(BudgetMove(budget.number, *there, 0, -less))
                    less = 0
            if posted or less:
                moves.append(BudgetMove(budget.number, *span, posted, -less))
            if posted > 0 and hold is not None:
                used.counted[budget.number] = span
            used.budgets.append(budget)  # also where rounding left it nothing to count
        if hold is not None and not part:
            moves += _freed(m, pending, hold)
        elif hold is not None and drawn is not None:
            for budget in pending:
                less = min(budget.held[hold.number], taken_in(m, budget.terms, drawn))
                span = kept(m, budget, budget.pends_in[hold.number])
                moves += [BudgetMove(budget.number, *span, 0, -less)] if less else []
        joins = bool(_joined(m, account, said, entry))
        if moves and hold is None and not joins and not _stands(m.coming, entry):
            m.uncounted.append((account.root, entry, moves))
            for move in moves:
                tally(m, _numbered(m, account, move.budget), (move.since, move.end), move.posted)
            return []
        number = hold.number if hold is not None else 0
        return [*_joined(m, account, said, entry), *_counted(account, entry, moves, number)]

    if said or budgeted(m, account):
        m.behind.append(follow)


def _counts_at(budget: NaiveBudget, hold: NaiveHold | None, used: NaiveUsage) -> int:
    """When usage counts: a capture with its hold, where the budget may have known that."""
    if hold is None or hold.authorized_at < budget.created_at:
        return used.effective_at
    apart = hold.reserves and not reserves(budget.terms, hold.asset)
    return used.effective_at if apart else hold.authorized_at


def after_end(m: Shard, hold: NaiveHold) -> None:
    """Nothing more is captured of a hold: it pends no more."""
    entry, account = m.index, m.accounts[hold.account]

    def follow() -> list[e.Event]:
        pending = [each for each in hold.budgets if hold.number in each.held]
        return _counted(account, entry, _freed(m, pending, hold), hold.number)

    m.behind.append(follow)


def after_reversal(
    m: Shard, account: NaiveAccount, used: NaiveUsage, event: e.UsageReversed
) -> None:
    """It lowers what had counted the usage, where that still counts."""
    entry = m.index
    given = [(m.place(each.drawn), each.amount) for each in event.given_back]

    def follow() -> list[e.Event]:
        moves = []
        family = m.operations.get(account.root, Operations()).own.values()
        for budget in used.budgets:
            gone = budget not in family or idle(m, budget) if budget.operation else budget.removed
            if gone:
                continue
            terms = budget.terms
            match terms.measure:
                case BudgetMeasure.REQUESTS:
                    back = event.whole
                case BudgetMeasure.QUANTITY:
                    named = dict(zip(used.names, event.quantities, strict=True))
                    back = named.get(terms.quantity, 0)
                case _ if terms.asset != used.asset:
                    back = 0
                case BudgetMeasure.CHARGE:
                    back = sum(amount for _, amount in given)
                case _:
                    back = sum(amount for place, amount in given if not _promotional(m, place))
            hold = used.hold
            if hold is not None and hold.ended and hold.ended_at <= m.recorded_at - WINDOW_US:
                hold = None  # of which nothing is known any more
            rounded = terms.measure in (BudgetMeasure.CHARGE, BudgetMeasure.NET_CHARGE)
            if budget.operation and rounded:  # nor does rounding leave it below nothing
                back = min(back, max(0, budget.posted))
            if back:
                span = place_of(m, budget, _counts_at(budget, hold, used))
                if budget.number in used.counted:
                    span = kept(m, budget, used.counted[budget.number])
                moves.append(BudgetMove(budget.number, *span, -back))
        return _counted(account, entry, moves, 0)

    if used.budgets:
        m.behind.append(follow)


def _joined(m: Shard, account: NaiveAccount, said: bytes, entry: int) -> list[e.Event]:
    budget = joining(m, account, said)
    if budget is None:
        return []
    digest, family = said[:DIGEST], m.operations[account.root]
    ended = [
        e.OperationBudgetEnded(each.account, each.number, digest)
        for each in line_of(family, budget)
        if each.operation == digest
    ]
    return [*ended, e.OperationJoined(account.number, budget.number, digest, entry)]


def _freed(m: Shard, pending: list[NaiveBudget], hold: NaiveHold) -> list[BudgetMove]:
    number = hold.number
    return [
        BudgetMove(each.number, *kept(m, each, each.pends_in[number]), 0, -each.held[number])
        for each in pending
    ]


def _counted(
    account: NaiveAccount, entry: int, moves: list[BudgetMove], hold: int
) -> list[e.Event]:
    moves = sorted(moves, key=_number)
    return [e.BudgetsCounted(account.number, entry, tuple(moves), hold)] if moves else []


def _number(move: BudgetMove) -> int:
    return move.budget


# -- what was worked out, as it comes --------------------------------------------------------------


def follows(m: Shard, event: e.Event, expected: e.Event) -> None:
    """The entry that must stand here is the one that does; moves in whatever order."""
    found = event
    if isinstance(event, e.BudgetsCounted):
        found = replace(event, moves=tuple(sorted(event.moves, key=_number)))
    m.expect(RULE, "what follows", expected, found)
    match event:
        case e.OperationBudgetEnded():
            end_budget(m, event)
        case e.OperationJoined():
            account = m.accounts[event.account]
            family = m.operations[account.root]
            budget = _numbered(m, account, event.budget)
            family.joined[event.operation] = budget
            budget.seen_at = m.recorded_at
        case e.BudgetsCounted():
            _count(m, event)
        case e.BudgetCrossed():
            budget = _numbered(m, m.accounts[event.account], event.budget)
            budget.crossed[event.threshold] = event.until


def _numbered(m: Shard, account: NaiveAccount, number: int) -> NaiveBudget:
    own = list(m.operations.get(account.root, Operations()).own.values())
    own += [budget for each in m.accounts.values() for budget in each.budgets]
    return next(each for each in own if each.number == number)


def _stands(event: object, entry: int) -> bool:
    """Whether that is what an entry counts by itself."""
    return isinstance(event, e.BudgetsCounted) and event.entry == entry


def tallied(m: Shard, event: e.BudgetsTallied) -> None:
    """What a run of usage of a family has counted, added up."""
    run = [each for each in m.uncounted if each[0] == event.account]
    m.uncounted = [each for each in m.uncounted if each[0] != event.account]
    expected: dict[tuple[int, int, int], int] = {}
    for _, _, moves in run:
        for move in moves:
            where = move.budget, move.since, move.end
            expected[where] = expected.get(where, 0) + move.posted
    found: dict[tuple[int, int, int], int] = {}
    for number, column, posted in zip(event.budgets, event.counted_in, event.posted, strict=True):
        place = number, *event.windows[column]
        found[place] = found.get(place, 0) + posted
    m.expect(RULE, "counted in a run", expected, found)
    if not run or event.first > min(entry for _, entry, _ in run):
        m.fail(RULE, f"{event} counts what came before it")
    for number, _, _ in expected:
        budget = _numbered(m, m.accounts[event.account], number)
        if _reached(m, budget):
            m.fail(RULE, f"{event} reaches {_reached(m, budget)}, which nobody tells")


def _count(m: Shard, event: e.BudgetsCounted) -> None:
    """Each move; what reaches a threshold is told at once, and only once."""
    account = m.accounts[event.account]
    told: list[e.Event] = []
    for move in event.moves:
        budget = _numbered(m, account, move.budget)
        budget.seen_at = m.recorded_at
        span = move.since, move.end
        count(m, budget, span, move.posted, move.pending)
        if move.pending:
            pending = budget.held.pop(event.hold, 0) + move.pending
            if pending:
                budget.held[event.hold] = pending
                budget.pends_in.setdefault(event.hold, span)
        if move.posted > 0:
            told += _reached(m, budget)
    m.following = told + m.following


def _reached(m: Shard, budget: NaiveBudget) -> list[e.Event]:
    """The thresholds that its present window has reached, and that were not told in it."""
    limit, (used, _), until = budget.terms.limit, within(m, budget), told_until(m, budget)
    return [
        e.BudgetCrossed(budget.account, budget.number, threshold, str(used), limit, until)
        for threshold in budget.terms.thresholds
        if used > 0 and used * 100 >= threshold * limit
        if budget.crossed.get(threshold, 0) <= m.recorded_at
    ]


def is_wrong(idle_us: int) -> bool:
    """Whether a budget of an operation may not be set so: the only fault that worlds draw."""
    return not 0 <= idle_us <= 35 * DAY_US
