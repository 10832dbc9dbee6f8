"""Contracts: signed, begun, amended, renewed and ended, each once and in time; what they commit to
is made for every term, and their package is the account's for as long as they run (rules P5, D7).
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from msgspec.structs import replace

from ledger.core import events as e
from ledger.core.events import (
    CommitmentEnding,
    Committed,
    Follow,
    OldGrants,
    Rollover,
    Segment,
    Timing,
)
from ledger.core.limits import COMMITMENTS_AN_ACCOUNT_MAX
from ledger.core.packages.packaged import UNITS
from ledger.simulation.model import packages
from ledger.simulation.model.commitments import over
from ledger.simulation.model.overrides import are_wrong, numbered
from ledger.simulation.model.recurring import period_of
from ledger.simulation.model.shard import Shard
from ledger.simulation.model.usage import CORRECTION_US
from ledger.simulation.naive_contracts import ENDED, RUNNING, NaiveContract
from ledger.simulation.naive_holdings import NaiveAccount, NaiveOverride
from ledger.simulation.naive_packages import Cycle, NaivePackage, NaiveSubscription
from ledger.simulation.rules import Rule
from rating.overrides import NumberedOverride

RULE = Rule.CONTRACTED


def signed(m: Shard, event: e.ContractSigned) -> None:
    """Under a name of its own, at a time of its own; its commitments stand before it."""
    account = m.deciding(event.account)
    m.expect(Rule.CLOSED_TAKES_NOTHING, "contract of a closed account", 0, account.closed_at)
    now, starts_at = m.recorded_at, event.starts_given or m.recorded_at
    m.expect(RULE, "start", starts_at, event.starts_at)
    if time_invalid(m, starts_at, event.ends_at):
        m.fail(RULE, f"{event} is of no time that may be")
    if named(m, account, event.contract) is not None:
        m.fail(RULE, f"the account has a contract {event.contract} already")
    if overlapping(m, account, starts_at, event.ends_at):
        m.fail(RULE, f"{event} overlaps another one")
    version = version_asked(m, account, event.package, event.version_given, starts_at)
    if version is None:
        m.fail(RULE, f"{event} of no version that is in force")
    m.expect(RULE, "version", version.number, event.version)
    contract = NaiveContract(
        account.number, event.contract, event.package, event.version, starts_at, event.ends_at,
        event.auto_renew > 0, event.rollover, event.committed,
        _made_before(m, account, event.committed, event.commitments), term_start=starts_at,
    )  # fmt: skip
    m.contracts.setdefault(account.number, []).append(contract)
    _prices(m, account, contract, [], event.overrides, starts_at)
    if starts_at <= now:
        m.ahead.append(event)  # until it has begun


def _prices(
    m: Shard,
    account: NaiveAccount,
    contract: NaiveContract,
    stood: list[NaiveOverride],
    said: tuple[NumberedOverride, ...],
    at: int,
) -> None:
    """Its overrides count from then on, and what it says no more to then."""
    if are_wrong(m, account, [each.override for each in said]):
        m.fail(RULE, f"overrides that do not do: {said}")
    gone, made = numbered(m, account, stood, said)
    for each in gone:
        each.ended_at = min(each.ended_at, at)
    new = [NaiveOverride(*each, at, contract.ends_at) for each in made]
    contract.overrides += new
    account.contracted += new


def _made_before(
    m: Shard, account: NaiveAccount, committed: tuple[Committed, ...], numbers: tuple[int, ...]
) -> list[int]:
    """The commitments that stand before are what it commits to, and no others."""
    made = [
        x for x in m.ahead if isinstance(x, e.CommitmentCreated) and x.account == account.number
    ]
    found = [
        (each.commitment, Committed(each.terms, each.segments, each.invoices)) for each in made
    ]
    m.expect(RULE, "commitments", list(zip(numbers, committed, strict=True)), found)
    for each in made:
        m.ahead.remove(each)
    return list(numbers)


# -- the package of its account --------------------------------------------------------------------


def subscribed(m: Shard, event: e.Subscribed) -> None:
    """By somebody; or a contract begins, from its own start on, which follows."""
    if event.key:
        packages.subscribed(m, event)
        return
    account = m.accounts[event.account]
    m.touch(account)
    contract = m.beginning(account.number)
    if contract is None:
        m.fail(RULE, f"{event}, and no contract begins")
    before = m.subscriptions.get(account.number)
    m.expect(RULE, "revision", (before.revision if before else 0) + 1, event.revision)
    asked = (contract.package, Follow.PIN, contract.version, 0)
    m.expect(
        RULE, "package", asked, (event.package, event.follow, event.version, event.locked_until)
    )
    version = _version(m, account, contract.package, contract.version)
    found = NaiveSubscription(account.number, asked, version, event.revision)
    start = contract.starts_at
    packages.set_period(m, account, found, start, start)
    found.contract = contract.name
    found.end = min(found.end, contract.ends_at)
    if before is not None:
        counts = start < before.end and _had_contract(m, before)
        if counts:
            found.released, found.largest = before.released, before.largest
        if found.end == before.end:
            found.grants = list(before.grants)
            found.kept = set(before.kept) if counts else set(before.grants)
        found.policy, before.policy = before.policy, {}
    m.subscriptions[account.number] = found
    packages.begin(m, account, found, event.term, start)

    def begun(following: e.ContractBegun) -> None:
        m.expect(RULE, "what follows", e.ContractBegun, type(following))
        said = (account.number, contract.name, start)
        m.expect(RULE, "begins", said, (following.account, following.contract, following.at))
        contract.state = RUNNING
        m.ahead = [
            x for x in m.ahead if not (isinstance(x, e.ContractSigned) and _is_of(x, contract))
        ]

    m.then(f"the contract {contract.name} begins", begun)


def _is_of(event: e.ContractSigned, contract: NaiveContract) -> bool:
    return (event.account, event.contract) == (contract.account, contract.name)


def _had_contract(m: Shard, before: NaiveSubscription) -> bool:
    """Whether the period of a subscription was a contract's, or a part of it was (rule P3)."""
    if before.contract:
        return True
    since = before.end - before.full
    for each in m.contracts.get(before.account, []):
        if each.state == ENDED and each.starts_at <= each.ended_at:
            within = since < each.ended_at < before.end
            if within or (each.ended_at == since and each.ended_at < each.ends_at):
                return True
    return False


