"""No message to PostgreSQL can be lost such that an event is lost, counts twice, or service ends.

Some here; `make faults` loses each one.
"""

from __future__ import annotations

import pytest

from ledger.verify import verify
from tests.faults.every_io import lose_each, lose_each_of_migrate
from tests.journal.proxy import Cut

EVERY = 31  # a round sends about 430
EVERY_OF_MIGRATE = 9  # it sends about 60


@pytest.mark.parametrize("cut", [Cut.BEFORE_SERVER, Cut.AFTER_SERVER])
async def test_messages_lost_one_after_the_other(database: str, cut: Cut) -> None:
    lost = await lose_each(database, cut, 1, EVERY)
    assert lost > 8, "as many as that are sent"
    report = await verify(database)
    assert report.ok, report.findings


@pytest.mark.parametrize("cut", [Cut.BEFORE_SERVER, Cut.AFTER_SERVER])
async def test_messages_of_a_migration_lost_one_after_the_other(database: str, cut: Cut) -> None:
    assert await lose_each_of_migrate(database, cut, 2, EVERY_OF_MIGRATE) > 3
