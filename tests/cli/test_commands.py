"""What a newcomer does after `drawdown serve`: prices, balances, tenants, verification."""

import json
import re
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from cli.processes import Server, drawdown
from ledger.cli.output import instant
from ledger.v1 import account_pb2, account_pb2_grpc, grant_pb2, grant_pb2_grpc, types_pb2
from tests.patience import HANGS_S


@pytest.fixture(scope="module")
def prices(server: Server) -> dict[str, Any]:
    done = drawdown("import-prices", "--json", "--address", server.address)
    assert done.returncode == 0, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return document


@pytest.fixture(scope="module")
def channel(server: Server) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(server.address) as opened:
        yield opened


@pytest.fixture(scope="module")
def account(channel: grpc.Channel, prices: dict[str, Any]) -> str:
    """An account with 25 dollars."""
    account_pb2_grpc.AccountServiceStub(channel).Create(
        account_pb2.AccountServiceCreateRequest(
            tenant="default", request_id="create", account="acme"
        )
    )
    grant_pb2_grpc.GrantServiceStub(channel).Issue(
        grant_pb2.GrantServiceIssueRequest(
            tenant="default",
            request_id="issue",
            account="acme",
            asset="USD",
            amount=25_000_000_000,
            kind=types_pb2.GRANT_KIND_PROMOTIONAL,
        )
    )
    return "acme"


def test_the_whole_price_map_is_imported_and_the_report_says_what_became_of_it(
    prices: dict[str, Any],
) -> None:
    report = prices["report"]
    assert prices["result"] == "published"
    assert report["products"] > 2_000
    assert report["rows"] > report["products"]
    assert (report["not_imported"], report["conflicts"]) == ([], [])
    assert report["fields"]["input_cost_per_second"]["became"] == "input_seconds"
    assert report["without_prices"]
    assert (prices["against_version"], prices["diff"]["counts"]["rows"]["added"]) == (
        0,
        report["rows"],
    )


def test_importing_again_changes_nothing(server: Server, prices: dict[str, Any]) -> None:
    done = drawdown("import-prices", "--address", server.address)
    assert done.returncode == 0, done.stderr
    assert f"version {prices['version']}: unchanged" in done.stdout
    assert f"against version {prices['version']}: no difference" in done.stdout


def test_a_map_of_ones_own_is_tried_before_it_is_published(server: Server, tmp_path: Path) -> None:
    own = tmp_path / "prices.json"
    own.write_text('{"house-model": {"input_cost_per_token": 0.000001, "mode": "chat"}}')
    arguments = ["import-prices", f"--map={own}", "--name=house", "--address", server.address]
    tried = drawdown(*arguments, "--dry-run", "--json")
    assert tried.returncode == 0, tried.stderr
    assert json.loads(tried.stdout)["version"] is None
    published = drawdown(*arguments, "--json")
    assert published.returncode == 0, published.stderr
    assert json.loads(published.stdout)["report"]["rows"] == 1


def test_a_refreshed_map_says_what_differs_and_asks_about_large_moves(
    server: Server, prices: dict[str, Any], tmp_path: Path
) -> None:
    """A price that moves by more than a factor of 10 needs --yes; a dry run shows everything."""
    own = tmp_path / "prices.json"
    arguments = ["import-prices", f"--map={own}", "--name=moved", "--address", server.address]
    entry = '{"a": {"input_cost_per_token": %s, "max_input_tokens": %s}, "%s": {"cost_per_hug": 1}}'
    own.write_text(entry % ("0.000001", "8", "b"))
    first = json.loads(drawdown(*arguments, "--json").stdout)["version"]
    own.write_text(entry % ("0.00002", "9", "c"))
    tried = drawdown(*arguments, "--dry-run")
    assert tried.returncode == 0, tried.stderr
    for line in (
        f"against version {first}: 1 row changed, 1 product added, 1 product removed, 1 product c",
        "a input_tokens  0.000001 -> 0.00002  x 20",
        "a context_limit: 8 -> 9",
        "c cost_per_hug = 1: FIELD_UNKNOWN",
    ):
        assert line in tried.stdout
    refused = drawdown(*arguments)
    assert refused.returncode == 1
    assert "a input_tokens  0.000001 -> 0.00002  x 20" in refused.stderr
    assert "--yes" in refused.stderr
    assert "nothing was published" in refused.stderr
    again = json.loads(drawdown(*arguments, "--dry-run", "--json").stdout)
    assert again["against_version"] == first
    assert again["diff"]["large_moves"][0]["ratio"] == "20"
    assert drawdown(*arguments, "--large-factor=0.5").returncode == 2
    allowed = drawdown(*arguments, "--large-factor=20", "--json")
    assert allowed.returncode == 0, allowed.stderr
    own.write_text(entry % ("0.002", "9", "c"))
    agreed = drawdown(*arguments, "--yes")
    assert agreed.returncode == 0, agreed.stderr
    assert "1 row changed" in agreed.stdout