def cancelled(m: Shard, event: e.SubscriptionCancelled) -> None:
    """By somebody; or the package goes with its contract, or makes room for one."""
    if event.key:
        packages.cancelled(m, event)
        return
    account, now = m.accounts[event.account], m.recorded_at
    m.touch(account)
    subscription = packages.revised(m, event.account, event.revision, event.expected_version)
    m.expect(RULE, "when it ends", (Timing.NOW, now), (event.timing, event.ends_at))
    packages.minted(m, subscription, event.minted)
    subscription.following = None
    ended = m.leaving(account.number)
    if ended is not None:
        m.ahead.remove(ended)
        said = (ended.old_grants, ended.taken)
        m.expect(RULE, "taken back", said, (event.old_grants, event.taken))
        packages.end(m, account, subscription, ended.ended_at)
        subscription.ends_at = now
        return
    m.expect(RULE, "taken back", (OldGrants.KEEP, ()), (event.old_grants, event.taken))
    if m.beginning(account.number) is None:
        m.fail(RULE, f"{event}, and no contract begins or ends")
    subscription.over, subscription.ends_at = True, now
    m.then("a contract's package takes its place", lambda found: _takes_place(m, found))


def _takes_place(m: Shard, found: Any) -> None:
    m.expect_of_kind(found, e.Subscribed)
    subscribed(m, found)


# -- amended ---------------------------------------------------------------------------------------


def amended(m: Shard, event: e.ContractAmended) -> None:
    """Each field that is set, from now on; another version of its package with the next period."""
    account = m.deciding(event.account)
    contract = _goes_on(m, account, event.contract, event.expected_version)
    m.expect(RULE, "revision", contract.revision + 1, event.revision)
    effective_at = event.effective_given or max(m.recorded_at, contract.starts_at)
    m.expect(RULE, "effective at", effective_at, event.effective_at)
    if not_within(m, contract, effective_at, event.ends_at or contract.ends_at):
        m.fail(RULE, f"{event} is outside of {contract}")
    if event.ends_at and end_invalid(m, account, contract, event.ends_at):
        m.fail(RULE, f"{event} ends at no time that may be")
    again = event.overrides is not None and effective_at < m.recorded_at
    m.expect(RULE, "rated again from", effective_at if again else 0, event.rerate_from)
    made = _made_before(m, account, event.committed, event.commitments)
    contract.committed += event.committed
    contract.of_term += made
    contract.revision = event.revision
    ends = [each for each in contract.overrides if each.ended_at == contract.ends_at]
    contract.stand_until(event.ends_at or contract.ends_at)
    contract.ends_at = event.ends_at or contract.ends_at
    if event.overrides is not None:
        for each in contract.overrides:  # what was to count from later on is brought forward
            if each.set_at > effective_at:
                each.ended_at = min(each.ended_at, effective_at)
        stood = [each for each in ends if each.set_at <= effective_at]
        _prices(m, account, contract, stood, event.overrides, effective_at)
    if event.auto_renew:
        contract.renews = event.auto_renew == 1
    if event.rollover is not None:
        contract.rollover = event.rollover if event.rollover.numerator else None
    if event.version:
        if _find(m, account, contract.package, event.version) is None:
            m.fail(RULE, f"{event} of no version that is there")
        contract.version = event.version
        if contract.state == RUNNING:
            following = (contract.package, Follow.PIN, event.version, 0)
            m.subscriptions[account.number].following = following


