"""Where a setting comes from, and how amounts are shown."""

import socket
from pathlib import Path

import pytest

from ledger.cli.output import amount, instant
from ledger.settings import ServerSettings, SettingsInvalid, load_settings, split_address


def test_a_flag_wins_over_the_environment_which_wins_over_the_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("DRAWDOWN_LISTEN", "DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)
    assert load_settings(ServerSettings, listen=None).listen == "127.0.0.1:8433"
    monkeypatch.setenv("DRAWDOWN_LISTEN", "127.0.0.1:1")
    monkeypatch.setenv("DATABASE_URL", "postgresql://books")
    settings = load_settings(ServerSettings)
    assert (settings.listen, settings.database_url) == ("127.0.0.1:1", "postgresql://books")
    assert load_settings(ServerSettings, listen="127.0.0.1:2").listen == "127.0.0.1:2"


def test_a_refusal_never_shows_the_database_password() -> None:
    with pytest.raises(SettingsInvalid) as refused:
        load_settings(ServerSettings, database_url="postgresql://me:secret@host/x", metrics_port=-1)
    assert "secret" not in str(refused.value)
    assert "metrics_port = -1" in str(refused.value)


@pytest.mark.parametrize("address", ["[::1]:8433", "localhost:8433", "127.0.0.9:8433"])
def test_loopback_needs_no_tls(address: str) -> None:
    assert load_settings(ServerSettings, listen=address).listen == address


@pytest.mark.parametrize(
    "given",
    [
        {"listen": "localhost:8433"},
        {"metrics_host": "localhost"},
    ],
)
@pytest.mark.parametrize("addresses", [["203.0.113.7"], ["127.0.0.1", "203.0.113.7"], []])
def test_localhost_is_no_loopback_where_it_is_mapped_elsewhere(
    given: dict[str, str], addresses: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def resolved(*_: object, **__: object) -> list[object]:
        if not addresses:
            raise socket.gaierror(socket.EAI_NONAME, "as if")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, 0)) for each in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", resolved)
    with pytest.raises(SettingsInvalid, match="beyond this machine"):
        load_settings(ServerSettings, **given)


@pytest.mark.parametrize(
    "address",
    ["[::]:1", "0.0.0.0:1", "[::ffff:0.0.0.0]:1", "ipv4:0.0.0.0:1", "dns:localhost:1",
     "localhost.:1", "127.0.0.1.example.com:1", "0:1", "unix:/tmp/socket:1"],
)  # fmt: skip
def test_what_may_reach_beyond_loopback_needs_tls(address: str) -> None:
    with pytest.raises(SettingsInvalid, match="beyond this machine"):
        load_settings(ServerSettings, listen=address)


def test_an_address_is_split() -> None:
    assert split_address("[::1]:80") == ("::1", 80)
    assert split_address("host:0") == ("host", 0)


@pytest.mark.parametrize(
    ("minor", "scale", "shown"),
    [
        (0, 0, "0"),
        (0, 9, "0"),
        (1, 9, "0.000000001"),
        (25_000_000_000, 9, "25"),
        (-1_234_567_891, 6, "-1,234.567891"),
        (10**30, 18, "1,000,000,000,000"),
        ("-5", 1, "-0.5"),
    ],
)
def test_amounts_are_shown_exactly(minor: int | str, scale: int, shown: str) -> None:
    assert amount(minor, scale) == shown


def test_instants_are_shown_in_utc() -> None:
    assert instant(0) == "-"
    assert instant(1_700_000_000_000_000) == "2023-11-14T22:13:20Z"
    assert instant(1_700_000_000_000_001) == "2023-11-14T22:13:20.000001Z"


def test_a_key_before_none_is_refused() -> None:
    """It would verify nothing, and whoever set it would not be told."""
    with pytest.raises(SettingsInvalid, match="--mandate-key: give that too"):
        load_settings(ServerSettings, mandate_key_before="old.pem")
    both = load_settings(ServerSettings, mandate_key="new.pem", mandate_key_before="old.pem")
    assert both.mandate_key_before is not None


@pytest.mark.parametrize(
    "bound",
    [
        {"gateway_open_calls": 500},
        {"gateway_open_quantities": "output_tokens=1000"},
        {"gateway_spool_mib": 64},
    ],
)
def test_bounds_of_what_gateways_let_in_need_a_folder_to_keep_it(
    bound: dict[str, object], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    [(name, value)] = bound.items()
    with pytest.raises(SettingsInvalid, match=f"--{name.replace('_', '-')}.*--gateway-spool DIR"):
        load_settings(ServerSettings, **bound)
    load_settings(ServerSettings, **bound, gateway_spool=tmp_path)
    monkeypatch.setenv(f"DRAWDOWN_{name.upper()}", str(value))
    with pytest.raises(SettingsInvalid, match="--gateway-spool DIR"):
        load_settings(ServerSettings)


def test_no_quantities_are_no_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRAWDOWN_GATEWAY_OPEN_QUANTITIES", "")
    assert load_settings(ServerSettings).open_quantities == {}
