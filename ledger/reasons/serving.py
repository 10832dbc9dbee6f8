"""Whether it could be done now: queues, owners, deadlines, read models, streams."""

from __future__ import annotations

from typing import Final

from ledger.reasons.form import (
    AGAIN,
    BOTH,
    EVENT,
    FULL,
    INVALID,
    LIMIT,
    MISSING,
    STATE,
    Area,
    Kind,
    Row,
)

AREAS: Final = (
    Area(
        "Not applied",
        "operations.md#run-several-servers",
        "Certain: nothing was recorded. The same ids may be sent again; the SDK does so by itself"
        " (rule I6).",
        (
            Row(
                "QUEUE_FULL",
                AGAIN,
                "More work waits than the shard, or the side port, takes.",
                "Send the same again after the time that is named; send less at once.",
                BOTH,
            ),
            Row(
                "BATCH_FULL",
                AGAIN,
                "More of the account is due at once than one batch takes: the next ones take the "
                "rest.",
                "Send the same again.",
                EVENT,
            ),
            Row(
                "KEYS_EXHAUSTED",
                FULL,
                "The ids that no checkpoint holds yet fill their memory.",
                "Send the same again later; an operator looks why checkpoints do not become "
                "durable.",
                EVENT,
            ),
            Row(
                "WRITER_REOPENING",
                AGAIN,
                "The shard is being opened.",
                "Send the same again.",
                BOTH,
            ),
            Row(
                "WRITER_HALTED",
                AGAIN,
                "The shard stopped for good on this server, because it found its own state to be "
                "wrong.",
                "An operator reads the log and runs `drawdown verify`; another server may serve "
                "the shard.",
                BOTH,
            ),
            Row(
                "NOT_OWNER",
                AGAIN,
                "Another server serves the shard, or will in a moment.",
                "Send the same again; `GetRouting` says where.",
                BOTH,
            ),
            Row(
                "OWNER_UNREACHABLE",
                AGAIN,
                "The server that serves the account cannot be reached from the one that was asked.",
                "Send the same again; look at the network between the servers where it stays.",
                BOTH,
            ),
            Row(
                "LEASE_LAPSED",
                AGAIN,
                "Whether the shard is still this server's is not known now.",
                "Send the same again.",
                BOTH,
            ),
            Row(
                "SHUTTING_DOWN",
                AGAIN,
                "The server starts or stops.",
                "Send the same again, at another server.",
                BOTH,
            ),
            Row(
                "DEADLINE",
                Kind("DEADLINE_EXCEEDED", True, outcome="RETRY"),
                "The call's deadline passed before it was decided.",
                "Send the same again with more time.",
                BOTH,
            ),
            Row(
                "JOURNAL_UNAVAILABLE",
                AGAIN,
                "PostgreSQL could not be reached, or refused.",
                "Send the same again; an operator looks at the database.",
                BOTH,
            ),
            Row(
                "RATED_MEANWHILE",
                Kind("ABORTED", True, outcome="RETRY"),
                "A price came for what waited of the usage while it was being corrected.",
                "Send the same again.",
            ),
        ),
    ),
    Area(
        "Not known",
        "concepts.md#identity-and-retries",
        "It may have been recorded.",
        (
            Row(
                "OUTCOME_UNKNOWN",
                Kind("UNKNOWN", True, outcome="UNKNOWN"),
                "The call was taken, and no answer says what became of it.",
                "Send the same ids again, or ask `GetOutcome`.",
                BOTH,
            ),
        ),
    ),
    Area(
        "Read models",
        "operations.md#what-runs",
        "What is listed from PostgreSQL is as new as the projector made it.",
        (
            Row(
                "READ_MODELS_BEHIND",
                AGAIN,
                "The read models have not reached what is asked for.",
                "Ask again in a moment, or for less: without a position, or up to an earlier "
                "instant.",
            ),
            Row(
                "READ_MODELS_STALLED",
                STATE,
                "The read models have stood still for a while.",
                "Run `drawdown project`, or serve without `--no-projector`; the projector's log "
                "says what is wrong.",
            ),
            Row(
                "READ_MODELS_ABSENT",
                STATE,
                "The server keeps nothing in PostgreSQL, so it has no read models.",
                "Ask a server that has a database.",
            ),
            Row(
                "NOT_SEALED",
                Kind("FAILED_PRECONDITION", True),
                "The entry is not sealed yet.",
                "Ask again in some seconds; where it stays, look whether a sealer runs.",
            ),
            Row(
                "ENTRY_UNKNOWN",
                MISSING,
                "The account's family has no such entry.",
                "Name an entry by the shard and number that a reply or a listing gave.",
            ),
        ),
    ),
    Area(
        "Streams",
        "live-balance.md#limits",
        "What a stream of balances watches.",
        (
            Row(
                "WATCH_FAMILIES",
                INVALID,
                "The accounts of one stream are of several families.",
                "Watch each family by a stream of its own.",
            ),
            Row(
                "WATCH_LIMIT",
                LIMIT,
                "No account is named, or more than one stream watches.",
                "Watch fewer, by several streams.",
            ),
        ),
    ),
)
