"""Tests in the language of the domain: the docstring is the ledger that it tests.

One statement a line; `-> ...` says what must come of it (without it: anything but a refusal), and
goes on where the next line begins with it too.

    account  NAME [parent=NAME] [POLICY]         policy  NAME [POLICY] [version=N]
    grant    NAME AMOUNT [as=GRANT] [paid=P] [free] [priority=N] [expires=TIME] [effective=TIME]
             [for=PRODUCT,...] [tags=TAG,...] [where=NAME:VALUE,...] [asset=usd] [key=EXTERNAL]
             [postpaid | allowance] [shared] [gated] [rolls=N/D] [most=N] [lasts=DURATION] [again]
             [source=NAME]
    confirm  GRANT [AMOUNT] [asset=credits]    fail GRANT
    refund   GRANT [UNITS]                     chargeback GRANT
    bill     NAME [AMOUNT] [asset=usd]         pay NAME AMOUNT [source=NAME] [asset=credits]
    creditnote NAME AMOUNT                     writeoff NAME AMOUNT
    usage    NAME TOKENS [of=PRODUCT] [at=TIME] [id=ID] [quote=Q] [input=N cached=N output=N]
    hold     NAME TOKENS as=HOLD [of=PRODUCT] [lifetime=DURATION] [quote=Q] [input=N ...]
    quote    NAME TOKENS as=Q [of=PRODUCT] [lifetime=DURATION] [tolerance=BASIS_POINTS] [hold=HOLD]
    reprice  PRODUCT PRICE [of=QUANTITY]: a version of the card from now on; `-` = no price
    report   NAME TOKENS as=OUTCOME [of=PRODUCT] [at=TIME] [says=EVIDENCE] [input=N ...]
    accept   OUTCOME [says=EVIDENCE]             reject OUTCOME [for=REASON]
    capture  HOLD TOKENS [open] [at=TIME] [of=PRODUCT] [input=N cached=N output=N]
    extend   HOLD [lifetime=DURATION]            release HOLD
    void     GRANT [forfeit]     close NAME [release] [write-off] [for=REASON]
    abandon  NAME id=ID          configure VERSION
    rate     SOURCE TARGET N/D [from=TIME]  publishes what one SOURCE is worth: credits usd
    linked   NAME TOKENS NAME TOKENS ... [of=PRODUCT] [at=TIME] [id=ID]: ID.1, ID.2 and so on
    freeze   NAME [for=REASON]   unfreeze NAME [for=REASON]   reopen NAME [for=REASON]
    move     NAME PARENT [version=N] [for=REASON]
    profile  NAME DISPLAY_NAME [version=N]
    reverse  ID [TOKENS] [input=N cached=N output=N] [charged=N] [ended=onward] [cost=back]
    recurring NAME AMOUNT as=R [TERMS] [starts=TIME] [ends=TIME] [key=EXTERNAL]
    change   R AMOUNT [now] [TERMS] [version=N]    pause R    resume R    end R [now]
    charge   NAME AMOUNT as=F [x=QUANTITY] [FEE] [starts=TIME] [ends=TIME]
    quantity F N [now] [version=N]    terms F AMOUNT [FEE] [version=N]    stop F [now]
    commit   NAME SEGMENT ... as=C [prepaid] [invoices=AMOUNT@TIME,...] [for=PRODUCT]
             [priority=N] [shared] [key=EXTERNAL]
    upsize   C SEGMENT [invoices=AMOUNT@TIME,...]    terminate C [waive | to=C]
    clock    +DURATION | TIME      moves time: a new batch, nothing is posted by it
    amend    ID TOKENS as=ID [of=PRODUCT] [at=TIME] [ended=onward]
    adjust   NAME AMOUNT [grant=GRANT] [as=GRANT] [expires=TIME] [asset=usd]
    rule     NAME [below=N] [target=N | amount=N] [price=N/N] [cap=N/DURATION] [off] [asset=usd]
             [version=N]                         unrule NAME
    override NAME [PRICE ...] [version=N] [asset=USD]     the whole list of its price overrides
    collect  N         decline  N    (the Nth top-up: `tops up N: UNITS for MONEY`)
    sweep                   posts what time has made due, and rates what waits for a price
    publish  PRODUCT.QUANTITY=PRICE ... [card=NAME] [from=TIME]
    expect   ...            see `_expect`

POLICY: overdraft=N [in=usd] [percent=N] [bears=DURATION] overage=off|self|parent cap=N
excess=owe|bill|absorb card=NAME holds=N grace=DURATION zone=ZONE
holds_overdraft=no holds_overage=no freeze=chargeback backfills=promotional settles=usd
labels=LABEL,....
TERMS: every=NUNIT (1month, 2week) anchor=TIME zone=ZONE prorate=none|first|last|both lasts=DURATION
paid=P free allowance shared for=PRODUCT,... priority=N rollover=N/N rolls=DURATION most=N again.
FEE: every=NUNIT|once of=PRODUCT asset=usd arrears anchor=TIME zone=ZONE
prorate=none|first|last|both whole (a change of quantity is not prorated) cash self
off=AMOUNT|N/D discounts=FROM+PERIODS trial=PERIODS until=TIME ramp=PERIOD|DATE:AMOUNT,...
earned=DURATION.
SEGMENT: FROM..TO:AMOUNT/PRICE, FROM may be `now`; its grant is called C.1, C.2 and so on.
PRICE: PRODUCT[/QUANTITY]:CHANGE[!PRIORITY][@FROM..UNTIL], CHANGE is a price, xRATIO, or
tiers by the unit or as a volume, tUP_TO/PRICE,...,PRICE and vUP_TO/PRICE,...,PRICE.
TIME is relative to the clock (-1h, +30d) or absolute (2026-02-01, 2026-02-01T05:00, UTC). A grant
is called after its account unless `as` names it; one of a recurring grant R, after R and where its
period starts (R@2026-02-01), and what a change adds to it, R@2026-02-01+.
At the end the books must balance, and a replay of the journal must give the same state.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from datetime import datetime, timedelta

from core_world import (
    CREDITS,
    FAMILY,
    TENANT,
    USD,
    Core,
    duration_us,
    publish,
    replay,
)

from ledger.core import commands as c
from ledger.core import events as e
from ledger.core.books import Book
from ledger.core.decide import Outcome
from ledger.core.decisions.assessing import available_to
from ledger.core.digest import digest
from ledger.core.metering.linked import refuse_linked
from ledger.core.metering.suspense import rated_by
from ledger.core.outcomes import Known, Refusal
from ledger.core.pricing.repricing import Job
from ledger.core.pricing.touched import Touched, consider
from ledger.core.shapes import Use
from ledger.core.state import Account, Grant, RecurringGrant
from rating.conversions import Rate
from rating.models import Graduated, Tier, Volume
from rating.overrides import Change, Multiplier, Override, Overwrite, Tiers

_ASSETS = {"credits": CREDITS, "usd": USD}
_POTS = {
    e.Pot.OVERDRAFT: "overdraft",
    e.Pot.EXCESS_OWED: "owed",
    e.Pot.ABSORBED: "absorbed",
    e.Pot.CONVERTED: "converted",
}


class LedgerCase:
    """Runs statements against a core and remembers what they called things."""

    def __init__(self, core: Core | None = None) -> None:
        self.core = core if core is not None else Core()
        self.accounts: dict[str, int] = {}
        self.grants: dict[str, int] = {}
        self.holds: dict[str, tuple[str, int]] = {}
        self.quotes: dict[str, int] = {}
        self.entries: dict[str, c.Original] = {}  # usage and reversals by their id
        self.recurring: dict[str, int] = {}
        self.commitments: dict[str, int] = {}
        self.charges: dict[str, int] = {}
        self._ids = 0
        self._rates = 0

    # -- running -----------------------------------------------------------------------------------

    def run(self, text: str) -> None:
        """Statements, one a line; one that begins with `->` belongs to the line before."""
        statements: list[str] = []
        for line in text.splitlines():
            statement = line.split("#")[0].strip()
            if statement.startswith("->") and statements:
                if "->" in statements[-1]:
                    statement = statement.removeprefix("->").strip()
                statements[-1] += f" {statement}"
            elif statement:
                statements.append(statement)
        for statement in statements:
            self._line(statement)

    def _line(self, line: str) -> None:
        statement, _, expected = (part.strip() for part in line.partition("->"))
        verb, *words = statement.split()
        if verb == "expect":
            self._expect(" ".join(words))
            return
        options = dict(word.split("=", 1) for word in words if "=" in word)
        names = [word for word in words if "=" not in word]
        found = getattr(self, f"_{verb}")(options, *names)
        if expected:
            assert found == expected, f"\n  {line}\n  found    -> {found}"
        else:
            assert not found.startswith(("refused", "denied")), f"\n  {line}\n  found -> {found}"

    def execute(self, command: c.Command) -> tuple[Outcome, str]:
        """Run a command; what came of it, in words, and with what followed from it."""
        batch = self.core.batches[-1][1]
        before = len(batch)
        outcome = self.core.run(command)
        if isinstance(outcome, Known):
            field = self.core.difference(command, outcome)
            if field:
                return outcome, f"refused CONFLICT {field}"
            return outcome, f"replayed: {self.tell(self.core.recorded(outcome)[0])}"
        if isinstance(outcome, Refusal):
            return outcome, f"refused {outcome.reason} {outcome.field}".rstrip()
        told = [self.tell(event) for event in batch[before:]]
        return outcome, "; ".join([words for words in told if words])

    def finish(self) -> None:
        """What must hold after every case."""
        state = self.core.state
        state.books.check()
        assert digest(replay(self.core.journal())) == digest(state)

    # -- statements --------------------------------------------------------------------------------

    def _account(self, options: dict[str, str], name: str) -> str:
        parent = self.accounts[options["parent"]] if "parent" in options else 0
        number = self.accounts.setdefault(name, len(self.accounts) + 1)
        root = self.core.state.accounts[parent].root if parent else number
        return self.execute(
            c.CreateAccount(self._request(options), TENANT, number, parent, root, _policy(options))
        )[1]

    def _policy(self, options: dict[str, str], name: str) -> str:
        command = c.UpdatePolicy(
            self._request(options),
            self.accounts[name],
            _policy(options),
            int(options.get("version", 0)),
        )
        return self.execute(command)[1]

    def _grant(self, options: dict[str, str], name: str, amount: str, *flags: str) -> str:
        asset = _ASSETS[options.get("asset", "credits")]
        paid = 0 if "free" in flags else int(options.get("paid", 0))
        command = c.IssueGrant(
            self._request(options),
            self.accounts[name],
            _kind(flags),
            asset,
            int(amount),
            paid,
            USD,
            int(options.get("priority", 0)),
            self._time(options.get("effective")),
            self._time(options.get("expires")),
            tuple(options["for"].split(",")) if "for" in options else (),
            FAMILY.external(options.get("key", "")),
            tags=tuple(options["tags"].split(",")) if "tags" in options else (),
            attributes=_pairs(options.get("where", "")),
            shared="shared" in flags,
            pending="gated" in flags,
            rollover=_rollover(options, "again" in flags),
            source=options.get("source", ""),
        )
        outcome, told = self.execute(command)
        if isinstance(outcome, e.GrantIssued):
            called = options.get("as", name)
            assert called not in self.grants, f"two grants are called {called}: name one with as="
            self.grants[called] = outcome.grant
        return told

    def _usage(self, options: dict[str, str], name: str, tokens: str = "") -> str:
        names, quantities = _quantities(options, tokens)
        attributes = _pairs(options.get("with", ""))
        shape = self.core.shape(options.get("of", "chat"), *names, attributes=attributes)
        event_id = options.get("id") or self._next_id()
        kind = c.QuotedUsage if "quote" in options else c.RecordUsage
        told = self.execute(
            kind(
                FAMILY.usage("case", event_id),
                self.accounts.get(name, 404),
                shape,
                quantities,
                self._time(options.get("at")),
                c.NO_NAMES,
                operation=_operation(options),
                quote=self._quoted(options),
            )
        )[1]
        self._keep(event_id, FAMILY.usage("case", event_id))
        return told

    def _linked(self, options: dict[str, str], *words: str) -> str:
        group_id = options.get("id") or self._next_id()
        shape = self.core.shape(options.get("of", "chat"), "tokens")
        group: list[c.LinkedUsage] = []
        for place, (name, tokens) in enumerate(zip(words[::2], words[1::2], strict=True), 1):
            group.append(
                c.LinkedUsage(
                    FAMILY.usage("case", f"{group_id}.{place}"),
                    self.accounts.get(name, 404),
                    shape,
                    (int(tokens),),
                    self._time(options.get("at")),
                    c.Names("case", f"{group_id}.{place}"),
                    follow=len(words) // 2 - place,
                )
            )
        refused = refuse_linked(self.core.state, group, self.core.batches[-1][1])
        if refused is not None:
            return "refused " + ", ".join(each.reason for each in refused)
        told = [self.execute(command)[1] for command in group]
        for place, command in enumerate(group, 1):
            self._keep(f"{group_id}.{place}", command.key)
        return "; ".join(told)

    def _configure(self, options: dict[str, str], version: str) -> str:
        return self.execute(c.ApplyConfiguration(TENANT, int(version), b"\x02" * 32))[1]

    def _publish(self, options: dict[str, str], *words: str) -> str:
        name = options.pop("card", "default")
        since = self._time(options.pop("from", None))
        publish(self.core, options, name, since)
        return "published"

    def _rated(self, original: c.Original) -> tuple[c.Original, ...]:
        entries = rated_by(self.core.state, original.event.account, original.locator)
        return tuple(self.core.original(entry) for entry in entries)

    def _rate(self, options: dict[str, str], source: str, target: str, ratio: str) -> str:
        numerator, denominator = ratio.split("/")
        self._rates += 1
        since = self._time(options.get("from"))
        rate = Rate(100 + self._rates, self.core.now, since, int(numerator), int(denominator))
        self.core.state.catalog.add_rate(_ASSETS[source], _ASSETS[target], rate)
        return "published"

    def _keep(self, called: str, key: bytes) -> None:
        """Remember the entry of a key, as the journal has it."""
        locator = self.core.state.keys.find(key)
        if locator is not None and called not in self.entries:
            self.entries[called] = self.core.original(locator)

    def _reverse(self, options: dict[str, str], called: str, tokens: str = "") -> str:
        original = self.entries[called]
        request_id = options.get("id") or self._next_id()
        quantities: tuple[int, ...] = (int(tokens),) if tokens else ()
        if {"input", "cached", "output"} & options.keys():
            assert original.plan is not None
            names = original.plan.quantity_names
            quantities = tuple(int(options.get(name, 0)) for name in names)
        command = c.ReverseUsage(
            FAMILY.request(request_id),
            original.event.account,
            original,
            quantities,
            int(options.get("charged", 0)),
            e.EndedGrants[options.get("ended", "restore").upper()],
            rated=self._rated(original),
            refund_cost="cost" in options,
        )
        told = self.execute(command)[1]
        self._keep(request_id, FAMILY.request(request_id))
        return told

    def _amend(self, options: dict[str, str], called: str, tokens: str) -> str:
        original = self.entries[called]
        assert isinstance(original.event, e.UsageRecorded)
        event_id = options["as"]
        usage = c.RecordUsage(
            FAMILY.usage("case", event_id),
            original.event.account,
            self.core.shape(options.get("of", "chat"), "tokens"),
            (int(tokens),),
            self._time(options.get("at")) or original.event.effective_at,
            c.NO_NAMES,
        )
        request_id = options.get("id") or self._next_id()
        command = c.AmendUsage(
            FAMILY.request(request_id),
            original.event.account,
            original,
            usage,
            FAMILY.pairs((("tokens", tokens), ("product", options.get("of", "chat")))),
            e.EndedGrants[options.get("ended", "restore").upper()],
            rated=self._rated(original),
        )
        told = self.execute(command)[1]
        self._keep(event_id, usage.key)
        self._keep(request_id, command.key)
        return told

    def _rerate(self, options: dict[str, str], called: str) -> str:
        """One usage event, by the newest version of a card (`by`), as a job does."""
        state, original = self.core.state, self.entries[called]
        name = options.get("by", "default")
        version = state.catalog.card((TENANT, name)).versions.versions[-1].version
        job = Job(options.get("job", "job"), name, version)
        replaced = "amended" in options
        found = consider(state, original, name, version, amended=replaced)
        if not isinstance(found, Touched) or found.closed or found.same:
            return "closed or the same" if isinstance(found, Touched) else f"left alone {found}"
        take, put = job.commands_of(FAMILY, original, found.shape, found.quantities)
        outcome, told = self.execute(take)
        if isinstance(outcome, Refusal):
            return told
        told = f"{told}; {self.execute(put)[1]}"
        self._keep(options.get("as", f"{called}'"), put.key)
        return told

    def _adjust(self, options: dict[str, str], name: str, amount: str) -> str:
        command = c.AdjustBalance(
            self._request(options),
            self.accounts.get(name, 404),
            _ASSETS[options.get("asset", "credits")],
            int(amount),
            self.grants[options["grant"]] if "grant" in options else 0,
            self._time(options.get("expires")),
            FAMILY.pairs((("reason", options.get("why", "")),)),
        )
        outcome, told = self.execute(command)
        if isinstance(outcome, e.BalanceAdjusted) and not outcome.grant_given and outcome.grant:
            self.grants[options.get("as", name)] = outcome.grant
        return told

    def _hold(self, options: dict[str, str], name: str, tokens: str = "") -> str:
        names, quantities = _quantities(options, tokens)
        command = c.AuthorizeHold(
            self._request(options),
            self.accounts[name],
            self.core.shape(
                options.get("of", "chat"), *names, attributes=_pairs(options.get("with", ""))
            ),
            quantities,
            duration_us(options["lifetime"]) if "lifetime" in options else 0,
            quote=self._quoted(options),
            up_to=options.get("upto", names[0]) if "least" in options else "",
            minimum=int(options.get("least", 0)),
            sizing=_sizing(options, names, quantities),
            operation=_operation(options),
        )
        outcome, told = self.execute(command)
        if isinstance(outcome, e.HoldAuthorized):
            self.holds[options["as"]] = (name, outcome.hold)
        return told

    def _debit(self, options: dict[str, str], name: str, tokens: str = "") -> str:
        """`least`: of the first quantity as much as is affordable, if that is so much."""
        names, quantities = _quantities(options, tokens)
        request_id = options.get("id") or self._next_id()
        key = FAMILY.request(request_id)
        command = c.DebitWork(
            key,
            self.accounts.get(name, 404),
            self.core.shape(
                options.get("of", "chat"), *names, attributes=_pairs(options.get("with", ""))
            ),
            quantities,
            operation=_operation(options),
            up_to=options.get("upto", names[0]) if "least" in options else "",
            minimum=int(options.get("least", 0)),
            hold=self.holds[options["from"]][1] if "from" in options else 0,
        )
        told = self.execute(command)[1]
        self._keep(request_id, key)
        return told

    def _quote(self, options: dict[str, str], name: str, tokens: str = "") -> str:
        names, quantities = _quantities(options, tokens)
        command = c.CreateQuote(
            self._request(options),
            self.accounts.get(name, 404),
            self.core.shape(
                options.get("of", "chat"), *names, attributes=_pairs(options.get("with", ""))
            ),
            quantities,
            duration_us(options["lifetime"]) if "lifetime" in options else 0,
            int(options.get("tolerance", 0)),
            "hold" in options,
        )
        outcome, told = self.execute(command)
        if isinstance(outcome, e.QuoteMade):
            self.quotes[options["as"]] = outcome.quote
            if outcome.hold:
                self.holds[options["hold"]] = (name, outcome.hold)
        return told

    def _quoted(self, options: dict[str, str]) -> int:
        return self.quotes.get(options["quote"], 404) if "quote" in options else 0

    def _report(self, options: dict[str, str], name: str, tokens: str = "") -> str:
        names, quantities = _quantities(options, tokens)
        command = c.ReportOutcome(
            self._request(options),
            self.accounts.get(name, 404),
            self.core.shape(options.get("of", "case"), *names),
            quantities,
            self._time(options.get("at")),
            FAMILY.pairs((("seen", options["says"]),)) if "says" in options else b"",
        )
        outcome, told = self.execute(command)
        if isinstance(outcome, e.OutcomeReported):
            self.holds[options["as"]] = (name, outcome.hold)
        return told

    def _accept(self, options: dict[str, str], called: str) -> str:
        name, number = self.holds[called]
        evidence = FAMILY.pairs((("seen", options["says"]),)) if "says" in options else b""
        request_id = options.get("id") or self._next_id()
        key = FAMILY.request(request_id)
        told = self.execute(c.ConfirmOutcome(key, self.accounts[name], number, evidence))[1]
        self._keep(called, key)
        return told

    def _reject(self, options: dict[str, str], called: str) -> str:
        name, number = self.holds[called]
        note = FAMILY.pairs((("", options["for"]),)) if "for" in options else b""
        command = c.RejectOutcome(self._request(options), self.accounts[name], number, note)
        return self.execute(command)[1]

    def _reprice(self, options: dict[str, str], product: str, price: str) -> str:
        self.core.reprice(product, options.get("of", "tokens"), price)
        return "published"

    def _capture(self, options: dict[str, str], hold: str, *words: str) -> str:
        name, number = self.holds[hold]
        names, quantities = _quantities(options, next((w for w in words if w != "open"), ""))
        return self.execute(
            c.CaptureHold(
                self._request(options),
                self.accounts[name],
                number,
                names,
                quantities,
                self._time(options.get("at")),
                keep_open="open" in words,
                operation=_operation(options),
                product=options.get("of", ""),
                attributes=_pairs(options.get("with", "")),
            )
        )[1]

    def _extend(self, options: dict[str, str], hold: str) -> str:
        name, number = self.holds[hold]
        lifetime = duration_us(options["lifetime"]) if "lifetime" in options else 0
        command = c.ExtendHold(self._request(options), self.accounts[name], number, lifetime)
        return self.execute(command)[1]

    def _release(self, options: dict[str, str], hold: str) -> str:
        name, number = self.holds[hold]
        command = c.ReleaseHold(self._request(options), self.accounts[name], number)
        return self.execute(command)[1]

    def _void(self, options: dict[str, str], grant: str, *flags: str) -> str:
        number = self.grants[grant]
        owner = self.core.state.grants[number].account.number
        request, forfeit = self._request(options), "forfeit" in flags
        return self.execute(c.VoidGrant(request, owner, number, forfeit=forfeit))[1]

    def _confirm(self, options: dict[str, str], grant: str, amount: str = "0") -> str:
        asset = _ASSETS[options["asset"]] if "asset" in options else 0
        return self._of_grant(c.ConfirmPayment, options, grant, int(amount), asset)

    def _fail(self, options: dict[str, str], grant: str) -> str:
        return self._of_grant(c.FailPayment, options, grant)

    def _refund(self, options: dict[str, str], grant: str, units: str = "0") -> str:
        return self._of_grant(c.RefundGrant, options, grant, int(units))

    def _chargeback(self, options: dict[str, str], grant: str) -> str:
        return self._of_grant(c.ChargeBack, options, grant)

    def _of_grant(
        self, command: Callable[..., c.Command], options: dict[str, str], grant: str, *given: int
    ) -> str:
        number = self.grants.get(grant, 404)
        found = self.core.state.grants.get(number)
        owner = found.account.number if found is not None else 1
        return self.execute(command(self._request(options), owner, number, *given))[1]

    def _bill(self, options: dict[str, str], name: str, most: str = "0") -> str:
        asset = _ASSETS[options["asset"]] if "asset" in options else 0
        number = self.accounts.get(name, 404)
        return self.execute(c.BillAccount(self._request(options), number, asset, int(most)))[1]

    def _pay(self, options: dict[str, str], name: str, amount: str) -> str:
        return self._of_receivable(
            c.RecordPayment, options, name, amount, options.get("source", "")
        )

    def _creditnote(self, options: dict[str, str], name: str, amount: str) -> str:
        return self._of_receivable(c.IssueCreditNote, options, name, amount)

    def _writeoff(self, options: dict[str, str], name: str, amount: str) -> str:
        return self._of_receivable(c.WriteOffReceivable, options, name, amount)

    def _of_receivable(
        self,
        command: Callable[..., c.Command],
        options: dict[str, str],
        name: str,
        amount: str,
        *given: str,
    ) -> str:
        number, asset = self.accounts.get(name, 404), _ASSETS[options.get("asset", "usd")]
        made = command(self._request(options), number, asset, int(amount), *given)
        return self.execute(made)[1]

    def _close(self, options: dict[str, str], name: str, *flags: str) -> str:
        command = c.CloseAccount(
            self._request(options),
            self.accounts[name],
            write_off="write-off" in flags,
            release_holds="release" in flags,
            note=_note(options),
        )
        return self.execute(command)[1]

    def _freeze(self, options: dict[str, str], name: str) -> str:
        return self._standing(c.FreezeAccount, options, name)

    def _unfreeze(self, options: dict[str, str], name: str) -> str:
        return self._standing(c.UnfreezeAccount, options, name)

    def _reopen(self, options: dict[str, str], name: str) -> str:
        return self._standing(c.ReopenAccount, options, name)

    def _standing(
        self,
        command: type[c.FreezeAccount | c.UnfreezeAccount | c.ReopenAccount],
        options: dict[str, str],
        name: str,
    ) -> str:
        number, note = self.accounts.get(name, 404), _note(options)
        return self.execute(command(self._request(options), number, note))[1]

    def _move(self, options: dict[str, str], name: str, parent: str) -> str:
        command = c.MoveAccount(
            self._request(options),
            self.accounts.get(name, 404),
            self.accounts.get(parent, 404),
            int(options.get("version", 0)),
            _note(options),
        )
        return self.execute(command)[1]

    def _profile(self, options: dict[str, str], name: str, display_name: str) -> str:
        command = c.UpdateProfile(
            self._request(options),
            self.accounts.get(name, 404),
            FAMILY.pairs((("display_name", display_name),)),
            int(options.get("version", 0)),
        )
        return self.execute(command)[1]

    def _abandon(self, options: dict[str, str], name: str) -> str:
        return self.execute(c.AbandonRequest(self._request(options), self.accounts[name]))[1]

    def _recurring(self, options: dict[str, str], name: str, amount: str, *flags: str) -> str:
        command = c.StartRecurring(
            self._request(options),
            self.accounts[name],
            self._recurring_terms(options, amount, flags),
            FAMILY.external(options.get("key", "")),
            self._time(options.get("starts")),
            self._time(options.get("ends")),
        )
        # Named before it is there, so that what is issued at once can be told.
        self.recurring.setdefault(options["as"], self.core.state.next_recurring)
        return self.execute(command)[1]

    def _recurring_terms(
        self, options: dict[str, str], amount: str, flags: tuple[str, ...]
    ) -> e.RecurringTerms:
        every = options.get("every", "1month")
        unit = every.lstrip("0123456789")
        paid = 0 if "free" in flags else int(options.get("paid", 0))
        return e.RecurringTerms(
            _kind(flags),
            _ASSETS[options.get("asset", "credits")],
            int(amount),
            paid,
            USD if paid else 0,
            int(options.get("priority", 0)),
            tuple(options["for"].split(",")) if "for" in options else (),
            e.PeriodUnit[unit.upper()],
            int(every.removesuffix(unit)),
            self._time(options.get("anchor")),
            options.get("zone", ""),
            e.Proration[options.get("prorate", "none").upper()],
            duration_us(options["lasts"]) if "lasts" in options else 0,
            shared="shared" in flags,
            rollover=_rollover(
                options | {"rolls": options["rollover"], "lasts": options["rolls"]},
                "again" in flags,
            )
            if "rollover" in options
            else None,
        )

    def _change(self, options: dict[str, str], name: str, amount: str, *flags: str) -> str:
        account, number = self._place(name)
        command = c.ChangeRecurring(
            self._request(options),
            account,
            number,
            self._recurring_terms(options, amount, flags),
            e.Timing.NOW if "now" in flags else e.Timing.NEXT_PERIOD,
            int(options.get("version", 0)),
        )
        return self.execute(command)[1]

    def _pause(self, options: dict[str, str], name: str) -> str:
        return self.execute(c.PauseRecurring(self._request(options), *self._place(name)))[1]

    def _resume(self, options: dict[str, str], name: str) -> str:
        return self.execute(c.ResumeRecurring(self._request(options), *self._place(name)))[1]

    def _end(self, options: dict[str, str], name: str, *flags: str) -> str:
        timing = e.Timing.NOW if "now" in flags else e.Timing.NEXT_PERIOD
        command = c.EndRecurring(self._request(options), *self._place(name), timing)
        return self.execute(command)[1]

    def _charge(self, options: dict[str, str], name: str, amount: str, *flags: str) -> str:
        command = c.StartCharge(
            self._request(options),
            self.accounts.get(name, 404),
            options["as"],
            self._fee(options, amount, flags),
            int(options.get("x", 1)),
            self._time(options.get("starts")),
            self._time(options.get("ends")),
        )
        # Named before it is there, so that what is charged at once can be told.
        number = self.core.state.next_charge
        before = self.charges.get(options["as"], number)
        self.charges[options["as"]] = number
        outcome, told = self.execute(command)
        if not isinstance(outcome, e.ChargeStarted):
            self.charges[options["as"]] = before
        return told

    def _fee(self, options: dict[str, str], amount: str, flags: tuple[str, ...]) -> e.ChargeTerms:
        every = options.get("every", "1month")
        unit = "month" if every == "once" else every.lstrip("0123456789")
        ramp = [step.rsplit(":", 1) for step in options.get("ramp", "").split(",") if step]
        discount = None
        if "off" in options:
            numerator, _, denominator = options["off"].partition("/")
            first, _, periods = options.get("discounts", "1+0").partition("+")
            discount = e.ChargeDiscount(
                int(numerator) if denominator else 0,
                int(denominator or 0),
                0 if denominator else int(numerator),
                int(first),
                int(periods),
            )
        return e.ChargeTerms(
            options.get("of", "plan"),
            _ASSETS[options.get("asset", "usd")],
            int(amount),
            e.ChargeBilling.ARREARS if "arrears" in flags else e.ChargeBilling.ADVANCE,
            e.PeriodUnit[unit.upper()],
            0 if every == "once" else int(every.removesuffix(unit)),
            self._time(options.get("anchor")),
            options.get("zone", ""),
            e.Proration[options.get("prorate", "both").upper()],
            "whole" not in flags,
            "cash" in flags,
            e.ChargePayer.ACCOUNT if "self" in flags else e.ChargePayer.OVERAGE,
            discount,
            int(options.get("trial", 0)),
            self._time(options.get("until")),
            tuple(
                e.RampStep(0, self._time(at), int(step))
                if "-" in at
                else e.RampStep(int(at), 0, int(step))
                for at, step in ramp
            ),
            duration_us(options["earned"]) if "earned" in options else 0,
        )

    def _quantity(self, options: dict[str, str], name: str, quantity: str, *flags: str) -> str:
        command = c.ChangeQuantity(
            self._request(options),
            *self._charged(name),
            int(quantity),
            e.Timing.NOW if "now" in flags else e.Timing.NEXT_PERIOD,
            int(options.get("version", 0)),
        )
        return self.execute(command)[1]

    def _terms(self, options: dict[str, str], name: str, amount: str, *flags: str) -> str:
        terms = self._fee(options, amount, flags)
        command = c.ChangeTerms(
            self._request(options), *self._charged(name), terms, int(options.get("version", 0))
        )
        return self.execute(command)[1]

    def _stop(self, options: dict[str, str], name: str, *flags: str) -> str:
        timing = e.Timing.NOW if "now" in flags else e.Timing.NEXT_PERIOD
        command = c.EndCharge(self._request(options), *self._charged(name), timing)
        return self.execute(command)[1]

    def _charged(self, name: str) -> tuple[int, int]:
        number = self.charges[name]
        found = self.core.state.charges.get(number)
        return (found.account.number if found is not None else 404), number

    def _charge_name(self, number: int) -> str:
        return next(name for name, each in self.charges.items() if each == number)

    def _commit(self, options: dict[str, str], name: str, *words: str) -> str:
        flags = tuple(word for word in words if ".." not in word)
        kind = e.GrantKind.PREPAID if "prepaid" in flags else e.GrantKind.POSTPAID
        command = c.CreateCommitment(
            self._request(options),
            self.accounts.get(name, 404),
            e.CommitmentTerms(
                _kind(flags) if {"free", "allowance"} & set(flags) else kind,
                CREDITS,
                USD,
                int(options.get("priority", 0)),
                tuple(options["for"].split(",")) if "for" in options else (),
                shared="shared" in flags,
            ),
            tuple(self._segment(word) for word in words if ".." in word),
            self._invoices(options),
            FAMILY.external(options.get("key", "")),
        )
        self.commitments.setdefault(options["as"], self.core.state.next_commitment)
        return self.execute(command)[1]

    def _upsize(self, options: dict[str, str], name: str, segment: str) -> str:
        command = c.AddSegment(
            self._request(options),
            *self._committed(name),
            self._segment(segment),
            self._invoices(options),
        )
        return self.execute(command)[1]

    def _terminate(self, options: dict[str, str], name: str, *flags: str) -> str:
        ending = e.CommitmentEnding.WAIVE if "waive" in flags else e.CommitmentEnding.TRUE_UP
        target = (0, 0)
        if "to" in options:
            ending = e.CommitmentEnding.TRANSFER
            target = self._committed(options["to"])
        command = c.EndCommitment(self._request(options), *self._committed(name), ending, *target)
        return self.execute(command)[1]

    def _committed(self, name: str) -> tuple[int, int]:
        number = self.commitments[name]
        found = self.core.state.commitments.get(number)
        return (found.account.number if found is not None else 404), number

    def _segment(self, text: str) -> e.Segment:
        starts_at, _, rest = text.partition("..")
        ends_at, amount, price = rest.replace("/", ":").split(":")
        start = 0 if starts_at == "now" else self._time(starts_at)
        return e.Segment(start, self._time(ends_at), int(amount), int(price))

    def _invoices(self, options: dict[str, str]) -> tuple[e.Invoice, ...]:
        planned = [each.split("@") for each in options.get("invoices", "").split(",") if each]
        return tuple(e.Invoice(self._time(at), int(amount)) for amount, at in planned)

    def _called_segments(self, commitment: int, grants: tuple[int, ...]) -> None:
        name = next(name for name, each in self.commitments.items() if each == commitment)
        kept = [grant.number for grant in self.core.state.commitments[commitment].grants]
        for grant in grants:
            self.grants[f"{name}.{kept.index(grant) + 1}"] = grant

    def _place(self, name: str) -> tuple[int, int]:
        number = self.recurring[name]
        found = self.core.state.recurring.get(number)
        return (found.account.number if found is not None else 404), number

    def _rule(self, options: dict[str, str], name: str, *flags: str) -> str:
        numerator, _, denominator = options.get("price", "1/1").partition("/")
        most, _, window = options.get("cap", "5/1d").partition("/")
        rule = e.TopUpRule(
            _ASSETS[options.get("asset", "credits")],
            int(options.get("below", 0)),
            int(options.get("target", 0)),
            int(options.get("amount", 0)),
            int(numerator),
            int(denominator or 1),
            USD,
            "card",
            int(most),
            duration_us(window),
            "off" not in flags,
        )
        number, version = self.accounts.get(name, 404), int(options.get("version", 0))
        command = c.SetTopUpRule(self._request(options), number, rule, version)
        return self.execute(command)[1]

    def _unrule(self, options: dict[str, str], name: str) -> str:
        command = c.RemoveTopUpRule(self._request(options), self.accounts[name], CREDITS)
        return self.execute(command)[1]

    def _override(self, options: dict[str, str], name: str, *prices: str) -> str:
        made = tuple([self._price(each, options.get("asset", "credits")) for each in prices])
        number, version = self.accounts.get(name, 404), int(options.get("version", 0))
        command = c.SetPriceOverrides(self._request(options), number, made, version)
        return self.execute(command)[1]

    def _price(self, text: str, asset: str) -> Override:
        text, _, times = text.partition("@")
        text, _, priority = text.partition("!")
        what, _, changed = text.partition(":")
        product, _, quantity = what.partition("/")
        since, _, until = times.partition("..")
        change: Change = Overwrite(asset, changed)
        if changed.startswith("x"):
            change = Multiplier(changed[1:])
        elif changed[0] in "tv":
            bounds = [each.rpartition("/") for each in changed[1:].split(",")]
            tiers = tuple([Tier(int(up) if up else None, price) for up, _, price in bounds])
            change = Tiers(asset, Graduated(tiers) if changed[0] == "t" else Volume(tiers))
        return Override(
            product,
            quantity or ("*" if changed.startswith("x") else "tokens"),
            change,
            priority=int(priority or 0),
            effective_from_us=self._time(since) if since else 0,
            effective_until_us=self._time(until) if until else 0,
        )

    def _collect(self, options: dict[str, str], number: str) -> str:
        return self._top_up(c.ConfirmTopUp, options, int(number))

    def _decline(self, options: dict[str, str], number: str) -> str:
        return self._top_up(c.DeclineTopUp, options, int(number))

    def _top_up(
        self, command: type[c.ConfirmTopUp | c.DeclineTopUp], options: dict[str, str], number: int
    ) -> str:
        found = self.core.state.top_ups.get(number)
        account = found.account.number if found is not None else 1
        outcome, told = self.execute(command(self._request(options), account, number))
        if isinstance(outcome, e.TopUpConfirmed):
            self.grants[f"top-up-{number}"] = outcome.grant
        return told

    def _clock(self, options: dict[str, str], to: str) -> str:
        self.core.advance(self._time(to) - self.core.now)
        return "moved"

    def _sweep(self, options: dict[str, str]) -> str:
        told = [self.tell(event) for event in self.core.sweep()]
        return "; ".join([words for words in told if words]) or "nothing"

    # -- words -------------------------------------------------------------------------------------

    def tell(self, event: e.Event) -> str:
        """One event in words; "" where it only prepares another."""
        match event:
            case e.UsageRecorded():
                parts = ["late"] if event.late else []
                parts += ["rated"] if isinstance(event, e.SuspenseRated) else []
                confirms = isinstance(event, e.OutcomeConfirmed)
                parts += ["confirmed by time"] if confirms and event.by_time else []
                parts += ["hold expired, charged"] if isinstance(event, e.HoldCharged) else []
                parts += [self._slice(piece, "drawn") for piece in event.slices]
                parts += ["suspense"] if -1 in event.charges else []
                parts = parts or ["free"]
                if event.cost is not None:
                    parts.append(f"cost {event.cost.total}")
                    parts += ["cost unknown"] if -1 in event.cost.lines else []
                if isinstance(event, e.UsageQuoted) and event.unused:
                    parts.append(event.unused.name)
                elif isinstance(event, e.UsageQuoted) and event.part is not None:
                    if parts == ["free"]:
                        parts = []
                    parts.append(f"{sum(event.part.charges)} quoted")
                return ", ".join(parts)
            case e.RerateShared():
                return ""
            case e.SharedRerated():
                whose = next(name for name, each in self.accounts.items() if each == event.account)
                parts = [self._slice(piece, "drawn") for piece in event.slices]
                parts += [self._returned(piece) for piece in event.given_back]
                return f"{whose} re-rated {', '.join(parts) or 'nothing'}"
            case e.UsageRerated():
                parts = [self._slice(piece, "drawn") for piece in event.slices]
                parts += [self._returned(piece) for piece in event.given_back]
                return f"re-rated {', '.join(parts) or 'nothing'}"
            case e.UsageReversed():
                parts = [self._returned(piece) for piece in event.given_back] or ["nothing"]
                parts += [f"cost -{event.cost.total}"] if event.cost is not None else []
                return ", ".join(parts)
            case e.UsageConverted():
                parts = [self._slice(piece, "drawn") for piece in event.slices]
                return f"{event.units} worth {event.amount}: {', '.join(parts) or 'nothing'}"
            case e.ConversionReversed():
                parts = [self._returned(piece) for piece in event.given_back]
                return f"{event.units} back: {', '.join(parts) or 'nothing'}"
            case e.BalanceAdjusted():
                parts = [self._slice(piece, "drawn") for piece in event.slices]
                parts += [self._returned(piece) for piece in event.given_back]
                return ", ".join(parts) or "credited"
            case e.GrantRestored():
                self.grants[f"{self._called(event.of)}+"] = event.grant
                return ""
            case e.AdjustmentNoted():
                return "adjustment"
            case e.OutcomeReported():
                parts = [self._slice(piece, "pending") for piece in event.slices]
                parts += ["suspense"] if event.suspense else []
                return ", ".join(parts) or "free"
            case e.OutcomeRejected():
                return "rejected by time" if event.by_time else "rejected"
            case e.HoldAuthorized():
                return ", ".join([self._slice(piece, "held") for piece in event.slices]) or "free"
            case e.QuoteMade():
                return f"quoted {sum(event.charges)}"
            case e.QuoteExpired():
                return "quote expired"
            case e.AuthorizeDenied():
                return f"denied {event.reason}"
            case e.UsageQuarantined():
                return f"quarantined {event.reason}"
            case e.RecurringIssued():
                name = self._recurring_name(event.recurring)
                start = _instant(event.start)
                self.grants[f"{name}@{start}"] = event.grant
                return f"{name} issued {event.amount} for {start} to {_instant(event.end)}"
            case e.RecurringChanged():
                if not event.grant:
                    return "changed"
                name = self._recurring_name(event.recurring)
                start = _instant(self.core.state.recurring[event.recurring].period_start)
                self.grants[f"{name}@{start}+"] = event.grant
                return f"changed, {event.amount} more"
            case e.FeeCharged():
                parts = [self._slice(piece, "drawn") for piece in event.slices]
                parts += [self._returned(piece) for piece in event.given_back]
                name = self._charge_name(event.charge)
                return (
                    f"{name} fee {event.amount} of {event.total}: {', '.join(parts) or 'nothing'}"
                )
            case e.FeeRecognised():
                money = sum(part.earned for part in event.deferrals)
                return f"{self._charge_name(event.charge)} earned {money}"
            case e.ChargePeriodBegun():
                until = f"{_instant(event.start)} to {_instant(event.end)}"
                return f"{self._charge_name(event.charge)} {event.number}: {until}"
            case e.ChargeStarted():
                return "started"
            case e.ChargeChanged():
                return f"version {event.version}"
            case e.ChargeEnded():
                return f"ends {_instant(event.ends_at)}"
            case e.CommitmentCreated():
                self._called_segments(event.commitment, event.grants)
                return "committed"
            case e.SegmentAdded():
                self._called_segments(event.commitment, (event.grant,))
                return "added"
            case e.CommitmentEnded():
                how = "moved" if event.target else "trued up"
                return f"ended, {how} {event.units} for {event.value}"
            case e.InvoiceDue():
                return f"invoiced {event.amount}"
            case e.RecurringStarted():
                return "started"
            case e.RecurringEnded():
                return f"ended {_instant(event.ends_at)}"
            case e.TrueUpCounted():
                return f"{event.amount} for {self._called(event.grant)}, {event.refunded} less due"
            case e.GrantReduced():
                return f"{self._called(event.grant)} reduced by {event.amount}"
            case e.GrantIssued() if event.origin:
                self.grants[f"{self._called(event.origin)}+"] = event.grant
                return ""
            case e.GrantIssued() if not event.key:
                repaid = sum(part.amount for part in event.backfills)
                return f"repaid {repaid}" if repaid else ""
            case e.GrantIssued():
                repaid = sum(part.amount for part in event.backfills)
                return f"issued, repaid {repaid}" if repaid else "issued"
            case e.GrantStarted():
                repaid = sum(part.amount for part in event.backfills)
                return f"{self._called(event.grant)} repaid {repaid}" if repaid else ""
            case e.GrantRolledOver():
                return f"{self._called(event.grant)} rolled over {event.amount}"
            case e.GrantReleased():
                repaid = sum(part.amount for part in event.backfills)
                more = f", repaid {repaid}" if repaid else ""
                return f"{self._called(event.grant)} released {event.amount}{more}"
            case e.GrantRefunded():
                more = f", breakage {event.breakage}" if event.breakage else ""
                return f"{event.amount} units back, refunded {event.refunded}{more}"
            case e.GrantChargedBack():
                parts = [f"{part.amount} of {self._called(part.grant)}" for part in event.parts]
                return f"{event.payment} taken back, void {', '.join(parts)}, owed {event.owed}"
            case e.AccountBilled():
                return ", ".join([self._bill_line(line) for line in event.lines])
            case e.AccountFrozen() if event.cause == e.FreezeCause.CHARGEBACK:
                return "frozen"
            case e.GrantCancelled():
                return f"{self._called(event.grant)} cancelled {event.amount}"
            case e.GrantVoided():
                return f"{self._called(event.grant)} voided {event.amount}"
            case e.GrantExpired():
                return f"{self._called(event.grant)} expired {event.amount}"
            case e.HoldExtended():
                return "extended"
            case e.HoldReleased() | e.HoldExpired():
                return "released" if isinstance(event, e.HoldReleased) else "hold expired"
            case e.LimitExceeded():
                return f"{event.amount} over the limit"
            case e.AccountClosedOut():
                parts = [f"{len(event.holds)} holds released"] if event.holds else []
                parts += [self._write_off(each) for each in event.write_offs]
                return ", ".join(parts) or "done"
            case e.PriceOverridesSet():
                return f"overrides {event.version}"
            case e.TopUpRuleSet():
                return f"rule {event.version}"
            case e.TopUpRequested():
                return f"tops up {event.top_up}: {event.amount} for {event.price_paid}"
            case e.TopUpConfirmed() | e.TopUpDeclined() | e.TopUpExpired():
                return type(event).__name__.removeprefix("TopUp").lower()
            case e.MinimumCharged():
                of = ".".join([each for each in (event.product, event.quantity) if each]) or "all"
                parts = [f"minimum {of} {event.charged} of {event.minimum}"]
                return ", ".join(parts + [self._slice(piece, "drawn") for piece in event.slices])
            case e.BookOpened() | e.PlanDeclared() | e.TimeShifted() | e.MinimumsAwaited():
                return ""
        return "done"

    def _slice(self, piece: e.Slice, verb: str) -> str:
        if piece.pot == e.Pot.GRANT:
            return f"{verb} {piece.amount} from {self._called(self._book(piece.book).owner)}"
        word = _POTS.get(e.Pot(piece.pot))
        if word is not None:
            return f"{word} {piece.amount}"
        word = "overage" if piece.pot == e.Pot.OVERAGE else "billed"
        owner = self._book(piece.book).owner
        payer = next(name for name, number in self.accounts.items() if number == owner)
        return f"{word} {piece.amount} on {payer}"

    def _returned(self, piece: e.GivenBack) -> str:
        book = self._book(piece.book)
        match e.BookKind(book.kind):
            case e.BookKind.GRANT:
                to = self._called(book.owner)
            case e.BookKind.ADVANCE | e.BookKind.OVERAGE:
                to = e.BookKind(book.kind).name.lower()
            case kind:
                to = kind.name.lower()
        money = f" worth {piece.value}" if piece.value else ""
        return f"{piece.amount} to {to}{money}"

    def _recurring_name(self, number: int) -> str:
        return next(name for name, each in self.recurring.items() if each == number)

    def _write_off(self, each: e.WriteOff) -> str:
        if each.grant:
            word = "forfeited" if each.kind == e.WriteOffKind.GRANT else each.kind.name.lower()
            return f"{word} {each.amount} of {self._called(each.grant)}"
        return f"{each.kind.name.lower()} {each.amount} written off"

    def _bill_line(self, line: e.BillLine) -> str:
        of = f" of {self._called(line.grant)}" if line.grant else ""
        return f"{line.amount} {e.BookKind(self._book(line.credit).kind).name.lower()}{of}"

    def _called(self, grant: int) -> str:
        for name, number in self.grants.items():
            if number == grant:
                return name
        return "?"

    def _book(self, number: int) -> Book:
        return self.core.state.books.accounts[number]

    # -- expectations ------------------------------------------------------------------------------

    def _expect(self, text: str) -> None:
        """available NAME N [of=PRODUCT] | owed NAME N | overage NAME N | suspended NAME N |
        pending GRANT N | deferred GRANT N | unbilled NAME N | revenue PRODUCT N | lifetime NAME N |
        receivable NAME N | paid GRANT N | commitment GRANT N | cash SOURCE N |
        cost PROVIDER N | payable PROVIDER N |
        money breakage N | money cash N | money credit_note N | money bad_debt N |
        credits true_up N | credits forfeited N |
        left GRANT N | held GRANT N | recognised GRANT N | used PRODUCT N | holds NAME N |
        spent PRODUCT N: used, less what was given back |
        frozen NAME 0 or 1 | reserved HOLD N | unearned PRODUCT N
        """
        what, name, number, *rest = text.split()
        product = rest[0].removeprefix("of=") if rest else "chat"
        found = getattr(self, f"_seen_{what}")(name, product)
        assert found == int(number), f"\n  expect {text}\n  found {found}"

    def _seen_available(self, name: str, product: str) -> int:
        return available_to(self.account(name), CREDITS, Use(product), self.core.now)

    def _seen_owed(self, name: str, product: str) -> int:
        return sum(book.owed for book in self.account(name).advance.values())

    def _seen_overage(self, name: str, product: str) -> int:
        return sum(book.owed for book in self.account(name).overage.values())

    def _seen_suspended(self, name: str, product: str) -> int:
        return self.account(name).suspended

    def _seen_holds(self, name: str, product: str) -> int:
        return len(self.account(name).holds)

    def _seen_frozen(self, name: str, product: str) -> int:
        return int(self.account(name).frozen)

    def _seen_reserved(self, name: str, product: str) -> int:
        return self.core.state.holds[self.holds[name][1]].left

    def _seen_left(self, name: str, product: str) -> int:
        return self.grant(name).book.credits_posted - self.grant(name).book.debits_posted

    def _seen_held(self, name: str, product: str) -> int:
        return self.grant(name).book.debits_pending

    def _seen_recognised(self, name: str, product: str) -> int:
        return self.grant(name).recognised

    def _seen_pending(self, name: str, product: str) -> int:
        return self.grant(name).pending

    def _seen_deferred(self, name: str, product: str) -> int:
        book = self.grant(name).book.value_book
        assert book is not None, f"grant {name} has no money side"
        return book.credits_posted - book.debits_posted

    def _seen_unbilled(self, name: str, product: str) -> int:
        return self.account(name).unbilled[USD].owed

    def _seen_receivable(self, name: str, product: str) -> int:
        book = self.account(name).receivable.get(USD)
        return book.owed if book is not None else 0

    def _seen_paid(self, name: str, product: str) -> int:
        return self.grant(name).paid

    def _seen_commitment(self, name: str, product: str) -> int:
        return self.grant(name).funding.owed

    def _seen_cash(self, name: str, product: str) -> int:
        return self._money(e.BookKind.CASH, name)

    def _seen_cost(self, name: str, product: str) -> int:
        return self._money(e.BookKind.COST, name)

    def _seen_payable(self, name: str, product: str) -> int:
        return -self._money(e.BookKind.PAYABLE, name)

    def _seen_credits(self, name: str, product: str) -> int:
        """What is in one of the house's books of credits."""
        book = self.core.state.house_book(TENANT, e.BookKind[name.upper()], CREDITS, "")
        return book.credits_posted if book is not None else 0

    def _seen_revenue(self, name: str, product: str) -> int:
        return self._money(e.BookKind.REVENUE, name)

    def _seen_unearned(self, name: str, product: str) -> int:
        return -self._money(e.BookKind.UNEARNED, name)

    def _seen_money(self, name: str, product: str) -> int:
        """breakage, cash of the source `manual`: what came in less what went out."""
        kind = e.BookKind[name.upper()]
        return self._money(kind, "manual" if kind == e.BookKind.CASH else "")

    def _money(self, kind: e.BookKind, name: str) -> int:
        book = self.core.state.house_book(TENANT, kind, USD, name)
        if book is None:
            return 0
        return -book.owed if kind in (e.BookKind.REVENUE, e.BookKind.BREAKAGE) else book.owed

    def _seen_lifetime(self, name: str, product: str) -> int:
        return self.account(name).lifetime.get(USD, 0)

    def _seen_used(self, name: str, product: str) -> int:
        found = self.core.state.house_book(TENANT, e.BookKind.USED, CREDITS, name)
        return found.credits_posted if found is not None else 0

    def _seen_spent(self, name: str, product: str) -> int:
        found = self.core.state.house_book(TENANT, e.BookKind.USED, CREDITS, name)
        return found.credits_posted - found.debits_posted if found is not None else 0

    def account(self, name: str) -> Account:
        return self.core.state.accounts[self.accounts[name]]

    def grant(self, name: str) -> Grant:
        return self.core.state.grants[self.grants[name]]

    def recurrence(self, name: str) -> RecurringGrant:
        return self.core.state.recurring[self.recurring[name]]

    # -- small things ------------------------------------------------------------------------------

    def _request(self, options: dict[str, str]) -> bytes:
        return FAMILY.request(options.get("id") or self._next_id())

    def _next_id(self) -> str:
        self._ids += 1
        return f"#{self._ids}"

    def _time(self, text: str | None) -> int:
        if text is None:
            return 0
        if text[0] in "+-" or text[-1].isalpha():
            return self.core.now + duration_us(text)
        return (datetime.fromisoformat(text) - datetime(1970, 1, 1)) // timedelta(microseconds=1)


