"""`drawdown pricing override`: what an account pays otherwise than its rate card says."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ledger.cli.cards import digest
from ledger.cli.output import Failed, console, instant, json_option, print_json, table
from ledger.cli.remote import TIMEOUT_S, Remote, connect, server_options

if TYPE_CHECKING:
    from rating.v1 import override_pb2


SOURCES = ("account", "account", "package", "contract")


@click.group(short_help="Set and show the price overrides of an account.")
def override() -> None:
    """Set and show what an account pays otherwise than its rate card says."""


@override.command("set")
@click.argument("account")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--reason", default="", help="Why, for people.")
@click.option("--actor", default="", help="Who asks.")
@server_options
@json_option
def set_overrides(
    account: str, file: Path, reason: str, actor: str, tenant: str, remote: Remote, as_json: bool
) -> None:
    """Replace all price overrides of ACCOUNT by those of FILE, JSON or TOML.

    One that stands already goes on as it is; an empty list takes all of them back.
    """
    from rating.v1 import override_pb2
    from rating.v1.pricing_pb2_grpc import PricingServiceStub

    data, overrides = file.read_bytes(), read_file(file)
    with connect(remote) as channel:
        stub: Any = PricingServiceStub(channel)
        expected = _standing(stub, tenant, account).version
        named = digest(f"{account}\n{expected}\n{reason}\n{actor}\n".encode() + data)
        reply = stub.SetPriceOverrides(
            override_pb2.SetPriceOverridesRequest(
                tenant=tenant,
                request_id=f"override-{named}",
                account=account,
                overrides=overrides,
                expected_version=expected,
                reason=reason,
                actor=actor,
            ),
            timeout=TIMEOUT_S,
        )
        if as_json:
            print_json(_document(_standing(stub, tenant, account)))
            return
    count = len(reply.overrides)
    click.echo(f"{account} has {count} price overrides, version {reply.version}")


def read_file(file: Path) -> list[override_pb2.PriceOverride]:
    """The price overrides of a file, JSON or TOML. Raises Failed."""
    from ledger.api.rendering.render_override import render_override
    from rating.card_file import Form, read_overrides
    from rating.faults import CardError
    from rating.models import CostPlus
    from rating.overrides import Overwrite

    try:
        found = read_overrides(
            file.read_bytes(), Form.TOML if file.suffix == ".toml" else Form.JSON
        )
    except CardError as error:
        faults = [f"{fault.path}: {fault.message}".lstrip(": ") for fault in error.faults]
        raise Failed(f"{file} has no price overrides: " + "; ".join(faults)) from error
    for place, each in enumerate(found):
        if isinstance(each.change, Overwrite) and isinstance(each.change.model, CostPlus):
            raise Failed(f"overrides[{place}]: the ledger does not price by cost plus")
    return [render_override(each) for each in found]


@override.command("show")
@click.argument("account")
@server_options
@json_option
def show_overrides(account: str, tenant: str, remote: Remote, as_json: bool) -> None:
    """Show what stands for ACCOUNT, its own first, then what it inherits."""

    from rating.v1.pricing_pb2_grpc import PricingServiceStub

    with connect(remote) as channel:
        found = _standing(PricingServiceStub(channel), tenant, account)
    if as_json:
        print_json(_document(found))
        return
    shown = table(
        "", "number", "of", "by", "product", "quantity", "where", "price", "priority", "for"
    )
    for each in (*found.overrides, *found.inherited):
        said = each.override
        where = " ".join(f"{name}={value}" for name, value in sorted(said.attributes.items()))
        cells = (
            each.account,
            SOURCES[each.source],
            said.product,
            said.quantity,
            where,
            price_of(said),
        )
        shown.add_row(str(each.number), *cells, str(said.priority or ""), _usage_of(each))
    console().print(shown)


def _standing(stub: Any, tenant: str, account: str) -> override_pb2.GetPriceOverridesResponse:
    from rating.v1 import override_pb2

    request = override_pb2.GetPriceOverridesRequest(tenant=tenant, account=account)
    found: override_pb2.GetPriceOverridesResponse = stub.GetPriceOverrides(
        request, timeout=TIMEOUT_S
    )
    return found


def price_of(said: override_pb2.PriceOverride) -> str:
    """In short: the ratio, the price, or the kind of model."""
    which = said.WhichOneof("change")
    if which == "multiplier":
        return f"x {said.multiplier.ratio}"
    terms: Any = said.tiered if which == "tiered" else said.overwrite
    return f"{terms.WhichOneof('model') or terms.price} {terms.asset}"


def _usage_of(each: override_pb2.StandingOverride) -> str:
    """The usage that it is for, by its effective time."""
    since = max(each.override.effective_from_us, each.set_at_us)
    until = each.override.effective_until_us
    return f"from {instant(since)}" + (f" until {instant(until)}" if until else "")


def _document(found: override_pb2.GetPriceOverridesResponse) -> dict[str, Any]:
    from google.protobuf.json_format import MessageToDict

    def each(standing: override_pb2.StandingOverride) -> dict[str, Any]:
        said = MessageToDict(standing.override, preserving_proto_field_name=True)
        return {
            "number": standing.number,
            "account": standing.account,
            "set_at_us": standing.set_at_us,
            "override": said,
        }

    return {
        "version": found.version,
        "overrides": [each(standing) for standing in found.overrides],
        "inherited": [each(standing) for standing in found.inherited],
    }
