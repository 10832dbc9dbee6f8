"""Statements: each period once, in order, when its grace is over; what it says, once (rule T2)."""

from __future__ import annotations

from ledger.core.events import StatementClosed, StatementEnded, StatementForm, StatementsSet
from ledger.core.state import Account, State
from ledger.core.statements.statements import Statements
from ledger.verify.rules.judge import Judge

HASH_BYTES = 32


def statements_set(judge: Judge, state: State, event: StatementsSet) -> None:
    account = state.accounts[event.account]
    before = account.statements.version if account.statements is not None else 0
    judge.equal(state, "statements of a closed account", 0, account.closed_at)
    judge.equal(state, "version of the statements", before + 1, event.version)
    if event.form not in tuple(StatementForm):
        judge.wrong(state, "form of the statements", "one that is known", event.form)


def statement_ended(judge: Judge, state: State, event: StatementEnded) -> None:
    account = state.accounts[event.account]
    before = account.statements
    number = before.number if before is not None else 0
    judge.equal(state, "number of the statement", number + 1, event.statement)
    if before is not None and before.number:
        judge.equal(state, "start of the statement", before.until, event.start)
    if not event.start < event.end <= account.closed_by(state.now):
        judge.wrong(state, "period of the statement", "one whose grace has ended", event.end)
    if event.form not in (StatementForm.CONSOLIDATED, StatementForm.SEPARATE):
        judge.wrong(state, "form of the statement", "CONSOLIDATED or SEPARATE", event.form)
    if not event.key:
        said = _said_of(account)
        wanted = (said.form, said.attribute) if said is not None else None
        judge.equal(state, "statements that are asked for", wanted, (event.form, event.attribute))


def statement_closed(judge: Judge, state: State, event: StatementClosed) -> None:
    said = state.accounts[event.account].statements
    ended = said.ended.get(event.statement) if said is not None else None
    if ended is None:
        judge.wrong(state, "statement", "one that has ended and is not closed", event.statement)
        return
    covered = (ended.first, ended.ended_by - 1, ended.batch_seq)
    found = (event.first, event.last, event.batch_seq)
    judge.equal(state, "entries that the statement covers, and its batch", covered, found)
    lengths = (len(event.head), len(event.hash))
    judge.equal(state, "bytes of the statement's hashes", (HASH_BYTES, HASH_BYTES), lengths)


def _said_of(account: Account) -> Statements | None:
    """What is asked for of an account: its own word, else the nearest word above, if separate."""
    line = [each.statements for each in account.line()]
    for place, said in enumerate(line):
        if said is not None and said.version:
            return said if place == 0 or said.form == StatementForm.SEPARATE else None
    return None
