"""Credit leases: a slice in escrow, moved on, reported on, given back, lapsed (rule H7).

What there is, is shared out one unit after another.
"""

from __future__ import annotations

from typing import Final

from ledger.core import events as e
from ledger.core.events import LeaseLapse, Overage
from ledger.core.limits import MINUTE_US, SECOND_US
from ledger.simulation import naive
from ledger.simulation.model.grants import follow_up
from ledger.simulation.model.holds import due_hold, end_hold, reserve
from ledger.simulation.model.shard import Shard
from ledger.simulation.naive_holdings import (
    FOREVER,
    NaiveAccount,
    NaiveHold,
    NaiveLease,
    Piece,
    Use,
)
from ledger.simulation.rules import Rule

RULE = Rule.LEASED
LEASED_NAMES: Final = ("leased",)


def granted(m: Shard, event: e.LeaseGranted) -> None:
    """Its fair share of what there is, or nothing where that is of no use."""
    account = _new(m, event.account)
    m.expect(Rule.POLICY_VERSIONS, "by policy", account.version, event.policy_version)
    m.expect(Rule.WINDOW, "granted at", m.recorded_at, event.effective_at)
    m.expect(Rule.HOLD_SETTLED_ONCE, "number", len(m.holds) + 1, event.hold)
    asset, use, version = _bound(m, account, m.plans[event.plan])
    term = event.lifetime or MINUTE_US
    _term(m, term, event.lifetime_max, event.margin, event.expires_at)
    month = m.month(account)
    m.expect(RULE, "period", month, event.period)
    share = _share(m, account, asset, use, event.hold, None, event.wanted, event.minimum)
    m.expect(RULE, "share", share, event.share)
    pieces = _draw(m, account, asset, use, share)
    if _sum(pieces) < event.minimum:
        pieces = []
    m.expect(Rule.WATERFALL, "slices", pieces, m.pieces(event.slices))
    units = (_sum(pieces),)
    m.expect(RULE, "units", (units, units), (event.quantities, event.charges))
    hold = NaiveHold(
        event.hold,
        account.number,
        use,
        asset,
        pieces,
        m.recorded_at,
        event.expires_at,
        [(piece.book, event.used_book) for piece in event.slices],
        event.lifetime_max,
        event.period,
        version,
        {},
        {},
        lease=NaiveLease(event.wanted, event.minimum, term, event.on_lapse),
    )
    m.holds[hold.number] = account.holds[hold.number] = hold
    _reserve(m, account, hold)


def renewed(m: Shard, event: e.LeaseRenewed) -> None:
    """More, as its share allows, or less, never below what its holder may have spent."""
    account = _new(m, event.account)
    hold, lease = _running(m, event.hold, account)
    m.expect(Rule.POLICY_VERSIONS, "by policy", account.version, event.policy_version)
    m.expect(Rule.WINDOW, "renewed at", m.recorded_at, event.effective_at)
    asset, use, _ = _bound(m, account, m.plans[event.plan])
    lease.term = event.lifetime or lease.term
    _term(m, lease.term, event.term, event.margin, event.expires_at)
    same = asset == hold.asset
    share = 0
    if same:
        share = _share(m, account, asset, use, hold.number, hold, event.wanted, lease.minimum)
    if lease.recalled >= 0:
        share = min(share, lease.recalled)
    m.expect(RULE, "share", share, event.share)
    left = hold.reserved
    keep = min(event.keep, left)
    amount = max(keep, min(event.wanted, share))
    kept = _kept(m, hold, amount)
    stead = min(amount, left) - sum(kept)  # of grants that ended
    drawn: list[Piece] = []
    for more in (max(0, amount - left), 0):
        drawn = _draw(m, account, asset, use, more + stead) if same else []
        if more == 0 or sum(kept) + _sum(drawn) >= lease.minimum:
            break
    bound_to = max(0, keep - sum(kept) - _sum(drawn))
    for place, piece in enumerate(hold.pieces):
        if _ended(m, piece) and bound_to:
            kept[place] = min(bound_to, piece.amount)
            bound_to -= kept[place]
    back = tuple(piece.amount - units for piece, units in zip(hold.pieces, kept, strict=True))
    m.expect(RULE, "given back", back, event.given_back)
    stays = [_cut(m, *each) for each in zip(hold.pieces, kept, strict=True) if each[1]]
    pieces = naive.merged(stays, drawn, m.grants)
    m.expect(Rule.WATERFALL, "slices", pieces, m.pieces(event.slices))
    m.expect(RULE, "units", _sum(pieces), event.amount)
    before = hold.pieces
    _unreserve(m, account, hold)
    hold.pieces = pieces
    hold.books = [(piece.book, event.used_book) for piece in event.slices]
    hold.authorized_at, hold.expires_at = m.recorded_at, event.expires_at
    hold.period = event.period
    m.expect(RULE, "period", m.month(account), event.period)
    _reserve(m, account, hold)
    lease.wanted = event.wanted
    if 0 <= event.amount <= lease.recalled:
        lease.recalled = -1
    for piece, units in zip(before, back, strict=True):
        if piece.place[0] == "grant" and units:
            follow_up(m, m.grants[piece.place[1]], units)


