"""Contracts: signed, begun, amended, renewed, ended (rules P5, R4)."""

from __future__ import annotations

from msgspec.structs import replace

from ledger.core.contracts.contracts import Contract, ContractState, named
from ledger.core.events import (
    ContractAmended,
    ContractBegun,
    ContractEnded,
    ContractRenewed,
    ContractRollover,
    ContractSigned,
    Follow,
)
from ledger.core.evolve.accounts import set_sold
from ledger.core.evolve.moves import set_timer
from ledger.core.limits import CONTRACT_TERMS_REMEMBERED
from ledger.core.packages.subscriptions import NextPackage
from ledger.core.pricing.sold import NOTHING_SOLD, Sold
from ledger.core.state import TIMER_CONTRACT, Account, State
from rating.overrides import Layer, NumberedOverride, SetOverride


def contract_signed(state: State, event: ContractSigned) -> None:
    account = state.accounts[event.account]
    made = Contract(
        event.contract,
        event.package,
        event.version,
        state.now,
        event.starts_at,
        event.starts_at,
        event.ends_at,
        event.auto_renew,
        ((event.starts_at, event.minimum),) if event.minimum else (),
        int(ContractState.SIGNED),
        1,
        tuple([each.number for each in event.overrides]),
        event.committed,
        event.commitments,
        rollover=event.rollover,
    )
    account.contracts = (*account.contracts, made)
    added = [SetOverride(each, event.starts_at, event.ends_at) for each in event.overrides]
    _price(state, account, added, {}, event.overrides)
    set_timer(state, account, made.due, TIMER_CONTRACT, account.number)
    state.keys.add(event.key, state.locator)


def contract_begun(state: State, event: ContractBegun) -> None:
    account, contract = _of(state, event.account, event.contract)
    subscription = account.subscription
    assert subscription is not None, event.account
    subscription.contract = event.contract
    _put(state, account, replace(contract, state=int(ContractState.RUNNING)))


def contract_amended(state: State, event: ContractAmended) -> None:
    """Overrides that no longer stand end where it takes effect; those of before then stay known."""
    account, contract = _of(state, event.account, event.contract)
    ends_at = event.ends_at or contract.ends_at
    numbers, version = contract.overrides, event.version or contract.version
    added: list[SetOverride] = []
    until = _until(account, contract, ends_at)
    if event.overrides is not None:
        standing = {each.number for each in event.overrides}
        for number in contract.overrides:
            if number not in standing:
                until[number] = min(until.get(number, ends_at), event.effective_at)
        added = [
            SetOverride(each, event.effective_at, ends_at)
            for each in event.overrides
            if each.number not in contract.overrides
        ]
        numbers = (*numbers, *[each.numbered.number for each in added])
    _price(state, account, added, until, event.overrides or ())
    changed = replace(
        contract,
        version=version,
        ends_at=ends_at,
        auto_renew=int(event.auto_renew == 1) if event.auto_renew else contract.auto_renew,
        revision=event.revision,
        overrides=numbers,
        committed=(*contract.committed, *event.committed),
        commitments=(*contract.commitments, *event.commitments),
        minimums=_minimums(state, contract, event) if event.minimum >= 0 else contract.minimums,
        rollover=contract.rollover if event.rollover is None else _some(event.rollover),
    )
    if event.version and contract.state == ContractState.RUNNING:
        assert account.subscription is not None, event.account
        account.subscription.scheduled = NextPackage(
            contract.package, int(Follow.PIN), event.version, 0
        )
    _put(state, account, changed)
    state.keys.add(event.key, state.locator)


def _minimums(
    state: State, contract: Contract, event: ContractAmended
) -> tuple[tuple[int, int], ...]:
    """What it says from when on; what no usage may be corrected of any more is forgotten."""
    before = [each for each in contract.minimums if each[0] < event.effective_at]
    while len(before) > 1 and before[1][0] <= state.corrected_before:
        del before[0]
    return (*before, (event.effective_at, event.minimum))


def _some(rollover: ContractRollover) -> ContractRollover | None:
    return rollover if rollover.numerator else None


def contract_renewed(state: State, event: ContractRenewed) -> None:
    account, contract = _of(state, event.account, event.contract)
    _price(state, account, [], _until(account, contract, event.ends_at), ())
    _put(
        state,
        account,
        replace(
            contract,
            term_start=event.starts_at,
            terms=(*contract.terms, event.starts_at)[-CONTRACT_TERMS_REMEMBERED:],
            ends_at=event.ends_at,
            revision=contract.revision + 1,
            committed=event.committed,
            commitments=(*contract.commitments, *event.commitments),
        ),
    )
    state.try_suspended(account.root)  # usage of the term may wait for it (rule B8)


def contract_ended(state: State, event: ContractEnded) -> None:
    account, contract = _of(state, event.account, event.contract)
    until = {number: min(at, event.ended_at) for number, at in _untils(account, contract).items()}
    _price(state, account, [], until, ())
    _put(
        state,
        account,
        replace(
            contract,
            state=int(ContractState.ENDED),
            ended_at=event.ended_at,
            revision=contract.revision + 1,
        ),
    )
    if event.key:
        state.keys.add(event.key, state.locator)


def _of(state: State, number: int, name: str) -> tuple[Account, Contract]:
    account = state.accounts[number]
    contract = named(account, name)
    assert contract is not None, (number, name)
    return account, contract


def _put(state: State, account: Account, contract: Contract) -> None:
    """It stands as it is now, and is looked at when something of it is due."""
    account.contracts = tuple(
        [contract if each.name == contract.name else each for each in account.contracts]
    )
    if contract.state != ContractState.ENDED:
        set_timer(state, account, contract.due, TIMER_CONTRACT, account.number)


def _untils(account: Account, contract: Contract) -> dict[int, int]:
    """Until when each of its overrides stands."""
    layer = account.sold.contract if account.sold is not None else ()
    return {
        each.numbered.number: each.ended_at_us
        for each in layer
        if each.numbered.number in contract.overrides
    }


def _until(account: Account, contract: Contract, ends_at: int) -> dict[int, int]:
    """The same where the contract ends then: what stood to its end stands to that."""
    return {
        number: ends_at if at == contract.ends_at else at
        for number, at in _untils(account, contract).items()
    }


def _price(
    state: State,
    account: Account,
    added: list[SetOverride],
    until: dict[int, int],
    numbered: tuple[NumberedOverride, ...],
) -> None:
    """Let the contracts' overrides stand until then, and these beside them."""
    family = state.families[account.root]
    for said in numbered:
        family.next_override = max(family.next_override, said.number + 1)
    sold = account.sold or NOTHING_SOLD
    kept: list[SetOverride] = []
    for each in sold.contract:
        at = until.get(each.numbered.number, each.ended_at_us)
        if at > state.corrected_before:
            kept.append(SetOverride(each.numbered, each.set_at_us, at))
    layer: Layer = (*kept, *added)
    if layer != sold.contract:
        set_sold(state, account, Sold(sold.package, layer, sold.products))
        state.try_suspended(account.root)  # they may price what waits (rule B8)
