"""What a request says, before and as it is looked at: form, identity, batches."""

from __future__ import annotations

from typing import Final

from ledger.reasons.form import (
    BOTH,
    EVENT,
    INVALID,
    QUESTION,
    STALE,
    Area,
    Kind,
    Row,
)

AREAS: Final = (
    Area(
        "Form",
        "concepts.md#identity-and-retries",
        "Refused by the edge before anything is asked: the field and the value are named, and all"
        " faults of a request at once.",
        (
            Row(
                "MALFORMED_REQUEST",
                INVALID,
                "The bytes are no message of this call, or the body or its content type is none "
                "that is taken.",
                "Send what the protos, or the form of the page, say.",
                EVENT,
            ),
            Row(
                "FIELD_REQUIRED",
                INVALID,
                "A field that the call cannot do without is missing.",
                "Fill the field that is named.",
                BOTH,
            ),
            Row(
                "FIELD_NOT_ALLOWED",
                INVALID,
                "A field stands beside another that excludes it, or has no meaning in this call.",
                "Leave the field that is named out, or the other one.",
                QUESTION,
            ),
            Row(
                "TEXT_TOO_LONG",
                INVALID,
                "A text has more bytes than its field takes.",
                "Shorten it to the number of bytes that is named.",
                BOTH,
            ),
            Row(
                "TEXT_INVALID",
                INVALID,
                "A text holds the character NUL, is no valid Unicode, or is not of its field's "
                "form.",
                "Send text as the field is described.",
                BOTH,
            ),
            Row(
                "NUMBER_OUT_OF_RANGE",
                INVALID,
                "A number, or a member of an enum, is not among those that the field takes.",
                "Send one within the bounds that are named.",
                BOTH,
            ),
            Row(
                "NUMBER_MALFORMED",
                INVALID,
                "A text that stands for a number is none.",
                "Write it as whole digits, or as the field says.",
                QUESTION,
            ),
            Row(
                "TOO_MANY",
                INVALID,
                "A list has more entries than are taken at once.",
                "Split it, or send fewer.",
                BOTH,
            ),
            Row(
                "NAME_REPEATED",
                INVALID,
                "A name stands twice where each stands once.",
                "Send each name once.",
                BOTH,
            ),
            Row(
                "PAGE_INVALID",
                INVALID,
                "The page size is negative, or the page token is of another listing or filter.",
                "Hand the token back unchanged with the same filter, or begin without one.",
            ),
            Row(
                "RANGE_INVALID",
                INVALID,
                "A range of time ends before it begins, or is empty.",
                "Have it end after its start.",
            ),
            Row(
                "POSITION_INVALID",
                INVALID,
                "The position is none that a reply gave.",
                "Hand back the `position` of a reply, unchanged.",
            ),
            Row(
                "POSITION_AHEAD",
                Kind("OUT_OF_RANGE"),
                "The read asks for entries that this shard does not have yet.",
                "Ask with the position of a reply of this ledger; after a restore from a backup, "
                "without one.",
            ),
            Row(
                "ID_INVALID",
                INVALID,
                "An id is empty, longer than 128 bytes, holds NUL, or holds a separator that "
                "belongs to the system.",
                "Choose another id.",
                EVENT,
            ),
            Row(
                "NAME_INVALID",
                INVALID,
                "The name of something that is published is empty, longer than 128 bytes, or no "
                "text.",
                "Choose a name of 1 to 128 bytes of UTF-8.",
            ),
            Row(
                "BODY_TOO_LARGE",
                INVALID,
                "What is to be published has more bytes than a version may have.",
                "Publish less in one version.",
            ),
            Row(
                "INTERNAL",
                Kind("INTERNAL", outcome="UNKNOWN"),
                "The server failed on a bug of its own. Whether the call was recorded is not "
                "known.",
                "Ask `GetOutcome`, or send the same ids again; report the server's log.",
                BOTH,
            ),
        ),
    ),
    Area(
        "Identity",
        "concepts.md#identity-and-retries",
        "What an id or a version says about the call that bears it (rules I1, I5).",
        (
            Row(
                "CONFLICT",
                Kind("ALREADY_EXISTS", outcome="CONFLICT"),
                "The id was recorded before with another body; the first field that differs is "
                "named.",
                "Send what was sent first, or use a new id.",
                BOTH,
            ),
            Row(
                "ABANDONED",
                Kind("FAILED_PRECONDITION", outcome="CONFLICT"),
                "The id was abandoned through `GetOutcome`, so it will never be applied.",
                "Send the request under a new id.",
                EVENT,
            ),
            Row(
                "VERSION_MISMATCH",
                STALE,
                "`expected_version` is not the present version of the account, its part or its "
                "contract.",
                "Read it again, decide anew, and send the version that was read.",
            ),
            Row(
                "VERSION_DIFFERS",
                STALE,
                "`expected_version` is not the present version of the configuration that is "
                "published.",
                "Read it again, decide anew, and send the version that was read.",
            ),
        ),
    ),
    Area(
        "Batches",
        "concepts.md#linked-events",
        "What a batch of usage says as a whole, and its linked events.",
        (
            Row(
                "BATCH_EMPTY",
                INVALID,
                "The batch, or the report of a lease, has no event.",
                "Send at least one.",
            ),
            Row(
                "BATCH_TOO_LARGE",
                INVALID,
                "The batch has more events, or more bytes, than are taken at once.",
                "Split it; the ids stay as they are.",
                EVENT,
            ),
            Row(
                "BATCH_FORM",
                INVALID,
                "The batch has events in both forms.",
                "Send `events` or `compact`, not both.",
            ),
            Row(
                "BATCH_LINKED",
                INVALID,
                "`linked` names events that the batch does not have, or an event twice.",
                "Name each event of the batch in at most one group.",
            ),
            Row(
                "COLUMN_LENGTH",
                INVALID,
                "A column of a compact batch is of another length than its ids or its shapes need.",
                "Send one value for each event, or for each quantity of its shape.",
            ),
            Row(
                "INDEX_INVALID",
                INVALID,
                "An index of a compact batch points beyond its table, or does not ascend.",
                "Count from 0 in the table of the same message.",
            ),
            Row(
                "LINKED_FAMILIES",
                INVALID,
                "Linked events are of accounts of several families, which are written apart.",
                "Link events of one family only.",
            ),
            Row(
                "LINKED_RECORDED",
                Kind("ALREADY_EXISTS", outcome="CONFLICT"),
                "A linked event is recorded already and others of its group are not.",
                "Send those that are not without the link, or the group under new ids.",
            ),
            Row(
                "LINKED_TOO_OLD",
                INVALID,
                "A linked event is older than 35 days: alone it would be quarantined.",
                "Send it alone, and the others without it.",
            ),
            Row(
                "LINKED_FAILED",
                Kind("FAILED_PRECONDITION", outcome="LINKED_FAILED"),
                "An event that this one is linked with was refused; nothing of the group is "
                "recorded.",
                "Repair the event that is named, and send the group again.",
            ),
            Row(
                "METERS_LINKED",
                INVALID,
                "A linked event is metered over a day or a month, which is counted one event "
                "after the other.",
                "Send it without the link.",
            ),
        ),
    ),
)
