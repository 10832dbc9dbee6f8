"""Funding: grants, payments, top-ups, statements."""

from __future__ import annotations

from typing import Final

from ledger.reasons.form import (
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
        "Grants",
        "grants.md",
        "Units that an account may draw.",
        (
            Row(
                "GRANT_UNKNOWN",
                MISSING,
                "The account, or the package, has no such grant.",
                "Look at account, asset and grant.",
            ),
            Row(
                "GRANT_KEY_TAKEN",
                TAKEN,
                "A grant of the family has the external key; it is permanent.",
                "It is granted already; use another key for another grant.",
            ),
            Row(
                "GRANT_SETTLED",
                STATE,
                "The grant is voided, cancelled or expired.",
                "Issue another.",
            ),
            Row(
                "EXPIRY_INVALID",
                INVALID,
                "The expiry is not after the start and after now, or stands where nothing expires.",
                "Give a later instant, or none.",
            ),
            Row(
                "GATE_INVALID",
                INVALID,
                "Only a prepaid grant with a price waits for its payment.",
                "Leave `gated` out, or give a price.",
            ),
            Row(
                "ROLLOVER_INVALID",
                INVALID,
                "The rollover's fraction, cap or expiry says what cannot be.",
                "Correct the field that is named.",
            ),
        ),
    ),
    Area(
        "Sharing",
        "families.md",
        "Grants that accounts below draw, within caps.",
        (
            Row(
                "SHARING_INVALID",
                INVALID,
                "The sharing says what cannot be, or the grant is a seat's own.",
                "Correct the field that is named.",
            ),
            Row(
                "NOT_BELOW",
                INVALID,
                "The account is not below the one that shares.",
                "Name one of its subtree.",
            ),
            Row(
                "CAP_UNKNOWN",
                MISSING,
                "The account has set no such cap.",
                "List its caps.",
            ),
            Row(
                "CAP_INVALID",
                INVALID,
                "The cap says what cannot be, or changes what is fixed.",
                "Correct the field that is named; remove it and set another where it is fixed.",
            ),
            Row(
                "CAPS_LIMIT",
                LIMIT,
                "The account has, or sets, as many caps as may be.",
                "Remove some.",
            ),
            Row(
                "RESERVE_EXCEEDS",
                STATE,
                "The grant has fewer units that are not set aside than are to be reserved.",
                "Reserve at most what is named.",
            ),
        ),
    ),
    Area(
        "Recurring grants",
        "recurring.md",
        "Allowances by period; the bounds are those of fixed charges too.",
        (
            Row(
                "RECURRING_UNKNOWN",
                MISSING,
                "The account has no such recurring grant.",
                "List them.",
            ),
            Row(
                "RECURRING_ENDED",
                STATE,
                "The recurring grant has ended.",
                "Start another.",
            ),
            Row(
                "RECURRING_PAUSED",
                STATE,
                "The recurring grant is paused already.",
                "Nothing is to be done.",
            ),
            Row(
                "RECURRING_NOT_PAUSED",
                STATE,
                "The recurring grant is not paused.",
                "Nothing is to be done.",
            ),
            Row(
                "RECURRING_KEY_TAKEN",
                TAKEN,
                "A recurring grant of the family has the external key; it is permanent.",
                "It is started already; use another key for another one.",
            ),
            Row(
                "RECURRING_LIMIT",
                LIMIT,
                "The account has as many recurring grants as may be, ended ones too.",
                "Change one that runs.",
            ),
            Row(
                "START_INVALID",
                INVALID,
                "The start is more than 35 days ago, or too far ahead.",
                "Give one within the bounds that are named.",
            ),
            Row(
                "END_INVALID",
                INVALID,
                "The end is not after the start and after now, or is too far ahead.",
                "Give a later one, or none.",
            ),
            Row(
                "PERIOD_INVALID",
                INVALID,
                "The number of units of a period is out of bounds.",
                "Give one within the bounds that are named.",
            ),
            Row(
                "TERMS_FIXED",
                STATE,
                "The term never changes while it runs.",
                "End it, and start another.",
            ),
        ),
    ),
    Area(
        "Commitments",
        "commitments.md",
        "Segments, invoices and true-ups.",
        (
            Row(
                "COMMITMENT_UNKNOWN",
                MISSING,
                "The account has no such commitment.",
                "List them.",
            ),
            Row(
                "COMMITMENT_ENDED",
                STATE,
                "The commitment has ended.",
                "Create another.",
            ),
            Row(
                "COMMITMENT_KEY_TAKEN",
                TAKEN,
                "A commitment of the family has the external key; it is permanent.",
                "It is made already; use another key for another one.",
            ),
            Row(
                "COMMITMENTS_LIMIT",
                LIMIT,
                "The account has as many commitments as may be, ended ones too.",
                "Add a segment to one that runs.",
            ),
            Row(
                "COMMITMENT_INVALID",
                INVALID,
                "A commitment is postpaid or prepaid.",
                "Name one of the two.",
            ),
            Row(
                "SEGMENT_INVALID",
                INVALID,
                "A segment's times, amount or price say what cannot be, or there are too many.",
                "Correct the field that is named.",
            ),
            Row(
                "SEGMENTS_OVERLAP",
                INVALID,
                "A segment starts before the one before it ends.",
                "Have segments follow each other.",
            ),
            Row(
                "INVOICES_INVALID",
                INVALID,
                "The invoices are too many, out of order, or of an amount that cannot be.",
                "Correct the field that is named.",
            ),
            Row(
                "TRANSFER_INVALID",
                INVALID,
                "What is left cannot move to that commitment.",
                "Name another one of the same family, asset and currency.",
            ),
        ),
    ),
    Area(
        "Payments",
        "money.md",
        "Payments, bills, refunds and chargebacks.",
        (
            Row(
                "PAYMENT_LATE",
                STATE,
                "What waited for the payment is cancelled.",
                "Refund the payment, or issue a new grant for it.",
            ),
            Row(
                "PAYMENT_NOT_AWAITED",
                STATE,
                "The grant waits for no payment: it was not gated, or is paid in full.",
                "Nothing is to be done; refund what was paid twice.",
            ),
            Row(
                "NOT_PAID",
                STATE,
                "No payment came for the grant, it is refunded in full, or it is a part of "
                "another one.",
                "Void it, or name the grant that was paid for.",
            ),
            Row(
                "CHARGED_BACK",
                STATE,
                "The bank took the payment back already.",
                "Nothing is to be done.",
            ),
            Row(
                "CURRENCY_DIFFERS",
                STATE,
                "The account, or the grant, is billed in another currency.",
                "Name that currency.",
            ),
            Row(
                "REFUND_TOO_LARGE",
                STATE,
                "More units would be refunded than the grant has left and not held.",
                "Refund at most what is named.",
            ),
            Row(
                "AMOUNT_EXCEEDS_OWED",
                STATE,
                "More would be paid or taken off than is owed.",
                "Give at most what is named; bill first what is owed beyond it.",
            ),
            Row(
                "NOTHING_OWED",
                STATE,
                "The account owes nothing that was not billed.",
                "Nothing is to be done.",
            ),
        ),
    ),
    Area(
        "Top-ups",
        "overdraft.md#top-ups",
        "Credits that are bought by rule.",
        (
            Row(
                "TOP_UP_RULE_UNKNOWN",
                MISSING,
                "The account has no top-up rule for the asset.",
                "Set one.",
            ),
            Row(
                "TOP_UP_RULE_INVALID",
                INVALID,
                "A term of the rule says what cannot be.",
                "Correct the field that is named.",
            ),
            Row(
                "TOP_UP_UNKNOWN",
                MISSING,
                "The account has no such top-up, or it was requested more than 35 days ago.",
                "Look at account and top-up.",
            ),
            Row(
                "TOP_UP_SETTLED",
                STATE,
                "The top-up is confirmed, declined or expired already.",
                "Nothing is to be done; refund what was paid twice.",
            ),
        ),
    ),
    Area(
        "Alerts",
        "forecast.md#alerts",
        "Told of a balance that will not last.",
        (
            Row(
                "RUNWAY_ALERT_UNKNOWN",
                MISSING,
                "The account has no such alert.",
                "Set one.",
            ),
            Row(
                "RUNWAY_ALERT_INVALID",
                INVALID,
                "The hours of the alert say what cannot be.",
                "Correct the field that is named.",
            ),
            Row(
                "RUNWAY_REPORT_OLD",
                STATE,
                "The forecast is too old to be told of.",
                "Make another.",
            ),
            Row(
                "RUNWAY_NOT_CROSSED",
                STATE,
                "The balance is short already, or lasts as it did.",
                "Nothing is to be done.",
            ),
        ),
    ),
    Area(
        "Statements",
        "statements.md",
        "What a family used in a period and who paid.",
        (
            Row(
                "STATEMENT_UNKNOWN",
                MISSING,
                "The account has no such statement, or its figures are of another ending.",
                "Name one of those that ended, or ask for a draft.",
            ),
            Row(
                "STATEMENT_PERIOD_INVALID",
                INVALID,
                "The bounds are no billing period of the account.",
                "Name the period that the message names.",
            ),
            Row(
                "STATEMENT_PERIOD_OPEN",
                STATE,
                "The period runs.",
                "Ask for a draft, or close it after its end.",
            ),
            Row(
                "STATEMENT_IN_GRACE",
                STATE,
                "The period takes late events still.",
                "Close it after its grace.",
            ),
            Row(
                "STATEMENT_NOT_NEXT",
                STATE,
                "The statement of an earlier period is to be closed before.",
                "Close that one first.",
            ),
            Row(
                "STATEMENT_CLOSED",
                STATE,
                "The statement is closed.",
                "Ask for it by its number; what comes later is an adjustment of the next.",
            ),
        ),
    ),
)
