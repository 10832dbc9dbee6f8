"""Published rate cards as the commands read them. Must not publish anything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ledger.cli.remote import TIMEOUT_S, reason_of

if TYPE_CHECKING:
    from rating.card import RateCard
    from rating.diff import CardDiff, Changed
    from rating.v1 import pricing_pb2

SHOWN_MAX = 12  # lines of each list for a person; --json has all of them


def published(
    stub: Any, tenant: str, name: str, version: int = 0
) -> tuple[pricing_pb2.RateCardVersion, RateCard] | None:
    """A version of the card and what it says, 0 = the newest; None where there is none."""
    import grpc

    from ledger.api.render_card import card_of
    from rating.card import RateCard
    from rating.v1 import pricing_pb2

    try:
        reply = stub.GetRateCard(
            pricing_pb2.GetRateCardRequest(tenant=tenant, name=name, version=version),
            timeout=TIMEOUT_S,
        )
    except grpc.RpcError as error:
        if not version and reason_of(error) == "RATE_CARD_UNKNOWN":
            return None
        raise
    card = card_of(reply.card)
    assert isinstance(card, RateCard), "a published card has no faults"
    return reply.version, card


class Factor(click.ParamType[str]):
    """A factor of one or more, exact: "10", "1.5", "4/3"."""

    name = "factor"

    def convert(self, value: Any, param: Any, ctx: Any) -> str:
        """See click."""
        from rating.exact import PriceError, parse_price

        try:
            numerator, denominator = parse_price(str(value))
        except PriceError as error:
            self.fail(str(error), param, ctx)
        if numerator < denominator:
            self.fail(f"{value} is below 1; a factor says how many times more or less", param, ctx)
        return str(value)


large_option = click.option(
    "--large-factor",
    type=Factor(),
    default="10",
    show_default=True,
    help="A price that rises or falls by more than this factor is flagged.",
)


def show_lists(lists: dict[str, list[str]]) -> None:
    """Each title with its first lines, and how many more there are."""
    from ledger.cli.output import console

    screen = console()
    for title, found in lists.items():
        if found:
            screen.print(f"[bold]{title}[/]")
            for line in found[:SHOWN_MAX]:
                screen.print(f"  {line}", markup=False)
            if len(found) > SHOWN_MAX:
                screen.print(f"  and {len(found) - SHOWN_MAX:,} more; --json lists all")


def show_diff(change: CardDiff, large: list[Changed[Any]]) -> None:
    """A difference for a person."""
    from rating.diff_text import lines

    show_lists(lines(change, large))
