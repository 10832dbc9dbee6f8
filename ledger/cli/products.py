"""`drawdown product`: how work of a product is decided while no server answers."""

from __future__ import annotations

from typing import Any, Final

import click

from ledger.cli.cards import digest
from ledger.cli.output import console, instant, json_option, print_json, table
from ledger.cli.remote import TIMEOUT_S, Remote, connect, server_options

MODES: Final = {"closed": 1, "open": 2, "lease-only": 3}  # as ledger.v1.FailMode numbers them
PAGE_SIZE: Final = 1_000


@click.group(short_help="Say what becomes of a product's work while no server answers.")
def product() -> None:
    """What holds for all work of a product."""


@product.command("fail-mode")
@click.argument("product")
@click.argument("mode", type=click.Choice(list(MODES)))
@server_options
@json_option
def fail_mode(product: str, mode: str, tenant: str, remote: Remote, as_json: bool) -> None:
    """Decide work of PRODUCT by MODE while no server answers.

    \b
    closed       it is denied
    open         it runs, within bounds; its usage is marked, and recorded when a server is back
    lease-only   it runs where the client holds a lease that covers it
    """
    from ledger.v1 import fail_mode_pb2 as pb
    from ledger.v1.fail_mode_pb2_grpc import FailModeServiceStub

    with connect(remote) as channel:
        stub: Any = FailModeServiceStub(channel)
        known = {each.product: each.version for each in _listed(stub, tenant)}
        expected = known.get(product, 0)
        named = digest(f"{product}\n{mode}\n{expected}".encode())
        reply = stub.SetFailMode(
            pb.SetFailModeRequest(
                tenant=tenant,
                request_id=f"fail-mode-{named}",
                product=product,
                mode=pb.FailMode.ValueType(MODES[mode]),
                expected_version=expected,
            ),
            timeout=TIMEOUT_S,
        )
    if as_json:
        print_json(_document(reply.fail_mode) | {"replayed": reply.replayed})
        return
    done = "is already" if reply.replayed else "is now"
    click.echo(f"the fail mode of {product} {done} {mode}")


@product.command("fail-modes")
@server_options
@json_option
def fail_modes(tenant: str, remote: Remote, as_json: bool) -> None:
    """List the fail modes of products; those that are not listed are closed."""

    from ledger.v1.fail_mode_pb2_grpc import FailModeServiceStub

    with connect(remote) as channel:
        found = _listed(FailModeServiceStub(channel), tenant)
    if as_json:
        print_json([_document(each) for each in found])
        return
    listed = table("", "product", "fail mode", "published")
    for each in found:
        listed.add_row(each.product, _name(each.mode), instant(each.published_at_us))
    console().print(listed)


def _listed(stub: Any, tenant: str) -> list[Any]:
    from ledger.v1 import fail_mode_pb2 as pb

    found: list[Any] = []
    request = pb.ListFailModesRequest(tenant=tenant, page_size=PAGE_SIZE)
    while True:
        reply = stub.ListFailModes(request, timeout=TIMEOUT_S)
        found += reply.fail_modes
        if not reply.next_page_token:
            return found
        request.page_token = reply.next_page_token


def _name(mode: int) -> str:
    return next(name for name, number in MODES.items() if number == mode)


def _document(found: Any) -> dict[str, Any]:
    return {
        "product": found.product,
        "fail_mode": _name(found.mode),
        "version": found.version,
        "published_at_us": found.published_at_us,
    }
