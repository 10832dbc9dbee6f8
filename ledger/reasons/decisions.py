"""Decisions: denials, holds, budgets, and what explains them."""

from __future__ import annotations

from typing import Final

from ledger.reasons.form import (
    FULL,
    INVALID,
    LIMIT,
    MISSING,
    QUESTION,
    STATE,
    Area,
    Row,
)

AREAS: Final = (
    Area(
        "Denials",
        "decisions.md#what-decided",
        "Answers of `Authorize`, `Check` and `Debit`, with what is left; as a status only where a"
        " command cannot go on.",
        (
            Row(
                "INSUFFICIENT_CREDITS",
                STATE,
                "What pots, overdraft and overage afford is less than the charge.",
                "Ask for less, or top up.",
                QUESTION,
            ),
            Row(
                "GRACE_ENDED",
                STATE,
                "The balance has been below zero for longer than the policy bears.",
                "Bring it to zero or above.",
                QUESTION,
            ),
            Row(
                "BUDGET_EXCEEDED",
                STATE,
                "A budget of the account or of one above it does not allow it; the answer names "
                "it.",
                "Wait for its next window, or raise its limit.",
                QUESTION,
            ),
            Row(
                "OPERATION_BUDGET_EXCEEDED",
                STATE,
                "The budget of the operation, or of one above it, does not allow it.",
                "End the operation, or raise the limit.",
                QUESTION,
            ),
            Row(
                "MANDATE_EXCEEDED",
                STATE,
                "The limit of the agent's mandate, or of one above it, is used up.",
                "Have another mandate granted.",
                QUESTION,
            ),
            Row(
                "MARGIN_BELOW_FLOOR",
                STATE,
                "The work would earn less than the policy's least margin.",
                "Choose cheaper work, or lower the floor.",
                QUESTION,
            ),
            Row(
                "SEAT_EXHAUSTED",
                STATE,
                "The seat's own allowance is used up, and its plan lets it draw no more.",
                "Wait for its next period, or change the plan.",
                QUESTION,
            ),
            Row(
                "SEAT_SUSPENDED",
                STATE,
                "The seat is suspended; as a status: it is suspended already.",
                "Resume the seat.",
                QUESTION,
            ),
        ),
    ),
    Area(
        "Holds",
        "holds.md",
        "Units that are reserved before the work.",
        (
            Row(
                "HOLD_UNKNOWN",
                MISSING,
                "The account has no such hold, or it was settled more than 35 days ago.",
                "Look at account and hold; record the work as usage.",
                QUESTION,
            ),
            Row(
                "HOLD_SETTLED",
                STATE,
                "The hold was captured, released or let expire. Over HTTP: the same request ran "
                "before.",
                "Record what came later as usage; send a new request.",
                QUESTION,
            ),
            Row(
                "HOLD_EXPIRED",
                STATE,
                "The hold had expired when it was captured. Says why a capture was late; never a "
                "status.",
                "Nothing is to be done: the work is charged as usage. Ask for a longer lifetime.",
            ),
            Row(
                "HOLD_LIFETIME_INVALID",
                INVALID,
                "The lifetime is longer than a hold for this product lives, extensions included.",
                "Ask for one within the bounds that are named.",
                QUESTION,
            ),
            Row(
                "HOLD_OTHER_WORK",
                INVALID,
                "The hold is for another product or other attributes, or is none of an operation.",
                "Capture it for its own work, or reserve for an operation.",
                QUESTION,
            ),
            Row(
                "HOLDS_LIMIT",
                LIMIT,
                "The account has as many open holds as its policy allows.",
                "Capture or release some, or raise `holds_open_max`.",
                QUESTION,
            ),
            Row(
                "UP_TO_INVALID",
                INVALID,
                "`up_to` names a quantity that is not asked for, or a minimum above it.",
                "Name one of the quantities, and a minimum of at most as much.",
                QUESTION,
            ),
            Row(
                "ALTERNATIVES_INVALID",
                INVALID,
                "The alternatives are too many, repeat each other, or stand beside a quote.",
                "Correct the field that is named.",
            ),
            Row(
                "OPERATION_DIFFERS",
                STATE,
                "The hold or the lease is for another operation.",
                "Name its operation, or none.",
                QUESTION,
            ),
            Row(
                "OPERATION_UNKNOWN",
                MISSING,
                "No usage that the read models know names the operation.",
                "Look at its name; ask again once its usage is there.",
            ),
        ),
    ),
    Area(
        "Policies",
        "policies.md",
        "Rules for what happens where a limit says no.",
        (
            Row(
                "POLICY_RULE_INVALID",
                INVALID,
                "A rule of the policy says what cannot be, or there are too many.",
                "Correct the field that is named.",
            ),
        ),
    ),
    Area(
        "Budgets",
        "budgets.md",
        "Limits by window and measure.",
        (
            Row(
                "BUDGET_UNKNOWN",
                MISSING,
                "The account, or the operation, has no such budget.",
                "Set it, or name another.",
            ),
            Row(
                "BUDGET_INVALID",
                INVALID,
                "A term of the budget says what cannot be.",
                "Correct the field that is named.",
            ),
            Row(
                "BUDGET_FIXED",
                STATE,
                "What changes is no limit, hardness, threshold, number of values or idle time; or"
                " the budget is a mandate's.",
                "Remove it and set another; revoke a mandate and grant another.",
            ),
            Row(
                "BUDGETS_LIMIT",
                LIMIT,
                "As many budgets apply to the account as may, with those above it.",
                "Remove some.",
            ),
            Row(
                "OPERATIONS_LIMIT",
                LIMIT,
                "As many operations of the family have a budget or a parent as are known at a "
                "time.",
                "Let budgets of operations end sooner, or use fewer operations.",
                QUESTION,
            ),
        ),
    ),
    Area(
        "Sizing",
        "sizing.md",
        "Holds for what work really uses.",
        (
            Row(
                "SIZING_INVALID",
                INVALID,
                "The set of rules has faults; each is named.",
                "Correct them, and publish it again.",
            ),
        ),
    ),
    Area(
        "Explained decisions",
        "decisions.md#what-was-decided-before",
        "Why a recorded decision was as it was.",
        (
            Row(
                "DECISION_UNKNOWN",
                MISSING,
                "Nothing of the account's family is recorded by that name.",
                "Name it by its hold or its entry; a `request_id` is known for 35 days.",
            ),
            Row(
                "NOT_A_DECISION",
                STATE,
                "The entry is no answer to `Authorize` or `Debit`, nor a hold with its quote.",
                "Ask `Explain` what usage costs.",
            ),
            Row(
                "PAST_ABSENT",
                STATE,
                "The server keeps nothing in PostgreSQL that could be looked back into.",
                "Ask a server that has a database.",
            ),
            Row(
                "PAST_TOO_LONG",
                STATE,
                "Too many entries would have to be read to stand where it was decided.",
                "`GetOutcome` tells what was recorded.",
            ),
            Row(
                "EXPLAINING_OTHERS",
                FULL,
                "The server looks back for as many callers as it may at once.",
                "Ask again.",
            ),
            Row(
                "EXPLANATION_FAILED",
                STATE,
                "Looking back took too long, or failed.",
                "Ask again, or another server; the message and its log say what went wrong.",
            ),
        ),
    ),
)
