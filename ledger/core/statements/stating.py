"""Deciding statements: asked for, ended once their period's grace is over, closed (rules T2, H8).

An account's statements follow each other, one a billing period. What is recorded before the entry
that ends one, and takes effect before its period's end, is in it or in one before; what comes
later is an adjustment of the next. Its figures come from outside, as a hash: what they are is for
`ledger.statements` to say, and for `verify` to say again. Reads state, changes nothing.
"""

from __future__ import annotations

from ledger.core.admission import known_account, open_account
from ledger.core.commands import CloseStatement, EndStatement, SetStatements
from ledger.core.events import (
    Event,
    StatementClosed,
    StatementEnded,
    StatementForm,
    StatementsSet,
)
from ledger.core.outcomes import Known, Reason, Refusal
from ledger.core.periods import billing_period
from ledger.core.state import Account, State
from ledger.core.statements.statements import Statements, next_period, setting_of


def decide_set_statements(
    state: State, command: SetStatements, out: list[Event]
) -> Event | Known | Refusal:
    """What is closed by itself from now on: the period that runs is the first."""
    account = open_account(state, command.key, command.account)
    if not isinstance(account, Account):
        return account
    version = account.statements.version if account.statements is not None else 0
    if command.expected_version and command.expected_version != version:
        return Refusal(
            Reason.VERSION_MISMATCH,
            "expected_version",
            str(version),
            f"statements are at version {version}, not {command.expected_version}; read them again",
        )
    made = StatementsSet(
        command.key,
        account.number,
        command.form,
        command.attribute,
        version + 1,
        command.expected_version,
        command.trace,
    )
    out.append(made)
    return made


def decide_end_statement(
    state: State, command: EndStatement, out: list[Event]
) -> Event | Known | Refusal:
    """The statement of a period whose grace is over; what was to end before ends first."""
    account = known_account(state, command.key, command.account)
    if not isinstance(account, Account):
        return account
    setting = setting_of(account)
    since = command.start or account.created_at
    if not command.start and setting is not None:
        since = max(setting.since, since)
    start, end = next_period(account, since)
    refusal = _not_the_next(account, command, start, end) or _not_over(state, account, start, end)
    if refusal is not None:
        return refusal
    said = setting is not None and setting.form != StatementForm.NONE
    form = setting.form if setting is not None and said else StatementForm.CONSOLIDATED
    attribute = setting.attribute if setting is not None and said else ""
    made = _ended(
        account,
        start,
        end,
        command.form or form,
        command.attribute or attribute,
        command,
    )
    out.append(made)
    return made


def end_in_time(state: State, statements: Statements, out: list[Event]) -> None:
    """Time has ended the account's next statement."""
    account = statements.account
    setting = setting_of(account)
    assert setting is not None and setting.form != StatementForm.NONE, account.number
    start, end = next_period(account, max(setting.since, account.created_at))
    out.append(_ended(account, start, end, setting.form, setting.attribute))


def _ended(
    account: Account,
    start: int,
    end: int,
    form: int,
    attribute: str,
    command: EndStatement | None = None,
) -> StatementEnded:
    before = account.statements.number if account.statements is not None else 0
    return StatementEnded(
        command.key if command is not None else b"",
        account.number,
        before + 1,
        StatementForm(form),
        attribute,
        start,
        end,
        command.start if command is not None else 0,
        command.end if command is not None else 0,
        command.form if command is not None else 0,
        command.attribute if command is not None else "",
        command.trace if command is not None else b"",
    )


def _not_the_next(account: Account, command: EndStatement, start: int, end: int) -> Refusal | None:
    """Whether a period that was asked for is another than the account's next [start, end)."""
    said = account.statements
    if not command.start:
        same = not command.end or command.end == end
        return None if same else _no_period("end_us", command.end, start, end)
    if said is not None and said.number and command.start < said.until:
        return Refusal(
            Reason.STATEMENT_CLOSED,
            "start_us",
            str(command.start),
            f"statements of the account are closed up to {said.until}, the last by number "
            f"{said.number}; what comes later is an adjustment of the next",
        )
    holds = billing_period(command.start, account.anchors, account.calendar)
    if holds[1] <= account.created_at:
        return Refusal(
            Reason.STATEMENT_PERIOD_INVALID,
            "start_us",
            str(command.start),
            f"the account was opened at {account.created_at}, after that period",
        )
    if said is not None and said.number and command.start > start:
        return Refusal(
            Reason.STATEMENT_NOT_NEXT,
            "start_us",
            str(start),
            "the statement of the period that begins there is to be closed before",
        )
    if command.start != holds[0] and command.start != start:
        return _no_period("start_us", command.start, *holds)
    if command.end and command.end != end:
        return _no_period("end_us", command.end, start, end)
    return None


def _no_period(field: str, given: int, start: int, end: int) -> Refusal:
    return Refusal(
        Reason.STATEMENT_PERIOD_INVALID,
        field,
        str(given),
        f"no billing period of the account has that bound; [{start}, {end}) is one",
    )


def _not_over(state: State, account: Account, start: int, end: int) -> Refusal | None:
    """Whether the period runs still, or its grace does (rule T2)."""
    if end <= account.closed_by(state.now):
        return None
    if state.now < end:
        return Refusal(
            Reason.STATEMENT_PERIOD_OPEN,
            "end_us",
            str(end),
            f"the period that began at {start} runs until then; ask for a draft",
        )
    until = end + account.policy.period_grace
    return Refusal(
        Reason.STATEMENT_IN_GRACE,
        "end_us",
        str(until),
        f"the period that ended at {end} takes late events until then; close it after that",
    )


def decide_close_statement(
    state: State, command: CloseStatement, out: list[Event]
) -> Event | Known | Refusal:
    """What an ended statement says, once."""
    account = known_account(state, command.key, command.account)
    if not isinstance(account, Account):
        return account
    said = account.statements
    ended = said.ended.get(command.statement) if said is not None else None
    if ended is None:
        closed = said is not None and 0 < command.statement <= said.number
        return Refusal(
            Reason.STATEMENT_CLOSED if closed else Reason.STATEMENT_UNKNOWN,
            "statement",
            str(command.statement),
            "the statement is closed already" if closed else "the account has no such statement",
        )
    if command.batch_seq != ended.batch_seq:
        return Refusal(
            Reason.STATEMENT_UNKNOWN,
            "batch_seq",
            str(ended.batch_seq),
            "the statement was ended by another batch than its figures are of; work them out anew",
        )
    made = StatementClosed(
        command.key,
        account.number,
        command.statement,
        ended.first,
        ended.ended_by - 1,
        ended.batch_seq,
        command.head,
        command.hash,
    )
    out.append(made)
    return made
