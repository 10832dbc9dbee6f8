"""Ledgers as in `ledger_case`, of accounts with a policy for their decisions:

rules    NAME RULE ... [version=N]    without a rule: they are removed
RULE     ACTION[,CONDITION ...], words without blanks:
         deny | overdraw=N[/DURATION] | downgrade[=WORK|WORK ...] | defer=WORK[/DURATION] | topup
         of=PRODUCT+PRODUCT  with=NAME:VALUE  when=LIMIT+LIMIT  worth=N  below=N  margin=PERMILLE
WORK     PRODUCT | PRODUCT~NAME:VALUE~... | PRODUCT*PERMILLE (of its tokens)
ask      NAME TOKENS as=HOLD [or=WORK|WORK ...] [of=PRODUCT] [with=NAME:VALUE] [lifetime=DURATION]
         [least=N] [asked=N]
buy      NAME TOKENS [id=ID] [or=WORK|WORK ...] [of=PRODUCT] [with=NAME:VALUE] [least=N]

What is decided is told with how it came about: `rule 2 downgrade to half: held 5 from acme`.
"""

from __future__ import annotations

from collections.abc import Callable

from case_options import pairs_of, sizing_of
from core_world import CREDITS, FAMILY, USD, duration_us
from ledger_case import LedgerCase, told_to

from ledger.core import commands as c
from ledger.core import events as e

_ACTIONS = {
    "deny": e.PolicyAction.DENY,
    "overdraw": e.PolicyAction.OVERDRAW,
    "downgrade": e.PolicyAction.DOWNGRADE,
    "defer": e.PolicyAction.DEFER,
    "topup": e.PolicyAction.TOP_UP,
}


def alternatives(text: str) -> tuple[e.Alternative, ...]:
    """`half|gpt~mode:batch|image*500`."""
    found = []
    for each in filter(None, text.split("|")):
        work, _, permille = each.partition("*")
        product, *attributes = work.split("~")
        quantities = (e.QuantityMap("tokens", "tokens", int(permille)),) if permille else ()
        pairs = sorted([(name, value) for name, value in (a.split(":") for a in attributes)])
        found.append(e.Alternative(product, tuple(pairs), quantities))
    return tuple(found)


def rule(text: str) -> e.PolicyRule:
    """`overdraw=50/1h,of=chat,when=GRANTS`."""
    said = dict([(each.partition("=")[::2]) for each in text.split(",")])
    name, value = next(iter(said.items()))
    action = _ACTIONS[name]
    bound, _, lasting = value.partition("/") if name == "overdraw" else ("0", "", "")
    work, _, lifetime = value.partition("/") if name in ("downgrade", "defer") else ("", "", "")
    return e.PolicyRule(
        action,
        tuple(sorted(said["of"].split("+"))) if "of" in said else (),
        pairs_of(said.get("with", "")),
        tuple([int(e.LimitKind[each]) for each in said.get("when", "").split("+") if each]),
        USD if "worth" in said else 0,
        int(said.get("worth", 0)),
        int(said.get("below", -1)),
        int(said.get("margin", -1)),
        CREDITS if name == "overdraw" else 0,
        int(bound),
        duration_us(lasting) if lasting else 0,
        alternatives(work),
        duration_us(lifetime) if lifetime else 0,
    )


class PolicyCase(LedgerCase):
    """Knows rules, and tells what came of them."""

    def _line(self, line: str) -> None:
        verb, _, rest = line.strip().partition(" ")
        if verb == "rules":  # its words have `=` in them
            statement, _, expected = (part.strip() for part in rest.partition("->"))
            name, *words = statement.split()
            version = 0
            if words and words[-1].startswith("version="):
                version = int(words.pop().partition("=")[2])
            found = self.set_rules(name, tuple([rule(word) for word in words]), version)
            assert found == expected if expected else not found.startswith("refused"), found
            return
        super()._line(line)

    def set_rules(self, name: str, rules: tuple[e.PolicyRule, ...], version: int = 0) -> str:
        command = c.SetDecisionPolicy(self._request({}), self.accounts[name], rules, version)
        return self.execute(command)[1]

    def _ask(self, options: dict[str, str], name: str, tokens: str) -> str:
        command = c.AuthorizeHold(
            self._request(options),
            self.accounts[name],
            self.core.shape(
                options.get("of", "chat"), "tokens", attributes=pairs_of(options.get("with", ""))
            ),
            (int(tokens),),
            duration_us(options["lifetime"]) if "lifetime" in options else 0,
            up_to="tokens" if "least" in options else "",
            minimum=int(options.get("least", 0)),
            alternatives=alternatives(options.get("or", "")),
            sizing=sizing_of(options, ("tokens",), (int(tokens),)),
        )
        outcome, told = self.execute(command)
        if isinstance(outcome, e.HoldAuthorized):
            self.holds[options["as"]] = (name, outcome.hold)
        return told

    def _buy(self, options: dict[str, str], name: str, tokens: str) -> str:
        request_id = options.get("id") or self._next_id()
        key = FAMILY.request(request_id)
        command = c.DebitWork(
            key,
            self.accounts[name],
            self.core.shape(
                options.get("of", "chat"), "tokens", attributes=pairs_of(options.get("with", ""))
            ),
            (int(tokens),),
            up_to="tokens" if "least" in options else "",
            minimum=int(options.get("least", 0)),
            alternatives=alternatives(options.get("or", "")),
        )
        told = self.execute(command)[1]
        self._keep(request_id, key)
        return told

    def tell(self, event: e.Event) -> str:
        ruling = getattr(event, "ruling", None)
        told = super().tell(event)
        if isinstance(event, e.DecisionPolicySet):
            return f"policy {event.version}"
        if not isinstance(ruling, e.Ruling):
            return told
        if ruling.action == e.PolicyAction.NONE:
            return told
        words = f"rule {ruling.rule} {ruling.action.name.lower()}"
        if ruling.asked is not None:
            chosen = next(each for each in ruling.tried if not each.result)
            words += f" to {chosen.product}"
        if ruling.missing:
            words += f" {ruling.missing}"
        return f"{words}: {told}"


def policy_case(test: Callable[[PolicyCase], None]) -> Callable[[], None]:
    """As `ledger_case`, in the language of this module too."""
    return told_to(PolicyCase, test)
