"""What an agent does within its mandate, and no more: one object, made of a token.

The token says tenant and account; the object asks for them alone. Attenuating it for a sub-agent
needs no call: a block is added that names a mandate below, and what it allows less.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Self

from biscuit_auth import (
    Biscuit,
    BiscuitSerializationError,
    BiscuitValidationError,
    BlockBuilder,
    PublicKey,
    UnverifiedBiscuit,
)

from ledger.client.aio import DrawdownClient
from ledger.client.mandate_words import (
    PREFIX,
    TOKEN_BYTES_MAX,
    Less,
    WordsInvalid,
    account_below,
    block_of,
    read_block,
    until_block,
)
from ledger.client.metered import LIFETIME_US, MeteredCall
from ledger.v1 import balance_pb2, decision_pb2, mandate_pb2
from rating.v1 import pricing_pb2

__all__ = ["Less", "Mandate", "attenuated", "holder_of", "shortened"]


class Holder(NamedTuple):
    """Whom a token is for, as far as it says: nobody has verified it. `signed`: that nothing was
    attenuated into a mandate below."""

    tenant: str
    account: str
    signed: bool


def holder_of(token: str) -> Holder:
    """Read a token. Raises ValueError where it is none."""
    try:
        biscuit = UnverifiedBiscuit.from_base64(token.removeprefix(PREFIX))
        blocks = [biscuit.block_source(index) for index in range(biscuit.block_count())]
        first, *others = [read_block(each, first=not place) for place, each in enumerate(blocks)]
    except (BiscuitValidationError, BiscuitSerializationError, WordsInvalid):
        raise ValueError("this is no token of a mandate") from None
    account = first.account
    below = [each.less for each in others if each.less is not None]
    for less in below:
        account = account_below(account, less)
    return Holder(first.tenant, account, not below)


def attenuated(token: str, public_key: str, less: Less) -> str:
    """The token of a mandate below, made without a call. Raises ValueError where the token is not
    of that key, in hexadecimal, or `less` cannot stand in one."""
    return _appended(token, public_key, block_of(less))


def shortened(token: str, public_key: str, until_us: int) -> str:
    """The same token, that ends sooner. Raises ValueError."""
    return _appended(token, public_key, until_block(until_us))


def _appended(token: str, public_key: str, block: str) -> str:
    key = PublicKey(f"ed25519/{public_key}")
    try:
        biscuit = Biscuit.from_base64(token.removeprefix(PREFIX), key)
    except (BiscuitValidationError, BiscuitSerializationError):
        raise ValueError("the token is none of a mandate that this key signed") from None
    made = PREFIX + biscuit.append(BlockBuilder(block)).to_base64()
    if len(made) > TOKEN_BYTES_MAX:
        raise ValueError(f"a token has at most {TOKEN_BYTES_MAX} bytes: say less in it")
    return made


def _is_allowed(offer: pricing_pb2.CompareOption, terms: mandate_pb2.MandateTerms) -> bool:
    bears = all(offer.attributes.get(name) == value for name, value in terms.attributes.items())
    return bears and (not terms.products or offer.product in terms.products)


class Mandate:
    """An agent's own: what it may spend, what things cost, holds, and mandates of sub-agents.

        async with Mandate("127.0.0.1:8433", token, public_key) as mandate:
            async with mandate.metered("chat", estimate={"tokens": 800}) as call:
                call.add(tokens=620)

    Every call raises Refused, NotApplied, OutcomeUnknown. `options` are those of DrawdownClient,
    whose calls `client` has.
    """

    def __init__(
        self, address: str | Sequence[str], token: str, public_key: str = "", **options: Any
    ) -> None:
        holder = holder_of(token)
        self.account = holder.account
        self.client = DrawdownClient(address, tenant=holder.tenant, token=token, **options)
        self._token = token
        self._public_key = public_key
        self._signed = holder.signed
        self._asset = ""

    async def __aenter__(self) -> Self:
        """Connect, and open what the token names. Raises Refused where it says too much."""
        await self.client.__aenter__()
        if not self._signed:
            try:
                await self.client.present_mandate(self._token)
            except BaseException:
                await self.client.close()
                raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.client.close()

    # -- seen --------------------------------------------------------------------------------------

    async def budget(self) -> mandate_pb2.Mandate:
        """What the mandate allows, with what is spent, held and left."""
        return await self.client.get_mandate(self.account)

    async def price_sheet(self) -> pricing_pb2.GetPriceSheetResponse:
        """What things cost."""
        return await self.client.get_price_sheet(account=self.account)

    async def quote(
        self,
        product: str,
        quantities: Mapping[str, int],
        attributes: Mapping[str, str] | None = None,
    ) -> pricing_pb2.QuoteResponse:
        """What work would cost."""
        return await self.client.quote(self.account, product, quantities, attributes)

    async def compare(
        self, options: Iterable[pricing_pb2.CompareOption], **criteria: Any
    ) -> pricing_pb2.CompareResponse:
        """Rank offers among those that the mandate allows: of its products, at its price, with what
        is left of it. `criteria`: those of DrawdownClient.compare, within it."""
        mandate = await self.budget()
        terms = mandate.terms
        offers = [each for each in options if _is_allowed(each, terms)]
        most = [mandate.left, criteria.pop("charge_max", None), terms.price_max or None]
        charge_max = min([each for each in most if each is not None])
        return await self.client.compare(self.account, offers, charge_max=charge_max, **criteria)

    async def forecast(self) -> balance_pb2.ForecastResponse:
        """How long balances last at the rate of what was used."""
        return await self.client.forecast(self.account)

    def watch(self) -> AsyncIterator[balance_pb2.WatchResponse]:
        """The balance, holds and budgets as they change."""
        return self.client.watch(self.account, holds=True, budgets=True)

    # -- spent -------------------------------------------------------------------------------------

    def metered(
        self,
        product: str,
        attributes: Mapping[str, str] | None = None,
        *,
        estimate: Mapping[str, int],
        lifetime_us: int = LIFETIME_US,
        up_to: tuple[str, int] | None = None,
    ) -> MeteredCall:
        """A block with credits held; see DrawdownClient.metered."""
        return self.client.metered(
            self.account,
            product,
            attributes,
            estimate=estimate,
            lifetime_us=lifetime_us,
            up_to=up_to,
        )

    async def hold(
        self,
        product: str,
        quantities: Mapping[str, int],
        attributes: Mapping[str, str] | None = None,
        *,
        request_id: str = "",
    ) -> decision_pb2.AuthorizeResponse:
        """Decide and hold; settle it by `settle`, or give it back by `client.release`."""
        return await self.client.authorize(
            self.account, product, quantities, attributes, request_id=request_id
        )

    async def settle(
        self, hold_id: str, quantities: Mapping[str, int], *, request_id: str = ""
    ) -> decision_pb2.CaptureResponse:
        """Charge a hold with what was used."""
        return await self.client.capture(hold_id, quantities, request_id=request_id)

    async def debit(
        self,
        product: str,
        quantities: Mapping[str, int],
        attributes: Mapping[str, str] | None = None,
        *,
        request_id: str = "",
    ) -> decision_pb2.DebitResponse:
        """Charge work at once, if it is within every limit."""
        return await self.client.debit(
            self.account, product, quantities, attributes, request_id=request_id
        )

    # -- bought ------------------------------------------------------------------------------------

    async def buy(self, amount: int, *, request_id: str = "") -> mandate_pb2.RequestTopUpResponse:
        """Ask that the payer buys so many units of the mandate's asset, within its purchase limit;
        they are there once the payment side has confirmed it."""
        if not self._asset:
            self._asset = (await self.budget()).terms.asset  # a mandate never changes
        return await self.client.request_top_up(
            self.account, self._asset, amount, request_id=request_id
        )

    # -- sub-agents --------------------------------------------------------------------------------

    async def delegate(
        self, name: str, terms: mandate_pb2.MandateTerms, *, request_id: str = ""
    ) -> mandate_pb2.IssueTokenResponse:
        """Grant a mandate below, and have a token of it signed."""
        made = await self.client.grant_mandate(self.account, name, terms, request_id=request_id)
        return await self.client.issue_mandate_token(made.mandate.account)

    def attenuate(self, less: Less) -> str:
        """A token of a mandate below, made without a call. Raises ValueError."""
        return attenuated(self._token, self._public_key, less)

    async def revoke(self, account: str, reason: str = "") -> None:
        """End a mandate below."""
        await self.client.revoke_mandate(account, reason)
