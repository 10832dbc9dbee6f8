"""Signed tokens: each fault has its own outcome, and nothing that is not signed is believed."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import os
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.auth import key_sources
from ledger.auth.authenticator import Authenticator
from ledger.auth.key_sources import KeySet
from ledger.auth.keys import ALGORITHMS, KeysUnusable, read_keys
from ledger.auth.principal import Kind, Principal, Scope
from ledger.auth.refusals import AuthRefused
from tests.auth.issuing import (
    AUDIENCE,
    Clock,
    claims,
    jwks,
    kid_of,
    new_key,
    pem_of,
    token,
    verifier,
)
from tests.patience import HANGS_S

AHEAD = int(time.time()) + 86_400  # of whenever the tests run


@pytest.fixture(autouse=True)
def _keys_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long a busy machine reads a file."""
    monkeypatch.setattr(key_sources, "WAIT_S", HANGS_S)


async def reason_of(given: str, path: Path, **options: Any) -> str:
    with pytest.raises(AuthRefused) as refused:
        await (await verifier(path, **options)).verify(given)
    assert given not in refused.value.message
    assert given not in refused.value.value
    return str(refused.value.reason)


def written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("kind", ["EdDSA", "ES256", "RS256", "PS256"])
async def test_a_good_token_is_a_principal(tmp_path: Path, kind: str) -> None:
    key = new_key(kind)
    for data in (jwks(key), pem_of(key)):
        checked = await verifier(written(tmp_path / "keys", data))
        verified = await checked.verify(token(key, kind, accounts=["acme", "beta/x"]))
        scopes = frozenset({Scope.READ, Scope.INGEST})
        expected = Principal(Kind.TOKEN, "alice", scopes, "default", ("acme", "beta/x"))
        assert verified.principal == expected
        assert verified.until_us > time.time() * 1e6
        assert verified.principal.actor == "token:alice"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"exp": 1_000}, "TOKEN_EXPIRED"),
        ({"nbf": AHEAD}, "TOKEN_NOT_YET_VALID"),
        ({"iat": AHEAD}, "TOKEN_NOT_YET_VALID"),
        ({"aud": "another"}, "TOKEN_AUDIENCE_WRONG"),
        ({"aud": None}, "TOKEN_CLAIMS_INVALID"),
        ({"iss": "https://other.example"}, "TOKEN_ISSUER_WRONG"),
        ({"iss": None}, "TOKEN_CLAIMS_INVALID"),
        ({"exp": None}, "TOKEN_CLAIMS_INVALID"),
        ({"sub": None}, "TOKEN_CLAIMS_INVALID"),
        ({"sub": ""}, "TOKEN_CLAIMS_INVALID"),
        ({"sub": "x" * 129}, "TOKEN_CLAIMS_INVALID"),
        ({"sub": "a\nb"}, "TOKEN_CLAIMS_INVALID"),
        ({"tenant": None}, "TOKEN_CLAIMS_INVALID"),
        ({"tenant": 7}, "TOKEN_CLAIMS_INVALID"),
        ({"scope": None}, "TOKEN_CLAIMS_INVALID"),
        ({"scope": ""}, "TOKEN_CLAIMS_INVALID"),
        ({"scope": "read everything"}, "TOKEN_CLAIMS_INVALID"),
        ({"scope": [1]}, "TOKEN_CLAIMS_INVALID"),
        ({"accounts": []}, "TOKEN_CLAIMS_INVALID"),
        ({"accounts": "acme"}, "TOKEN_CLAIMS_INVALID"),
        ({"accounts": None, "x": 1, "tenant": ""}, "TOKEN_CLAIMS_INVALID"),
        ({"accounts": ["a"], "tenant": "*"}, "TOKEN_CLAIMS_INVALID"),
        ({"accounts": [f"a{n}" for n in range(101)]}, "TOKEN_CLAIMS_INVALID"),
        ({"exp": "soon"}, "TOKEN_MALFORMED"),
        ({"header": {"kid": "unknown"}}, "TOKEN_KEY_UNKNOWN"),
        ({"header": {"crit": ["exp"]}}, "TOKEN_MALFORMED"),
        ({"header": {"typ": "dpop+jwt"}}, "TOKEN_MALFORMED"),
    ],
)  # fmt: skip
async def test_a_bad_token_has_an_outcome_of_its_own(
    tmp_path: Path, changes: dict[str, Any], reason: str
) -> None:
    key = new_key()
    path = written(tmp_path / "keys", jwks(key))
    assert await reason_of(token(key, **changes), path) == reason