def _operation(options: dict[str, str]) -> bytes:
    """`in=OPERATION` or, with the one that caused it, `in=OPERATION@PARENT`."""
    operation, _, parent = options.get("in", "").partition("@")
    return FAMILY.operation(operation, parent)


def _instant(at_us: int) -> str:
    """An instant as tests write it: a date where it is a midnight in UTC."""
    at = datetime(1970, 1, 1) + timedelta(microseconds=at_us)
    return at.isoformat().removesuffix(":00").removesuffix("T00:00")


def _kind(flags: tuple[str, ...]) -> e.GrantKind:
    for flag, kind in (
        ("free", e.GrantKind.PROMOTIONAL),
        ("postpaid", e.GrantKind.POSTPAID),
        ("allowance", e.GrantKind.ALLOWANCE),
    ):
        if flag in flags:
            return kind
    return e.GrantKind.PREPAID


def _rollover(options: dict[str, str], again: bool) -> e.Rollover | None:
    if "rolls" not in options:
        return None
    numerator, denominator = options["rolls"].split("/")
    lifetime = duration_us(options["lasts"]) if "lasts" in options else 0
    most = int(options.get("most", -1))
    return e.Rollover(int(numerator), int(denominator), most, lifetime, again)


def _pairs(text: str) -> tuple[tuple[str, str], ...]:
    pairs = [pair.split(":") for pair in text.split(",") if pair]
    return tuple(sorted((name, value) for name, value in pairs))


