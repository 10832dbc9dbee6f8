"""`drawdown check-proof`: whether a proof holds, offline: no server, no database, no network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ledger.cli.output import Failed, instant, json_option, print_json

if TYPE_CHECKING:
    from ledger.integrity.proof import Proof

NOT_PROVEN = 4  # the exit code
FILE = click.Path(path_type=Path, dir_okay=False)


@click.command(name="check-proof", short_help="Check a proof offline, by the public key alone.")
@click.argument("file", type=FILE)
@click.option(
    "--public-key",
    "public_keys",
    multiple=True,
    required=True,
    type=FILE,
    help="A public key (PEM) that you trust; may be given several times.",
)
@json_option
def check_proof(file: Path, public_keys: tuple[Path, ...], as_json: bool) -> None:
    """Check the proof in FILE by public keys that you trust, and print what it proves.

    Needs neither server nor database. Ends with 4 where the proof does not hold.
    """
    from ledger.integrity.key_files import KeyUnusable, read_public_key
    from ledger.integrity.proof import ProofMalformed, decode_proof, faults_of

    try:
        keys = [read_public_key(str(path)) for path in public_keys]
        proof = decode_proof(file.read_bytes())
    except KeyUnusable as error:
        raise Failed(str(error), exit_code=2) from error
    except OSError as error:
        raise Failed(f"{file} cannot be read: {error.strerror or error}") from error
    except ProofMalformed as error:
        raise Failed(f"{file}: {error}", exit_code=NOT_PROVEN) from error
    faults = faults_of(proof, keys)
    if as_json:
        print_json({"proven": not faults, "faults": faults, **({} if faults else _says(proof))})
    elif not faults:
        _print(proof)
    if faults:
        raise Failed(f"{file} proves nothing: {'; '.join(faults)}", exit_code=NOT_PROVEN)


def _says(proof: Proof) -> dict[str, Any]:
    """What a proof that holds says, for people and scripts."""
    from ledger.integrity.describe import described

    seal, entry, identity = proof.seal, proof.entry, proof.identity
    return {
        "shard": seal.shard,
        "entry_seq": entry.entry_seq,
        "batch_seq": entry.batch_seq,
        "recorded_at": instant(entry.recorded_at_us),
        "sealed_at": instant(seal.sealed_at_us),
        "seal_seq": seal.seal_seq,
        "key_id": seal.key_id.hex(),
        "identity": None
        if identity is None
        else {"kind": identity.kind, "source": identity.source, "id": identity.id},
        "event": described(entry.event),
        "plan": described(proof.plan.event) if proof.plan is not None else None,
    }


def _print(proof: Proof) -> None:
    says = _says(proof)
    click.echo(
        f"proven: entry {says['entry_seq']} of shard {says['shard']}, recorded "
        f"{says['recorded_at']}, sealed {says['sealed_at']} by key {says['key_id']}"
    )
    if says["identity"] is not None:
        named = " ".join(f"{name}={value}" for name, value in says["identity"].items() if value)
        click.echo(f"  identity  {named}")
    for what in ("event", "plan"):
        for name, value in (says[what] or {}).items():
            click.echo(f"  {what:9} {name} = {value}")