def test_two_published_versions_are_compared_and_one_is_printed_as_a_sheet(
    server: Server, prices: dict[str, Any], tmp_path: Path
) -> None:
    own = tmp_path / "prices.json"
    arguments = ["import-prices", f"--map={own}", "--name=sheet", "--json"]
    arguments += ["--address", server.address]
    versions = []
    for price in ("0.000002", "0.000003"):
        own.write_text(f'{{"a": {{"input_cost_per_token": {price}, "litellm_provider": "us"}}}}')
        versions.append(json.loads(drawdown(*arguments).stdout)["version"])
    at = ("--address", server.address)
    between = ("--from", str(versions[0]), "--to", str(versions[1]))
    done = drawdown("pricing", "diff", "sheet", *between, *at)
    assert done.returncode == 0, done.stderr
    told = f"rate card sheet, version {versions[0]} to {versions[1]}: 1 row changed"
    assert done.stdout.startswith(told)
    assert "a input_tokens  0.000002 -> 0.000003  x 1.5" in done.stdout
    found = json.loads(drawdown("pricing", "diff", "sheet", *between[:2], "--json", *at).stdout)
    assert (found["from"], found["to"]) == tuple(versions)
    assert found["diff"]["rows"]["changed"][0]["ratio"] == "1.5"
    printed = drawdown("pricing", "sheet", "sheet", f"--version={versions[1]}", *at)
    assert printed.returncode == 0, printed.stderr
    sheet = json.loads(printed.stdout)
    assert (sheet["version"], sheet["rows"][0]["price"]) == (versions[1], "0.000003")
    assert sheet["products"][0]["facts"] == {"provider": "us"}
    earlier = drawdown("pricing", "sheet", "sheet", f"--version={versions[0]}", *at)
    assert json.loads(earlier.stdout)["content_hash"] != sheet["content_hash"]
    known = f"--if-none-match={sheet['content_hash']}"
    kept = drawdown("pricing", "sheet", "sheet", f"--version={versions[1]}", known, *at)
    assert (kept.returncode, kept.stdout) == (0, "")
    then = drawdown("pricing", "sheet", "sheet", "--at=1971-01-01", *at)
    assert json.loads(then.stdout)["version"] == versions[0]
    for wrong in (("nothing",), ("sheet", "--version=999999")):
        refused = drawdown("pricing", "sheet", *wrong, *at)
        assert refused.returncode == 1
        assert "Traceback" not in refused.stderr
        assert wrong[0] in refused.stderr


def test_a_file_that_is_no_price_map_is_refused(server: Server, tmp_path: Path) -> None:
    own = tmp_path / "prices.json"
    own.write_text("[]")
    done = drawdown("import-prices", f"--map={own}", "--address", server.address)
    assert done.returncode == 1
    assert "not a JSON object of products" in done.stderr


def test_a_balance_for_people(server: Server, account: str) -> None:
    done = drawdown("balance", account, "--grants", "--address", server.address)
    assert done.returncode == 0, done.stderr
    assert "USD" in done.stdout
    assert " 25 " in done.stdout


