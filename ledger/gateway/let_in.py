"""Work that a gateway was told to let in while its account's shard was away.

Owns what is kept of it on the disk, and its token: the hold that such work has not. The token
stands where a hold's id stands and says all that is needed to record what was used, so that any
server can, whoever let the work in. It is signed, so that no caller makes one. Once-only is the
ledger's: the usage event has the key of the request.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from ledger.api.ids import LET_IN
from ledger.auth.gateway_keys import GatewayKeys
from ledger.client.guarded import MARK, DecidedBy
from ledger.client.spool_records import framed
from ledger.core.limits import INT64_MAX
from ledger.v1 import usage_pb2

TOKEN_BYTES_MAX: Final = 8_192  # 16 attributes of 64 + 128 bytes, names, and base64
SIGNED: Final = "."  # between what a token says and its signature
SOURCE: Final = "gateway"
"""Source of the usage events that gateways' open products let in."""


class LetIn(NamedTuple):
    """One request that runs without a hold."""

    tenant: str
    account: str
    """By its own id."""

    product: str
    attributes: Mapping[str, str]
    operation: str
    operation_parent: str
    key: str
    """Identity of the question that was not answered, and id of the usage event."""

    began_us: int
    """By the tenant's clock: usage is priced as of then."""

    until_us: int
    """By this machine's: when its estimate is recorded, if nobody has said what it used."""

    traceparent: str = ""

    def token(self, keys: GatewayKeys) -> str:
        """What stands for the hold."""
        said = json.dumps(self, separators=(",", ":"), ensure_ascii=False).encode()
        text = LET_IN + urlsafe_b64encode(said).rstrip(b"=").decode()
        return f"{text}{SIGNED}{keys.signature(text)}"

    def event(self, quantities: Mapping[str, int]) -> usage_pb2.UsageEvent:
        """The usage event of what it used."""
        return usage_pb2.UsageEvent(
            id=self.key,
            source=SOURCE,
            account=self.account,
            product=self.product,
            attributes={**self.attributes, MARK: DecidedBy.FAIL_OPEN.value},
            quantities={name: amount for name, amount in quantities.items() if amount},
            effective_at_us=self.began_us,
            operation=self.operation,
            operation_parent=self.operation_parent,
        )


class Kept(NamedTuple):
    """What is on the disk of one."""

    let_in: LetIn
    estimate: Mapping[str, int] | None
    """None: this record says what was used."""

    used: Mapping[str, int] | None

    @property
    def record(self) -> bytes:
        """As it is written."""
        return framed(json.dumps(self._asdict(), separators=(",", ":")).encode())


async def opened(token: str, keys: GatewayKeys) -> LetIn:
    """What a token says that one of our servers signed. Raises ValueError for one that none did,
    JournalError where that cannot be found out now."""
    text, _, signature = token.partition(SIGNED)
    let_in = let_in_of(text)
    if not await keys.signed(text, signature):
        raise ValueError("no server of this ledger signed it, or its key counts no more")
    return let_in


def let_in_of(text: str) -> LetIn:
    """What a token says before its signature. Raises ValueError for a text that is none."""
    if not text.startswith(LET_IN) or len(text) > TOKEN_BYTES_MAX:
        raise ValueError("it is no token of work that was let in")
    text = text.removeprefix(LET_IN)
    try:
        return _let_in(json.loads(urlsafe_b64decode(text + "=" * (-len(text) % 4))))
    except RecursionError:
        raise ValueError("it is no token of work that was let in") from None


def kept_of(payload: bytes) -> Kept:
    """What `Kept.record` framed. Raises ValueError, as for a later version's."""
    try:
        said = json.loads(payload)
    except RecursionError:
        raise ValueError("it is no record of work that was let in") from None
    if not isinstance(said, dict) or said.keys() != set(Kept._fields):
        raise ValueError("it is no record of work that was let in")
    kept = Kept(_let_in(said["let_in"]), said["estimate"], said["used"])
    if (kept.estimate is None) == (kept.used is None):
        raise ValueError("a record says either an estimate or what was used")
    quantities = kept.estimate if kept.used is None else kept.used
    if not isinstance(quantities, dict) or not all(
        type(amount) is int and 0 <= amount <= INT64_MAX for amount in quantities.values()
    ):
        raise ValueError("a record says quantities by name")
    return kept


def _let_in(said: Any) -> LetIn:
    if not isinstance(said, list) or len(said) != len(LetIn._fields):
        raise ValueError("it is no token of work that was let in")
    found = LetIn(*said)
    texts = [each for each in found if isinstance(each, str)]
    pairs = found.attributes
    if len(texts) != len(found) - 3 or not isinstance(pairs, dict):
        raise ValueError("it is no token of work that was let in")
    texts += [each for pair in pairs.items() for each in pair]
    times = (found.began_us, found.until_us)
    if not all(isinstance(each, str) for each in texts) or not all(
        isinstance(each, int) and 0 <= each <= INT64_MAX for each in times
    ):
        raise ValueError("it is no token of work that was let in")
    "".join(texts).encode()  # no text of another encoding gets on the disk: it could not be sent
    return found