async def test_the_leeway_is_for_clocks_alone(tmp_path: Path) -> None:
    key = new_key()
    path = written(tmp_path / "keys", jwks(key))
    now = int(time.time())
    assert (await (await verifier(path)).verify(token(key, exp=now - 10))).principal.id == "alice"
    assert await reason_of(token(key, exp=now - 10), path, leeway_s=0) == "TOKEN_EXPIRED"


async def test_a_token_that_somebody_else_signed_is_forged(tmp_path: Path) -> None:
    ours, theirs = new_key(), new_key()
    path = written(tmp_path / "keys", jwks(ours))
    forged = token(theirs, header={"kid": kid_of(ours)})
    assert await reason_of(forged, path) == "TOKEN_FORGED"
    head, body, signature = token(ours).split(".")
    more = base64.urlsafe_b64encode(json.dumps(claims(scope="admin")).encode()).rstrip(b"=")
    assert await reason_of(f"{head}.{more.decode()}.{signature}", path) == "TOKEN_FORGED"
    assert await reason_of(f"{head}.{body}.", path) == "TOKEN_FORGED"


def unsigned(header: dict[str, Any], sign: Any = lambda _: b"") -> str:
    parts = [
        base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()
        for part in (header, claims())
    ]
    signature = base64.urlsafe_b64encode(sign(".".join(parts).encode())).rstrip(b"=").decode()
    return ".".join([*parts, signature])


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "HS256", "HS384", "HS512", "", "X"])
async def test_nothing_but_a_signature_of_the_key_itself_counts(
    tmp_path: Path, algorithm: str
) -> None:
    """A public key is never taken for a shared secret, and "none" never for an algorithm."""
    key = new_key("RS256")
    path = written(tmp_path / "keys", pem_of(key))
    header = {"alg": algorithm, "kid": kid_of(key)}

    def with_public_key(data: bytes) -> bytes:
        return hmac.new(pem_of(key), data, hashlib.sha256).digest()

    assert await reason_of(unsigned(header), path) == "TOKEN_ALGORITHM_REFUSED"
    assert await reason_of(unsigned(header, with_public_key), path) == "TOKEN_ALGORITHM_REFUSED"
    assert algorithm not in ALGORITHMS


async def test_a_key_verifies_its_own_algorithms_alone(tmp_path: Path) -> None:
    key = new_key("RS256")
    path = written(tmp_path / "keys", jwks(key, alg="PS256"))
    assert await reason_of(token(key, "RS256"), path) == "TOKEN_ALGORITHM_REFUSED"
    curve = new_key("ES256")
    path = written(tmp_path / "curve", jwks(curve))
    named = token(new_key(), header={"kid": kid_of(curve)})
    assert await reason_of(named, path) == "TOKEN_ALGORITHM_REFUSED"


@given(st.one_of(st.text(max_size=60), st.from_regex(r"[A-Za-z0-9_-]*(\.[A-Za-z0-9_-]*){1,4}")))
async def test_any_text_is_refused_and_never_breaks(text: str) -> None:
    keys = KeySet("unused", 60_000_000, Clock())
    keys._take(read_keys(jwks(_ONE)))
    authenticator = Authenticator(Clock())
    with pytest.raises(AuthRefused):
        await authenticator.authenticate({"authorization": text})


_ONE = new_key()


# -- keys ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no keys",
        b"[]",
        b"{}",
        b'{"keys": 7}',
        b'{"keys": []}',
        b'{"keys": [{"kty": "oct", "k": "c2VjcmV0", "kid": "a"}]}',
        b'{"keys": [{"kty": "RSA", "kid": "a"}]}',
        b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
        b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        b"\xff\xfe",
    ],
)
def test_what_holds_no_public_key_is_refused(data: bytes) -> None:
    with pytest.raises(KeysUnusable):
        read_keys(data)


@pytest.mark.parametrize(
    "odd",
    [
        {"kty": "EC", "crv": "secp256k1", "x": "AA", "y": "AA"},
        {"kty": "OKP", "crv": "Ed448", "x": "AA"},
        {"kty": "OKP", "crv": "X25519", "x": "AA"},
        {"kty": "AKP", "pub": "AA", "alg": "ML-DSA-44"},
        {"kty": ["RSA"]},
        {"kty": "OKP", "crv": "Ed25519", "x": "AA", "alg": ["EdDSA"]},
    ],
    ids=str,
)
def test_a_key_of_another_kind_beside_others_takes_none_of_them_away(odd: dict[str, Any]) -> None:
    """An issuer that adds one for somebody else goes on with those that we know."""
    document = json.loads(jwks(_ONE))
    document["keys"].append(odd | {"kid": "odd"})
    assert [*read_keys(json.dumps(document).encode())] == [kid_of(_ONE)]


