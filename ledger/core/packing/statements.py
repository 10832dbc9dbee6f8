"""Statements of an account: what it asks for, and how far they are."""

from __future__ import annotations

import msgspec

from ledger.core.state import Account
from ledger.core.statements.statements import Ended, Statements


class PackedStatements(msgspec.Struct, array_like=True, gc=False):
    """`ended`: number, then its parts, of those that are to be closed."""

    form: int
    attribute: str
    version: int
    since: int
    number: int
    until: int
    ended_by: int
    ended: list[tuple[int, int, int, int, int, int]]


def pack_statements(statements: Statements | None) -> PackedStatements | None:
    """None where nothing was ever said or ended."""
    if statements is None or statements.blank:
        return None
    return PackedStatements(
        statements.form,
        statements.attribute,
        statements.version,
        statements.since,
        statements.number,
        statements.until,
        statements.ended_by,
        [(number, *statements.ended[number]) for number in sorted(statements.ended)],
    )


def unpack_statements(account: Account, packed: PackedStatements | None) -> Statements | None:
    if packed is None:
        return None
    statements = Statements(account)
    statements.form = packed.form
    statements.attribute = packed.attribute
    statements.version = packed.version
    statements.since = packed.since
    statements.number = packed.number
    statements.until = packed.until
    statements.ended_by = packed.ended_by
    statements.ended = {number: Ended(*parts) for number, *parts in packed.ended}
    return statements