def returned(m: Shard, event: e.LeaseReturned) -> None:
    """What is left goes back; of one that lapsed where it is written off."""
    account = m.deciding(event.account)
    hold, lease = _of(m, event.hold, account)
    m.expect(RULE, "written off", lease.lapsed, bool(event.written_off))
    end_hold(m, hold, "released", [])


def recalled(m: Shard, event: e.LeaseRecalled) -> None:
    """Its holder is to come down."""
    account = m.deciding(event.account)
    _, lease = _running(m, event.hold, account)
    lease.recalled = event.keep


def lapsed(m: Shard, event: e.LeaseLapsed) -> None:
    """By the clock: what was not reported goes back."""
    hold = due_hold(m, event.hold, event.account)
    lease = hold.lease
    if lease is None or (lease.on_lapse == LeaseLapse.CHARGE and hold.reserved):
        m.fail(RULE, f"lease {event.hold} lapses: {hold}")
    lease.unreported = hold.reserved
    m.expect(RULE, "not reported", hold.reserved, event.unreported)
    end_hold(m, hold, "expired", [])


def overdue(m: Shard, event: e.LeaseOverdue) -> None:
    """By the clock, where it stays charged."""
    hold = due_hold(m, event.hold, event.account)
    lease = hold.lease
    if lease is None or lease.on_lapse != LeaseLapse.CHARGE or not hold.reserved:
        m.fail(RULE, f"lease {event.hold} stays charged: {hold}")
    m.expect(RULE, "not reported", hold.reserved, event.unreported)
    lease.lapsed, hold.expires_at = True, FOREVER


def reported_of(m: Shard, event: e.UsageLeased, account: NaiveAccount) -> NaiveHold | None:
    """The lease that usage is reported of; None where that had lapsed and was returned."""
    hold = m.holds.get(event.hold)
    if hold is None or hold.lease is None or hold.account != account.number:
        m.fail(RULE, f"{event} is of no lease of the account")
    plan = m.plans[event.plan]
    m.expect(RULE, "product of the lease", hold.use.product, plan.product)
    missing = set(hold.use.attributes) - set(plan.attributes)
    m.expect(RULE, "attributes that are missing", set(), missing)
    m.expect(RULE, "late", hold.ended == "expired", bool(event.late))
    if hold.ended not in ("", "expired"):
        m.fail(RULE, f"usage of lease {hold.number}, which was {hold.ended}")
    m.expect(RULE, "counted at", 0 if hold.ended else hold.authorized_at, event.counted_at)
    return None if hold.ended else hold


def over(m: Shard, event: e.UsageLeased, charge: int, within: int) -> None:
    """What of it was above the lease; of one that had lapsed what it may still take is less."""
    lease = m.holds[event.hold].lease
    assert lease is not None
    if event.late:
        within = min(charge, lease.unreported)
        lease.unreported -= within
    m.expect(RULE, "over the lease", charge - within, event.over)


# -- parts -----------------------------------------------------------------------------------------


def _new(m: Shard, number: int) -> NaiveAccount:
    """The account, which takes something new."""
    account = m.deciding(number)
    found = (account.closed_at, m.frozen(account))
    m.expect(Rule.CLOSED_TAKES_NOTHING, "closed, frozen", (0, False), found)
    return account


def _bound(m: Shard, account: NaiveAccount, plan: e.PlanDeclared) -> tuple[int, Use, int]:
    """Asset, use and version of what a lease is for, which its plan must name."""
    versions = m.versions_of(account)
    version = naive.version_for(versions, plan.product, LEASED_NAMES, m.recorded_at)
    if version is None:
        m.fail(RULE, f"a lease of what has no card: {plan}")
    named = (plan.rate_card, plan.card_version, plan.asset, plan.quantity_names)
    expected = (m.card_of(account), version.number, version.asset, LEASED_NAMES)
    m.expect(Rule.CHARGE, "card, version and asset of a lease", expected, named)
    use = m.use(account.tenant, version.number, plan.product, plan.attributes)
    return version.asset, use, version.number


