"""`drawdown product`: fail modes from a shell."""

from __future__ import annotations

import json

from cli.processes import Server, drawdown


def test_fail_modes_are_set_and_listed(server: Server) -> None:
    where = ("--tenant", "sandbox", "--address", server.address)
    for mode, said in (("open", "now open"), ("open", "already open"), ("lease-only", "now lease")):
        done = drawdown("product", "fail-mode", "chat", mode, *where)
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith(f"the fail mode of chat is {said}")
    again = drawdown("product", "fail-mode", "chat", "lease-only", *where, "--json")
    assert json.loads(again.stdout)["replayed"] is True
    [listed] = json.loads(drawdown("product", "fail-modes", *where, "--json").stdout)
    assert (listed["product"], listed["fail_mode"]) == ("chat", "lease-only")
    shown = drawdown("product", "fail-modes", *where)
    assert "chat" in shown.stdout and "lease-only" in shown.stdout
    wrong = drawdown("product", "fail-mode", "chat", "ajar", *where)
    assert wrong.returncode == 2 and "'ajar' is not one of" in wrong.stderr
