"""What a newcomer does wrong in the first minutes is answered by what to do."""

from __future__ import annotations

import logging
import socket

import grpc
import pytest

from ledger.client import DrawdownClient, OutcomeUnknown, Refused, RetryPolicy
from ledger.client.advice import unreached
from tests.client.conftest import CuttingProxy

SOON = RetryPolicy(first_us=1_000, longest_us=20_000, give_up_us=100_000)


async def told(address: str, **changes: object) -> str:
    client = DrawdownClient(address, retry=SOON, **changes)  # type: ignore[arg-type]
    with pytest.raises(OutcomeUnknown) as caught:
        await client.__aenter__()
    assert caught.value.code == "UNAVAILABLE"
    return str(caught.value)


async def test_a_server_that_is_not_started_is_said_at_once_and_when_it_is_given_up(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with socket.socket() as nobody, caplog.at_level(logging.WARNING, "ledger.client"):
        nobody.bind(("127.0.0.1", 0))  # and listens not
        address = f"127.0.0.1:{nobody.getsockname()[1]}"
        message = await told(address)
    advice = f"nothing listens at {address}: start a server with `drawdown serve`, or name another"
    assert advice in message
    [line] = [each.getMessage() for each in caplog.records if "no server" in each.getMessage()]
    assert line.startswith("no server answers yet, it is tried for 1 s: ")
    assert advice in line


@pytest.mark.parametrize("address", ["http://127.0.0.1:8433", "https://ledger", "127.0.0.1", ""])
def test_an_address_that_is_none_is_refused_before_anything_is_sent(address: str) -> None:
    with pytest.raises(ValueError, match=r"host:port, as 127\.0\.0\.1:8433"):
        DrawdownClient(["127.0.0.1:8433", address])


async def test_a_host_that_is_not_known_is_said() -> None:
    assert "the host of nowhere.invalid:8433 is not known here" in await told(
        "nowhere.invalid:8433"
    )


async def test_tls_where_the_server_speaks_none_is_said(address: str) -> None:
    message = await told(address, credentials=grpc.ssl_channel_credentials())
    assert f"what listens at {address} speaks no TLS: connect without" in message


async def test_what_hangs_up_may_want_tls(proxy: CuttingProxy) -> None:
    proxy.cuts = [1] * 1_000
    message = await told(proxy.address)
    assert f"{proxy.address} hangs up: where it speaks TLS, connect with it" in message


async def test_a_server_that_has_answered_once_may_go_without_a_word(
    address: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with (
        CuttingProxy(address) as proxy,
        DrawdownClient(proxy.address, retry=SOON) as client,
    ):
        proxy.cuts = [1] * 1_000
        with (
            caplog.at_level(logging.WARNING, "ledger.client"),
            pytest.raises(OutcomeUnknown, match="hangs up"),
        ):
            await client.refresh_routing()
    assert not [each for each in caplog.records if "no server" in each.getMessage()]


async def test_a_refusal_names_the_value_and_what_to_do(client: DrawdownClient) -> None:
    with pytest.raises(Refused, match=r"^ACCOUNT_UNKNOWN: .* create it.* \(account: nobody\)$"):
        await client.get_account("nobody")
    wrong = DrawdownClient(client._caller.routing.addresses[0], tenant="none", retry=SOON)
    with pytest.raises(Refused, match=r"^TENANT_UNKNOWN: .*tenant add.* \(tenant: none\)$"):
        await wrong.__aenter__()


@pytest.mark.parametrize(
    ("said", "tls", "advice"),
    [
        ("... CERTIFICATE_VERIFY_FAILED ...", True, "no authority that is trusted here"),
        ("Peer name h is not in peer certificate", True, "names another host"),
        ("Socket closed", True, "see that a server runs at h:1"),
        ("Connection timed out", False, "see that a server runs at h:1"),
    ],
)
def test_what_else_the_transport_says(said: str, tls: bool, advice: str) -> None:
    assert advice in unreached("h:1", said, tls=tls)
