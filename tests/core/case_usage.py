"""Statements about usage, holds, quotes and outcomes, and what corrects them."""

from __future__ import annotations

from case_options import ASSETS, operation_of, pairs_of, quantities_of, sizing_of
from case_told import Told
from core_world import FAMILY, TENANT, duration_us, publish

from ledger.core import commands as c
from ledger.core import events as e
from ledger.core.metering.linked import refuse_linked
from ledger.core.metering.suspense import rated_by
from ledger.core.outcomes import Refusal
from ledger.core.pricing.repricing import Job
from ledger.core.pricing.touched import Touched, consider
from rating.conversions import Rate


class UsageCase(Told):
    """What costs."""

    def _usage(self, options: dict[str, str], name: str, tokens: str = "") -> str:
        names, quantities = quantities_of(options, tokens)
        attributes = pairs_of(options.get("with", ""))
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
                operation=operation_of(options),
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
        self.core.state.catalog.add_rate(ASSETS[source], ASSETS[target], rate)
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

    def _hold(self, options: dict[str, str], name: str, tokens: str = "") -> str:
        names, quantities = quantities_of(options, tokens)
        command = c.AuthorizeHold(
            self._request(options),
            self.accounts[name],
            self.core.shape(
                options.get("of", "chat"), *names, attributes=pairs_of(options.get("with", ""))
            ),
            quantities,
            duration_us(options["lifetime"]) if "lifetime" in options else 0,
            quote=self._quoted(options),
            up_to=options.get("upto", names[0]) if "least" in options else "",
            minimum=int(options.get("least", 0)),
            sizing=sizing_of(options, names, quantities),
            operation=operation_of(options),
            hold=self.holds[options["from"]][1] if "from" in options else 0,
        )
        outcome, told = self.execute(command)
        if isinstance(outcome, e.HoldAuthorized):
            self.holds[options["as"]] = (name, outcome.hold)
        return told

    def _debit(self, options: dict[str, str], name: str, tokens: str = "") -> str:
        """`least`: of the first quantity as much as is affordable, if that is so much."""
        names, quantities = quantities_of(options, tokens)
        request_id = options.get("id") or self._next_id()
        key = FAMILY.request(request_id)
        command = c.DebitWork(
            key,
            self.accounts.get(name, 404),
            self.core.shape(
                options.get("of", "chat"), *names, attributes=pairs_of(options.get("with", ""))
            ),
            quantities,
            operation=operation_of(options),
            up_to=options.get("upto", names[0]) if "least" in options else "",
            minimum=int(options.get("least", 0)),
            hold=self.holds[options["from"]][1] if "from" in options else 0,
        )
        told = self.execute(command)[1]
        self._keep(request_id, key)
        return told

    def _quote(self, options: dict[str, str], name: str, tokens: str = "") -> str:
        names, quantities = quantities_of(options, tokens)
        command = c.CreateQuote(
            self._request(options),
            self.accounts.get(name, 404),
            self.core.shape(
                options.get("of", "chat"), *names, attributes=pairs_of(options.get("with", ""))
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
        names, quantities = quantities_of(options, tokens)
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
        names, quantities = quantities_of(options, next((w for w in words if w != "open"), ""))
        return self.execute(
            c.CaptureHold(
                self._request(options),
                self.accounts[name],
                number,
                names,
                quantities,
                self._time(options.get("at")),
                keep_open="open" in words,
                operation=operation_of(options),
                product=options.get("of", ""),
                attributes=pairs_of(options.get("with", "")),
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

    def _abandon(self, options: dict[str, str], name: str) -> str:
        return self.execute(c.AbandonRequest(self._request(options), self.accounts[name]))[1]
