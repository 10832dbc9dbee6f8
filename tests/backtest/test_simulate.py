"""`drawdown pricing simulate` on real books: what it finds, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cli.processes import drawdown
from msgspec.structs import replace

from ledger.backtest.processes import SimulationFailed
from ledger.backtest.run import Asked, simulate
from ledger.cli.output import instant
from ledger.core.commands import AuthorizeHold, CaptureHold
from ledger.core.events import HoldAuthorized, UsageRecorded
from ledger.journal.configuration import ConfigurationEntry
from rating.card import Meter, PriceRow, RateCard
from rating.sheet import price_sheet
from tests.conftest import run_apart
from tests.exports.history import write_history
from tests.projections.books import AGENT, CARD, DRAW, TOKENS, Books, open_books

PUBLISHED = 3  # CARD is the tenant's third version, after two assets
BATCHES_MAX = 200  # until what waited is rated
SIX = replace(
    CARD,
    rows=tuple(PriceRow(product="agent", quantity=each, price="0.000006") for each in TOKENS),
)


@pytest.fixture(scope="module")
def books(module_database: str) -> str:
    """The DSN of a ledger with everything in it, over several shards."""
    run_apart(lambda: write_history(module_database))
    return module_database


def simulated(dsn: str, *arguments: str) -> dict[str, Any]:
    done = drawdown("pricing", "simulate", "--json", *arguments, DATABASE_URL=dsn)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def written(folder: Path, card: RateCard, *, sheet: bool = False) -> str:
    document = price_sheet(card, 9, b"\x01" * 32) if sheet else msgspec.to_builtins(card)
    path = folder / "candidate.json"
    path.write_text(json.dumps(document))
    return f"--card={path}"


def test_cards_as_they_were_published_give_what_the_ledger_has(books: str) -> None:
    """Nothing differs: no bill, no denial, nothing earned; and nothing that could not be repeated.
    Usage that names a card of costs has its margin shown."""
    found = simulated(books)
    assert found["reproduces_the_ledger"] is True
    assert found["not_repeated"] == found["bill_shock"] == []
    assert found["usage_events"] > 100
    sums = {}
    for name in ("revenue", "cost", "margin"):
        for line in found[name]:
            place = (name, line["product"], line["asset"])
            sums[place] = int(line["old"])
            assert line["old"] == line["new"], line
    margins = {place[1:]: amount for place, amount in sums.items() if place[0] == "margin"}
    assert margins
    for (product, asset), amount in margins.items():
        earned = sums.get(("revenue", product, asset), 0)
        assert amount == earned - sums.get(("cost", product, asset), 0)


def test_a_published_version_prices_the_range_that_it_priced(books: str) -> None:
    """By name and version, whatever its effective times."""
    found = simulated(books, f"--card=default@{PUBLISHED}")
    assert found["reproduces_the_ledger"] is True
    assert found["candidate"]["version"] == PUBLISHED


def test_a_range_in_two_parts_is_the_whole(books: str) -> None:
    """Cut at an instant: each entry is in one part, and the second goes on from the first."""
    whole = simulated(books)
    middle = run_apart(lambda: _middle(books))
    parts = [
        simulated(books, f"--to={instant(middle)}"),
        simulated(books, f"--from={instant(middle)}"),
    ]
    assert all(part["reproduces_the_ledger"] for part in parts)
    assert sum(part["entries"] for part in parts) == whole["entries"]
    assert all(part["usage_events"] for part in parts)


async def _middle(dsn: str) -> int:
    import asyncpg

    connection = await asyncpg.connect(dsn)
    try:
        found = await connection.fetchval(
            "SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY recorded_at) FROM ledger.journal"
        )
    finally:
        await connection.close()
    return int(found)


async def _two_customers(dsn: str) -> None:
    """A token costs 3 minor units. acme has 3,000 and works 600 tokens, then 300; beta 500."""
    async with open_books(dsn) as books:
        acme, beta = await books.account("acme"), await books.account("beta")
        await books.grant(acme, 3_000, paid=1_500)
        await books.grant(beta, 1_000_000, paid=1_000_000)
        for quantity in (600, 300):
            await _held(books, acme, quantity)
        await _held(books, beta, 500)


async def _held(books: Books, entry: Any, quantity: int) -> None:
    (held,) = await books.ask(
        entry, AuthorizeHold(books.key(entry), entry.number, AGENT, (quantity, 0), 0)
    )
    assert isinstance(held, HoldAuthorized), held
    (captured,) = await books.ask(
        entry,
        CaptureHold(books.key(entry), entry.number, held.hold, TOKENS, (quantity, 0), 0),
    )
    assert isinstance(captured, UsageRecorded), captured


def test_who_pays_more_and_who_would_have_been_denied(database: str, tmp_path: Path) -> None:
    """By hand. A token cost 3 minor units and would cost 6: acme's first 600 cost 3,600, which are
    not there; its next 300 cost 1,800; beta's 500 cost 3,000. As a card and as a price sheet."""
    run_apart(lambda: _two_customers(database))
    for sheet in (False, True):
        found = simulated(database, written(tmp_path, SIX, sheet=sheet))
        assert found["reproduces_the_ledger"] is False
        assert [
            (each["account"], each["old"], each["new"], each["difference"])
            for each in found["bill_shock"]
        ] == [("beta", "1500", "3000", "1500"), ("acme", "2700", "1800", "-900")]
        (denied,) = found["authorisations"]["accounts"]
        assert (denied["account"], denied["now_denied"]) == ("acme", 1)
        assert (denied["charge"], denied["captured"]) == ("3600", "1800")
        assert found["authorisations"]["captures_not_run"] == 1
        (burn,) = found["burn"]
        assert (burn["product"], burn["old"], burn["new"]) == ("agent", "4200", "4800")
        (revenue,) = found["revenue"]
        assert (revenue["asset"], revenue["old"], revenue["new"]) == ("USD", "2850", "3900")
    shown = drawdown("pricing", "simulate", written(tmp_path, SIX), DATABASE_URL=database)
    assert shown.returncode == 0, shown.stderr
    assert "1 denied that were allowed" in shown.stdout
    assert "no usage names a card of costs" in shown.stdout


