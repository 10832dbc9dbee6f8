"""Deciding contracts: signed, amended, ended early, and what time does to them (rules P5, D7, R4).

A contract has its account have a package, in a version that is pinned, for its time; its prices
count before all others; its commitments are commitments like any. Whatever the account had stays:
grants, holds, advances, running totals, budgets. Reads state, changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from ledger.core.admission import known_account, open_account
from ledger.core.commands import (
    AmendContract,
    CreateCommitment,
    EndCommitment,
    EndContract,
    SignContract,
)
from ledger.core.contracts.contract_terms import (
    Window,
    from_start,
    invalid_prices,
    invalid_rollover,
    invalid_time,
    next_term,
    overlapping,
    version_asked,
)
from ledger.core.contracts.contracts import (
    Contract,
    ContractState,
    DueContract,
    ended_within,
    named,
)
from ledger.core.events import (
    CommitmentEnding,
    Committed,
    ContractAmended,
    ContractBegun,
    ContractEnded,
    ContractRenewed,
    ContractSigned,
    Event,
    Follow,
    GrantRolloverSet,
    Minted,
    OldGrants,
    Rollover,
    Subscribed,
    SubscriptionCancelled,
    TakenBack,
    Timing,
)
from ledger.core.funding.commitments import create, end, not_creatable, transfer_target
from ledger.core.limits import (
    ANCHOR_MAX_US,
    CONTRACT_COMMITMENTS_MAX,
    CONTRACTS_AN_ACCOUNT_MAX,
    CORRECTION_WINDOW_US,
)
from ledger.core.outcomes import Known, Reason, Refusal
from ledger.core.packages.package_budgets import end_budgets
from ledger.core.packages.package_charges import end_charges
from ledger.core.packages.package_operations import end_operations
from ledger.core.packages.package_rules import end_rules
from ledger.core.packages.package_seats import end_seats
from ledger.core.packages.package_terms import (
    begin,
    begin_phase,
    clipped,
    period_from,
    set_policy,
    set_prices,
    take_back,
    unfit,
    without,
)
from ledger.core.packages.packaged import version_of
from ledger.core.packages.phases import begun
from ledger.core.pricing.overrides import numbered_as
from ledger.core.state import Account, Commitment, State

# -- signed ----------------------------------------------------------------------------------------


def decide_sign_contract(
    state: State, command: SignContract, out: list[Event]
) -> Event | Known | Refusal:
    """Record the contract and its commitments; one that has begun by now begins right behind."""
    account = open_account(state, command.key, command.account)
    if not isinstance(account, Account):
        return account
    starts_at = command.starts_at or state.now
    committed = tuple([from_start(each, starts_at) for each in command.committed])
    found = version_asked(state, account, command.package, command.version, starts_at)
    if isinstance(found, Refusal):
        return found
    subscription = account.subscription
    had = subscription.phased if subscription is not None else ()
    policy = subscription.policy if subscription is not None else ()
    terms = begun(found, command.package, had)
    refusal = (
        _unsignable(state, account, command, Window(starts_at, command.ends_at))
        or unfit(state, account, terms, policy)
        or invalid_prices(state, account, found, command.overrides, command.minimum, policy)
        or invalid_rollover(command.rollover)
        or _uncreatable(state, account, committed)
    )
    if refusal is not None:
        return refusal
    following = state.families[account.root].next_override
    signed = ContractSigned(
        command.key,
        account.number,
        command.contract,
        command.package,
        found.version,
        starts_at,
        command.ends_at,
        numbered_as((), command.overrides, following),
        command.auto_renew,
        command.minimum,
        committed,
        _commit(state, account, committed, out),
        command.version,
        command.starts_at,
        command.rollover,
        command.trace,
    )
    out.append(signed)
    if starts_at <= state.now:
        following += len(command.overrides)
        contract = (signed.contract, signed.package, signed.version)
        _begin(state, account, contract, Window(starts_at, signed.ends_at), following, out)
    return signed


def _unsignable(
    state: State, account: Account, command: SignContract, window: Window
) -> Refusal | None:
    if named(account, command.contract) is not None:
        return Refusal(
            Reason.CONTRACT_NAME_TAKEN,
            "contract",
            command.contract,
            "the account has, or had, a contract of that name; name it otherwise",
        )
    if len(account.contracts) >= CONTRACTS_AN_ACCOUNT_MAX:
        return Refusal(
            Reason.CONTRACTS_LIMIT,
            "account",
            str(len(account.contracts)),
            f"an account has at most {CONTRACTS_AN_ACCOUNT_MAX} contracts, ended ones too; renew "
            "one, or amend it",
        )
    if len(command.committed) > CONTRACT_COMMITMENTS_MAX:
        return _too_many(len(command.committed))
    return invalid_time(state, window) or overlapping(account, window)


def _too_many(given: int) -> Refusal:
    return Refusal(
        Reason.CONTRACT_INVALID,
        "commitments",
        str(given),
        f"a term of a contract has at most {CONTRACT_COMMITMENTS_MAX} commitments",
    )


def _create_of(account: Account, each: Committed) -> CreateCommitment:
    return CreateCommitment(b"", account.number, each.terms, each.segments, each.invoices, b"")


def _uncreatable(
    state: State, account: Account, committed: Sequence[Committed], as_of: int = 0
) -> Refusal | None:
    """Why a commitment of it cannot be made."""
    for place, each in enumerate(committed):
        refusal = not_creatable(state, account, _create_of(account, each), place, as_of)
        if refusal is not None:
            field = f"commitments[{place}].{refusal.field}"
            return Refusal(refusal.reason, field, refusal.value, refusal.message)
    return None


def _commit(
    state: State, account: Account, committed: Sequence[Committed], out: list[Event]
) -> tuple[int, ...]:
    """Make its commitments; returns their numbers."""
    return tuple(
        [
            create(
                state, account, _create_of(account, each), out, state.next_commitment + place
            ).commitment
            for place, each in enumerate(committed)
        ]
    )


# -- begun -----------------------------------------------------------------------------------------


def _begin(
    state: State,
    account: Account,
    contract: tuple[str, str, int],
    window: Window,
    next_override: int,
    out: list[Event],
) -> None:
    """Have the account have the contract's package from its start on, in periods of its own; the
    package that it had ends, what that granted stays (rule P5).

    What a contract that has ended granted for the period that runs counts in the first period,
    whatever the account had since: to sign again mints nothing.
    """
    name, package, version = contract
    found = version_of(state.catalog.packages[account.tenant, package], version)
    assert found is not None, contract
    before = account.subscription
    terms = begun(found, package, before.phased if before is not None else ())
    part = period_from(account, terms, window.start, window.start)
    minted: tuple[Minted, ...] = ()
    afresh = True
    if before is not None and window.start < before.period_end and ended_within(account, before):
        minted, afresh = before.minted, False
    part = clipped(part, window.end)._replace(minted=minted)
    policy = before.policy if before is not None and not before.over else ()
    term = begin(state, account, package, terms, part, policy, out, next_override, afresh=afresh)
    revision = before.revision if before is not None else 0
    if before is not None and not before.over:
        revision += 1
        out.append(
            SubscriptionCancelled(
                b"", account.number, Timing.NOW, OldGrants.KEEP, state.now, revision, 0, (),
                before.minted,
            )
        )  # fmt: skip
    out.append(Subscribed(b"", account.number, package, Follow.PIN, version, 0, revision + 1, term))
    stands = ("", 0)
    if before is not None and term.end == before.period_end and before.package == package:
        stands = (before.phase, before.phase_left)
    begin_phase(account, terms, term.start, stands, out)
    out.append(ContractBegun(account.number, name, window.start))


# -- amended ---------------------------------------------------------------------------------------


def decide_amend_contract(
    state: State, command: AmendContract, out: list[Event]
) -> Event | Known | Refusal:
    """Change what it says. Prices count for usage from an instant on, also one that has passed:
    what was priced by then is for a re-rating job (rule R7); the rest counts from now on."""
    account = open_account(state, command.key, command.account)
    if not isinstance(account, Account):
        return account
    contract = _open(account, command.contract, command.expected_version)
    if isinstance(contract, Refusal):
        return contract
    effective_at = command.effective_at or max(state.now, contract.starts_at)
    ends_at = command.ends_at or contract.ends_at
    committed = tuple([from_start(each, effective_at) for each in command.committed])
    refusal = (
        _unamendable(state, account, contract, command, effective_at)
        or invalid_rollover(command.rollover)
        or _other_prices(state, account, contract, command)
        or _uncreatable(state, account, committed)
    )
    if refusal is not None:
        return refusal
    overrides = None
    if command.overrides is not None:
        layer = account.sold.contract if account.sold is not None else ()
        stand = tuple(
            [
                each.numbered
                for each in layer
                if each.numbered.number in contract.overrides
                and each.ended_at_us == contract.ends_at
                and each.set_at_us <= effective_at  # else it would begin when it did
            ]
        )
        following = state.families[account.root].next_override
        overrides = numbered_as(stand, command.overrides, following)
    rerated = overrides is not None and effective_at < state.now
    amended = ContractAmended(
        command.key,
        account.number,
        contract.name,
        effective_at,
        contract.revision + 1,
        command.expected_version,
        overrides,
        command.version,
        command.ends_at,
        command.auto_renew,
        committed,
        _commit(state, account, committed, out),
        effective_at if rerated else 0,
        command.effective_at,
        command.minimum,
        command.rollover,
        command.trace,
    )
    assert ends_at > effective_at, (contract.name, effective_at)
    out.append(amended)
    return amended


def _unamendable(
    state: State,
    account: Account,
    contract: Contract,
    command: AmendContract,
    effective_at: int,
) -> Refusal | None:
    says = (command.version, command.ends_at, command.auto_renew, command.committed)
    minimum = command.minimum >= 0 or command.rollover is not None
    if command.overrides is None and not minimum and not any(says):
        return Refusal(
            Reason.CONTRACT_INVALID,
            "contract",
            contract.name,
            "the amendment changes nothing; say prices, a version, an end, its renewal, a minimum, "
            "what rolls over or commitments",
        )
    ends_at = command.ends_at or contract.ends_at
    earliest = max(contract.starts_at, state.now - CORRECTION_WINDOW_US)
    if not earliest <= effective_at < ends_at:
        return Refusal(
            Reason.CONTRACT_INVALID,
            "effective_at_us",
            str(effective_at),
            f"an amendment takes effect within the contract, from {earliest} on and before "
            f"{ends_at}",
        )
    if command.ends_at:
        window = Window(max(contract.starts_at, state.now), command.ends_at)
        refusal = invalid_time(state, window) or overlapping(
            account, Window(contract.starts_at, command.ends_at), contract.name
        )
        if refusal is not None:
            return refusal
    total = len(contract.committed) + len(command.committed)
    return _too_many(total) if total > CONTRACT_COMMITMENTS_MAX else None


def _other_prices(
    state: State, account: Account, contract: Contract, command: AmendContract
) -> Refusal | None:
    """Why its version or its prices cannot be these."""
    subscription = account.subscription
    policy = subscription.policy if subscription is not None else ()
    number = command.version or contract.version
    found = version_asked(state, account, contract.package, number, state.now)
    if isinstance(found, Refusal):
        return found
    if command.version:
        refusal = unfit(state, account, begun(found, contract.package, (contract.package,)), policy)
        if refusal is not None:
            return refusal
    minimum = max(0, command.minimum)
    return invalid_prices(state, account, found, command.overrides or (), minimum, policy)


# -- ended -----------------------------------------------------------------------------------------


def decide_end_contract(
    state: State, command: EndContract, out: list[Event]
) -> Event | Known | Refusal:
    """End it now: its commitments are trued up, waived or moved to another (rule D7), its package
    goes, and what that granted stays or is taken back (rule P3)."""
    account = known_account(state, command.key, command.account)
    if not isinstance(account, Account):
        return account
    contract = _open(account, command.contract, command.expected_version)
    if isinstance(contract, Refusal):
        return contract
    refusal = _end_commitments(state, contract, command, out)
    if refusal is not None:
        return refusal
    taken: tuple[TakenBack, ...] = ()
    subscription = account.subscription
    runs = subscription is not None and subscription.contract == contract.name
    if subscription is not None and runs and contract.state == ContractState.RUNNING:
        taken = take_back(state, subscription, command.old_grants, out)
    ended = ContractEnded(
        command.key,
        account.number,
        contract.name,
        state.now,
        command.ending,
        command.old_grants,
        command.target,
        command.expected_version,
        taken,
        command.trace,
    )
    out.append(ended)
    if contract.state == ContractState.RUNNING:
        _leave(state, account, command.old_grants, taken, state.now, out)
    return ended


def _end_commitments(
    state: State, contract: Contract, command: EndContract, out: list[Event]
) -> Refusal | None:
    """End those that go on; nothing is appended where one cannot be."""
    now = state.now
    going = [
        state.commitments[number]
        for number in contract.commitments
        if not state.commitments[number].is_over(now)
    ]
    asked = EndCommitment(
        b"",
        command.account,
        0,
        command.ending,
        command.target_account,
        command.target,
    )
    targets: list[Commitment | None] = []
    segments = invoices = 0
    for each in going:
        if command.ending != CommitmentEnding.TRANSFER:
            targets.append(None)
            continue
        target = transfer_target(state, each, asked, segments, invoices)
        if isinstance(target, Refusal):
            return target
        if target.number in contract.commitments:
            return Refusal(
                Reason.TRANSFER_INVALID,
                "target_commitment_id",
                str(target.number),
                "that commitment is of the contract and ends with it; name another one",
            )
        targets.append(target)
        segments += len(each.grants)
        invoices += len(each.invoices)
    for each, takes in zip(going, targets, strict=True):
        end(state, each, asked, takes, out)
    return None


def _leave(
    state: State,
    account: Account,
    old_grants: OldGrants,
    taken: tuple[TakenBack, ...],
    at: int,
    out: list[Event],
) -> None:
    """The account has the contract's package no more; prices of it count to that instant."""
    subscription = account.subscription
    if subscription is None or subscription.over or not subscription.contract:
        return
    end_charges(state, account, at, out)
    set_policy(state, account, None, subscription.policy, out)
    set_prices(state, account, None, at, out)
    end_rules(account, out)
    end_operations(account, out)
    end_seats(account, out)
    end_budgets(account, out)
    out.append(
        SubscriptionCancelled(
            b"", account.number, Timing.NOW, old_grants, state.now, subscription.revision + 1, 0,
            taken, without(state, subscription.minted, taken),
        )
    )  # fmt: skip


