"""`drawdown reasons`: what a reason means, and what to do about it. Asks no server."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

import click

from ledger.cli.output import Failed, console, json_option, print_json, table

if TYPE_CHECKING:
    from ledger.reasons.form import Area, Row


@click.command(short_help="What a reason of a refusal means.")
@click.argument("code", default="")
@json_option
def reasons(code: str, as_json: bool) -> None:
    """Say what happened and what to do where something was refused with the reason CODE.

    Without CODE all reasons are listed; with a part of one, such as BUDGET, those that have it.
    """
    from ledger.reasons import AREAS, REASONS

    wanted = code.strip().upper()
    found = [
        (area, row)
        for area in AREAS
        for row in area.rows
        if wanted == row.reason or (wanted not in REASONS and wanted in row.reason)
    ]
    if not found:
        near = difflib.get_close_matches(wanted, REASONS, n=3)
        raise Failed(
            f"there is no reason {code!r}",
            f"near to it: {', '.join(near)}" if near else "`drawdown reasons` lists all of them",
            exit_code=2,
        )
    if as_json:
        print_json([_document(area, row) for area, row in found])
    elif wanted in REASONS:
        _show(*found[0])
    else:
        shown = table("", "reason", "status", "again", "what happened")
        for _, row in found:
            again = "yes" if row.kind.retryable else "no"
            shown.add_row(row.reason, row.kind.code or "-", again, row.happened)
        console().print(shown)


def _show(area: Area, row: Row) -> None:
    click.echo(f"{click.style(row.reason, bold=True)}  {row.kind.code}".rstrip())
    click.echo(f"  {row.happened}")
    click.echo(f"  {row.advice}")
    if row.kind.retryable:
        click.echo("  The same may be sent again as it is: under the same id it happens once.")
    click.echo(f"  See docs/{area.page} and docs/errors.md.")


def _document(area: Area, row: Row) -> dict[str, Any]:
    return {
        "reason": row.reason,
        "status": row.kind.code,
        "retryable": row.kind.retryable,
        "happened": row.happened,
        "advice": row.advice,
        "page": f"docs/{area.page}",
    }
