"""What gateways answer, and the client raises, in a server's stead."""

from __future__ import annotations

from typing import Final

from ledger.reasons.form import (
    HERE,
    Area,
    Kind,
    Row,
)

AREAS: Final = (
    Area(
        "Gateways",
        "gateway.md#what-comes-back",
        "What a gateway's question is answered with before the ledger is asked, or while it is "
        "away.",
        (
            Row(
                "IDENTITY_MISSING",
                Kind("", http=401),
                "Nothing of the request says whose it is.",
                "Send the header or the token that the route reads the account from.",
            ),
            Row(
                "ROUTE_INVALID",
                Kind("", http=500),
                "The route, or the URL of the question, says what cannot be, or the gateway gives"
                " its requests no id.",
                "Correct the gateway's configuration as the message says.",
            ),
            Row(
                "LEDGER_UNAVAILABLE",
                Kind("", True, http=503),
                "The account's shard is away, and its product is closed then.",
                "Send the request again in a second; give the product another fail mode.",
            ),
            Row(
                "LEASE_INSUFFICIENT",
                Kind("", True, http=503),
                "No server answers, and no lease covers the work; a gateway holds none.",
                "Send it again later; take leases in the client.",
            ),
            Row(
                "FAIL_OPEN_BOUND",
                Kind("", True, http=503),
                "No server answers, and no more is let in without one; or there is nowhere to "
                "keep what it uses.",
                "Send it again later; raise the bounds, or give the server `--gateway-spool`.",
            ),
        ),
    ),
    Area(
        "The client",
        "sdk.md",
        "Raised by the Python client before anything is sent, or in a server's stead; "
        "`TEXT_INVALID` and `NUMBER_OUT_OF_RANGE` are, too.",
        (
            Row(
                "EVENT_TOO_LARGE",
                HERE,
                "The event does not fit a message.",
                "Send fewer attributes, or shorter ones.",
            ),
            Row(
                "NUMBER_INEXACT",
                HERE,
                "A property is a float, which is not exact.",
                "Send an integer, a `Decimal` or a text.",
            ),
            Row(
                "CLIENT_CLOSED",
                Kind("", True),
                "The client was closed before the event was sent.",
                "Send it with another client, under the same id.",
            ),
        ),
    ),
)
