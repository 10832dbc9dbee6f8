"""`drawdown prove`: the proof that one entry was recorded, as a file for whoever doubts it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ledger.cli.output import Failed, say
from ledger.cli.remote import TIMEOUT_S, Remote, connect, server_options


@click.command(short_help="Write the proof that one entry was recorded as it stands.")
@click.option("--account", required=True, help="Id or alias of an account of the entry's family.")
@click.option("--id", "event_id", help="The usage event's id.")
@click.option("--source", help="The usage event's source; with --id.")
@click.option("--request-id", help="The request id of another call (grant, hold, capture ...).")
@click.option("--entry", "number", help="The entry by number, SHARD/ENTRY; instead of an id.")
@click.option(
    "--reveal-identity",
    is_flag=True,
    help="Let the proof also show that the entry is of that id. Who has it can confirm guesses at "
    "other ids of the same account family.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Where to write it.  [default: standard output]",
)
@server_options
def prove(
    account: str, reveal_identity: bool, out: Path | None, tenant: str, remote: Remote, **key: Any
) -> None:
    """Write a proof of one entry: the entry, its audit path and its seal, and nobody else's data.

    \b
    drawdown prove --account acme --source app --id evt-1 --out proof.json
    drawdown check-proof proof.json --public-key public.pem
    """
    from ledger.v1 import journal_pb2
    from ledger.v1.journal_pb2_grpc import JournalServiceStub

    request = journal_pb2.GetProofRequest(
        tenant=tenant, account=account, reveal_identity=reveal_identity, **_key(**key)
    )
    with connect(remote) as channel:
        reply = JournalServiceStub(channel).GetProof(request, timeout=TIMEOUT_S)
    if out is None:
        click.echo(reply.document, nl=False)
        return
    try:
        out.write_bytes(reply.document)
    except OSError as error:
        raise Failed(f"{out} cannot be written: {error.strerror or error}") from error
    say(f"entry {reply.entry.entry_seq} of shard {reply.seal.shard}: {out}")


def _key(
    event_id: str | None, source: str | None, request_id: str | None, number: str | None
) -> dict[str, Any]:
    """The one thing that names the entry."""
    from ledger.v1 import journal_pb2

    given = [each for each in (event_id, request_id, number) if each is not None]
    if len(given) != 1 or (event_id is None) != (source is None):
        raise click.UsageError("name the entry by --source and --id, --request-id, or --entry")
    if event_id is not None:
        return {"usage": journal_pb2.UsageKey(source=source or "", id=event_id)}
    if request_id is not None:
        return {"request_id": request_id}
    shard, separator, entry_seq = str(number).partition("/")
    if not separator or not shard.isdecimal() or not entry_seq.isdecimal():
        raise click.UsageError(f"--entry {number}: write SHARD/ENTRY, like 0/1234")
    return {"entry": journal_pb2.EntryNumber(shard=int(shard), entry_seq=int(entry_seq))}
