"""Prices: assets, cards, conversions, simulations."""

from __future__ import annotations

from typing import Final

from ledger.reasons.form import (
    FULL,
    INVALID,
    MISSING,
    STATE,
    TAKEN,
    Area,
    Row,
)

AREAS: Final = (
    Area(
        "Assets",
        "pricing.md",
        "What prices and grants are in.",
        (
            Row(
                "ASSET_UNKNOWN",
                MISSING,
                "The tenant has no such asset.",
                "Create it, or name another.",
            ),
            Row(
                "ASSET_EXISTS",
                TAKEN,
                "The asset exists with another scale, kind or display name; none of them changes.",
                "Use it as it is, or take another code.",
            ),
            Row(
                "ASSET_KIND_INVALID",
                INVALID,
                "The asset is not money where money is asked for, or the other way round.",
                "Name one of the kind that the message asks for.",
            ),
        ),
    ),
    Area(
        "Rate cards",
        "pricing.md#versions",
        "What is published as prices; faults of a card have reasons of their own, below.",
        (
            Row(
                "RATE_CARD_UNKNOWN",
                MISSING,
                "The tenant has no such rate card, or no such version of it.",
                "Publish it, or name another.",
            ),
            Row(
                "RATE_CARD_INVALID",
                INVALID,
                "The rate card does not compile; each fault is named with a reason of its own.",
                "Correct them, and publish it again.",
            ),
            Row(
                "CARD_NAME_TAKEN",
                TAKEN,
                "The name is that of an alias, or of a card.",
                "Choose another.",
            ),
            Row(
                "OVERRIDES_INVALID",
                INVALID,
                "Overrides of the account do not fit its rate card; each fault is named.",
                "Correct them.",
            ),
            Row(
                "FACTOR_INVALID",
                INVALID,
                "The factor for large differences is no number of 1 or more.",
                "Write one such as `2` or `3/2`.",
            ),
            Row(
                "SHEET_TOO_LARGE",
                STATE,
                "The price sheet does not fit a reply.",
                "Read the card with `GetRateCard`.",
            ),
        ),
    ),
    Area(
        "Conversion",
        "conversion.md",
        "Rates between assets.",
        (
            Row(
                "RATE_INVALID",
                INVALID,
                "The rate is no exact number above zero.",
                "Write one such as `0.01` or `1/3`.",
            ),
            Row(
                "CONVERSION_CYCLIC",
                INVALID,
                "What is left would be converted in a circle.",
                "Choose another target.",
            ),
        ),
    ),
    Area(
        "Meters",
        "metering.md#rules",
        "Sets of meters.",
        (
            Row(
                "METERS_INVALID",
                INVALID,
                "The set of meters has faults; each is named with a reason of its own.",
                "Correct them, and publish it again.",
            ),
        ),
    ),
    Area(
        "Comparisons",
        "explain.md",
        "Two events beside each other.",
        (
            Row(
                "NOT_COMPARABLE",
                STATE,
                "The events are charged in two assets, or one has no price.",
                "Compare events of one asset; explain the other alone.",
            ),
        ),
    ),
    Area(
        "Simulations",
        "pricing.md#trying-a-card-on-what-happened",
        "A card or terms, tried on what happened.",
        (
            Row(
                "TERMS_INVALID",
                INVALID,
                "The terms cannot be tried; each fault is named.",
                "Correct them.",
            ),
            Row(
                "SIMULATION_ABSENT",
                STATE,
                "The server keeps nothing in PostgreSQL that could be replayed.",
                "Ask a server that has a database.",
            ),
            Row(
                "SIMULATION_RUNNING",
                FULL,
                "The server runs a simulation already.",
                "Wait for it, ask another server, or run `drawdown pricing simulate`.",
            ),
            Row(
                "SIMULATION_FAILED",
                STATE,
                "The simulation could not be done; the message says why.",
                "Correct what the message names, or run `drawdown pricing simulate`.",
            ),
        ),
    ),
)
