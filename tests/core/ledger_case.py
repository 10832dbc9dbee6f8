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

from case_options import ASSETS, kind_of, note_of, pairs_of, policy_of, rollover_of
from case_schedules import ScheduleCase
from case_seen import Seen
from case_usage import UsageCase
from core_world import CREDITS, FAMILY, TENANT, USD, duration_us, replay

from ledger.core import commands as c
from ledger.core import events as e
from ledger.core.digest import digest
from rating.models import Graduated, Tier, Volume
from rating.overrides import Change, Multiplier, Override, Overwrite, Tiers


class LedgerCase(UsageCase, ScheduleCase, Seen):
    """Runs statements against a core and remembers what they called things."""

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
            c.CreateAccount(
                self._request(options), TENANT, number, parent, root, policy_of(options)
            )
        )[1]

    def _policy(self, options: dict[str, str], name: str) -> str:
        command = c.UpdatePolicy(
            self._request(options),
            self.accounts[name],
            policy_of(options),
            int(options.get("version", 0)),
        )
        return self.execute(command)[1]

    def _grant(self, options: dict[str, str], name: str, amount: str, *flags: str) -> str:
        asset = ASSETS[options.get("asset", "credits")]
        paid = 0 if "free" in flags else int(options.get("paid", 0))
        command = c.IssueGrant(
            self._request(options),
            self.accounts[name],
            kind_of(flags),
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
            attributes=pairs_of(options.get("where", "")),
            shared="shared" in flags,
            pending="gated" in flags,
            rollover=rollover_of(options, "again" in flags),
            source=options.get("source", ""),
        )
        outcome, told = self.execute(command)
        if isinstance(outcome, e.GrantIssued):
            called = options.get("as", name)
            assert called not in self.grants, f"two grants are called {called}: name one with as="
            self.grants[called] = outcome.grant
        return told

    def _adjust(self, options: dict[str, str], name: str, amount: str) -> str:
        command = c.AdjustBalance(
            self._request(options),
            self.accounts.get(name, 404),
            ASSETS[options.get("asset", "credits")],
            int(amount),
            self.grants[options["grant"]] if "grant" in options else 0,
            self._time(options.get("expires")),
            FAMILY.pairs((("reason", options.get("why", "")),)),
        )
        outcome, told = self.execute(command)
        if isinstance(outcome, e.BalanceAdjusted) and not outcome.grant_given and outcome.grant:
            self.grants[options.get("as", name)] = outcome.grant
        return told

    def _void(self, options: dict[str, str], grant: str, *flags: str) -> str:
        number = self.grants[grant]
        owner = self.core.state.grants[number].account.number
        request, forfeit = self._request(options), "forfeit" in flags
        return self.execute(c.VoidGrant(request, owner, number, forfeit=forfeit))[1]

    def _confirm(self, options: dict[str, str], grant: str, amount: str = "0") -> str:
        asset = ASSETS[options["asset"]] if "asset" in options else 0
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
        asset = ASSETS[options["asset"]] if "asset" in options else 0
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
        number, asset = self.accounts.get(name, 404), ASSETS[options.get("asset", "usd")]
        made = command(self._request(options), number, asset, int(amount), *given)
        return self.execute(made)[1]

    def _close(self, options: dict[str, str], name: str, *flags: str) -> str:
        command = c.CloseAccount(
            self._request(options),
            self.accounts[name],
            write_off="write-off" in flags,
            release_holds="release" in flags,
            note=note_of(options),
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
        number, note = self.accounts.get(name, 404), note_of(options)
        return self.execute(command(self._request(options), number, note))[1]

    def _move(self, options: dict[str, str], name: str, parent: str) -> str:
        command = c.MoveAccount(
            self._request(options),
            self.accounts.get(name, 404),
            self.accounts.get(parent, 404),
            int(options.get("version", 0)),
            note_of(options),
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

    def _rule(self, options: dict[str, str], name: str, *flags: str) -> str:
        numerator, _, denominator = options.get("price", "1/1").partition("/")
        most, _, window = options.get("cap", "5/1d").partition("/")
        rule = e.TopUpRule(
            ASSETS[options.get("asset", "credits")],
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