def test_what_waited_for_a_price_is_rated_here_too(database: str, tmp_path: Path) -> None:
    """Usage had no price, then a version came that has one: rated at its time, and corrected since,
    the ledger is reproduced; a candidate that knows the product has charged it at once."""
    pictures = replace(
        CARD, rows=(*CARD.rows, PriceRow(product="images", quantity="pictures", price="0.5")),
        meters=(*CARD.meters, Meter(quantity="pictures")),
    )  # fmt: skip

    async def story() -> None:
        async with open_books(database) as books:
            acme = await books.account("acme")
            await books.grant(acme, 10_000_000, paid=1_000)
            drawn = [books.usage(acme, f"e{each}", (each,), DRAW) for each in (1, 2)]
            assert len(await books.ask(acme, *drawn)) == 2
            published = await books.ledger.publish_card(1, pictures, effective_from_us=1)
            assert isinstance(published, ConfigurationEntry)
            writer = books.ledger.writers[acme.shard]
            for each in range(BATCHES_MAX):
                await books.use(acme, f"later-{each}")  # each batch sweeps, too
                waiting, _ = await writer.read(
                    lambda state: len(state.families[acme.number].waiting),
                    accounts=[acme.number],
                )
                if not waiting:
                    return
        raise AssertionError("what waited was not rated")

    run_apart(story)
    found = simulated(database)
    assert found["reproduces_the_ledger"] is True
    (images,) = [line for line in found["burn"] if line["product"] == "images"]
    assert images["old"] == "1500000"
    found = simulated(database, written(tmp_path, pictures))
    assert found["unpriced_events"] == {"old": 0, "new": 0}
    assert {line["product"]: line["new"] for line in found["burn"]}["images"] == "1500000"


def test_other_grants_and_limits_are_tried(database: str, tmp_path: Path) -> None:
    """By hand. 900 tokens cost acme 2,700 of its 3,000 in two holds: of half of them the first hold
    takes more than there is, and the second 900 of the 1,500; with 1,200 more both fit."""
    run_apart(lambda: _two_customers(database))
    terms = tmp_path / "terms.toml"
    terms.write_text("""
        [[scale]]
        account = "acme"
        asset = "CREDIT"
        by = "1/2"
    """)
    found = simulated(database, f"--terms={terms}")
    assert found["terms"] == {"scale": [{"account": "acme", "asset": "CREDIT", "by": "1/2"}]}
    assert found["terms_applied"]["grants_scaled"] == 1
    (denied,) = found["authorisations"]["accounts"]
    assert (denied["account"], denied["now_denied"], denied["captured"]) == ("acme", 1, "1800")
    terms.write_text(
        terms.read_text()
        + """
        [[grants]]
        account = "acme"
        asset = "CREDIT"
        amount = 1_200
        [[policies]]
        excess = "absorb"
    """
    )
    found = simulated(database, f"--terms={terms}", f"--card=default@{PUBLISHED}")
    assert found["terms_applied"] == {
        "grants_issued": 1, "grants_scaled": 1, "policies_changed": 2, "not_applied": [],
    }  # fmt: skip
    assert found["authorisations"]["now_denied"] == 0
    shown = drawdown("pricing", "simulate", f"--terms={terms}", DATABASE_URL=database)
    assert "1 grants issued, 1 scaled, 2 policies changed" in shown.stdout
    unchanged = tmp_path / "unchanged.json"
    unchanged.write_text('{"policies": [{"overage": "off"}]}')
    assert simulated(database, f"--terms={unchanged}")["reproduces_the_ledger"] is True