# -- what time does, and an early end --------------------------------------------------------------


def renewed(m: Shard, event: e.ContractRenewed) -> None:
    """For a term as long, with the same commitments; what the last one leaves of its own rolls into
    them as it says."""
    account = m.accounts[event.account]
    m.touch(account)
    contract = _due(m, account, event.contract)
    if not renewable(m, account, contract):
        m.fail(RULE, f"{event} of {contract}")
    start, end, committed = next_term(m, account, contract)
    found = (event.starts_at, event.ends_at, event.committed)
    m.expect(RULE, "next term", (start, end, committed), found)
    made = _made_before(m, account, committed, event.commitments)
    rolls = _rolls(m, contract, made, end - start)
    said = [x for x in m.ahead if isinstance(x, e.GrantRolloverSet) and x.account == account.number]
    m.expect(RULE, "what rolls over", rolls, [(x.grant, x.rollover, x.commitment) for x in said])
    for number, rollover, into in rolls:
        m.grants[number].rollover, m.grants[number].rolls_into = rollover, into
    m.ahead = [each for each in m.ahead if each not in said]
    contract.before += contract.of_term
    contract.of_term, contract.committed = made, committed
    contract.stand_until(end)
    contract.term_start, contract.ends_at = start, end
    contract.revision += 1


def _rolls(
    m: Shard, contract: NaiveContract, made: list[int], lifetime: int
) -> list[tuple[int, Rollover, int]]:
    """(grant, how, into which commitment) of the segments that end with the term."""
    terms = contract.rollover
    if terms is None:
        return []
    how = Rollover(terms.numerator, terms.denominator, terms.cap, lifetime)
    return [
        (number, how, into)
        for ending, into in zip(contract.of_term, made, strict=True)
        for number in m.commitments[ending].grants
        if m.grants[number].over == contract.ends_at
        and not m.grants[number].settled
        and not m.grants[number].origin
    ]


def rollover_set(m: Shard, event: e.GrantRolloverSet) -> None:
    """A renewal explains it."""
    m.ahead.append(event)


def ended(m: Shard, event: e.ContractEnded) -> None:
    """With its term where it is not renewed, by the clock; or now, by somebody."""
    number = event.account
    account = m.deciding(number) if event.key else m.accounts[number]
    if event.key:
        contract = _goes_on(m, account, event.contract, event.expected_version)
        m.expect(RULE, "end", m.recorded_at, event.ended_at)
    else:
        m.touch(account)
        contract = _due(m, account, event.contract)
        if contract.renews and renewable(m, account, contract):
            m.fail(RULE, f"{contract} is to be renewed, and {event}")
        said = (event.ended_at, event.ending, event.old_grants, event.target, event.taken)
        whole = (contract.ends_at, CommitmentEnding.TRUE_UP, OldGrants.KEEP, 0, ())
        m.expect(RULE, "end with its term", whole, said)
    _commitments_end(m, contract, event)
    subscription = m.subscriptions.get(number)
    runs = subscription is not None and subscription.contract == contract.name
    if subscription is not None and runs and not subscription.over:
        packages.take_back(m, subscription, event.old_grants, event.taken)
        m.ahead.append(event)  # until its package is gone
    else:
        m.expect(RULE, "taken back", (), event.taken)
    contract.state, contract.ended_at = ENDED, event.ended_at
    for each in contract.overrides:
        each.ended_at = min(each.ended_at, event.ended_at)
    contract.revision += 1


def _commitments_end(m: Shard, contract: NaiveContract, event: e.ContractEnded) -> None:
    """Early, all that go on; with the term none, for each has its own end."""
    said = [
        x for x in m.ahead if isinstance(x, e.CommitmentEnded) and x.account == contract.account
    ]
    numbers = [each.commitment for each in said]
    m.ahead = [each for each in m.ahead if each not in said]
    if not event.key:
        m.expect(RULE, "commitments that end", [], numbers)
        return
    expected = [x for x in contract.commitments if x in numbers or not over(m, m.commitments[x])]
    m.expect(RULE, "commitments that end", expected, numbers)
    for each in said:
        m.expect(RULE, "how", (event.ending, event.target), (each.ending, each.target))
        if each.target in contract.commitments:
            m.fail(RULE, f"{each} moves to what ends with it")


# -- what a contract may be ------------------------------------------------------------------------


