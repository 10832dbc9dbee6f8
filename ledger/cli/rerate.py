"""`drawdown pricing rerate`: usage that was charged, charged again by another version (rule R7)."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

import click

from ledger.cli.cards import digest
from ledger.cli.instants import Instant
from ledger.cli.output import (
    Failed,
    amount,
    console,
    document_of,
    instant,
    json_option,
    print_json,
    progress,
    table,
)
from ledger.cli.remote import Remote, connect, reason_of, server_options

if TYPE_CHECKING:
    import grpc

    from rating.v1 import rerate_pb2

ACCOUNTS_SHOWN: Final = 20  # for a person, the worst first; --json has all of them
BEHIND_MAX_S: Final = 120  # read models are at most a minute behind writers that need the machine
PAGE_TIMEOUT_S: Final = 600  # an account is a page at least, however much it has used
DIGITS: Final = 12  # of the digest in the name of a job


class CardVersion(click.ParamType[tuple[str, int]]):
    """NAME@VERSION of a published card."""

    name = "NAME@VERSION"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, int]:
        """See click."""
        if isinstance(value, tuple):
            return value
        card, _, version = str(value).rpartition("@")
        if not card or not version.isdecimal() or not int(version):
            self.fail(f"{value!r}: write NAME@VERSION, as default@7", param, ctx)
        return card, int(version)


@click.command(short_help="Charge usage again by a version of a card.")
@click.option("--card", type=CardVersion(), required=True, help="What it is to cost.")
@click.option("--from", "from_us", type=Instant(), required=True, help="Usage from then on.")
@click.option("--to", "to_us", type=Instant(), default=0, help="... and before then.")
@click.option(
    "--account", "accounts", multiple=True,
    help="Only this account, by whatever card its usage was priced; may be given again.  "
    "[default: all usage that the card priced]",
)  # fmt: skip
@click.option("--job", default="", help="The job's name.  [default: made of what is asked]")
@click.option("--actor", default="", help="Who asks; stands with adjustments of closed periods.")
@click.option("--dry-run", is_flag=True, help="Say what would come of it, and do nothing.")
@click.option("--yes", is_flag=True, help="Do it without asking.")
@server_options
@json_option
def rerate(
    card: tuple[str, int],
    from_us: int,
    to_us: int,
    accounts: tuple[str, ...],
    job: str,
    actor: str,
    dry_run: bool,
    yes: bool,
    tenant: str,
    remote: Remote,
    as_json: bool,
) -> None:
    """Rate usage again that was charged: a contract that was signed later than it is meant from.

    \b
    drawdown pricing rerate --card default@7 --from 2026-11-01 --account acme --dry-run
    drawdown pricing rerate --card default@7 --from 2026-11-01 --account acme --yes

    Each event is given back and recorded again by that version, overrides as they are meant; of
    closed periods the difference is adjusted. Says first what comes of it, the worst accounts
    first, and asks. Stopped, the same command goes on where it was.
    """
    from rating.v1 import rerate_pb2

    if not job:
        asked = repr((tenant, card, from_us, to_us, sorted(accounts)))
        job = f"{card[0][:32]}@{card[1]}-{digest(asked.encode())[:DIGITS]}"
    request = rerate_pb2.RerateRequest(
        tenant=tenant,
        job=job,
        rate_card=card[0],
        version=card[1],
        from_us=from_us,
        to_us=to_us,
        actor=actor,
    )
    with connect(remote) as channel:
        if not yes:
            request.dry_run = True
            said = _run(channel, request, accounts)
            if as_json and dry_run:
                print_json(_document(job, said, dry_run=True))
            elif not as_json:
                _print(job, said, dry_run=True)
            if dry_run:
                return
            if not sys.stdin.isatty():
                raise Failed("nobody is there to ask; nothing was done", "do it with --yes")
            click.confirm("Do it?", abort=True)
        request.dry_run = dry_run
        done = _run(channel, request, accounts)
    if as_json:
        print_json(_document(job, done, dry_run=dry_run))
    else:
        _print(job, done, dry_run=dry_run)


def _run(
    channel: grpc.Channel, request: rerate_pb2.RerateRequest, accounts: Sequence[str]
) -> list[rerate_pb2.RerateAccount]:
    """All pages, of each account that is named; the worst first."""
    from rating.v1.pricing_pb2_grpc import PricingServiceStub

    stub: Any = PricingServiceStub(channel)
    found: list[rerate_pb2.RerateAccount] = []
    events = 0
    with progress("usage events") as watch:
        for account in accounts or ("",):
            request.account, request.page_token, request.min_position = account, "", ""
            while True:
                page = _page(stub, request)
                found += page.accounts
                events += page.events
                watch(request.job, events, 0)
                if not page.next_page_token:
                    break
                request.page_token, request.min_position = page.next_page_token, page.position
    return sorted(found, key=_worst)


def _page(stub: Any, request: rerate_pb2.RerateRequest) -> rerate_pb2.RerateResponse:
    """One page; while the read models have not come so far it is asked for again."""
    import grpc

    until = time.monotonic() + BEHIND_MAX_S
    while True:
        try:
            page: rerate_pb2.RerateResponse = stub.Rerate(request, timeout=PAGE_TIMEOUT_S)
        except grpc.RpcError as error:
            if reason_of(error) != "READ_MODELS_BEHIND" or time.monotonic() > until:
                raise
        else:
            return page


def _worst(account: rerate_pb2.RerateAccount) -> tuple[int, str]:
    moved = [
        abs(int(each.recharged) - int(each.charged))
        for each in (*account.totals, *[adjusted.total for adjusted in account.adjustments])
    ]
    return -max(moved, default=0), account.account


# -- as data ---------------------------------------------------------------------------------------


def _document(
    job: str, accounts: Sequence[rerate_pb2.RerateAccount], *, dry_run: bool
) -> dict[str, Any]:
    return {
        "job": job,
        "dry_run": dry_run,
        "products": [
            {
                "product": product,
                "asset": asset,
                "scale": scale,
                "events": events,
                "charged": str(charged),
                "recharged": str(recharged),
            }
            for (product, asset, scale), (events, charged, recharged) in _products(accounts)
        ],
        "left_alone": _left(accounts),
        "accounts": [document_of(each) for each in accounts],
    }


def _products(
    accounts: Iterable[rerate_pb2.RerateAccount],
) -> list[tuple[tuple[str, str, int], tuple[int, int, int]]]:
    """Events, charged and charged anew by product and asset, closed periods included."""
    sums: dict[tuple[str, str, int], tuple[int, int, int]] = {}
    for account in accounts:
        for each in (*account.totals, *[adjusted.total for adjusted in account.adjustments]):
            key = (each.product, each.asset, each.scale)
            events, charged, recharged = sums.get(key, (0, 0, 0))
            sums[key] = (
                events + each.events,
                charged + int(each.charged),
                recharged + int(each.recharged),
            )
    return sorted(sums.items())


def _left(accounts: Iterable[rerate_pb2.RerateAccount]) -> dict[str, int]:
    left: dict[str, int] = {}
    for account in accounts:
        for each in account.left_alone:
            left[each.reason] = left.get(each.reason, 0) + each.events
    return dict(sorted(left.items()))


# -- for people ------------------------------------------------------------------------------------


def _print(job: str, accounts: Sequence[rerate_pb2.RerateAccount], *, dry_run: bool) -> None:
    click.echo(f"job {job}: " + ("what would come of it" if dry_run else "done"))
    columns = ("product", "usage events", "was charged", "is charged", "difference")
    listed = table("", *columns, right=columns[1:])
    for (product, asset, scale), (events, charged, recharged) in _products(accounts):
        listed.add_row(product, f"{events:,}", *_amounts(charged, recharged, scale, asset))
    if not listed.row_count:
        click.echo("no usage costs otherwise")
    else:
        console().print(listed)
        _print_accounts(accounts)
    done = sum([each.done_before for each in accounts])
    if done:
        click.echo(f"{done:,} usage events were rated again before")
    for reason, events in _left(accounts).items():
        click.echo(f"left alone, {reason}: {events:,} usage events")


def _print_accounts(accounts: Sequence[rerate_pb2.RerateAccount]) -> None:
    columns = ("account", "product", "period", "was charged", "is charged", "difference")
    listed = table("", *columns, "", right=columns[3:])
    for account in accounts[:ACCOUNTS_SHOWN]:
        for each in account.totals:
            figures = _amounts(int(each.charged), int(each.recharged), each.scale, each.asset)
            listed.add_row(account.account, each.product, "open", *figures, "")
        for adjusted in account.adjustments:
            total = adjusted.total
            figures = _amounts(int(total.charged), int(total.recharged), total.scale, total.asset)
            period = instant(adjusted.period_us)
            listed.add_row(account.account, total.product, period, *figures, adjusted.reason)
    console().print(listed)
    if len(accounts) > ACCOUNTS_SHOWN:
        click.echo(f"and {len(accounts) - ACCOUNTS_SHOWN:,} accounts more; see them with --json")


def _amounts(charged: int, recharged: int, scale: int, asset: str) -> tuple[str, str, str]:
    return (
        amount(charged, scale),
        amount(recharged, scale),
        f"{amount(recharged - charged, scale)} {asset}",
    )