# -- what time does --------------------------------------------------------------------------------


def contract_due(state: State, found: DueContract, out: list[Event]) -> None:
    """Begin a contract, renew it or end it with its term, each at its own time."""
    account, contract = found
    if contract.state == ContractState.SIGNED:
        following = state.families[account.root].next_override
        said = (contract.name, contract.package, contract.version)
        _begin(state, account, said, Window(contract.starts_at, contract.ends_at), following, out)
        return
    if contract.auto_renew and _renew(state, account, contract, out):
        return
    out.append(ContractEnded(b"", account.number, contract.name, contract.ends_at))
    _leave(state, account, OldGrants.KEEP, (), contract.ends_at, out)


def _renew(state: State, account: Account, contract: Contract, out: list[Event]) -> bool:
    """For another term as long as this one; not where its commitments cannot be made again, or
    another contract follows."""
    found = version_of(state.catalog.packages[account.tenant, contract.package], contract.version)
    assert found is not None, contract.name
    window, shifted = next_term(account, contract, found.package)
    committed = tuple(
        [
            replace(
                each,
                segments=tuple(
                    [
                        replace(
                            part, starts_at=shifted(part.starts_at), ends_at=shifted(part.ends_at)
                        )
                        for part in each.segments
                    ]
                ),
                invoices=tuple([replace(bill, at=shifted(bill.at)) for bill in each.invoices]),
            )
            for each in contract.committed
        ]
    )
    refusal = overlapping(account, window, contract.name)
    if refusal is not None or window.end > ANCHOR_MAX_US:
        return False
    if _uncreatable(state, account, committed, window.start) is not None:
        return False
    numbers = _commit(state, account, committed, out)
    _roll_on(state, contract, numbers, window, out)
    out.append(
        ContractRenewed(account.number, contract.name, window.start, window.end, committed, numbers)
    )
    return True


