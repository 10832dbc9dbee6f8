"""Tokens of mandates: signed by our key, attenuated offline by their holders, verified on each use.

Signatures are the library's (biscuit-python); what a token may say is ours, in a module that its
holders have too (`ledger.client.mandate_words`). The key that signs, and one before it that still
verifies, are Ed25519 in PEM files; a token names its key. A token only says which account its
holder acts for: what that account may, and whether it was revoked, is the ledger's to know, so it
counts from the next decision on. Never shows a token.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final, NamedTuple

from biscuit_auth import (
    AuthorizationError,
    AuthorizerBuilder,
    Biscuit,
    BiscuitBlockError,
    BiscuitBuilder,
    BiscuitSerializationError,
    BiscuitValidationError,
    DataLogError,
    KeyPair,
    PrivateKey,
    PublicKey,
    UnverifiedBiscuit,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from ledger.auth.api_keys import Clock
from ledger.auth.keys import KeysUnusable
from ledger.auth.principal import Kind, Principal, Scope, principal_fault
from ledger.auth.refusals import AuthRefused, Unproven
from ledger.auth.tokens import Verified
from ledger.client.mandate_words import (
    BLOCKS_MAX,
    PREFIX,
    TOKEN_BYTES_MAX,
    Less,
    WordsInvalid,
    account_below,
    first_block,
    read_block,
)
from ledger.core.limits import SECOND_US

BELIEVED_US: Final = 1_000_000
"""How long a verified token is not looked at again."""

LOOK_MAX: Final = timedelta(minutes=1)
"""By the wall clock. The library's own millisecond passes on a busy machine before a sound token is
looked at; the work itself is bounded by how many facts, rounds and words there may be."""

_ID_MASK: Final = (1 << 31) - 1


class MandateToken(NamedTuple):
    """What a verified token says: the mandate that was signed for, those that were begun below it,
    and the account of its holder; until when (0 = it does not end), and the number of the account
    that was signed for (0 = it does not say)."""

    tenant: str
    root: str
    below: tuple[Less, ...]
    account: str
    until_us: int
    number: int


class MandateKeys:
    """The key that signs tokens, and those that only verify."""

    def __init__(self, signing: PrivateKey, before: Iterable[PrivateKey] = ()) -> None:
        self._signing = signing
        pairs = [KeyPair.from_private_key(each) for each in (signing, *before)]
        self._public = {_key_id(pair.public_key): pair.public_key for pair in pairs}
        self._key_id, self.public_key = _key_id(pairs[0].public_key), pairs[0].public_key

    def sign(self, tenant: str, account: str, until_us: int = 0, number: int = 0) -> str:
        """A token of a mandate. Raises WordsInvalid where its names cannot stand in one."""
        builder = BiscuitBuilder(first_block(tenant, account, until_us, number))
        builder.set_root_key_id(self._key_id)
        return PREFIX + builder.build(self._signing).to_base64()

    def read(self, token: str, now_us: int) -> MandateToken:
        """Verify a token. Raises AuthRefused, which never shows it."""
        text = token.removeprefix(PREFIX)
        if len(token) > TOKEN_BYTES_MAX:
            message = f"a token has at most {TOKEN_BYTES_MAX} bytes"
            raise AuthRefused(Unproven.TOKEN_MALFORMED, message)
        try:
            key = self._public.get(UnverifiedBiscuit.from_base64(text).root_key_id() or 0)
        except (BiscuitValidationError, BiscuitSerializationError, ValueError):
            raise AuthRefused(Unproven.TOKEN_MALFORMED, "this is no token of a mandate") from None
        if key is None:
            message = "the token was signed by a key that this ledger does not know (any more)"
            raise AuthRefused(Unproven.TOKEN_KEY_UNKNOWN, message)
        try:
            biscuit = Biscuit.from_base64(text, key)
        except (BiscuitValidationError, BiscuitSerializationError):
            message = "the token's signatures are not those of its key and its holders"
            raise AuthRefused(Unproven.TOKEN_FORGED, message) from None
        return _read(biscuit, now_us)


def _read(biscuit: Biscuit, now_us: int) -> MandateToken:
    count = biscuit.block_count()
    try:
        if count > BLOCKS_MAX:
            raise WordsInvalid(f"it has {count} blocks; at most {BLOCKS_MAX} are possible")
        if any(biscuit.block_external_key(index) is not None for index in range(count)):
            raise WordsInvalid("a block of it is signed by a third party")
        said = [read_block(biscuit.block_source(index), first=not index) for index in range(count)]
    except (WordsInvalid, BiscuitBlockError, DataLogError) as error:
        message = f"the token says what cannot be: {error}"
        raise AuthRefused(Unproven.TOKEN_CLAIMS_INVALID, message) from None
    until_us = min([each.until_us for each in said if each.until_us], default=0)
    _look_at_time(biscuit, until_us, now_us)
    below = tuple([each.less for each in said if each.less is not None])
    account = said[0].account
    for less in below:
        account = account_below(account, less)
    return MandateToken(said[0].tenant, said[0].account, below, account, until_us, said[0].number)


def _look_at_time(biscuit: Biscuit, until_us: int, now_us: int) -> None:
    """Have the library decide: every check of every block holds now."""
    at = datetime.fromtimestamp(now_us / SECOND_US, UTC)
    builder: Any = AuthorizerBuilder("time({now}); allow if true", {"now": at})  # stubs lack limits
    limits = builder.limits()
    limits.max_time = LOOK_MAX
    builder.set_limits(limits)
    try:
        builder.build(biscuit).authorize()
    except (AuthorizationError, DataLogError):
        assert until_us, "no check but those of time is in the vocabulary"
        raise AuthRefused(Unproven.TOKEN_EXPIRED, "the token has expired: get a new one") from None


class MandateVerifier:
    """What the authenticator asks about tokens of mandates."""

    generation: Final = 0
    fresh: Final = True

    def __init__(self, keys: MandateKeys, clock: Clock) -> None:
        self._keys = keys
        self._clock = clock

    async def verify(self, token: str) -> Verified:
        """Who the token speaks for. Raises AuthRefused."""
        now_us = self._clock.now_us()
        said = self._keys.read(token, now_us)
        scopes = frozenset({Scope.AGENT})
        principal = Principal(
            Kind.MANDATE,
            said.account,
            scopes,
            said.tenant,
            (said.account,),
            said.until_us,
            (said.root, said.number) if said.number else ("", 0),
        )
        fault = principal_fault(principal)
        if fault:
            message = f"the token says what cannot be: {fault}"
            raise AuthRefused(Unproven.TOKEN_CLAIMS_INVALID, message)
        return Verified(principal, now_us + BELIEVED_US)


def read_mandate_keys(signing: Path, before: Path | None = None) -> MandateKeys:
    """Keys of PEM files. Raises KeysUnusable."""
    older = [_read_key(before)] if before is not None else []
    return MandateKeys(_read_key(signing), older)


def _read_key(path: Path) -> PrivateKey:
    try:
        key = load_pem_private_key(path.read_bytes(), None)
    except OSError as error:
        raise KeysUnusable(f"the key file {path} cannot be read: {error.strerror}") from None
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise KeysUnusable(
            f"{path} holds no Ed25519 private key in PEM; `drawdown token key FILE` makes one"
        )
    return signing_key(key)


def signing_key(key: Ed25519PrivateKey) -> PrivateKey:
    """The same key, as the library takes it."""
    return PrivateKey(f"ed25519-private/{key.private_bytes_raw().hex()}")


def _key_id(key: PublicKey) -> int:
    """A token names its key by so much of a digest of it."""
    digest = blake2b(bytes(key.to_bytes()), digest_size=4).digest()
    return int.from_bytes(digest, "big") & _ID_MASK