def test_every_fault_of_terms_is_listed_and_nothing_runs(database: str, tmp_path: Path) -> None:
    run_apart(lambda: _two_customers(database))
    terms = tmp_path / "terms.json"
    terms.write_text('{"grants": [{"asset": "gold", "amount": 0}], "scale": [{"by": "x"}]}')
    done = drawdown("pricing", "simulate", f"--terms={terms}", DATABASE_URL=database)
    assert done.returncode == 1
    places = ("grants[0].asset: ASSET_UNKNOWN 'gold'", "grants[0].amount", "scale[0].by")
    assert all(place in done.stderr for place in places), done.stderr
    assert "the terms cannot be tried" in done.stderr
    terms.write_text("grants = 3")
    done = drawdown("pricing", "simulate", f"--terms={terms}", DATABASE_URL=database)
    assert "not JSON" in done.stderr


def test_a_candidate_goes_with_the_cards_of_costs(database: str, tmp_path: Path) -> None:
    """It names one that is published, as at its publication."""
    run_apart(lambda: _two_customers(database))
    other = written(tmp_path, replace(CARD, cost_card="nowhere"))
    done = drawdown("pricing", "simulate", other, DATABASE_URL=database)
    assert done.returncode == 1
    assert "COST_CARD_UNKNOWN 'nowhere'" in done.stderr


def test_what_cannot_be_tried_is_refused_with_what_to_do(books: str, tmp_path: Path) -> None:
    """Each with its value, and a way out; no traceback."""
    nowhere, text = tmp_path / "nowhere.json", tmp_path / "text.json"
    text.write_text("prices: 3")
    odd = tmp_path / "odd.json"
    odd.write_text('{"name": "default", "rows": 3}')
    other = written(tmp_path, replace(CARD, name="other"))
    for arguments, said in (
        (["--tenant=nobody"], "there is no tenant 'nobody'"),
        (["--card=default@99"], "no version 99 of rate card 'default'"),
        (["--card=nothing@1"], "no version 1 of rate card 'nothing'"),
        ([f"--card={nowhere}"], "there is no file"),
        ([f"--card={text}"], "not JSON"),
        ([f"--card={odd}"], "rows"),
        ([other], "no usage was priced by a rate card 'other'"),
        (["--from=2026-11-02", "--to=2026-11-01"], "is empty"),
    ):
        done = drawdown("pricing", "simulate", *arguments, DATABASE_URL=books)
        assert done.returncode == 1, (arguments, done.stderr)
        assert said in done.stderr
        assert "Traceback" not in done.stderr
    wrong = written(tmp_path, replace(CARD, asset_scale=5))
    done = drawdown("pricing", "simulate", wrong, DATABASE_URL=books)
    assert "with scale 5" in done.stderr
    assert "CREDIT with scale 6" in done.stderr


def test_a_damaged_journal_is_said_and_no_figures_are(database: str) -> None:
    """Half of an answer is none."""

    async def damage() -> None:
        import asyncpg

        await _two_customers(database)
        connection = await asyncpg.connect(database)
        try:
            await connection.execute("ALTER TABLE ledger.journal DISABLE TRIGGER USER")
            await connection.execute(
                "UPDATE ledger.journal SET payload = 'nothing' WHERE batch_seq > 1"
            )
        finally:
            await connection.close()

    async def fails() -> None:
        with pytest.raises(SimulationFailed, match="damaged"):
            await simulate(database, Asked(tenant="default"), lambda *_: None)

    run_apart(damage)
    run_apart(fails)
    done = drawdown("pricing", "simulate", DATABASE_URL=database)
    assert done.returncode == 1
    assert "drawdown verify" in done.stderr
