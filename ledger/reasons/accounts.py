"""Accounts, where they stand, their names, and tenants."""

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
    Kind,
    Row,
)

AREAS: Final = (
    Area(
        "Accounts",
        "accounts.md",
        "An account, its parent and its policy.",
        (
            Row(
                "ACCOUNT_UNKNOWN",
                Kind("NOT_FOUND", outcome="ACCOUNT_UNKNOWN"),
                "No account has this id, no alias of this name is in force, or its opening is not"
                " recorded yet.",
                "Create it, or name another; look at the tenant.",
                BOTH,
            ),
            Row(
                "ACCOUNT_EXISTS",
                TAKEN,
                "An account of this id exists.",
                "Use it, or choose another id.",
            ),
            Row(
                "ACCOUNT_CLOSED",
                Kind("FAILED_PRECONDITION", outcome="ACCOUNT_CLOSED"),
                "The account, or its parent, is closed; it takes only usage of before, until its "
                "grace ends.",
                "Reopen it, or use another account.",
                BOTH,
            ),
            Row(
                "ACCOUNT_FROZEN",
                Kind("FAILED_PRECONDITION", outcome="ACCOUNT_FROZEN"),
                "The account, or one above it, is frozen.",
                "Unfreeze the account that is named, and send the same again; nothing is to be "
                "done where it was to be frozen.",
                BOTH,
            ),
            Row(
                "ACCOUNT_NOT_FROZEN",
                STATE,
                "The account itself is not frozen.",
                "Nothing is to be done, or unfreeze the one above it that is.",
            ),
            Row(
                "ACCOUNT_NOT_CLOSED",
                STATE,
                "The account is open, so it cannot be reopened.",
                "Nothing is to be done.",
            ),
            Row(
                "ACCOUNT_NOT_EMPTY",
                STATE,
                "The account still has grants, debts, holds, leases, outcomes, a package, charges, "
                "seats or accounts below it, or one that was moved away holds units of it.",
                "Settle or end what the message names; close with `write_off` and `release_holds` "
                "for grants, debts and holds.",
            ),
            Row(
                "REOPENINGS_LIMIT",
                LIMIT,
                "The account was reopened as often as it may be within 35 days.",
                "Wait, or open another account.",
            ),
            Row(
                "PARENT_UNKNOWN",
                MISSING,
                "There is no such account to be the parent.",
                "Create the parent first, or name another.",
            ),
            Row(
                "PARENT_DIFFERS",
                TAKEN,
                "An account of this id was opened under another parent.",
                "Use it as it is, move it, or choose another id.",
            ),
            Row(
                "DEPTH_EXCEEDED",
                STATE,
                "The family would be deeper than it may be.",
                "Put the account under one that is nearer to the root.",
            ),
            Row(
                "ZONE_UNKNOWN",
                INVALID,
                "The name is no time zone of the IANA database.",
                "Write one such as `Europe/Berlin`.",
            ),
            Row(
                "ANCHOR_INVALID",
                INVALID,
                "The anchor of periods lies outside of what a calendar takes.",
                "Give an instant within the bounds that are named, or 0.",
            ),
            Row(
                "AMOUNT_INVALID",
                INVALID,
                "An amount, a limit or a time of the policy or the request is 0, negative or too "
                "large.",
                "Send one within the bounds that are named.",
            ),
            Row(
                "SETTLEMENT_ASSET_OPEN",
                STATE,
                "The settlement currency cannot change while something is owed, held or charged "
                "in the present one.",
                "Settle, release or end that first.",
            ),
        ),
    ),
    Area(
        "Moves",
        "accounts.md#moves",
        "An account that goes to another parent.",
        (
            Row(
                "ACCOUNT_IS_ROOT",
                STATE,
                "The root of a family stays its root.",
                "Open a new account, and move what is below.",
            ),
            Row(
                "PARENT_BELOW",
                STATE,
                "The new parent stands below the account.",
                "Move that one away first.",
            ),
            Row(
                "PARENT_ELSEWHERE",
                STATE,
                "The new parent is of another family, which has books of its own.",
                "Open an account there, issue there what is left here, and close this one.",
            ),
            Row(
                "PARENT_SAME",
                STATE,
                "The parent is the account's parent already.",
                "Nothing is to be done.",
            ),
            Row(
                "MOVES_LIMIT",
                LIMIT,
                "The account moved as often as it may while its usage can still be corrected.",
                "Wait, or open another account.",
            ),
            Row(
                "MINIMUMS_OPEN",
                STATE,
                "What the account was charged counts for a minimum of another account in a period"
                " that is not settled.",
                "Move it before it is charged, or once the period is settled.",
            ),
            Row(
                "CAPS_STAND",
                STATE,
                "A cap of an account above would count otherwise after the move.",
                "Remove the cap that is named, move, and set it anew.",
            ),
        ),
    ),
    Area(
        "Names",
        "accounts.md",
        "Aliases are other names of accounts.",
        (
            Row(
                "NAME_IS_ALIAS",
                TAKEN,
                "The account id is, or was, an alias.",
                "Choose another id.",
            ),
            Row(
                "NAME_IS_ACCOUNT",
                TAKEN,
                "The alias is the id of an account.",
                "Choose another alias.",
            ),
            Row(
                "ALIAS_OVERLAPS",
                TAKEN,
                "The alias means an account within that time already.",
                "End that range first, or choose another range or alias.",
            ),
            Row(
                "ALIAS_UNKNOWN",
                MISSING,
                "The alias does not mean the account just before that instant.",
                "List the account's aliases, and end one of them.",
            ),
        ),
    ),
    Area(
        "Tenants",
        "sandbox.md",
        "A tenant and its clock.",
        (
            Row(
                "TENANT_UNKNOWN",
                MISSING,
                "There is no such tenant.",
                "Name another, or add it with `drawdown tenant add`.",
                BOTH,
            ),
            Row(
                "TENANT_EXISTS",
                TAKEN,
                "A tenant of this name exists with another kind.",
                "Choose another name.",
            ),
            Row(
                "TENANT_NOT_SANDBOX",
                STATE,
                "The tenant is live, and only the clock of a sandbox can be moved.",
                "Add one with `drawdown tenant add NAME --sandbox`.",
            ),
            Row(
                "CLOCK_BACKWARDS",
                INVALID,
                "The clock would go back.",
                "Name a later instant.",
            ),
            Row(
                "CLOCK_TOO_FAR",
                INVALID,
                "The clock would go further than it may at once.",
                "Move it in several steps.",
            ),
        ),
    ),
)
