"""A durable answer that cannot be rendered is never called "not applied" (rule I6)."""

from __future__ import annotations

import pytest

from ledger.api.answers import rendering
from ledger.api.errors import failure_of
from ledger.engine.ticket import NotApplied, NotAppliedReason, OutcomeUnknown
from ledger.journal.errors import JournalUnavailable


@pytest.mark.parametrize(
    "cut",
    [
        NotApplied(NotAppliedReason.WRITER_REOPENING, "shard 0 is being opened", 50_000),
        JournalUnavailable("shard 0: connection refused"),
    ],
)
def test_a_reply_that_is_lost_after_the_commit_is_unknown_and_says_where_it_is(cut: Exception):
    where = r"recorded, before position P.*GetOutcome"
    with pytest.raises(OutcomeUnknown, match=where) as raised, rendering("P"):
        raise cut
    failure = failure_of(raised.value)
    assert failure is not None and failure.reason == "OUTCOME_UNKNOWN"


def test_a_bug_stays_a_bug():
    with pytest.raises(KeyError), rendering("P"):
        raise KeyError("bug")