def test_a_balance_for_scripts(server: Server, account: str) -> None:
    done = drawdown("balance", account, "--json", "--address", server.address)
    assert done.returncode == 0, done.stderr
    [balance] = json.loads(done.stdout)["balances"]
    assert (balance["available"], balance["scale"]) == ("25000000000", 9)


def test_a_forecast_says_what_it_lacks(server: Server, account: str) -> None:
    """Nothing was used yet: the balance alone is known."""
    done = drawdown("forecast", account, "--address", server.address)
    assert done.returncode == 0, done.stderr
    assert "insufficient history; 25 available" in " ".join(done.stdout.split())
    done = drawdown("forecast", account, "--json", "--hours", "24", "--address", server.address)
    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout)
    assert int(shown["horizon_us"]) - int(shown["as_of_us"]) == 24 * 3_600_000_000
    assert shown["assets"][0]["outlook"] == "OUTLOOK_INSUFFICIENT_HISTORY"


def test_a_balance_is_watched(server: Server, account: str) -> None:
    once = ("watch", account, "--holds", "--budgets", "--messages=1", "--address", server.address)
    done = drawdown(*once)
    assert done.returncode == 0, done.stderr
    assert f"{account}  25 USD  granted 25  pending 0" in done.stdout
    done = drawdown(*once, "--json")
    assert done.returncode == 0, done.stderr
    [shown] = json.loads(done.stdout)["accounts"]
    assert (shown["account"], shown["balances"][0]["available"]) == (account, "25000000000")
    done = drawdown("watch", "nobody", "--messages=1", "--address", server.address)
    assert done.returncode == 1
    assert "ACCOUNT_UNKNOWN" in done.stderr


def test_the_adjustments_of_a_period(server: Server, account: str) -> None:
    """Rule T2: what counts in a month and is no usage of its own time; here nothing does."""
    address = ("--address", server.address)
    done = drawdown("adjustments", account, "--subtree", *address)
    assert done.returncode == 0, done.stderr
    assert account in done.stdout
    february = ("--period", "2026-02-10", "--json")
    found = json.loads(drawdown("adjustments", account, *february, *address).stdout)
    assert found["adjustments"] == []
    assert int(found["period_end_us"]) - int(found["period_start_us"]) == 28 * 86_400_000_000


def test_what_waits_for_a_price(server: Server, account: str) -> None:
    """Rule B8: of an account or of all; here nothing does."""
    address = ("--address", server.address)
    done = drawdown("suspense", "list", account, "--product", "chat", *address)
    assert done.returncode == 0, done.stderr
    assert "nothing waits" in done.stdout
    found = json.loads(drawdown("suspense", "list", "--json", *address).stdout)
    assert found["usage"] == []


def test_a_balance_of_the_past_and_what_made_the_difference(server: Server, account: str) -> None:
    address = ("--address", server.address)
    known = json.loads(drawdown("balance", account, "--json", *address).stdout)["as_of_us"]
    at = instant(int(known))
    arguments = ["balance", account, "--grants", "--as-of", at, "--known-at", at, *address]
    done = drawdown(*arguments)
    assert done.returncode == 0, done.stderr
    assert "as known at" in done.stdout
    assert " 25 " in done.stdout
    [balance] = json.loads(drawdown(*arguments, "--json").stdout)["balances"]
    assert (balance["available"], balance["past_grants"][0]["drawn"]) == ("25000000000", "0")
    done = drawdown("changes", account, *address)
    assert done.returncode == 0, done.stderr
    assert "posted" in done.stdout
    found = json.loads(drawdown("changes", account, "--to", at, "--json", *address).stdout)
    assert found["differences"][0]["difference"] == "25000000000"
    early = drawdown("balance", account, "--as-of", "1999-01-01T00:00:00Z", *address)
    assert "no asset was ever used" not in early.stdout
    assert early.returncode == 0, early.stderr
    future = drawdown("balance", account, "--as-of", "2999-01-01", *address)
    assert (future.returncode, "IN_FUTURE" in future.stderr) == (1, True)


