"""Usage: events, what waits for a price, meters, outcomes, corrections."""

from __future__ import annotations

from typing import Final

from ledger.reasons.form import (
    BOTH,
    EVENT,
    FULL,
    INVALID,
    LIMIT,
    MISSING,
    STATE,
    WAITS,
    Area,
    Kind,
    Row,
)

AREAS: Final = (
    Area(
        "Events",
        "sdk.md#usage-one-event-after-the-other",
        "What an event of usage says, and when.",
        (
            Row(
                "QUANTITY_INVALID",
                INVALID,
                "A quantity is below 0, or no number.",
                "Send 0 or more; to take usage back, reverse it.",
                BOTH,
            ),
            Row(
                "QUANTITIES_ALL_ZERO",
                INVALID,
                "All quantities are 0.",
                "Send at least one above 0, or nothing.",
                BOTH,
            ),
            Row(
                "QUANTITY_UNKNOWN",
                INVALID,
                "A correction, or a rate card, names a quantity that the event, or the card, does"
                " not have.",
                "Name one that it has; a card declares it as a meter.",
            ),
            Row(
                "SUBSET_EXCEEDS_PARENT",
                INVALID,
                "Quantities that are part of another one add up to more than it.",
                "Send the whole with its parts: cached input tokens are among the input tokens.",
                BOTH,
            ),
            Row(
                "IN_FUTURE",
                Kind("INVALID_ARGUMENT", outcome="IN_FUTURE"),
                "The time is more than five minutes after the server's clock; a report or a "
                "listing looks into the future.",
                "Correct the sender's clock, or leave the time out.",
                EVENT,
            ),
            Row(
                "TOO_OLD",
                Kind("INVALID_ARGUMENT", outcome="QUARANTINED"),
                "The time is more than 35 days ago. Usage is quarantined and listed.",
                "Make a manual adjustment.",
                EVENT,
            ),
            Row(
                "OVERFLOW",
                Kind("OUT_OF_RANGE", outcome="OVERFLOW"),
                "A charge does not fit 64 bits in minor units of the asset that is named.",
                "Split the quantity over several events, or correct in parts.",
                BOTH,
            ),
            Row(
                "USAGE_UNKNOWN",
                MISSING,
                "No usage of the account's family has this source and id, as far as is read.",
                "Look at account, source and id.",
            ),
        ),
    ),
    Area(
        "Suspense",
        "suspense.md",
        "Usage without a price waits, with its reason, and is rated once the price comes. A hold,"
        " a check or a lease is denied for the same reason.",
        (
            Row(
                "UNPRICED",
                WAITS,
                "The rate card in force has no row for a quantity, or there is no rate card.",
                "Publish the price; what waits is rated by it.",
                BOTH,
            ),
            Row(
                "NOT_ENTITLED",
                WAITS,
                "The product is not sold to the account by its package.",
                "Sell it, or use another product.",
                BOTH,
            ),
            Row(
                "NO_CONTRACT",
                WAITS,
                "The rate card asks for a package or a contract, and the account has neither.",
                "Subscribe the account, or sign a contract that reaches back to it.",
                BOTH,
            ),
            Row(
                "ATTRIBUTE_MISSING",
                WAITS,
                "A formula, or a condition of the price, reads an attribute that the event lacks.",
                "Send the attribute that is named.",
                BOTH,
            ),
            Row(
                "ATTRIBUTE_NOT_NUMERIC",
                WAITS,
                "A formula reads an attribute as a number, and it is none.",
                "Send it as a decimal number.",
                BOTH,
            ),
            Row(
                "FORMULA_DIVISION_BY_ZERO",
                WAITS,
                "The formula of the price divides by zero for this event.",
                "Repair the formula or the attribute that it divides by.",
                BOTH,
            ),
            Row(
                "FORMULA_OVERFLOW",
                WAITS,
                "A part of the formula becomes larger than is computed.",
                "Repair the formula, or send smaller numbers.",
                BOTH,
            ),
            Row(
                "FORMULA_NEGATIVE",
                WAITS,
                "The formula gives a price below zero.",
                "Repair the formula; `max(0, ...)` bounds it.",
                BOTH,
            ),
            Row(
                "COST_MISSING",
                WAITS,
                "The price rests on what the provider takes, which is not known.",
                "Publish the card of costs, or send what it cost.",
                BOTH,
            ),
            Row(
                "SUSPENSE_FULL",
                FULL,
                "As many events of the family wait for a price as may.",
                "Publish the price or reverse them, then send the same again.",
                EVENT,
            ),
        ),
    ),
    Area(
        "Metered events",
        "metering.md#what-is-refused",
        "Events with a type and properties, of which meters make quantities.",
        (
            Row(
                "NO_METER",
                INVALID,
                "No meter is for this type of event, or none whose filters it passes.",
                "Publish a rule for it, or correct the type.",
                EVENT,
            ),
            Row(
                "PROPERTY_MISSING",
                INVALID,
                "A meter reads a property that the event lacks.",
                "Send it, or make it optional in the rule.",
                EVENT,
            ),
            Row(
                "PROPERTY_NOT_NUMERIC",
                INVALID,
                "A meter reads a property as a number, and it is none.",
                "Send a number.",
                EVENT,
            ),
            Row(
                "PROPERTY_NOT_WHOLE",
                INVALID,
                "A property has more decimals than the meter's scale.",
                "Send fewer, or publish the rule with a larger scale.",
                EVENT,
            ),
            Row(
                "PROPERTY_TOO_LARGE",
                INVALID,
                "A property does not fit 64 bits at the meter's scale.",
                "Send it in parts.",
                EVENT,
            ),
            Row(
                "GAUGE_CHARGED",
                STATE,
                "The time that the report of a gauge is of is over and charged.",
                "Reverse or amend that charge, or record usage.",
                EVENT,
            ),
            Row(
                "GAUGES_LIMIT",
                LIMIT,
                "As many different gauges of the account wait for their charge as may.",
                "Report fewer different ones, or a sum of them.",
                EVENT,
            ),
        ),
    ),
    Area(
        "Outcomes",
        "outcomes.md",
        "Work that is sold by its result.",
        (
            Row(
                "OUTCOME_EXPECTED",
                STATE,
                "The product is sold by result, and was used as others are.",
                "Report its work as an outcome.",
                BOTH,
            ),
            Row(
                "NOT_AN_OUTCOME",
                STATE,
                "The product is not sold by result.",
                "Record the work as usage.",
            ),
            Row(
                "NO_SUCH_OUTCOME",
                MISSING,
                "The account has no such outcome, or it was settled more than 35 days ago.",
                "Look at the id; correct old ones as usage.",
            ),
            Row(
                "OUTCOME_CONFIRMED",
                STATE,
                "The outcome is confirmed: it is usage now.",
                "Correct that usage.",
            ),
            Row(
                "OUTCOME_REJECTED",
                STATE,
                "The outcome is rejected, for good.",
                "Report the work anew to have it charged.",
            ),
            Row(
                "OUTCOMES_LIMIT",
                LIMIT,
                "As many outcomes of the account pend as may.",
                "Confirm or reject some, then send it again.",
            ),
        ),
    ),
    Area(
        "Corrections",
        "corrections.md",
        "Reversals, amendments and adjustments of what is recorded.",
        (
            Row(
                "CORRECTION_TOO_OLD",
                STATE,
                "The usage is more than 400 days old.",
                "Make a manual adjustment.",
            ),
            Row(
                "CORRECTION_TOO_LARGE",
                STATE,
                "More would be given back than is left of the event, or was drawn from the grant.",
                "Give back at most what is named; credit a new grant for more.",
            ),
            Row(
                "CORRECTIONS_LIMIT",
                LIMIT,
                "As many events of the family were corrected within 400 days as may be.",
                "Make a manual adjustment.",
            ),
            Row(
                "NOT_REVERSIBLE",
                STATE,
                "The entry is no usage that is charged now: a reversal, quarantined, a report of "
                "a gauge, or written off.",
                "Correct the usage that it is of, or make a manual adjustment.",
            ),
        ),
    ),
)