def _policy(options: dict[str, str]) -> e.AccountPolicy:
    return e.AccountPolicy(
        rate_card=options.get("card", ""),
        overdraft_asset=_ASSETS[options.get("in", "credits")] if "overdraft" in options else 0,
        overdraft_limit=int(options.get("overdraft", 0)),
        overage=e.Overage[options.get("overage", "off").upper()],
        overage_cap=int(options.get("cap", -1)),
        excess=e.Excess[options.get("excess", "owe").upper()],
        holds_open_max=int(options.get("holds", 10_000)),
        comparator=e.Comparator[options.get("order", "inherited").upper()],
        promotional_backfills=options.get("backfills") == "promotional",
        freeze_on_chargeback=options.get("freeze") == "chargeback",
        period_grace=duration_us(options.get("grace", "1d")),
        zone=options.get("zone", ""),
        holds_overdraft=options.get("holds_overdraft") != "no",
        holds_overage=options.get("holds_overage") != "no",
        overdraft_kind=e.OverdraftKind.PERCENT_OF_LIFETIME
        if "percent" in options
        else e.OverdraftKind.FIXED,
        overdraft_basis_points=int(options.get("percent", 0)) * 100,
        overdraft_grace=duration_us(options["bears"]) if "bears" in options else -1,
        settlement_asset=_ASSETS[options["settles"]] if "settles" in options else 0,
        labels=tuple(options["labels"].split(",")) if "labels" in options else (),
    )


