"""Rate cards as the commands read, compare and publish them."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from ledger.cli.output import Failed, say
from ledger.cli.remote import TIMEOUT_S, reason_of

if TYPE_CHECKING:
    from rating.card import PriceRow, RateCard
    from rating.diff import CardDiff, Changed
    from rating.faults import CardFault
    from rating.v1 import card_pb2, pricing_pb2

SHOWN_MAX = 12  # lines of each list for a person; --json has all of them


def published(
    stub: Any, tenant: str, name: str, version: int = 0
) -> tuple[pricing_pb2.RateCardVersion, RateCard] | None:
    """A version of the card and what it says, 0 = the newest; None where there is none."""
    import grpc

    from ledger.api.rendering.render_card import card_of
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
    card, faults = card_of(reply.card)
    if faults:
        refuse_faults(faults)  # a server newer than this command
    return reply.version, card


class Compared(NamedTuple):
    """A card beside the newest version of the same name."""

    newest: int  # 0 = none is published
    change: CardDiff
    large: list[Changed[PriceRow]]


def compared(stub: Any, tenant: str, card: RateCard, large_factor: str) -> Compared:
    """What the card says otherwise than the newest version; all of it where there is none."""
    from rating.card import RateCard
    from rating.diff import diff, large_moves

    before = published(stub, tenant, card.name)
    number, earlier = (before[0].version, before[1]) if before is not None else (0, None)
    if earlier is None:
        earlier = RateCard(card.name, card.asset, card.asset_scale, meters=(), rows=())
    change = diff(earlier, card)
    return Compared(number, change, large_moves(change, large_factor))


def publish(
    stub: Any,
    tenant: str,
    card: RateCard,
    expected: int,
    *,
    effective_from_us: int = 0,
    dry_run: bool = False,
) -> tuple[pricing_pb2.RateCardVersion | None, str]:
    """The version, and what became of it. A dry run has the server check it. Raises Failed."""
    from ledger.api.rendering.render_card import render_card
    from rating.card import canonical_bytes
    from rating.v1 import pricing_pb2

    reply = stub.PublishRateCard(
        pricing_pb2.PublishRateCardRequest(
            tenant=tenant,
            request_id=f"publish-{digest(canonical_bytes(card))}-{expected}-{effective_from_us}",
            card=render_card(card),
            expected_version=expected,
            effective_from_us=effective_from_us,
            validate_only=dry_run,
        ),
        timeout=TIMEOUT_S,
    )
    if not dry_run:
        unchanged = "unchanged: this is the newest version already"
        return reply.version, unchanged if reply.replayed else "published"
    refuse_faults(reply.faults)
    return None, "checked, not published"


def refuse_faults(faults: Sequence[CardFault | card_pb2.CardFault]) -> None:
    """Say every fault of a card with its place, on standard error. Raises Failed if there are."""
    for fault in faults:
        say(f"{fault.path}: {fault.reason} {fault.value!r}: {fault.message}")
    if faults:
        many = f"{len(faults):,} faults" if len(faults) > 1 else "1 fault"
        raise Failed(f"the card does not compile: {many}")


def in_force(version: pricing_pb2.RateCardVersion, asset: str) -> str:
    """Since when a version prices what, for a person."""
    from ledger.cli.output import instant

    always = version.effective_from_us <= 1
    since = "for usage of any time" if always else f"from {instant(version.effective_from_us)}"
    return f"in force {since}, charges in {asset}"


def digest(data: bytes) -> str:
    """A short name for a content: a retry of a command has the request_id that it had."""
    return blake2b(data, digest_size=16).hexdigest()


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
            screen.heading(title)
            for line in found[:SHOWN_MAX]:
                screen.print(f"  {line}")
            if len(found) > SHOWN_MAX:
                screen.print(f"  and {len(found) - SHOWN_MAX:,} more; --json lists all")


def show_diff(change: CardDiff, large: list[Changed[Any]]) -> None:
    """A difference for a person."""
    from rating.diff_text import lines

    show_lists(lines(change, large))