def _roll_on(
    state: State, contract: Contract, numbers: tuple[int, ...], window: Window, out: list[Event]
) -> None:
    """Have what is left of the segments that end with the term roll into the commitments of the
    next: the last of those that each commitment of the term was made anew as (rules T3, D7)."""
    terms = contract.rollover
    if terms is None:
        return
    lifetime = window.end - window.start
    rollover = Rollover(terms.numerator, terms.denominator, terms.cap, lifetime)
    ending = contract.commitments[len(contract.commitments) - len(numbers) :]
    for number, following in zip(ending, numbers, strict=True):
        for grant in state.commitments[number].grants:
            ends = grant.expires_at == contract.ends_at and not grant.settled
            if ends and not grant.origin:  # what has rolled over does not roll again
                account = grant.account.number
                out.append(GrantRolloverSet(account, grant.number, rollover, following))


def _open(account: Account, name: str, expected_version: int) -> Contract | Refusal:
    """A contract that is not over."""
    contract = named(account, name)
    if contract is None:
        return Refusal(
            Reason.CONTRACT_UNKNOWN, "contract", name, "the account has no contract of that name"
        )
    if contract.state == ContractState.ENDED:
        return Refusal(
            Reason.CONTRACT_ENDED,
            "contract",
            str(contract.ended_at),
            "the contract ended at this instant; sign another",
        )
    if expected_version and expected_version != contract.revision:
        return Refusal(
            Reason.VERSION_MISMATCH,
            "expected_version",
            str(contract.revision),
            f"the contract is at version {contract.revision}, not {expected_version}; read it "
            "again",
        )
    return contract
