"""Contracts: one at a time, each begun once, amended within its time, ended once (rules P5, D7)."""

from __future__ import annotations

from ledger.core.contracts.contracts import Contract, ContractState
from ledger.core.events import (
    Committed,
    ContractAmended,
    ContractBegun,
    ContractEnded,
    ContractRenewed,
    ContractSigned,
    Follow,
    GrantRolloverSet,
)
from ledger.core.state import Account, State
from ledger.verify.rules.judge import Judge
from ledger.verify.rules.overrides import look_at_numbers


def contract_signed(judge: Judge, state: State, event: ContractSigned) -> None:
    account = state.accounts[event.account]
    judge.equal(state, "contract of a closed account", 0, account.closed_at)
    if any(each.name == event.contract for each in account.contracts):
        judge.wrong(state, "name of a contract", "one that is free", event.contract)
    start = event.starts_given or state.now
    judge.equal(state, "start of the contract", start, event.starts_at)
    if event.version_given:
        judge.equal(state, "version of the package", event.version_given, event.version)
    _look_at_time(judge, state, account, event.contract, event.starts_at, event.ends_at)
    look_at_numbers(judge, state, account, (), event.overrides, state.now)
    _look_at_committed(judge, state, account, event.committed, event.commitments)


def contract_begun(judge: Judge, state: State, event: ContractBegun) -> None:
    """Once, at its start, with its package pinned to its version."""
    account = state.accounts[event.account]
    contract = _of(judge, state, account, event.contract)
    if contract is None:
        return
    judge.equal(state, "contract that begins", int(ContractState.SIGNED), contract.state)
    judge.equal(state, "start of the contract", contract.starts_at, event.at)
    if event.at > state.now:
        judge.wrong(state, "contract", f"due at {event.at}", state.now)
    subscription = account.subscription
    if subscription is None or subscription.over:
        judge.wrong(state, "package of a contract", contract.package, "none")
        return
    judge.equal(
        state,
        "package of a contract",
        (contract.package, contract.version, int(Follow.PIN), contract.starts_at),
        (
            subscription.package,
            subscription.version,
            int(subscription.follow),
            subscription.period_start,
        ),
    )


def contract_amended(judge: Judge, state: State, event: ContractAmended) -> None:
    account = state.accounts[event.account]
    contract = _of(judge, state, account, event.contract)
    if contract is None:
        return
    judge.equal(state, "version of the contract", contract.revision + 1, event.revision)
    if event.expected_version:
        judge.equal(state, "expected version", contract.revision, event.expected_version)
    ends_at = event.ends_at or contract.ends_at
    if not contract.starts_at <= event.effective_at < ends_at:
        within = f"{contract.starts_at} to {ends_at}"
        judge.wrong(state, "time of an amendment", within, event.effective_at)
    if event.ends_at:
        _look_at_time(judge, state, account, contract.name, contract.starts_at, event.ends_at)
    rerate = 0
    if event.overrides is not None:
        layer = account.sold.contract if account.sold is not None else ()
        look_at_numbers(judge, state, account, layer, event.overrides, state.now)
        rerate = event.effective_at if event.effective_at < state.now else 0
    judge.equal(state, "usage that may be rated again", rerate, event.rerate_from)
    _look_at_committed(judge, state, account, event.committed, event.commitments)


def grant_rollover_set(judge: Judge, state: State, event: GrantRolloverSet) -> None:
    """Of a segment that ends with the term of a contract that is to be renewed, by its terms, into
    what the segment's commitment is made anew as (rules P5, T3, D7)."""
    account, grant = state.accounts[event.account], state.grants[event.grant]
    commitment = grant.commitment
    if commitment is None or commitment.account is not account:
        judge.wrong(state, "grant that rolls over", "a segment of the account", event.grant)
        return
    having = [each for each in account.contracts if commitment.number in each.commitments]
    if not having:
        judge.wrong(state, "segment that rolls over", "one of a contract", event.grant)
        return
    (contract,) = having
    judge.equal(
        state,
        "contract whose segment rolls over",
        (int(ContractState.RUNNING), 1, grant.expires_at, 0, 0),
        (contract.state, contract.auto_renew, contract.ends_at, grant.origin, grant.settled),
    )
    said, terms = contract.rollover, event.rollover
    fraction = (said.numerator, said.denominator, said.cap) if said is not None else None
    found = (terms.numerator, terms.denominator, terms.cap)
    judge.equal(state, "what rolls over", fraction, found)
    if terms.lifetime <= 0 or terms.again:
        judge.wrong(state, "life of what rolls over", "the next term", terms)
    into = state.commitments[event.commitment]
    judge.equal(
        state,
        f"commitment {event.commitment}",
        (account, commitment.terms, state.now),
        (into.account, into.terms, into.created_at),
    )


