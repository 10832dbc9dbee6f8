"""Statements: asked for, ended, closed (rule T2)."""

from __future__ import annotations

from ledger.core.events import StatementClosed, StatementEnded, StatementsSet
from ledger.core.state import Account, State
from ledger.core.statements.statements import Ended, Statements


def statements_set(state: State, event: StatementsSet) -> None:
    account = state.accounts[event.account]
    said = _of(account)
    said.form = event.form
    said.attribute = event.attribute
    said.version = event.version
    said.since = state.now
    for each in account.below():
        state.await_statement(each)
    state.keys.add(event.key, state.locator)


def statement_ended(state: State, event: StatementEnded) -> None:
    account = state.accounts[event.account]
    said = _of(account)
    entry = state.entry_seq
    said.ended[event.statement] = Ended(
        event.start, event.end, said.ended_by, entry, state.batch_seq
    )
    said.number = event.statement
    said.until = event.end
    said.ended_by = entry
    state.await_statement(account)
    if event.key:
        state.keys.add(event.key, state.locator)


def statement_closed(state: State, event: StatementClosed) -> None:
    said = state.accounts[event.account].statements
    assert said is not None, event.account
    del said.ended[event.statement]
    state.keys.add(event.key, state.locator)


def _of(account: Account) -> Statements:
    if account.statements is None:
        account.statements = Statements(account)
    return account.statements
