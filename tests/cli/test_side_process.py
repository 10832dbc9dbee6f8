"""What runs beside a server is started again, whatever ends it or keeps it from starting."""

from __future__ import annotations

import logging
import sys

import pytest

from ledger import side_process
from ledger.side_process import SideProcess
from tests.api.cluster import until


async def test_one_that_cannot_be_started_is_said_and_tried_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(side_process, "RESTART_DELAY_MIN_S", 0.01)
    python = sys.executable
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    process = SideProcess("projector", ["project"], {"DATABASE_URL": "postgresql://127.0.0.1:1/no"})
    with caplog.at_level(logging.WARNING, "ledger.side_process"):
        process.start()
        await until(lambda: process.restarts > 1)
    assert process.pid is None
    assert "the projector cannot be started" in caplog.text
    assert "/no/such/python" in caplog.text
    monkeypatch.setattr(sys, "executable", python)
    await until(lambda: process.pid is not None)
    await process.stop()
    assert process.pid is None
