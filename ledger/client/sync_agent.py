"""`Mandate` for agents that do not await: the same calls, the same arguments, from any thread.

    with Mandate("127.0.0.1:8433", token, public_key) as mandate:
        with mandate.metered("chat", estimate={"tokens": 800}) as call:
            call.add(tokens=620)

A shell around `agent.Mandate`, on a loop in a thread of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Concatenate, ParamSpec, Self

from ledger.client import agent, aio
from ledger.client.looping import LoopThread
from ledger.client.mandate_words import Less
from ledger.client.metered import LIFETIME_US
from ledger.client.sync import DrawdownClient, MeteredCall
from ledger.v1 import balance_pb2, decision_pb2, mandate_pb2
from rating.v1 import pricing_pb2

P = ParamSpec("P")


def _with_arguments_of(
    maker: Callable[P, object],
) -> Callable[[Callable[..., None]], Callable[Concatenate[Any, P], None]]:
    return lambda made: made


class _Shell(DrawdownClient):
    """The client that a mandate has made, on its loop; the mandate opens and closes it."""

    def __init__(self, client: aio.DrawdownClient, loop: LoopThread) -> None:
        self._client = client
        self._loop = loop


class Mandate:
    """An agent's own; see agent.Mandate. `client` has all calls of a client."""

    @_with_arguments_of(agent.Mandate)
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """See agent.Mandate."""
        self._mandate = agent.Mandate(*args, **kwargs)
        self._loop = LoopThread()
        self.account = self._mandate.account
        self.client: DrawdownClient = _Shell(self._mandate.client, self._loop)

    def __enter__(self) -> Self:
        """Connect, and open what the token names. Raises Refused where it says too much."""
        try:
            self._loop.run(self._mandate.__aenter__())
        except BaseException:
            self._loop.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End what runs, and the thread."""
        self.client.close()

    # -- seen --------------------------------------------------------------------------------------

    def budget(self) -> mandate_pb2.Mandate:
        """What the mandate allows, with what is spent, held and left."""
        return self._loop.run(self._mandate.budget())

    def price_sheet(self) -> pricing_pb2.GetPriceSheetResponse:
        """What things cost."""
        return self._loop.run(self._mandate.price_sheet())

    def quote(
        self,
        product: str,
        quantities: Mapping[str, int],
        attributes: Mapping[str, str] | None = None,
    ) -> pricing_pb2.QuoteResponse:
        """What work would cost."""
        return self._loop.run(self._mandate.quote(product, quantities, attributes))

    def compare(
        self, options: Iterable[pricing_pb2.CompareOption], **criteria: Any
    ) -> pricing_pb2.CompareResponse:
        """Rank offers among those that the mandate allows; see agent.Mandate.compare."""
        return self._loop.run(self._mandate.compare(options, **criteria))

    def forecast(self) -> balance_pb2.ForecastResponse:
        """How long balances last at the rate of what was used."""
        return self._loop.run(self._mandate.forecast())

    def watch(self) -> Iterator[balance_pb2.WatchResponse]:
        """The balance, holds and budgets as they change."""
        return self._loop.each(self._mandate.watch())

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
        call = self._mandate.metered(
            product, attributes, estimate=estimate, lifetime_us=lifetime_us, up_to=up_to
        )
        return MeteredCall(call, self._loop)

    def hold(
        self,
        product: str,
        quantities: Mapping[str, int],
        attributes: Mapping[str, str] | None = None,
        *,
        request_id: str = "",
    ) -> decision_pb2.AuthorizeResponse:
        """Decide and hold; settle it by `settle`, or give it back by `client.release`."""
        return self._loop.run(
            self._mandate.hold(product, quantities, attributes, request_id=request_id)
        )

    def settle(
        self, hold_id: str, quantities: Mapping[str, int], *, request_id: str = ""
    ) -> decision_pb2.CaptureResponse:
        """Charge a hold with what was used."""
        return self._loop.run(self._mandate.settle(hold_id, quantities, request_id=request_id))

    def debit(
        self,
        product: str,
        quantities: Mapping[str, int],
        attributes: Mapping[str, str] | None = None,
        *,
        request_id: str = "",
    ) -> decision_pb2.DebitResponse:
        """Charge work at once, if it is within every limit."""
        return self._loop.run(
            self._mandate.debit(product, quantities, attributes, request_id=request_id)
        )

    def buy(self, amount: int, *, request_id: str = "") -> mandate_pb2.RequestTopUpResponse:
        """Ask that the payer buys so many units; see agent.Mandate.buy."""
        return self._loop.run(self._mandate.buy(amount, request_id=request_id))

    # -- sub-agents --------------------------------------------------------------------------------

    def delegate(
        self, name: str, terms: mandate_pb2.MandateTerms, *, request_id: str = ""
    ) -> mandate_pb2.IssueTokenResponse:
        """Grant a mandate below, and have a token of it signed."""
        return self._loop.run(self._mandate.delegate(name, terms, request_id=request_id))

    def attenuate(self, less: Less) -> str:
        """A token of a mandate below, made without a call. Raises ValueError."""
        return self._mandate.attenuate(less)

    def revoke(self, account: str, reason: str = "") -> None:
        """End a mandate below."""
        self._loop.run(self._mandate.revoke(account, reason))
