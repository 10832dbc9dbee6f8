"""`drawdown balance` and `drawdown changes`: what an account can or could spend, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ledger.cli.instants import Instant
from ledger.cli.output import amount, console, document_of, instant, json_option, print_json, table
from ledger.cli.remote import TIMEOUT_S, Remote, connect, server_options

if TYPE_CHECKING:
    from ledger.v1 import balance_pb2, types_pb2

FIGURES = ("available", "granted", "pending", "advance", "overage")
PAST_FIGURES = ("available", "granted", "pending", "advance", "expired_unposted")
PAGE_SIZE = 1_000


@click.command(short_help="Show what an account can still spend.")
@click.argument("account")
@click.option("--product", default="", help="Also show what may be spent on this product.")
@click.option("--grants", is_flag=True, help="Also list the grants, in drawdown order.")
@click.option(
    "--as-of", "effective_at", type=Instant(), default=0, help="The balance as of this instant."
)
@click.option(
    "--known-at",
    type=Instant(),
    default=0,
    help="By what was recorded until this instant; alone also as of it.",
)
@server_options
@json_option
def balance(
    account: str,
    product: str,
    grants: bool,
    effective_at: int,
    known_at: int,
    tenant: str,
    remote: Remote,
    as_json: bool,
) -> None:
    """Show what ACCOUNT (its id or an alias) can still spend, asset by asset.

    \b
    drawdown balance acme --as-of 2026-11-01                         as we know it today
    drawdown balance acme --as-of 2026-11-01 --known-at 2026-11-02   as we knew it the day after
    """
    from ledger.v1 import balance_pb2
    from ledger.v1.balance_pb2_grpc import BalanceServiceStub

    request = balance_pb2.BalanceServiceGetRequest(
        tenant=tenant,
        account=account,
        product=product,
        effective_at_us=effective_at,
        known_at_us=known_at,
    )
    with connect(remote) as channel:
        reply = BalanceServiceStub(channel).Get(request, timeout=TIMEOUT_S)
    if as_json:
        print_json(document_of(reply))
    else:
        _print(reply, product, grants)


def _print(reply: balance_pb2.BalanceServiceGetResponse, product: str, grants: bool) -> None:
    screen = console()
    past = reply.known_at_us > 0
    known = f", as known at {instant(reply.known_at_us)}" if past else ""
    screen.heading(reply.account, f"  as of {instant(reply.as_of_us)}{known}")
    if not reply.balances:
        screen.print("no asset was ever used: issue a grant")
        return
    figures: tuple[str, ...] = PAST_FIGURES if past else FIGURES
    if product:
        figures = (*figures[:1], "applicable", *figures[1:])
    shown = table("", "asset", *figures, right=figures)
    for each in reply.balances:
        amounts = [amount(getattr(each, figure) or 0, each.scale) for figure in figures]
        shown.add_row(each.asset, *amounts)
    screen.print(shown)
    if not grants:
        return
    columns = ("drawn", "left", "held", "issued") if past else ("left", "held", "issued")
    listed = table(
        "grants, as issued" if past else "grants, in drawdown order",
        "grant",
        "asset",
        *columns,
        "expires",
        right=columns,
    )
    for each in reply.balances:
        for old in each.past_grants:
            listed.add_row(
                old.grant_id,
                each.asset,
                *(amount(figure, each.scale) for figure in _past_figures_of(old)),
                instant(old.expires_at_us),
            )
        for grant in each.grants:
            listed.add_row(
                grant.grant_id,
                each.asset,
                *(amount(figure, each.scale) for figure in _figures_of(grant)),
                instant(grant.expires_at_us),
            )
    screen.print(listed)


def _figures_of(grant: types_pb2.Grant) -> tuple[int, int, int]:
    return grant.remaining, grant.held, grant.amount


def _past_figures_of(grant: balance_pb2.GrantBalance) -> tuple[int, int, int, int]:
    return int(grant.drawn), int(grant.left), int(grant.held), int(grant.amount)


@click.command(short_help="Show what made the difference between two balances.")
@click.argument("account")
@click.option(
    "--from", "before", type=Instant(), default=0, help="The first balance; default: nothing yet."
)
@click.option("--from-known-at", "before_known", type=Instant(), default=0, help="As known then.")
@click.option("--to", "after", type=Instant(), default=0, help="The second balance; default: now.")
@click.option("--to-known-at", "after_known", type=Instant(), default=0, help="As known then.")
@server_options
@json_option
def changes(
    account: str,
    before: int,
    before_known: int,
    after: int,
    after_known: int,
    tenant: str,
    remote: Remote,
    as_json: bool,
) -> None:
    """List the transfers of ACCOUNT that the second balance counts and the first does not, or the
    other way round, and what changed without a transfer. They add up to the difference.

    \b
    drawdown changes acme --from 2026-11-01 --to 2026-12-01
    drawdown changes acme --from 2026-11-01 --from-known-at 2026-11-02 --to 2026-11-01
                                                      what we learned later about the same instant
    """
    from ledger.v1 import balance_pb2
    from ledger.v1.balance_pb2_grpc import BalanceServiceStub

    first = (
        balance_pb2.BalanceInstant(effective_at_us=before, known_at_us=before_known)
        if before or before_known
        else None
    )
    request = balance_pb2.ListChangesRequest(
        tenant=tenant,
        account=account,
        before=first,
        after=balance_pb2.BalanceInstant(effective_at_us=after, known_at_us=after_known),
        page_size=PAGE_SIZE,
    )
    with connect(remote) as channel:
        stub = BalanceServiceStub(channel)
        reply = stub.ListChanges(request, timeout=TIMEOUT_S)
        while reply.next_page_token:
            request.page_token = reply.next_page_token
            page = stub.ListChanges(request, timeout=TIMEOUT_S)
            reply.changes.extend(page.changes)
            reply.next_page_token = page.next_page_token
    if as_json:
        print_json(document_of(reply))
    else:
        _print_changes(reply)


def _print_changes(reply: balance_pb2.ListChangesResponse) -> None:
    from ledger.v1 import balance_pb2

    screen = console()
    screen.heading(reply.account)
    columns = ("recorded", "effective", "what", "asset", "amount", "from", "to", "usage")
    listed = table("", *columns, right=("amount",))
    for change in reply.changes:
        kind = balance_pb2.BalanceChangeKind.Name(change.kind).removeprefix("BALANCE_CHANGE_KIND_")
        what = kind.lower().replace("_", " ") + (", taken back" if change.removed else "")
        listed.add_row(
            instant(change.recorded_at_us),
            instant(change.effective_at_us),
            what,
            change.asset,
            amount(change.amount, change.scale),
            change.debit_account or change.grant_id,
            change.credit_account,
            change.usage_id,
        )
    screen.print(listed)
    figures = ("before", "after", "difference")
    totals = table("", "asset", *figures, right=figures)
    for each in reply.differences:
        shown = (each.available_before, each.available_after, each.difference)
        totals.add_row(each.asset, *(amount(figure, each.scale) for figure in shown))
    screen.print(totals)