def named(m: Shard, account: NaiveAccount, name: str) -> NaiveContract | None:
    """The contract of that name, ended ones too."""
    return next((x for x in m.contracts.get(account.number, []) if x.name == name), None)


def overlapping(m: Shard, account: NaiveAccount, start: int, end: int, but: str = "") -> bool:
    """Whether the account has another one at some instant of that time."""
    return any(
        each.name != but and each.overlaps(start, end)
        for each in m.contracts.get(account.number, [])
    )


def time_invalid(m: Shard, start: int, end: int) -> bool:
    """Whether it begins too long ago, or is over before it begins or by now."""
    return start < m.recorded_at - CORRECTION_US or end <= max(m.recorded_at, start)


def not_within(m: Shard, contract: NaiveContract, effective_at: int, ends_at: int) -> bool:
    """Whether an amendment takes effect outside of the contract."""
    earliest = max(contract.starts_at, m.recorded_at - CORRECTION_US)
    return not earliest <= effective_at < ends_at


def end_invalid(m: Shard, account: NaiveAccount, contract: NaiveContract, ends_at: int) -> bool:
    """Whether a contract may not end then."""
    early = ends_at <= max(m.recorded_at, contract.starts_at)
    return early or overlapping(m, account, contract.starts_at, ends_at, contract.name)


def version_asked(
    m: Shard, account: NaiveAccount, package: str, number: int, at: int
) -> NaivePackage | None:
    """The version that is pinned: that one, or the newest in force where the contract starts."""
    if number:
        return _find(m, account, package, number)
    with m.at(max(at, m.recorded_at)):
        return packages.version_asked(m, account, (package, Follow.PIN, 0, 0))


def _find(m: Shard, account: NaiveAccount, package: str, number: int) -> NaivePackage | None:
    versions = m.packages.get((account.tenant, package), [])
    return next((each for each in versions if each.number == number), None)


def _version(m: Shard, account: NaiveAccount, package: str, number: int) -> NaivePackage:
    found = _find(m, account, package, number)
    assert found is not None, (package, number)
    return found


def _goes_on(m: Shard, account: NaiveAccount, name: str, expected: int) -> NaiveContract:
    contract = named(m, account, name)
    if contract is None or contract.state == ENDED:
        m.fail(RULE, f"account {account.number} has no contract {name}: {contract}")
    if expected:
        m.expect(Rule.POLICY_VERSIONS, "expected", contract.revision, expected)
    return contract


def _due(m: Shard, account: NaiveAccount, name: str) -> NaiveContract:
    """The one whose term is over."""
    contract = named(m, account, name)
    if contract is None or contract.state != RUNNING or contract.ends_at > m.recorded_at:
        m.fail(Rule.EXPIRED_IN_TIME, f"the contract {name} is not due: {contract}")
    return contract


def renewable(m: Shard, account: NaiveAccount, contract: NaiveContract) -> bool:
    """Whether it is to go on and may: nothing follows it, and its commitments can be made anew."""
    start, end, committed = next_term(m, account, contract)
    if not contract.renews or overlapping(m, account, start, end, contract.name):
        return False
    made = [each for each in m.ahead if isinstance(each, e.CommitmentCreated)]
    if len(account.commitments) - len(made) + len(committed) > COMMITMENTS_AN_ACCOUNT_MAX:
        return False
    return not any(
        after.starts_at < before.ends_at
        for each in committed
        for before, after in pairwise(each.segments)
    )


def next_term(
    m: Shard, account: NaiveAccount, contract: NaiveContract
) -> tuple[int, int, tuple[Committed, ...]]:
    """[start, end) of the term after this one, and its commitments: by whole periods of the package
    where the term is so many, so that months stay months; else by as much time."""
    start, end = contract.term_start, contract.ends_at
    package = _version(m, account, contract.package, contract.version).package
    cycle = Cycle(UNITS[package.unit], package.every, contract.starts_at, "")
    marks = [contract.starts_at]
    while marks[-1] < 2 * end - start + (end - contract.starts_at):
        marks.append(period_of(m, account, contract.starts_at, cycle, marks[-1])[1])
    whole = start in marks and end in marks
    ahead = marks.index(end) - marks.index(start) if whole else 0
    until = marks[marks.index(end) + ahead] if whole else 2 * end - start

    def later(at: int) -> int:
        return marks[marks.index(at) + ahead] if whole and at in marks else at + until - end

    def moved(part: Segment) -> Segment:
        return replace(part, starts_at=later(part.starts_at), ends_at=later(part.ends_at))

    committed = tuple([
        replace(
            each,
            segments=tuple([moved(part) for part in each.segments]),
            invoices=tuple([replace(bill, at=later(bill.at)) for bill in each.invoices]),
        )
        for each in contract.committed
    ])  # fmt: skip
    return end, until, committed
