"""A rate card of one's own: checked, compared, published, listed and shown."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import grpc
import pytest
from click.testing import CliRunner

from cli.processes import Server, drawdown, environment
from ledger.cli.app import cli
from rating.v1 import pricing_pb2, pricing_pb2_grpc
from tests.forks import COMMAND

CARD = """
name = "own-card"
asset = "credit"
asset_scale = 6
meters = [{ quantity = "calls" }, { quantity = "seconds", scale = 3 }]

[[rows]]
product = "api"
quantity = "calls"
price = "0.01"

[[rows]]
product = "api"
quantity = "seconds"
price = "0.5"
"""


TIERS = """
[[rows]]
product = "api"
quantity = "calls"
scope = "day"
hours = { zone = "Europe/Berlin", start = "22:00", end = "06:00" }
[rows.model]
type = "graduated"
tiers = [{ up_to = 100, price = "0.10" }, { price = "0.02" }]
"""


@pytest.fixture(scope="module", autouse=True)
def credit(server: Server) -> None:
    """The asset that the card charges in."""
    with grpc.insecure_channel(server.address) as channel:
        pricing_pb2_grpc.PricingServiceStub(channel).CreateAsset(
            pricing_pb2.CreateAssetRequest(
                tenant="default",
                request_id="credit",
                asset=pricing_pb2.Asset(
                    asset="credit", scale=6, kind=pricing_pb2.ASSET_KIND_CREDIT
                ),
            )
        )


def publishing(server: Server, file: Path, *options: str) -> Any:
    return drawdown("pricing", "publish", str(file), "--address", server.address, *options)


def test_a_card_is_published_from_a_file_after_its_difference_is_shown(
    server: Server, tmp_path: Path
) -> None:
    """Without a terminal nobody can be asked: --yes, and --allow-large where a price moves far."""
    file = tmp_path / "own.toml"
    file.write_text(CARD)
    tried = publishing(server, file, "--dry-run")
    assert tried.returncode == 0, tried.stderr
    assert "against nothing published yet: asset_scale" not in tried.stdout
    assert "2 rows added" in tried.stdout
    unasked = publishing(server, file)
    assert unasked.returncode == 1
    assert "nobody is there to ask; nothing was published" in unasked.stderr
    first = json.loads(publishing(server, file, "--yes", "--json").stdout)
    assert (first["result"], first["against_version"]) == ("published", 0)
    again = publishing(server, file)
    assert again.returncode == 0, again.stderr
    assert f"version {first['version']}: unchanged" in again.stdout
    file.write_text(CARD.replace('"0.01"', '"0.02"').replace('"0.5"', '"50"'))
    far = publishing(server, file, "--yes")
    assert far.returncode == 1
    assert "api seconds  0.5 -> 50  x 100" in far.stdout
    assert "1 price moves far" in far.stderr
    second = json.loads(publishing(server, file, "--yes", "--allow-large", "--json").stdout)
    assert second["against_version"] == first["version"]
    assert [each["ratio"] for each in second["diff"]["rows"]["changed"]] == ["2", "100"]

    at = ("--address", server.address)
    listed = json.loads(drawdown("pricing", "list", "own-card", "--json", *at).stdout)
    assert [each["version"] for each in listed] == [second["version"], first["version"]]
    table = drawdown("pricing", "list", *at)
    assert table.returncode == 0, table.stderr
    assert "own-card" in table.stdout
    shown = drawdown("pricing", "show", "own-card", *at)
    assert shown.returncode == 0, shown.stderr
    assert "api seconds" in shown.stdout
    assert " 50 " in shown.stdout
    kept = tmp_path / "kept.json"
    kept.write_text(drawdown("pricing", "show", "own-card", "--json", *at).stdout)
    same = publishing(server, kept)
    assert f"version {second['version']}: unchanged" in same.stdout, same.stderr


def test_price_models_and_hours_go_from_a_file_to_the_server_and_back(
    server: Server, tmp_path: Path
) -> None:
    """What is shown as JSON is the file again, to the byte of its version."""
    file = tmp_path / "tiers.toml"
    file.write_text(CARD.replace('"own-card"', '"tiers"') + TIERS)
    published = publishing(server, file, "--yes", "--json")
    assert published.returncode == 0, published.stderr
    at = ("--address", server.address)
    shown = json.loads(drawdown("pricing", "show", "tiers", "--json", *at).stdout)
    assert shown["rows"][2]["model"]["type"] == "graduated"
    hours = shown["rows"][2]["hours"]
    assert (hours["zone"], hours["start"], hours["end"]) == ("Europe/Berlin", "22:00", "06:00")
    kept = tmp_path / "kept.json"
    kept.write_text(json.dumps(shown))
    again = publishing(server, kept)
    assert "unchanged" in again.stdout, again.stderr
    table = drawdown("pricing", "show", "tiers", *at)
    assert "graduated tiers=" in table.stdout
    assert "hours=22:00-06:00 Europe/Berlin" in table.stdout


def test_an_alias_is_moved_from_card_to_card(server: Server, tmp_path: Path) -> None:
    at = ("--address", server.address)
    for name in ("pro-2026", "pro-2027"):
        file = tmp_path / f"{name}.toml"
        file.write_text(CARD.replace('"own-card"', f'"{name}"'))
        assert publishing(server, file, "--yes").returncode == 0
    first = drawdown("pricing", "alias", "pro", "pro-2026", *at)
    assert first.stdout == "pro means rate card pro-2026, for usage from ever\n", first.stderr
    again = drawdown("pricing", "alias", "pro", "pro-2026", *at)
    assert again.stdout.startswith("pro means already rate card pro-2026")
    moved = drawdown(
        "pricing", "alias", "pro", "pro-2027", "--effective-from=2100-01-01", "--json", *at
    )
    assert json.loads(moved.stdout)["rate_card"] == "pro-2027"
    listed = json.loads(drawdown("pricing", "aliases", "pro", "--json", *at).stdout)
    assert [each["rate_card"] for each in listed] == ["pro-2027", "pro-2026"]
    shown = drawdown("pricing", "aliases", *at)
    assert "2100-01-01T00:00:00Z" in shown.stdout
    sheet = drawdown("pricing", "sheet", "pro", *at)
    assert json.loads(sheet.stdout)["name"] == "pro-2026"
    refused = drawdown("pricing", "alias", "other", "pro", *at)
    assert refused.returncode == 1
    assert "RATE_CARD_UNKNOWN" in refused.stderr


def test_what_only_the_server_knows_is_checked_before_anything_is_published(
    server: Server, tmp_path: Path
) -> None:
    file = tmp_path / "other.toml"
    file.write_text(CARD.replace('"own-card"', '"other"').replace('"credit"', '"gold"'))
    refused = publishing(server, file, "--yes")
    assert refused.returncode == 1
    assert "asset: ASSET_UNKNOWN 'gold'" in refused.stderr
    listed = drawdown("pricing", "list", "other", "--json", "--address", server.address)
    assert json.loads(listed.stdout) == []


def test_every_fault_of_a_file_is_said_with_its_place(tmp_path: Path) -> None:
    """Without a server; first the form, then what the card says."""
    runner = CliRunner()
    file = tmp_path / "card.toml"
    file.write_text(CARD.replace('"0.01"', "0.01").replace("asset_scale = 6", 'asset_scale = "6"'))
    found = runner.invoke(cli, ["pricing", "validate", str(file)])
    assert found.exit_code == 1
    assert "asset_scale: CARD_MALFORMED" in found.stderr
    assert "rows[0].price: CARD_MALFORMED" in found.stderr
    assert "2 faults" in str(found.stderr)
    file.write_text(CARD.replace('"0.01"', '"-1"').replace('quantity = "seconds"\nprice', "price"))
    found = runner.invoke(cli, ["pricing", "validate", str(file)])
    assert "rows[1]: CARD_MALFORMED" in found.stderr
    file.write_text(CARD.replace('"0.01"', '"-1"').replace('"0.5"', '"cheap"'))
    found = runner.invoke(cli, ["pricing", "validate", str(file)])
    assert "rows[0].price: PRICE_NEGATIVE '-1'" in found.stderr
    assert "rows[1].price: PRICE_MALFORMED 'cheap'" in found.stderr
    file.write_text(CARD)
    sound = runner.invoke(cli, ["pricing", "validate", str(file)])
    assert sound.exit_code == 0
    assert "rate card own-card with 2 rows compiles" in sound.stdout
    assert runner.invoke(cli, ["pricing", "validate", str(file), "--json"]).exit_code == 0


def test_what_the_ledger_does_not_serve_is_refused_and_not_dropped(tmp_path: Path) -> None:
    """A list price beside a price model would be one that nobody's line shows."""
    file = tmp_path / "card.toml"
    rows = "".join(
        [
            f'[[rows]]\nproduct = "{product}"\nquantity = "calls"\n{list_price}'
            'model = {type = "package", size = 10, price = "2"}\n'
            for product, list_price in (("x", ""), ("y", 'list_price = "3"\n'))
        ]
    )
    minimums = "".join(
        [f'\n[[minimums]]\nscope = "{scope}"\namount = "10"\n' for scope in ("account", "contract")]
    )
    file.write_text(CARD + rows + minimums)
    found = CliRunner().invoke(cli, ["pricing", "validate", str(file)])
    assert found.exit_code == 1
    assert "rows[3].list_price: NOT_SERVED" in found.stderr
    assert "rows[2]" not in found.stderr and "minimums" not in found.stderr


def test_a_person_is_asked(server: Server, tmp_path: Path) -> None:
    """On a terminal; the question says whether a price moves far, and "n" publishes nothing."""
    file = tmp_path / "asked.toml"
    file.write_text(CARD.replace('"own-card"', '"asked"'))
    assert answering(server, file, "y").returncode == 0
    file.write_text(file.read_text().replace('"0.01"', '"10"'))
    refused = answering(server, file, "n")
    assert refused.returncode == 130
    assert "1 price moves far, or to other terms. Publish?" in refused.stdout
    listed = drawdown("pricing", "list", "asked", "--json", "--address", server.address)
    assert len(json.loads(listed.stdout)) == 1


def answering(server: Server, file: Path, answer: str) -> subprocess.CompletedProcess[str]:
    """`publish` with a terminal on which somebody answers."""
    master, slave = os.openpty()
    try:
        os.write(master, f"{answer}\n".encode())
        return subprocess.run(
            [*COMMAND, "pricing", "publish", str(file), "--address", server.address],
            stdin=slave,
            capture_output=True,
            text=True,
            timeout=120,
            env=environment(),
            check=False,
        )
    finally:
        os.close(master)
        os.close(slave)