def test_an_unknown_account_is_refused_with_its_reason(server: Server) -> None:
    done = drawdown("balance", "nobody", "--address", server.address)
    assert done.returncode == 1
    assert "ACCOUNT_UNKNOWN" in done.stderr
    assert "nobody" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_clock_of_a_sandbox_is_moved_forward(server: Server) -> None:
    """Shown and moved; a live tenant's, or backwards, is refused with what to do (rule T4)."""
    where = ("--tenant", "sandbox", "--address", server.address)
    before = json.loads(drawdown("clock", "show", "--json", *where).stdout)
    assert (before["sandbox"], before["offset_us"]) == (True, "0")
    moved = drawdown("clock", "advance", "--by", "31d", "--request-id", "month", *where)
    assert moved.returncode == 0, moved.stderr
    assert "all that was due by then has happened" in moved.stdout
    assert "31 d ahead" in moved.stdout
    again = drawdown("clock", "advance", "--by", "31d", "--request-id", "month", "--json", *where)
    assert json.loads(again.stdout)["replayed"] is True
    to = drawdown("clock", "advance", "--to", "2190-01-01T00:00:00Z", *where)
    assert (to.returncode, "CLOCK_TOO_FAR" in to.stderr) == (1, True)
    back = drawdown("clock", "advance", "--to", "2000-01-01", *where)
    assert (back.returncode, "CLOCK_BACKWARDS" in back.stderr) == (1, True)
    shown = drawdown("clock", "show", *where)
    assert "sandbox" in shown.stdout and "31 d ahead" in shown.stdout
    live = drawdown("clock", "advance", "--by", "1h", "--address", server.address)
    assert (live.returncode, "TENANT_NOT_SANDBOX" in live.stderr) == (1, True)
    assert "cannot be moved" in drawdown("clock", "show", "--address", server.address).stdout


@pytest.mark.parametrize("arguments", [(), ("--by", "1d", "--to", "2030-01-01"), ("--by", "soon")])
def test_how_far_is_said_once_and_clearly(server: Server, arguments: tuple[str, ...]) -> None:
    done = drawdown("clock", "advance", *arguments, "--address", server.address)
    assert done.returncode == 2 and "--by" in done.stderr


def test_tenants_are_added_once(server: Server, data_dir: Path) -> None:
    where = f"--data-dir={data_dir}"
    for _ in range(2):
        added = drawdown("tenant", "add", "acme-labs", "--sandbox", "--json", where)
        assert added.returncode == 0, added.stderr
        assert json.loads(added.stdout)["kind"] == "sandbox"
    refused = drawdown("tenant", "add", "acme-labs", where)
    assert refused.returncode == 1
    assert "TENANT_EXISTS" in refused.stderr
    listed = drawdown("tenant", "list", "--json", where)
    assert {"default", "sandbox", "acme-labs"} <= {
        tenant["name"] for tenant in json.loads(listed.stdout)
    }


def test_the_metrics_show_the_calls(server: Server, account: str) -> None:
    url = f"http://{server.ready['metrics']}/metrics"
    with urllib.request.urlopen(url, timeout=HANGS_S) as reply:
        text = reply.read().decode()
    assert 'rpc_method="ledger.v1.AccountService/Create",rpc_response_status_code="OK"' in text
    issued = re.search(r'drawdown_entries_total\{kind="GrantIssued"\} (\d+)', text)
    assert issued is not None
    assert int(issued[1]) >= 1  # of this file; of others on the same server, too
    assert 'drawdown_shard_open{shard="0"} 1.0' in text


def test_a_load_is_counted_once_however_often_it_is_sent(server: Server, account: str) -> None:
    arguments = ["load", "uniform", "--events=500", "--batch=100", "--account", account]
    arguments += ["--json", "--address", server.address]
    for replayed in (0, 500):
        done = drawdown(*arguments)
        assert done.returncode == 0, done.stderr
        report = json.loads(done.stdout)
        assert report["outcomes"] == {"APPLIED": 500}
        assert report["replayed"] == replayed


