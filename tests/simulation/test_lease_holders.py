"""Holders of credit leases in a world that fails (rule H7): some seeds here, 10,000 by `make
simulate`; and that what breaks the rule is seen."""

from __future__ import annotations

import msgspec
import pytest

from ledger.client.lease_core import LeaseCore
from ledger.simulation.lease_holders import Broken, main, run_seed


def test_what_must_hold_holds(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["0..49"]) == 0
    assert capsys.readouterr().out.startswith("seeds 0..49: all hold; ")


def test_the_same_seed_runs_the_same_way() -> None:
    first, second = run_seed(7), run_seed(7)
    journals = [msgspec.msgpack.encode(each.server.journal) for each in (first, second)]
    assert journals[0] == journals[1]
    assert first.recorded == second.recorded


def test_a_holder_that_spends_after_its_deadline_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def spends(self: LeaseCore[object], amount: int, now_us: int) -> bool:
        if not self.lease_id or self.remaining < amount:
            return False
        self.remaining -= amount
        return True

    monkeypatch.setattr(LeaseCore, "try_spend", spends)
    with pytest.raises(Broken, match="its holder goes on"):
        _run(range(200))


def test_a_holder_that_forgets_what_it_has_not_reported_is_seen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(LeaseCore, "spent", property(lambda self: 0))
    with pytest.raises(Broken, match="over its lease"):
        _run(range(200))


def _run(seeds: range) -> None:
    for seed in seeds:
        run_seed(seed)
