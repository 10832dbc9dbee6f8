"""`drawdown contract`: a package for a time, with prices and commitments of its own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ledger.cli.instants import Instant
from ledger.cli.output import Failed, document_of, instant, json_option, print_json
from ledger.cli.overrides import price_of, read_file
from ledger.cli.remote import Remote, connect, server_options

if TYPE_CHECKING:
    from ledger.v1 import contract_pb2

CALL_S = 30
ENDINGS = ("true-up", "waive", "transfer")
OLD_GRANTS = ("keep", "forfeit-unused", "prorate")
_UNSAID: Any = 0
STATES = ("", "signed", "running", "over")


@click.group(short_help="Sign, amend and end contracts of accounts.")
def contract() -> None:
    """Sign, amend and end contracts: a package in a version that is pinned, for a time, with prices
    and commitments of its own."""


@contract.command("sign")
@click.argument("account")
@click.argument("name")
@click.argument("package")
@click.option("--ends", type=Instant(), required=True, help="When it ends.")
@click.option("--starts", type=Instant(), default=0, help="When it starts.  [default: now]")
@click.option("--version", type=int, default=0, help="Of the package; else the newest in force.")
@click.option(
    "--prices",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A file with price overrides, JSON or TOML.",
)
@click.option(
    "--commitments",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A file with commitments: JSON, as the messages are.",
)
@click.option("--auto-renew", is_flag=True, help="For as long again at its end, and so on.")
@click.option("--minimum", type=int, default=0, help="Of a billing period, in minor units.")
@click.option("--rolls-over", default="", help="Of its commitments, at renewal: 1/2, or 1/2:1000.")
@click.option("--request-id", default="", help="Identity of the call, for a retry.")
@server_options
@json_option
def sign(
    account: str,
    name: str,
    package: str,
    ends: int,
    starts: int,
    version: int,
    prices: Path | None,
    commitments: Path | None,
    auto_renew: bool,
    minimum: int,
    rolls_over: str,
    request_id: str,
    tenant: str,
    remote: Remote,
    as_json: bool,
) -> None:
    """Sign the contract NAME for ACCOUNT: PACKAGE from its start to its end."""
    from ledger.v1 import contract_pb2
    from ledger.v1.contract_pb2_grpc import ContractServiceStub

    request = contract_pb2.ContractServiceSignRequest(
        tenant=tenant,
        request_id=request_id or _new_id(),
        account=account,
        contract=name,
        package=package,
        package_version=version,
        starts_at_us=starts,
        ends_at_us=ends,
        overrides=read_file(prices) if prices is not None else (),
        renewal=_renewal(auto_renew),
        minimum=minimum,
        commitments=_commitments_of(commitments) if commitments is not None else (),
        rollover=_rollover_of(rolls_over),
    )
    with connect(remote) as channel:
        stub: Any = ContractServiceStub(channel)
        reply = stub.Sign(request, timeout=CALL_S)
    if as_json:
        print_json(document_of(reply))
        return
    click.echo(_line(reply.contract))
    _say_rerate(reply.rerate_from_us)


@contract.command("amend")
@click.argument("account")
@click.argument("name")
@click.option("--effective", type=Instant(), default=0, help="From when its prices count.")
@click.option(
    "--prices",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A file with all its price overrides from then on; an empty list takes them back.",
)
@click.option("--version", type=int, default=0, help="Of its package, from the next period on.")
@click.option("--ends", type=Instant(), default=0, help="When it ends.")
@click.option("--auto-renew/--no-auto-renew", default=None, help="What becomes of it then.")
@click.option(
    "--commitments",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A file with what it commits to beside what it did.",
)
@click.option("--minimum", type=int, default=None, help="Of a billing period, from then on.")
@click.option("--rolls-over", default="", help="At renewal from now on: 1/2, 1/2:1000 or 0/1.")
@click.option("--request-id", default="", help="Identity of the call, for a retry.")
@server_options
@json_option
def amend(
    account: str,
    name: str,
    effective: int,
    prices: Path | None,
    version: int,
    ends: int,
    auto_renew: bool | None,
    commitments: Path | None,
    minimum: int | None,
    rolls_over: str,
    request_id: str,
    tenant: str,
    remote: Remote,
    as_json: bool,
) -> None:
    """Change what the contract NAME of ACCOUNT says; what is not given stays."""
    from ledger.v1 import contract_pb2
    from ledger.v1.contract_pb2_grpc import ContractServiceStub

    request = contract_pb2.ContractServiceAmendRequest(
        tenant=tenant,
        request_id=request_id or _new_id(),
        account=account,
        contract=name,
        effective_at_us=effective,
        package_version=version,
        ends_at_us=ends,
        renewal=_renewal(auto_renew) if auto_renew is not None else _UNSAID,
        commitments=_commitments_of(commitments) if commitments is not None else (),
        minimum=minimum,
        rollover=_rollover_of(rolls_over),
    )
    if prices is not None:
        request.prices.CopyFrom(contract_pb2.ContractPrices(overrides=read_file(prices)))
    with connect(remote) as channel:
        stub: Any = ContractServiceStub(channel)
        reply = stub.Amend(request, timeout=CALL_S)
    if as_json:
        print_json(document_of(reply))
        return
    click.echo(_line(reply.contract))
    _say_rerate(reply.rerate_from_us)


@contract.command("end")
@click.argument("account")
@click.argument("name")
@click.option("--ending", type=click.Choice(ENDINGS), default="true-up", show_default=True)
@click.option("--target", default="", help="Of transfer: the commitment that takes what is left.")
@click.option("--old-grants", type=click.Choice(OLD_GRANTS), default="keep", show_default=True)
@click.option("--request-id", default="", help="Identity of the call, for a retry.")
@server_options
@json_option
def end(
    account: str,
    name: str,
    ending: str,
    target: str,
    old_grants: str,
    request_id: str,
    tenant: str,
    remote: Remote,
    as_json: bool,
) -> None:
    """End the contract NAME of ACCOUNT now, before its time."""
    from ledger.v1 import contract_pb2
    from ledger.v1.contract_pb2_grpc import ContractServiceStub

    request = contract_pb2.ContractServiceEndRequest(
        tenant=tenant,
        request_id=request_id or _new_id(),
        account=account,
        contract=name,
        ending=_number(ENDINGS, ending),
        target_commitment_id=target,
        old_grants=_number(OLD_GRANTS, old_grants),
    )
    with connect(remote) as channel:
        stub: Any = ContractServiceStub(channel)
        reply = stub.End(request, timeout=CALL_S)
    if as_json:
        print_json(document_of(reply))
        return
    for each in reply.taken_back:
        click.echo(f"taken back: {each.amount:,} of grant {each.grant_id}")
    click.echo(_line(reply.contract))


@contract.command("list")
@click.argument("account")
@server_options
@json_option
def list_contracts(account: str, tenant: str, remote: Remote, as_json: bool) -> None:
    """List the contracts of ACCOUNT in the order signed, those that are over too."""
    from ledger.v1 import contract_pb2
    from ledger.v1.contract_pb2_grpc import ContractServiceStub

    request = contract_pb2.ContractServiceListRequest(tenant=tenant, account=account)
    found: list[contract_pb2.Contract] = []
    with connect(remote) as channel:
        stub: Any = ContractServiceStub(channel)
        while True:
            reply = stub.List(request, timeout=CALL_S)
            found += reply.contracts
            if not reply.next_page_token:
                break
            request.page_token = reply.next_page_token
    if as_json:
        print_json(document_of(contract_pb2.ContractServiceListResponse(contracts=found)))
        return
    for each in found:
        click.echo(_line(each))
        for standing in each.overrides:
            said = standing.override
            click.echo(f"  {said.product} {said.quantity}: {price_of(said)}")
        for commitment in each.commitment_ids:
            click.echo(f"  {commitment}")
    if not found:
        click.echo(f"{account} has no contracts")


def _rollover_of(given: str) -> contract_pb2.ContractRollover | None:
    """`1/2`, or `1/2:1000` with a cap; "" = none is said."""
    from ledger.v1 import contract_pb2

    if not given:
        return None
    fraction, _, cap = given.partition(":")
    numerator, _, denominator = fraction.partition("/")
    try:
        return contract_pb2.ContractRollover(
            numerator=int(numerator),
            denominator=int(denominator or "1"),
            cap=int(cap) if cap else None,
        )
    except ValueError:
        raise Failed(f"{given!r}: name a fraction, and a cap behind a colon: 1/2:1000") from None


def _commitments_of(file: Path) -> list[contract_pb2.ContractCommitment]:
    """Those of a file: {"commitments": [...]}, each as the message is written in JSON."""
    import json

    from google.protobuf.json_format import ParseDict, ParseError

    from ledger.v1 import contract_pb2

    try:
        document = json.loads(file.read_bytes())
        request = ParseDict(document, contract_pb2.ContractServiceSignRequest())
    except (ValueError, ParseError) as error:
        raise Failed(f"{file} has no commitments: {error}") from error
    return list(request.commitments)


def _new_id() -> str:
    from uuid import uuid4

    return f"contract-{uuid4().hex}"


def _renewal(given: bool) -> Any:
    return 1 if given else 2


def _number(names: tuple[str, ...], given: str) -> Any:
    return names.index(given) + 1


def _line(each: contract_pb2.Contract) -> str:
    since, until = instant(each.starts_at_us), instant(each.ended_at_us or each.ends_at_us)
    renews = ", renewed then" if each.renewal == 1 and not each.ended_at_us else ""
    return (
        f"{each.account} has the contract {each.contract}, {STATES[each.state]}: {each.package} "
        f"version {each.package_version} from {since} until {until}{renews}"
    )


def _say_rerate(since: int) -> None:
    if since:
        click.echo(
            f"usage from {instant(since)} on that was priced before may be rated again: "
            "drawdown pricing rerate"
        )