def contract_renewed(judge: Judge, state: State, event: ContractRenewed) -> None:
    """Where its term ends, if it is to be; what it commits to is made anew, as much as before."""
    account = state.accounts[event.account]
    contract = _of(judge, state, account, event.contract)
    if contract is None:
        return
    stands = (int(ContractState.RUNNING), 1, contract.ends_at)
    judge.equal(state, "renewal", stands, (contract.state, contract.auto_renew, event.starts_at))
    if event.starts_at > state.now:
        judge.wrong(state, "renewal", f"due at {event.starts_at}", state.now)
    _look_at_time(judge, state, account, contract.name, event.starts_at, event.ends_at)
    judge.equal(
        state,
        "committed again",
        [(each.terms, [part.amount for part in each.segments]) for each in contract.committed],
        [(each.terms, [part.amount for part in each.segments]) for each in event.committed],
    )
    _look_at_committed(judge, state, account, event.committed, event.commitments)


def contract_ended(judge: Judge, state: State, event: ContractEnded) -> None:
    """With its term, or early: then none of its commitments goes on."""
    account = state.accounts[event.account]
    contract = _of(judge, state, account, event.contract)
    if contract is None:
        return
    if event.expected_version:
        judge.equal(state, "expected version", contract.revision, event.expected_version)
    if not event.key:
        stands = (int(ContractState.RUNNING), event.ended_at)
        judge.equal(state, "end of the term", stands, (contract.state, contract.ends_at))
        if event.ended_at > state.now:
            judge.wrong(state, "end of the term", f"due at {event.ended_at}", state.now)
        return
    judge.equal(state, "end of the contract", state.now, event.ended_at)
    for number in contract.commitments:
        if not state.commitments[number].is_over(state.now):
            judge.wrong(state, f"commitment {number}", "ended with its contract", "it goes on")


def _of(judge: Judge, state: State, account: Account, name: str) -> Contract | None:
    """A contract that is not over."""
    for each in account.contracts:
        if each.name == name and each.state != ContractState.ENDED:
            return each
    judge.wrong(state, "contract", "one that goes on", name)
    return None


def _look_at_time(
    judge: Judge, state: State, account: Account, name: str, start: int, end: int
) -> None:
    """It ends after it starts, and beside no other (rule P5)."""
    if not start < end:
        judge.wrong(state, "end of the contract", f"after {start}", end)
    for each in account.contracts:
        if each.name == name or each.until <= each.starts_at:
            continue  # itself, or withdrawn before it began
        if start < each.until and each.starts_at < end:
            judge.wrong(
                state, "time of the contract", f"beside that of {each.name!r}", (start, end)
            )


def _look_at_committed(
    judge: Judge,
    state: State,
    account: Account,
    committed: tuple[Committed, ...],
    numbers: tuple[int, ...],
) -> None:
    """Its commitments were made just before, as it says them (rule D7)."""
    judge.equal(state, "commitments of the contract", len(committed), len(numbers))
    for said, number in zip(committed, numbers, strict=False):
        made = state.commitments.get(number)
        if made is None or made.account is not account or made.created_at != state.now:
            judge.wrong(state, f"commitment {number}", "made with its contract", made)
            continue
        segments = [(part.starts_at, part.ends_at, part.amount) for part in said.segments]
        grants = [(each.effective_at, each.expires_at, each.amount) for each in made.grants]
        judge.equal(state, f"commitment {number}", (said.terms, segments), (made.terms, grants))
