"""No message to PostgreSQL can be lost such that an event is lost, counts twice, or service ends.

Some here; `make faults` loses each one.
"""

from __future__ import annotations

import pytest

from ledger.verify import verify
from tests.faults.every_io import lose_each
from tests.journal.proxy import Cut

EVERY = 31  # a round sends about 430


@pytest.mark.parametrize("cut", [Cut.BEFORE_SERVER, Cut.AFTER_SERVER])
async def test_messages_lost_one_after_the_other(database: str, cut: Cut) -> None:
    lost = await lose_each(database, cut, 1, EVERY)
    assert lost > 8, "as many as that are sent"
    report = await verify(database)
    assert report.ok, report.findings
