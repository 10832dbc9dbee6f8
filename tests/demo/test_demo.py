"""The demo, scaled down: the whole story on real processes, ending with `verify: ok`."""

from __future__ import annotations

import asyncio
import io
import json
import secrets
import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from rich.console import Console

from ledger.client import DrawdownClient
from ledger.demo import opening, processes
from ledger.demo.demo import DemoOptions, DemoReport, demo
from ledger.demo.processes import DemoFailed, Ledger
from ledger.demo.screen import Live, Screen, credits, places
from ledger.journal.embedded_host import throwaway_root
from tests.patience import HANGS_S

SCALED = {"seconds": 2, "rows": 120}


def screen(**options: Any) -> tuple[Screen, io.StringIO]:
    out = io.StringIO()
    return Screen(Console(file=out, highlight=False, **options)), out


@pytest.fixture(autouse=True)
def own_folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where these demos make their directories, and others none: nothing is left there."""
    folder = throwaway_root() / f"demo-{secrets.token_hex(4)}"
    folder.mkdir()
    folder.chmod(0o777)
    monkeypatch.setattr(processes, "throwaway_root", lambda: folder)
    monkeypatch.setattr(processes, "LAG_TIMEOUT_S", HANGS_S)
    try:
        yield folder
        assert not list(folder.iterdir())
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def run(**options: Any) -> tuple[DemoReport, str]:
    shown, out = screen()
    report = await demo(DemoOptions(**{**SCALED, **options}), shown)
    return report, out.getvalue()


async def test_a_newcomer_sees_the_whole_story_on_a_plain_terminal() -> None:
    report, text = await run()
    assert report.ok, text
    assert "verify: ok" in text
    assert "everything adds up" in text
    story = ("ALLOW:", "DENY INSUFFICIENT_CREDITS", "customer tops up", "repay what it owes")
    places_of_story = [text.index(part) for part in story]
    assert places_of_story == sorted(places_of_story)
    assert text.index("ALLOW:", places_of_story[-1])
    assert "\x1b" not in text
    document = json.loads(json.dumps(report.document()))
    assert document["live"]["charged"] == document["live"]["expected"] > 0
    assert document["live"]["outcomes"] == {"APPLIED": 360}
    assert document["suspense"]["waiting"] == ["cached_tokens"]
    assert len(document["event"]["slices"]) == 2
    assert document["gateway"]["repaid_advance"] > 0
    assert document["flat_out"]["outcomes"] == {"APPLIED": 360}
    assert document["verify"]["ok"]
    assert document["verify"]["caught_up"]


async def test_a_second_demo_on_the_same_books_is_another_customer(database: str) -> None:
    first, text = await run(database_url=database, flat_out=False)
    assert first.ok, text
    second, text = await run(database_url=database, flat_out=False)
    assert second.ok, text
    assert first.sections["customer"]["root"] == "acme"
    assert second.sections["customer"]["root"] == "acme-2"
    assert second.sections["prices"] == first.sections["prices"]


async def test_a_server_that_cannot_start_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRAWDOWN_CONNECT_TIMEOUT_S", "1")
    with pytest.raises(DemoFailed, match="database"):
        async with Ledger(None, "postgresql://nobody@127.0.0.1:1/none"):
            raise AssertionError("it started")


async def test_a_demo_that_is_interrupted_leaves_nothing_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def interrupted(_: DrawdownClient) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(opening, "publish_prices", interrupted)
    with pytest.raises(KeyboardInterrupt):
        await run()


def test_what_killed_demos_left_is_removed_and_nothing_of_those_that_live(own_folder: Path) -> None:
    """A demo that lives may not own its directory yet: the server that it started will."""
    killed, living = (own_folder / f"{processes.PREFIX}{name}" for name in ("killed", "living"))
    with processes._hold(living.with_suffix(".log")):
        for left in (killed, living):
            left.mkdir()
        killed.with_suffix(".log").touch()
        processes._remove_leftovers()
        assert {left.name for left in own_folder.iterdir()} == {living.name, f"{living.name}.log"}
    processes._remove_leftovers()
    assert not list(own_folder.iterdir())


def test_a_log_that_goes_as_a_leftover_is_made_and_held_anew(
    own_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = own_folder / "demo.log"
    looking = processes._hold_leftover(log)
    assert looking is not None
    opened, flock = threading.Event(), processes.fcntl.flock

    def told(held: BinaryIO, how: int) -> None:
        opened.set()
        flock(held, how)

    monkeypatch.setattr(processes.fcntl, "flock", told)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(processes._hold, log)
        assert opened.wait(HANGS_S)
        log.unlink()
        looking.close()
        held = waiting.result(HANGS_S)
    assert processes._hold_leftover(log) is None
    held.close()
    log.unlink()


@pytest.mark.parametrize("options", [{"seconds": 0}, {"rows": -1}])
def test_options_that_cannot_work_are_named(options: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        DemoOptions(**options)


def test_amounts_are_cut_towards_zero_for_people() -> None:
    assert credits(1_234_567_891_234) == "1,234.5678"
    assert credits(-1_999_999) == "-0.0019"
    assert credits("0") == "0"
    assert places(150, 2, 4) == "1.5"


def test_a_terminal_gets_a_bar_and_news_above_it() -> None:
    shown, out = screen(force_terminal=True, width=120)
    with Live(shown, 10) as live:
        live.update(5, 10**9, 7_000)
        live.news("news")
        live.update(10, 2 * 10**9, 7_000)
    assert "100%" in out.getvalue()
    assert "news" in out.getvalue()


def test_quiet_is_quiet() -> None:
    shown = Screen(quiet=True)
    shown.title("x")
    shown.section("y", "z")
    shown.verdict("v", good=True)


@pytest.mark.parametrize("in_a_task", [False, True])
async def test_a_call_that_fails_ends_the_demo_with_its_reason(
    database: str, monkeypatch: pytest.MonkeyPatch, in_a_task: bool
) -> None:
    async def failing(client: DrawdownClient) -> None:
        async with asyncio.TaskGroup() as group:
            if in_a_task:
                group.create_task(client.balance("nobody"))
        await client.balance("nobody")

    monkeypatch.setattr(opening, "publish_prices", failing)
    with pytest.raises(DemoFailed, match="ACCOUNT_UNKNOWN"):
        await run(database_url=database)
