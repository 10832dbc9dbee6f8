"""What is sold: packages, seats, fixed charges, contracts."""

from __future__ import annotations

from typing import Final

from ledger.reasons.form import (
    BOTH,
    INVALID,
    LIMIT,
    MISSING,
    STATE,
    TAKEN,
    Area,
    Row,
)

AREAS: Final = (
    Area(
        "Packages",
        "packages.md",
        "Plans in versions.",
        (
            Row(
                "PACKAGE_UNKNOWN",
                MISSING,
                "No such package is published.",
                "Publish it, or name another.",
            ),
            Row(
                "PACKAGE_VERSION_UNKNOWN",
                MISSING,
                "The package has no such version, or none that is in force then.",
                "Name one of those that the message lists.",
            ),
            Row(
                "PACKAGE_PERIOD_DIFFERS",
                STATE,
                "The package's periods are of another length than the one that runs.",
                "Change at the end of the period.",
            ),
            Row(
                "PACKAGE_INVALID",
                INVALID,
                "The package has faults; each is named with a reason of its own.",
                "Correct them, and publish it again.",
            ),
            Row(
                "LOCK_INVALID",
                INVALID,
                "How the version is followed, the version and the instant do not go together.",
                "Follow, pin a version, or follow after an instant.",
            ),
            Row(
                "SUBSCRIBED_ALREADY",
                STATE,
                "The account has a package.",
                "Change it, or cancel it first.",
            ),
            Row(
                "NOT_SUBSCRIBED",
                STATE,
                "The account has no package now.",
                "Subscribe it to one.",
            ),
            Row(
                "SUBSCRIPTION_UNKNOWN",
                MISSING,
                "The account never had a package.",
                "Subscribe it to one.",
            ),
            Row(
                "OVERRIDES_LIMIT",
                LIMIT,
                "The account has as many overrides as may be, with those of the last 400 days.",
                "Change them less often.",
            ),
        ),
    ),
    Area(
        "Seats",
        "seats.md",
        "Plans of seats, by number or by name.",
        (
            Row(
                "SEAT_PLAN_UNKNOWN",
                MISSING,
                "The account has no such plan of seats.",
                "Start it, or name another.",
            ),
            Row(
                "SEAT_PLAN_ENDED",
                STATE,
                "The plan has ended, or its last period still runs.",
                "Start it again, then or now.",
            ),
            Row(
                "SEAT_PLAN_EXISTS",
                STATE,
                "The account has a plan of this name.",
                "Add seats to it, or end it first.",
            ),
            Row(
                "SEAT_UNKNOWN",
                MISSING,
                "The plan has no such seat, then or now.",
                "Add it, or name another.",
                BOTH,
            ),
            Row(
                "SEAT_TAKEN",
                STATE,
                "The plan has a seat of this name.",
                "Name another.",
            ),
            Row(
                "SEAT_LEAVING",
                STATE,
                "The seat leaves with the period already.",
                "Forfeit what it has, or add it again.",
            ),
            Row(
                "SEAT_HELD",
                STATE,
                "Holds are open for the seat.",
                "Capture or release them first.",
            ),
            Row(
                "SEAT_NOT_SUSPENDED",
                STATE,
                "The seat is not suspended.",
                "Nothing is to be done.",
            ),
            Row(
                "SEATS_TOO_FEW",
                STATE,
                "Fewer seats of the plan are unassigned and free of holds than are to go.",
                "Name seats, or remove fewer.",
            ),
            Row(
                "SEATS_INVALID",
                INVALID,
                "A term of the plan, or the number of seats, says what cannot be.",
                "Correct the field that is named.",
            ),
            Row(
                "SEATS_LIMIT",
                LIMIT,
                "The account has as many plans, or the plan as many seats, as may be.",
                "Use those that are there.",
            ),
        ),
    ),
    Area(
        "Fixed charges",
        "fixed-charges.md",
        "Fees by quantity and time.",
        (
            Row(
                "CHARGE_UNKNOWN",
                MISSING,
                "The account, or the package, has no such charge.",
                "Start it, or name another.",
            ),
            Row(
                "CHARGE_ENDED",
                STATE,
                "The charge has ended.",
                "Start another.",
            ),
            Row(
                "CHARGE_NAME_TAKEN",
                TAKEN,
                "A charge, or the fee of seats, has this name and goes on.",
                "Change that one, end it first, or take another name.",
            ),
            Row(
                "CHARGES_LIMIT",
                LIMIT,
                "The account has as many charges as may be, ended ones too.",
                "Change one that goes on.",
            ),
            Row(
                "CHARGE_INVALID",
                INVALID,
                "A term of the charge says what cannot be.",
                "Correct the field that is named.",
            ),
        ),
    ),
    Area(
        "Contracts",
        "contracts.md",
        "A package for a time, with prices and commitments of its own.",
        (
            Row(
                "CONTRACT_UNKNOWN",
                MISSING,
                "The account has no contract of that name.",
                "List them.",
            ),
            Row(
                "CONTRACT_NAME_TAKEN",
                TAKEN,
                "The account has, or had, a contract of that name.",
                "Name it otherwise.",
            ),
            Row(
                "CONTRACTS_OVERLAP",
                STATE,
                "The contract that is named is in force within that time.",
                "End it, or have this one follow it.",
            ),
            Row(
                "CONTRACT_INVALID",
                INVALID,
                "A term of the contract, or its amendment, says what cannot be, or nothing.",
                "Correct the field that is named.",
            ),
            Row(
                "CONTRACT_ENDED",
                STATE,
                "The contract has ended.",
                "Sign another.",
            ),
            Row(
                "CONTRACT_RUNS",
                STATE,
                "The account has its package by a contract.",
                "Amend the contract, or end it.",
            ),
            Row(
                "CONTRACTS_LIMIT",
                LIMIT,
                "The account has as many contracts as may be, ended ones too.",
                "Renew one, or amend it.",
            ),
        ),
    ),
)
