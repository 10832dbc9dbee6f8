"""What is promised ahead of work: mandates, leases, quotes."""

from __future__ import annotations

from typing import Final

from ledger.reasons.form import (
    INVALID,
    LIMIT,
    MISSING,
    QUESTION,
    STATE,
    TAKEN,
    Area,
    Row,
)

AREAS: Final = (
    Area(
        "Mandates",
        "mandates.md",
        "What an agent may spend, delegate and buy.",
        (
            Row(
                "MANDATE_UNKNOWN",
                MISSING,
                "The account has no mandate: it is no agent's.",
                "Grant one, or name the agent's account.",
            ),
            Row(
                "MANDATE_EXISTS",
                TAKEN,
                "The account has a mandate, or a budget of its name; a mandate never changes.",
                "Revoke it, and grant another at another account.",
            ),
            Row(
                "MANDATE_INVALID",
                INVALID,
                "A term of the mandate says what cannot be.",
                "Correct the field that is named.",
            ),
            Row(
                "MANDATE_EXCEEDS_PARENT",
                INVALID,
                "The mandate would allow more than the one above it.",
                "Delegate at most what is named.",
            ),
            Row(
                "MANDATES_LIMIT",
                LIMIT,
                "As many mandates stand below the one above as may.",
                "Use those that are there, or delegate from another one.",
            ),
            Row(
                "MANDATE_REVOKED",
                STATE,
                "The mandate, or one above it, was revoked.",
                "Ask whoever granted it for another.",
                QUESTION,
            ),
            Row(
                "MANDATE_EXPIRED",
                STATE,
                "The mandate, or one above it, has ended.",
                "Ask whoever granted it for another.",
                QUESTION,
            ),
            Row(
                "MANDATE_PRODUCT",
                STATE,
                "The mandate is not for this product.",
                "Use a product that it is for; record work that has happened as usage of its own.",
                QUESTION,
            ),
            Row(
                "MANDATE_ATTRIBUTES",
                STATE,
                "The mandate asks for attributes that the work does not have.",
                "Send them, or use another mandate.",
                QUESTION,
            ),
            Row(
                "MANDATE_ASSET",
                STATE,
                "The work, or the purchase, is charged in another asset than the mandate's.",
                "Use work that is charged in the mandate's asset.",
                QUESTION,
            ),
            Row(
                "MANDATE_PRICE",
                STATE,
                "The work costs more than the mandate lets one request cost.",
                "Ask for less at once.",
                QUESTION,
            ),
            Row(
                "MANDATE_BUYS_NOTHING",
                STATE,
                "The mandate has no purchase limit, or not at that price.",
                "Have whoever pays top up.",
            ),
            Row(
                "MANDATE_PURCHASE_EXCEEDED",
                STATE,
                "The purchase costs more than is left of the mandate's purchase limit.",
                "Buy less, or have another mandate granted.",
            ),
            Row(
                "MANDATE_PURCHASES_LIMIT",
                LIMIT,
                "As many purchases of the mandate, with those below it, wait for their payment as"
                " may.",
                "Confirm or fail the payment of some.",
            ),
            Row(
                "MANDATE_UNSIGNED",
                STATE,
                "The server has no key for tokens of mandates, or the mandate cannot be put in "
                "one.",
                "Start it with `--mandate-key FILE`; `drawdown token key FILE` makes one.",
            ),
        ),
    ),
    Area(
        "Leases",
        "leases.md",
        "Slices of a balance at the edge.",
        (
            Row(
                "LEASE_UNKNOWN",
                MISSING,
                "The account has no such lease, or it ended more than 35 days ago.",
                "Acquire another.",
            ),
            Row(
                "LEASE_ENDED",
                STATE,
                "The lease was returned, lapsed or was written off.",
                "Acquire another, and record usage without it.",
            ),
            Row(
                "LEASE_OVERDUE",
                STATE,
                "The lease lapsed, and what was not reported stays charged.",
                "Report it, or have it written off.",
            ),
            Row(
                "LEASE_RUNS",
                STATE,
                "The lease has not lapsed: its holder may still report.",
                "Return it, or wait until it lapses.",
            ),
            Row(
                "LEASE_OTHER_WORK",
                INVALID,
                "The usage is of another account, product or operation, or of other attributes, "
                "than the lease.",
                "Record it without the lease.",
            ),
            Row(
                "LEASE_UNBOUNDED",
                STATE,
                "A limit applies that units in escrow do not bound: a mandate, a policy of "
                "operations, or a hard budget of another measure.",
                "Authorise each piece of work, or make the limit a soft one.",
            ),
            Row(
                "LEASE_INVALID",
                INVALID,
                "The holder, the wanted, least or kept units of the lease say what cannot be.",
                "Correct the field that is named.",
            ),
            Row(
                "LEASE_TERM_INVALID",
                INVALID,
                "The term is shorter or longer than a lease runs at a time.",
                "Ask for one within the bounds that are named.",
            ),
            Row(
                "LEASES_LIMIT",
                LIMIT,
                "The account has as many leases as may be.",
                "Return some, or write off those that have lapsed.",
            ),
        ),
    ),
    Area(
        "Quotes",
        "quotes.md#quotes-that-bind",
        "A promise of a price.",
        (
            Row(
                "QUOTE_UNKNOWN",
                MISSING,
                "The account has no such quote, or it was settled more than 35 days ago.",
                "Ask for another.",
            ),
            Row(
                "QUOTE_OTHER_WORK",
                STATE,
                "The quote is for another product, attributes or quantities.",
                "Ask for one of this work.",
            ),
            Row(
                "QUOTE_EXPIRED",
                STATE,
                "The quote has expired.",
                "Ask for another.",
            ),
            Row(
                "QUOTE_USED",
                STATE,
                "The quote was used: it prices one piece of work.",
                "Ask for another.",
            ),
            Row(
                "QUOTE_HELD",
                STATE,
                "A hold reserves the quote.",
                "Capture that hold, or release it first.",
            ),
            Row(
                "QUOTE_SINGLE_USE",
                STATE,
                "A hold that was made with a quote is captured once.",
                "Capture it without `keep_open`.",
            ),
            Row(
                "QUOTE_LIFETIME_INVALID",
                INVALID,
                "The lifetime is longer than a quote for this product lives.",
                "Ask for one within the bounds that are named.",
            ),
            Row(
                "QUOTE_TOLERANCE_INVALID",
                INVALID,
                "The tolerance lies outside of what a quote may price.",
                "Give one within the bounds that are named, or 0.",
            ),
            Row(
                "QUOTE_MODELED",
                STATE,
                "A price model prices the work: its cost depends on other usage, and is not "
                "promised.",
                "Ask for an estimate, or authorise the work.",
            ),
            Row(
                "QUOTES_LIMIT",
                LIMIT,
                "The account has as many open quotes as may be.",
                "Use some, or let them expire.",
            ),
        ),
    ),
)