def test_verify_finds_books_and_read_models_in_order(
    server: Server, account: str, data_dir: Path
) -> None:
    done = drawdown("verify", f"--data-dir={data_dir}")
    assert done.returncode == 0, done.stderr
    assert done.stdout.rstrip().endswith("verify: ok")
    document = json.loads(drawdown("verify", "--json", f"--data-dir={data_dir}").stdout)
    assert document["ok"] is True
    assert len(document["shards"]) == 4
    assert sum(shard["entries"] for shard in document["shards"]) > 4


def test_the_books_are_exported_beside_a_running_server(
    server: Server, account: str, data_dir: Path, tmp_path: Path
) -> None:
    out = tmp_path / "books"
    done = drawdown("export", "--format=csv", f"--out={out}", "--wait=60", f"--data-dir={data_dir}")
    assert done.returncode == 0, done.stderr
    assert "behind" not in done.stderr
    assert json.loads((out / "manifest.json").read_text())["behind_entries"] == 0


def test_read_models_are_rebuilt_beside_a_running_server(
    server: Server, account: str, data_dir: Path
) -> None:
    done = drawdown("rebuild", "--json", f"--data-dir={data_dir}")
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)["entries"]) == 4


def test_an_account_is_frozen_closed_and_opened_again(
    server: Server, channel: grpc.Channel, prices: dict[str, Any]
) -> None:
    at = ("--address", server.address)
    account_pb2_grpc.AccountServiceStub(channel).Create(
        account_pb2.AccountServiceCreateRequest(
            tenant="default", request_id="gone", account="gone", display_name="Gone Ltd"
        )
    )
    issue = grant_pb2.GrantServiceIssueRequest(
        tenant="default",
        request_id="gone-grant",
        account="gone",
        asset="USD",
        amount=1_500_000_000,
        kind=types_pb2.GRANT_KIND_PROMOTIONAL,
    )
    grant_pb2_grpc.GrantServiceStub(channel).Issue(issue)
    unsaid = drawdown("account", "freeze", "gone", *at)
    assert (unsaid.returncode, "reason" in unsaid.stderr) == (1, True)
    frozen = drawdown("account", "freeze", "gone", "--reason", "fraud", "--actor", "ops", *at)
    assert frozen.returncode == 0, frozen.stderr
    assert frozen.stdout.startswith("gone  frozen  Gone Ltd\nfrozen since ")
    assert "gone  ops: fraud" in frozen.stdout
    assert drawdown("account", "unfreeze", "gone", *at).stdout == "gone  open  Gone Ltd\n"
    full = drawdown("account", "close", "gone", *at)
    assert (full.returncode, "write_off" in full.stderr) == (1, True)
    for _ in range(2):
        closed = drawdown(
            "account", "close", "gone", "--write-off", "--release-holds", "--request-id", "c", *at
        )
        assert closed.returncode == 0, closed.stderr
        assert "written off  1.5 USD, grant_" in closed.stdout
    opened = json.loads(drawdown("account", "reopen", "gone", "--json", *at).stdout)
    assert opened["account"]["state"] == "ACCOUNT_STATE_OPEN"
    shown = drawdown("account", "show", "gone", *at).stdout
    assert shown.startswith("gone  open  Gone Ltd\nreopened at ")


def test_erasure_asks_first(server: Server, account: str) -> None:
    asked = drawdown("erase", account, "--address", server.address)
    assert asked.returncode != 0  # nobody answered
    erased = drawdown("erase", account, "--yes", "--json", "--address", server.address)
    assert erased.returncode == 0, erased.stderr
    document = json.loads(erased.stdout)
    assert document["erased_at_us"] > 0
    shown = drawdown("account", "show", document["pseudonym"], "--address", server.address)
    assert shown.stdout.startswith(f"{document['pseudonym']}  open\nerased at ")
