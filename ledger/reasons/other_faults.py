"""What one field of meters, packages, terms and offers has wrong; never a status by itself."""

from __future__ import annotations

from typing import Final

from ledger.reasons.form import (
    HERE,
    Area,
    Row,
)

AREAS: Final = (
    Area(
        "Meters of events",
        "metering.md#rules",
        "Rules that make quantities.",
        (
            Row(
                "UNREACHABLE",
                HERE,
                "An earlier rule meters every event of the type.",
                "Put rules with filters before it.",
            ),
            Row(
                "PRODUCT_INVALID",
                HERE,
                "A rule has neither or both of a product and a property that names it.",
                "Give one of the two.",
            ),
            Row(
                "PROPERTY_INVALID",
                HERE,
                "A count has a property, or another aggregation has none.",
                "Give or remove it.",
            ),
            Row(
                "AGGREGATION_UNKNOWN",
                HERE,
                "There is no such aggregation.",
                "Use one of the protos of this version.",
            ),
            Row(
                "AGGREGATIONS_MIXED",
                HERE,
                "A rule has a gauge beside other quantities.",
                "Give the others a rule and events of their own.",
            ),
            Row(
                "SCOPE_UNKNOWN",
                HERE,
                "There is no such scope.",
                "Use one of the protos of this version.",
            ),
            Row(
                "SCOPE_INVALID",
                HERE,
                "The aggregation has no such scope, or another than the other gauges of its rule.",
                "Use the scope that the message names.",
            ),
            Row(
                "SCALE_INVALID",
                HERE,
                "A scale stands where what is counted is whole.",
                "Leave it out.",
            ),
            Row(
                "OPTIONAL_INVALID",
                HERE,
                "A quantity is optional of which nothing can be missing.",
                "Leave it out.",
            ),
        ),
    ),
    Area(
        "Parts of packages",
        "packages.md",
        "Grants, phases, entitlements and policy.",
        (
            Row(
                "GRANT_INVALID",
                HERE,
                "An entitlement names a grant and is not metered.",
                "Leave the grant out.",
            ),
            Row(
                "VALUE_INVALID",
                HERE,
                "An entitlement has a value and is not static.",
                "Leave the value out.",
            ),
            Row(
                "LENGTH_INVALID",
                HERE,
                "A phase lasts neither or both of periods and days, or one of days changes a "
                "charge that has periods.",
                "Give one of the two.",
            ),
            Row(
                "PRICE_INVALID",
                HERE,
                "What is free, or has no asset for a price, has a price.",
                "Leave it out, or give the asset.",
            ),
            Row(
                "TIME_INVALID",
                HERE,
                "An override of a package has times of its own.",
                "Leave them out; publish another version.",
            ),
            Row(
                "OVERDRAFT_INVALID",
                HERE,
                "An overdraft has an asset or a limit, but not both.",
                "Give both or none.",
            ),
        ),
    ),
    Area(
        "Terms that are tried",
        "pricing.md#terms",
        "A file of terms for a simulation.",
        (
            Row(
                "TERMS_MALFORMED",
                HERE,
                "The file, or a part of it, is not of the form of terms.",
                "Write it as the page shows.",
            ),
            Row(
                "TERMS_TWICE",
                HERE,
                "Terms for the same account stand twice.",
                "Remove one.",
            ),
        ),
    ),
    Area(
        "Options that are left out",
        "quotes.md#compare",
        "Why one of several offers is not chosen.",
        (
            Row(
                "CHARGE_ABOVE_MAXIMUM",
                HERE,
                "The offer costs more than the constraint allows.",
                "Allow more, or offer other work.",
            ),
            Row(
                "FACT_MISSING",
                HERE,
                "The product says nothing of a fact that is asked for.",
                "State it in the card.",
            ),
            Row(
                "FACT_NOT_NUMERIC",
                HERE,
                "A fact that is compared as a number is none.",
                "State it as a decimal number.",
            ),
            Row(
                "FACT_BELOW_MINIMUM",
                HERE,
                "A fact is below what is asked for.",
                "Ask for less, or offer other work.",
            ),
            Row(
                "FACT_ABOVE_MAXIMUM",
                HERE,
                "A fact is above what is asked for.",
                "Allow more, or offer other work.",
            ),
            Row(
                "FACT_DIFFERS",
                HERE,
                "A fact is another than is asked for; in the price map, two entries state it "
                "differently.",
                "Offer other work.",
            ),
        ),
    ),
    Area(
        "The public price map",
        "pricing.md#the-public-llm-price-map",
        "What `drawdown import-prices` leaves out of an entry, and says.",
        (
            Row(
                "ENTRY_MALFORMED",
                HERE,
                "The entry is none that prices a model.",
                "It is left out; price the model by a row of your own.",
            ),
            Row(
                "PRICE_MISSING",
                HERE,
                "A price of the entry is null.",
                "Price it by a row of your own.",
            ),
            Row(
                "RANGE_MALFORMED",
                HERE,
                "A range of prices by size of the prompt cannot be read.",
                "Price it by a row of your own.",
            ),
            Row(
                "FACT_TOO_LONG",
                HERE,
                "A fact is longer than a card keeps.",
                "Nothing is to be done; the prices are taken.",
            ),
            Row(
                "FACTS_TOO_MANY",
                HERE,
                "The model has more facts than a card keeps.",
                "Nothing is to be done; the prices are taken.",
            ),
        ),
    ),
)
