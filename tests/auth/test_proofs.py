"""API keys, certificates, and principals that servers pass on."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

from ledger.auth import passing, shared_keys
from ledger.auth.api_keys import REVOCATION_US, KeyVerifier, StoredKey, mint_key
from ledger.auth.authenticator import Authenticator, Peer
from ledger.auth.certificates import Certificates, CertificatesInvalid, read_certificates
from ledger.auth.passing import LIFETIME_US, PrincipalSeal
from ledger.auth.principal import ALL_SCOPES, Kind, Principal, Scope, server_principal
from ledger.auth.refusals import AuthRefused
from ledger.auth.shared_keys import SharedKey
from ledger.journal.errors import JournalUnavailable
from tests.auth.issuing import Clock
from tests.auth.sealing import MemoryServerKeys, seal_of
from tests.patience import HANGS_S


class Keys:
    """Keys in memory, as the store would have them; counts the questions."""

    def __init__(self) -> None:
        self.stored: dict[str, StoredKey] = {}
        self.asked = 0
        self.away = False

    async def find(self, key_id: str) -> StoredKey | None:
        self.asked += 1
        await asyncio.sleep(0)
        if self.away:
            raise JournalUnavailable("away")
        return self.stored.get(key_id)


def added(keys: Keys, **changes: object) -> str:
    key = mint_key()
    fields = {
        "id": key.id,
        "digest": key.digest,
        "tenant": "default",
        "accounts": ("acme",),
        "scopes": ("read",),
        "expires_at_us": 0,
        "revoked": False,
        **changes,
    }
    keys.stored[key.id] = StoredKey(**fields)  # type: ignore[arg-type]
    return key.secret


def bearer(secret: str) -> dict[str, str]:
    return {"authorization": f"Bearer {secret}"}


async def reason_of(authenticator: Authenticator, secret: str) -> str:
    with pytest.raises(AuthRefused) as refused:
        await authenticator.authenticate(bearer(secret))
    assert secret not in refused.value.message + refused.value.value
    return str(refused.value.reason)


async def test_a_key_is_a_principal_and_is_asked_for_once_a_second() -> None:
    clock, keys = Clock(), Keys()
    authenticator = Authenticator(clock, keys=KeyVerifier(keys, clock))
    secret = added(keys)
    for _ in range(5):
        found = await authenticator.authenticate(bearer(secret))
    assert found == Principal(
        Kind.API_KEY, secret.split("_")[1], frozenset({Scope.READ}), "default", ("acme",)
    )
    assert keys.asked == 1
    clock.us += REVOCATION_US
    await authenticator.authenticate(bearer(secret))
    assert keys.asked == 2


async def test_many_calls_with_one_key_ask_once() -> None:
    clock, keys = Clock(), Keys()
    authenticator = Authenticator(clock, keys=KeyVerifier(keys, clock))
    secret = added(keys)
    calls = [authenticator.authenticate(bearer(secret)) for _ in range(500)]
    assert len({each.id for each in await asyncio.gather(*calls)}) == 1
    assert keys.asked == 1
    bad = [authenticator.authenticate(bearer(mint_key().secret)) for _ in range(3)]
    refused = await asyncio.gather(*bad, return_exceptions=True)
    assert all(isinstance(each, AuthRefused) for each in refused)


async def test_a_revoked_key_is_refused_within_the_bound() -> None:
    clock, keys = Clock(), Keys()
    authenticator = Authenticator(clock, keys=KeyVerifier(keys, clock))
    secret = added(keys)
    await authenticator.authenticate(bearer(secret))
    [stored] = keys.stored.values()
    keys.stored[stored.id] = msgspec.structs.replace(stored, revoked=True)
    clock.us += REVOCATION_US - 1
    await authenticator.authenticate(bearer(secret))  # so long it may go on
    clock.us += 1
    assert await reason_of(authenticator, secret) == "API_KEY_REVOKED"


async def test_bad_keys() -> None:
    clock, keys = Clock(), Keys()
    authenticator = Authenticator(clock, keys=KeyVerifier(keys, clock))
    secret = added(keys)
    other = secret[:-1] + ("0" if secret[-1] != "0" else "1")
    assert await reason_of(authenticator, other) == "API_KEY_UNKNOWN"
    assert await reason_of(authenticator, mint_key().secret) == "API_KEY_UNKNOWN"
    assert await reason_of(authenticator, secret[:-1]) == "TOKEN_MALFORMED"
    assert await reason_of(authenticator, secret.upper()) == "TOKENS_NOT_TAKEN"
    assert await reason_of(authenticator, "dd_") == "TOKEN_MALFORMED"
    expired = added(keys, expires_at_us=clock.us)
    assert await reason_of(authenticator, expired) == "API_KEY_EXPIRED"
    orphan = added(keys, accounts=(), missing=True)
    assert await reason_of(authenticator, orphan) == "API_KEY_UNKNOWN"
    keys.away = True
    assert await reason_of(authenticator, secret) == "AUTHENTICATION_UNAVAILABLE"


async def test_a_key_ends_when_it_expires_though_it_was_verified_before() -> None:
    clock, keys = Clock(), Keys()
    authenticator = Authenticator(clock, keys=KeyVerifier(keys, clock))
    secret = added(keys, expires_at_us=clock.us + 500_000)
    await authenticator.authenticate(bearer(secret))
    clock.us += 500_000
    assert await reason_of(authenticator, secret) == "API_KEY_EXPIRED"


def test_keys_have_256_bits_and_the_store_has_none_of_them() -> None:
    key = mint_key()
    prefix, key_id, secret = key.secret.split("_")
    assert (prefix, key_id, len(bytes.fromhex(secret))) == ("dd", key.id, 32)
    assert bytes.fromhex(secret) != key.digest
    assert len(key.digest) == 32
    assert mint_key().secret != key.secret


async def test_without_a_proof_nobody_is_let_in() -> None:
    authenticator = Authenticator(Clock())
    with pytest.raises(AuthRefused, match="asks who calls") as refused:
        await authenticator.authenticate({})
    assert refused.value.reason == "TOKEN_REQUIRED"
    assert refused.value.http_status == 401
    for header in ("Basic YTpi", "Bearer", "Bearer ", "Bearer \N{SNOWMAN}"):
        with pytest.raises(AuthRefused) as refused:
            await authenticator.authenticate({"authorization": header})
        assert refused.value.reason == "TOKEN_MALFORMED"
    with pytest.raises(AuthRefused) as refused:  # a certificate where none are taken
        await authenticator.authenticate({}, Peer(("spiffe://x",)))
    assert refused.value.reason == "TOKEN_REQUIRED"


# -- certificates ----------------------------------------------------------------------------------

GOOD = """
[[certificate]]
name = "spiffe://acme/billing"
id = "billing"
tenant = "acme"
accounts = ["acme/search"]
scopes = ["ingest", "decide"]