def _term(m: Shard, term: int, found: int, margin: int, expires_at: int) -> None:
    """A tenth of it is its margin, from a second to thirty."""
    expected = min(max(term // 10, SECOND_US), 30 * SECOND_US)
    m.expect(Rule.EXPIRED_IN_TIME, "term and margin", (term, expected), (found, margin))
    m.expect(Rule.EXPIRED_IN_TIME, "lapses at", m.recorded_at + term + expected, expires_at)
    if not 5 * SECOND_US <= term <= 86_400 * SECOND_US:
        m.fail(Rule.EXPIRED_IN_TIME, f"a term of {term}")


def _of(m: Shard, number: int, account: NaiveAccount) -> tuple[NaiveHold, NaiveLease]:
    hold = m.holds.get(number)
    if hold is None or hold.lease is None or hold.ended or hold.account != account.number:
        m.fail(RULE, f"{number} is no lease of the account: {hold}")
    return hold, hold.lease


def _running(m: Shard, number: int, account: NaiveAccount) -> tuple[NaiveHold, NaiveLease]:
    hold, lease = _of(m, number, account)
    m.expect(RULE, "lapsed", False, lease.lapsed)
    return hold, lease


def _sum(pieces: list[Piece]) -> int:
    return sum(piece.amount for piece in pieces)


def _draw(m: Shard, account: NaiveAccount, asset: int, use: Use, amount: int) -> list[Piece]:
    """As much of it as may be held."""
    payers = m.payers(account)
    if payers.grace_ended(asset):
        return []
    pieces, _, _ = payers.waterfall(
        asset, use, amount, m.recorded_at, m.month(account), asset in m.money, False
    )
    return pieces


def _share(
    m: Shard,
    account: NaiveAccount,
    asset: int,
    use: Use,
    number: int,
    own: NaiveHold | None,
    wanted: int,
    minimum: int,
) -> int:
    """Its fair share of what the account's leases of the asset have and of what is free."""
    free = _free(m, account, asset, use)
    if free is None:
        return wanted
    wants = {number: (wanted, minimum)}
    pool = free + (own.reserved if own is not None else 0)
    for each in account.holds.values():
        lease = each.lease
        if lease is not None and each is not own and each.asset == asset and not lease.lapsed:
            wants[each.number] = (lease.wanted, lease.minimum)
            pool += each.reserved
    return min(wanted, fair(pool, wants)[number])


def fair(pool: int, wants: dict[int, tuple[int, int]]) -> dict[int, int]:
    """One unit to each in turn until it has what it wants; who gets less than is of use to it, has
    nothing: the latest first, and no more of them than need be."""
    shares = _in_turn(pool, wants)
    short = [number for number in sorted(wants) if shares[number] < wants[number][1]]
    for kept in range(len(short), -1, -1):
        left = {number: each for number, each in wants.items() if number not in short[kept:]}
        shares = _in_turn(pool, left)
        if all(shares[number] >= left[number][1] for number in left):
            break
    return {**dict.fromkeys(wants, 0), **shares}


def _in_turn(pool: int, wants: dict[int, tuple[int, int]]) -> dict[int, int]:
    shares = dict.fromkeys(sorted(wants), 0)
    while pool:
        hungry = [number for number in shares if shares[number] < wants[number][0]]
        if not hungry:
            break
        for number in hungry[:pool]:
            shares[number] += 1
        pool -= min(pool, len(hungry))
    return shares


def _free(m: Shard, account: NaiveAccount, asset: int, use: Use) -> int | None:
    """What new work may hold; None = without a limit."""
    payers, policy = m.payers(account), account.policy
    if payers.grace_ended(asset):
        return 0
    free = payers.available(asset, use, m.recorded_at)
    if policy.holds_overage and policy.overage != Overage.OFF:
        if policy.overage_cap < 0:
            return None
        free += payers.overage_room(asset, m.month(account), 0)
    return free


def _ended(m: Shard, piece: Piece) -> bool:
    """Whether it is of a grant that pays nothing new any more."""
    kind, number = piece.place
    if kind != "grant":
        return False
    return m.grants[number].settled > 0 or m.grants[number].over <= m.recorded_at


def _kept(m: Shard, hold: NaiveHold, amount: int) -> list[int]:
    """What stays of each slice, cut from the last one on."""
    kept = []
    for piece in hold.pieces:
        kept.append(0 if _ended(m, piece) else min(amount, piece.amount))
        amount -= kept[-1]
    return kept


def _cut(m: Shard, piece: Piece, units: int) -> Piece:
    kind, number = piece.place
    value = m.grants[number].value_of(units) if kind == "grant" else units if piece.value else 0
    return piece._replace(amount=units, value=value)


def _reserve(m: Shard, account: NaiveAccount, hold: NaiveHold) -> None:
    _pend(m, hold, 1)
    reserve(m, account, hold, 1)


def _unreserve(m: Shard, account: NaiveAccount, hold: NaiveHold) -> None:
    _pend(m, hold, -1)
    reserve(m, account, hold, -1)


def _pend(m: Shard, hold: NaiveHold, sign: int) -> None:
    for piece, (debit, credit) in zip(hold.pieces, hold.books, strict=True):
        m.books[debit].debits_pending += sign * piece.amount
        m.books[credit].credits_pending += sign * piece.amount
