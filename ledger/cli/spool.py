"""`drawdown spool`: what a client's spool has set aside because a server refused it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from ledger.cli.output import Failed, console, instant, json_option, print_json, say, table
from ledger.cli.remote import Remote, check_answers, credentials_of, server_options
from ledger.cli.shifts import Shift

if TYPE_CHECKING:
    from ledger.client import SetAside

PATIENCE_S: Final = 60  # for all of it to be judged; a server that is there takes 10,000 events/s
FOLDER: Final = click.argument(
    "folder", type=click.Path(path_type=Path, exists=True, file_okay=False)
)


@click.group(short_help="List, and send again, what a client's spool has set aside.")
def spool() -> None:
    """A client's spool keeps usage on its machine's disk while no server answers. What a server
    refuses later, as of a clock that was wrong, it sets aside in the same folder."""


@spool.command("list")
@FOLDER
@json_option
def list_(folder: Path, as_json: bool) -> None:
    """List what the spool in FOLDER has set aside, and why. A process may have the folder open."""
    from ledger.client import SpoolError
    from ledger.client.spool_aside import listed

    try:
        found = listed(folder)
    except SpoolError as error:
        raise Failed(str(error)) from error
    if as_json:
        print_json([_document(each) for each in found])
    else:
        _print(found)


@spool.command()
@FOLDER
@click.option("--id", "ids", multiple=True, help="Only this one; may be given several times.")
@click.option(
    "--shift",
    type=Shift(),
    default=0,
    help="Move their times by so much, as -3d or +90s: of usage that a wrong clock has set.",
)
@server_options
@json_option
def resend(
    folder: Path,
    ids: tuple[str, ...],
    shift: int,
    tenant: str,
    remote: Remote,
    as_json: bool,
) -> None:
    """Send what the spool in FOLDER has set aside once more, with what else it keeps.

    \b
    drawdown spool resend /var/spool/drawdown                      once its account is there
    drawdown spool resend /var/spool/drawdown --shift=-3d          the clock was 3 days ahead

    What was TOO_OLD stands in the journal without a charge; with --shift it is sent as another
    event, with `again/` before its id. What is refused again is set aside again.
    """
    check_answers(remote, tenant)
    sent, left = asyncio.run(_resent(folder, ids, shift, tenant, remote))
    if as_json:
        print_json({"sent": sent, "set_aside": [_document(each) for each in left]})
    else:
        click.echo(f"{sent} sent again, {len(left)} set aside now")
        if left:
            _print(left)
    unknown = set(ids) - {each.id for each in left}
    if ids and not sent and unknown:
        raise Failed(
            f"nothing with id {', '.join(sorted(unknown))} is set aside in {folder}",
            "`drawdown spool list` says what is",
        )


async def _resent(
    folder: Path, ids: tuple[str, ...], shift_us: int, tenant: str, remote: Remote
) -> tuple[int, list[SetAside]]:
    from ledger.client import DrawdownClient, Spool, SpoolBusy, SpoolError

    client = DrawdownClient(
        remote.address,
        tenant=tenant,
        credentials=credentials_of(remote) if remote.tls_ca is not None else None,
        token=remote.token,
    )
    try:
        async with Spool(client, folder) as spool:
            sent = await spool.resend(ids, shift_us=shift_us)
            try:
                async with asyncio.timeout(PATIENCE_S):
                    await spool.drained()
            except TimeoutError:
                say(f"{spool.kept_events} events stay in {folder}: they are sent by its next user")
            return sent, await spool.set_aside()
    except SpoolBusy as error:
        raise Failed(
            str(error), "stop that process, or have it call `Spool.resend` itself"
        ) from error
    except (SpoolError, ValueError) as error:
        raise Failed(str(error)) from error
    finally:
        await client.close()


def _print(found: list[SetAside]) -> None:

    shown = table("", "id", "what", "time", "why", "message")
    for each in found:
        shown.add_row(
            each.id,
            _what(each),
            instant(each.kept.effective_at_us),
            each.reason,
            each.message,
        )
    console().print(shown)


def _what(each: SetAside) -> str:
    from ledger.client import UsageEvent

    kept = each.kept
    if isinstance(kept, UsageEvent):
        return f"usage of {kept.account}"
    return f"capture of hold {kept.hold_id}"


def _document(each: SetAside) -> dict[str, Any]:
    from ledger.client import UsageEvent
    from ledger.client.spool_records import fields_of

    what = "event" if isinstance(each.kept, UsageEvent) else "capture"
    return {
        "id": each.id,
        "reason": each.reason,
        "message": each.message,
        "set_aside_at_us": str(each.set_aside_at_us),
        what: fields_of(each.kept) | {"effective_at_us": str(each.kept.effective_at_us)},
    }