[[certificate]]
name = "ops.example"
tenant = "*"
scopes = ["admin"]
"""


async def test_certificates_stand_for_principals(tmp_path: Path) -> None:
    path = tmp_path / "certificates.toml"
    path.write_text(GOOD)
    authenticator = Authenticator(Clock(), certificates=read_certificates(path))
    found = await authenticator.authenticate({}, Peer(("other", "spiffe://acme/billing")))
    scopes = frozenset({Scope.INGEST, Scope.DECIDE})
    assert found == Principal(Kind.CERTIFICATE, "billing", scopes, "acme", ("acme/search",))
    assert (await authenticator.authenticate({}, Peer(("ops.example",)))).tenant == "*"
    with pytest.raises(AuthRefused) as refused:
        await authenticator.authenticate({}, Peer(("stranger",)))
    assert refused.value.reason == "CERTIFICATE_UNKNOWN"


def test_without_a_file_every_certificate_is_an_operators() -> None:
    found = Certificates(None).principal(("client.example",))
    assert (found.actor, found.scopes, found.tenant) == (
        "certificate:client.example",
        ALL_SCOPES,
        "*",
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "nothing else"),
        ("x = 1", "nothing else"),
        ("[[certificate]]\nname='a'\nscopes=['read']", "texts"),
        ("[[certificate]]\nname='a'\ntenant='t'\nscopes=[]", "scope"),
        ("[[certificate]]\nname='a'\ntenant='t'\nscopes=['all']", "no scope"),
        ("[[certificate]]\nname='a'\ntenant='t'\nscopes=['read']\nscope='x'", "no field"),
        ("[[certificate]]\nname='a'\ntenant='*'\naccounts=['x']\nscopes=['read']", "tenant"),
        ("[[certificate]]\nname='a'\ntenant='t'\naccounts=[]\nscopes=['read']", "leave it out"),
        ("[[certificate]]\nname='a'\ntenant='t'\nscopes=['read']\n" * 2, "twice"),
        ("not toml", "TOML"),
    ],
)
def test_bad_files_of_certificates(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "certificates.toml"
    path.write_text(text)
    with pytest.raises(CertificatesInvalid, match=said):
        read_certificates(path)
    with pytest.raises(CertificatesInvalid, match="cannot be read"):
        read_certificates(tmp_path / "absent.toml")


# -- what servers pass on --------------------------------------------------------------------------


async def test_a_principal_arrives_as_it_was_sealed() -> None:
    clock = Clock()
    seal = seal_of(bytes(32), clock)
    alice = Principal(Kind.TOKEN, "alice", frozenset({Scope.READ}), "default", ("acme",))
    for principal in (alice, server_principal("host/1")):
        assert await seal.open(seal.seal(principal, "a/B"), "a/B") == principal


async def test_nobody_but_a_server_seals() -> None:
    clock = Clock()
    seal = seal_of(bytes(32), clock)
    sealed = seal.seal(server_principal("host/1"), "a/B")
    bad = {
        "another secret": seal_of(b"\x01" * 32, clock).seal(server_principal("x"), "a/B"),
        "nothing": b"",
        "too short": sealed[:20],
        "changed": sealed[:-1] + bytes([sealed[-1] ^ 1]),
        "a seal alone": sealed[:32],
    }
    for what, data in bad.items():
        with pytest.raises(AuthRefused) as refused:
            await seal.open(data, "a/B")
        assert refused.value.reason == "SERVER_UNPROVEN", what
    with pytest.raises(AuthRefused, match="another method"):
        await seal.open(sealed, "a/C")
    clock.us += LIFETIME_US + 1
    with pytest.raises(AuthRefused, match="time is over"):
        await seal.open(sealed, "a/B")


async def test_a_new_secret_of_servers_is_taken_at_once_and_the_one_before_for_a_while() -> None:
    clock, caller = Clock(), server_principal("host/1")
    source = MemoryServerKeys(bytes(32))
    one, other = [PrincipalSeal(source, clock, source.keys) for _ in range(2)]
    before = one.seal(caller, "a/B")
    source.keys = [SharedKey(b"\x01" * 32, clock.us + LIFETIME_US // 2), *source.keys]
    await one.learn()
    assert await one.open(other.seal(caller, "a/B"), "a/B") == caller  # sealed with the first
    assert await other.open(one.seal(caller, "a/B"), "a/B") == caller  # unknown: it looks
    assert await one.open(before, "a/B") == caller
    clock.us += LIFETIME_US // 2
    with pytest.raises(AuthRefused, match="no server of this database"):
        await one.open(before, "a/B")
    source.error = JournalUnavailable("away")
    assert await one.open(other.seal(caller, "a/B"), "a/B") == caller
    with pytest.raises(AuthRefused) as refused:
        await one.open(before, "a/B")
    assert refused.value.reason == "AUTHENTICATION_UNAVAILABLE"


async def test_what_is_wrong_with_the_database_ends_no_learning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever learned no more would seal with a secret that the others have given up."""
    monkeypatch.setattr(passing, "LEARN_S", 0)
    monkeypatch.setattr(shared_keys, "AGAIN_S", 0)
    clock, source = Clock(), MemoryServerKeys(bytes(32))
    seal = PrincipalSeal(source, clock, source.keys)
    learning = asyncio.create_task(seal.keep_learning())
    for error in (JournalUnavailable("away"), RuntimeError("no right to read it"), None):
        source.error, source.readings = error, 0
        async with asyncio.timeout(HANGS_S):
            while source.readings < 2 and not learning.done():
                await asyncio.sleep(0)
    source.keys = [SharedKey(b"\x01" * 32, 0), *source.keys]
    async with asyncio.timeout(HANGS_S):
        while seal._keys.newest != source.keys[0].secret and not learning.done():
            await asyncio.sleep(0)
    assert seal._keys.newest == source.keys[0].secret
    assert "no right to read it" in caplog.text
    assert "away" not in caplog.text
    learning.cancel()
    await asyncio.wait({learning})


async def test_what_is_remembered_is_not_verified_again() -> None:
    clock, keys = Clock(), Keys()
    authenticator = Authenticator(clock, keys=KeyVerifier(keys, clock))
    header = f"Bearer {added(keys)}"
    await authenticator.authenticate({"authorization": header})
    for _ in range(1_000):
        assert authenticator.remembered(header) is not None
        assert await authenticator.authenticate({"authorization": header})
    assert keys.asked == 1