def test_weak_private_and_double_keys_are_refused() -> None:
    from cryptography.hazmat.primitives.asymmetric import rsa

    with pytest.raises(KeysUnusable, match="2048"):
        read_keys(jwks(rsa.generate_private_key(65_537, 1_024)))
    key = new_key()
    with pytest.raises(KeysUnusable, match="private"):
        read_keys(jwks(key, d="AAAA"))
    with pytest.raises(KeysUnusable, match="same kid"):
        read_keys(jwks(key, new_key(), kid="one"))


async def test_keys_rotate_and_a_key_that_is_taken_away_counts_no_more(tmp_path: Path) -> None:
    """The old key goes on beside the new one until it is removed; then within the interval."""
    old, new, clock = new_key(), new_key(), Clock()
    path = written(tmp_path / "keys", jwks(old))
    checked = await verifier(path, clock)
    authenticator = Authenticator(clock, tokens=checked)
    header = f"Bearer {token(old)}"
    assert (await authenticator.authenticate({"authorization": header})).id == "alice"
    assert authenticator.remembered(header) is not None

    path.write_bytes(jwks(old, new))
    await checked.verify(token(new))  # an unknown kid asks at once
    clock.us += 61_000_000
    assert authenticator.remembered(header) is None  # its keys are to be read again
    assert (await authenticator.authenticate({"authorization": header})).id == "alice"

    path.write_bytes(jwks(new))
    clock.us += 59_000_000
    assert authenticator.remembered(header) is not None
    clock.us += 2_000_000
    with pytest.raises(AuthRefused, match="does not have"):
        await authenticator.authenticate({"authorization": header})


async def test_an_unknown_kid_asks_at_most_every_five_seconds(tmp_path: Path) -> None:
    key, clock = new_key(), Clock()
    path = written(tmp_path / "keys", jwks(key))
    checked = await verifier(path, clock)
    other = token(new_key())
    with pytest.raises(AuthRefused):
        await checked.verify(other)
    path.unlink()  # a second reading would be logged as a failure, and counted
    generation = checked.generation
    with pytest.raises(AuthRefused):
        await checked.verify(other)
    assert checked.generation == generation


async def test_a_source_that_hangs_holds_nobody_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A named pipe that nobody writes: the keys of before go on after a while, once for all."""
    key, clock = new_key(), Clock()
    path = written(tmp_path / "keys", jwks(key))
    checked = await verifier(path, clock)
    path.unlink()
    os.mkfifo(path)
    clock.us += 61_000_000
    waiting: list[int] = []  # how many, as each begins to wait
    wait, now = asyncio.wait, 0

    async def counted(*given: Any, **bound: Any) -> Any:
        nonlocal now
        now += 1
        waiting.append(now)
        try:
            return await wait(*given, **bound)
        finally:
            now -= 1

    monkeypatch.setattr(key_sources, "WAIT_S", 0.1)
    monkeypatch.setattr("ledger.auth.key_sources.asyncio.wait", counted)
    await asyncio.gather(*[checked.verify(token(key)) for _ in range(20)])
    assert waiting == [*range(1, 21)]  # at once, not one after the other
    await checked.verify(token(key))
    assert len(waiting) == 20  # not that time again
    await asyncio.to_thread(path.write_bytes, jwks(key))  # and the reading ends


async def test_keys_that_cannot_be_read_go_on_for_a_day(tmp_path: Path) -> None:
    key, clock = new_key(), Clock()
    path = written(tmp_path / "keys", jwks(key))
    checked = await verifier(path, clock)
    path.unlink()
    clock.us += 3_600_000_000
    assert (await checked.verify(token(key))).principal.id == "alice"
    clock.us += 24 * 3_600_000_000
    with pytest.raises(AuthRefused) as refused:
        await checked.verify(token(key))
    assert refused.value.http_status == 503


@pytest.mark.parametrize(
    "source", ["http://issuer.example/keys", "https://me:secret@issuer.example/keys", "ftp://x/y"]
)
def test_keys_come_by_https(source: str) -> None:
    with pytest.raises(KeysUnusable, match="https"):
        KeySet(source, 1, Clock())


async def test_keys_of_a_url(tmp_path: Path) -> None:
    key = new_key()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/moved":
                self.send_response(302)
                self.send_header("Location", "/keys")
                self.end_headers()
                return
            self.send_response(200)
            self.end_headers()
            self.wfile.write(jwks(key))

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        at = f"http://127.0.0.1:{server.server_port}"
        checked = await verifier(f"{at}/keys")
        assert (await checked.verify(token(key))).principal.tenant == "default"
        with pytest.raises(KeysUnusable):
            await verifier(f"{at}/moved")
    finally:
        server.shutdown()
        server.server_close()


def test_the_audience_of_the_tests_is_one() -> None:
    assert claims()["aud"] == AUDIENCE