def _note(options: dict[str, str]) -> bytes:
    return FAMILY.pairs((("reason", options["for"]),)) if "for" in options else b""


def _sizing(
    options: dict[str, str], names: tuple[str, ...], quantities: tuple[int, ...]
) -> c.Sizing | None:
    """`asked`: the quantities of the caller, where those of the command were learned by the rule
    of configuration 7; `demanded`: the call asked for it, whether or not anything was."""
    if "asked" not in options:
        return c.Sizing(quantities, (), 0, True) if "demanded" in options else None
    asked = tuple([int(each) for each in options["asked"].split("/")])
    sizes = [
        e.Sized(name, e.SizedBy.PRODUCT, 950, 100, quantity)
        for name, quantity in zip(names, quantities, strict=True)
    ]
    return c.Sizing(asked, tuple(sizes), 7, "demanded" in options)


def _quantities(options: dict[str, str], tokens: str) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Names and quantities: those of the options, else so many tokens."""
    named = tuple(word for word in ("cached", "input", "output", "tokens") if word in options)
    if not named:
        return ("tokens",), (int(tokens),)
    return named, tuple(int(options[word]) for word in named)


def ledger_case(test: Callable[[LedgerCase], None]) -> Callable[[], None]:
    """Run the test's docstring as a ledger, then its body, then check what must always hold."""
    return told_to(LedgerCase, test)


def told_to(
    make: Callable[[], LedgerCase], test: Callable[[LedgerCase], None]
) -> Callable[[], None]:
    """The same for another kind of ledger."""

    @functools.wraps(test)
    def run() -> None:
        case = make()
        case.run(test.__doc__ or "")
        test(case)
        case.finish()

    run.__signature__ = inspect.Signature()  # type: ignore[attr-defined]
    return run
