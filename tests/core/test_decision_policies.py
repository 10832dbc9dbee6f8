"""What happens on shortage is said by rules: as data, by version, of the nearest account that has
any (rules D4, H4, H6)."""

from __future__ import annotations

import pytest
from core_world import CREDITS, FAMILY, replay
from policy_case import PolicyCase, policy_case
from test_verify_rules import judged

from ledger.core import commands as c
from ledger.core import events as e
from ledger.core.digest import digest
from ledger.core.outcomes import Reason, Refusal
from ledger.core.packing import drop_family, pack_family, unpack_family


def rulings(case: PolicyCase) -> list[e.Ruling]:
    """Those of every decision, in order."""
    return [
        event.ruling
        for _, events in case.core.batches
        for event in events
        if isinstance(event, e.PolicyHeld | e.PolicyDebited | e.PolicyDenied)
        and event.ruling is not None
    ]


def trail(ruling: e.Ruling) -> list[tuple[int, str, int, str, int, str]]:
    """What was looked at: rule, action, alternative, product, charge, result."""
    return [
        (t.rule, t.action.name, t.alternative, t.product, t.charge, t.result) for t in ruling.tried
    ]


@policy_case
def test_the_first_rule_that_applies_and_succeeds_decides(case: PolicyCase) -> None:
    """
    account acme
    grant   acme 20
    rules   acme deny,of=image overdraw=5 downgrade=half topup  -> policy 1
    ask     acme 20 as=a            -> held 20 from acme            # within the limits: as ever
    release a
    ask     acme 24 as=b            -> rule 2 overdraw: held 20 from acme, overdraft 4
    release b
    ask     acme 30 of=image as=c   -> rule 1 deny: denied INSUFFICIENT_CREDITS
    ask     acme 30 as=c            -> rule 3 downgrade to half: held 15 from acme
    release c
    ask     acme 60 as=d            -> rule 4 top_up 40: denied INSUFFICIENT_CREDITS
    buy     acme 24 id=e            -> rule 2 overdraw: drawn 20 from acme, overdraft 4
    buy     acme 4 id=f             -> rule 4 top_up 8: denied INSUFFICIENT_CREDITS   # 4 owed
    buy     acme 2 id=g             -> rule 4 top_up 6: denied INSUFFICIENT_CREDITS
    buy     acme 1 id=h             -> rule 2 overdraw: overdraft 1
    """
    assert judged(case.core) == []


def test_a_downgrade_is_held_within_the_limits_of_its_own() -> None:
    """An alternative is no way around a limit: what another rule would overdraw, it does not."""
    case = PolicyCase()
    case.run(
        """
        account acme
        grant   acme 20
        rules   acme downgrade=half overdraw=5
        buy     acme 20
        buy     acme 2   -> rule 2 overdraw: overdraft 2
        buy     acme 4   -> denied INSUFFICIENT_CREDITS
        """
    )
    assert trail(rulings(case)[1]) == [
        (1, "DOWNGRADE", 1, "half", 2, "INSUFFICIENT_CREDITS"),
        (2, "OVERDRAW", 0, "", 4, "BOUND_EXCEEDED"),
    ]
    assert judged(case.core) == []


@policy_case
def test_the_bound_of_a_rule_is_the_limit_of_what_it_cuts(case: PolicyCase) -> None:
    """
    account acme
    grant   acme 20
    rules   acme overdraw=5
    buy     acme 50 least=22   -> rule 1 overdraw: drawn 20 from acme, overdraft 5
    """
    [cut] = [
        event.limit
        for _, events in case.core.batches
        for event in events
        if isinstance(event, e.PolicyDebited)
    ]
    assert cut == e.Limit(e.LimitKind.OVERDRAFT, case.accounts["acme"], left=5)
    assert judged(case.core) == []


@policy_case
def test_a_policy_is_set_whole_in_versions(case: PolicyCase) -> None:
    """
    account acme
    grant   acme 5
    rules   acme deny version=1               -> refused VERSION_MISMATCH expected_version
    rules   acme overdraw=5                   -> policy 1
    buy     acme 6                            -> rule 1 overdraw: drawn 5 from acme, overdraft 1
    rules   acme topup version=2              -> refused VERSION_MISMATCH expected_version
    rules   acme topup version=1              -> policy 2
    buy     acme 1                            -> rule 1 top_up 2: denied INSUFFICIENT_CREDITS
    rules   acme                              -> policy 3
    buy     acme 1                            -> denied INSUFFICIENT_CREDITS
    rules   acme deny                         -> policy 4
    """
    assert [each.version for each in rulings(case)] == [1, 2]
    assert judged(case.core) == []


@policy_case
def test_the_nearest_policy_counts_and_a_move_brings_another(case: PolicyCase) -> None:
    """
    account org
    account team parent=org
    account user parent=team
    account lab  parent=org
    rules   org topup
    buy     user 3   -> rule 1 top_up 3: denied INSUFFICIENT_CREDITS
    rules   team overdraw=9
    buy     user 3   -> rule 1 overdraw: overdraft 3
    rules   user downgrade=free
    buy     user 3   -> rule 1 downgrade to free: free
    rules   user
    buy     user 3   -> rule 1 overdraw: overdraft 3
    rules   lab deny
    move    user lab
    buy     user 3   -> rule 1 deny: denied INSUFFICIENT_CREDITS
    rules   lab
    buy     user 3   -> rule 1 top_up 9: denied INSUFFICIENT_CREDITS
    """
    whose = [each.account for each in rulings(case)]
    names = {number: name for name, number in case.accounts.items()}
    assert [names[each] for each in whose] == ["org", "team", "user", "team", "lab", "org"]
    assert judged(case.core) == []


@policy_case
def test_below_zero_for_a_while_and_up_to_the_bound_holds_counted(case: PolicyCase) -> None:
    """
    account acme
    grant   acme 10
    rules   acme overdraw=6/2h
    ask     acme 12 as=a   -> rule 1 overdraw: held 10 from acme, overdraft 2
    ask     acme 4 as=b    -> rule 1 overdraw: overdraft 4
    ask     acme 1 as=c    -> denied INSUFFICIENT_CREDITS
    release b
    capture a 12
    clock   +1h
    ask     acme 4 as=d    -> rule 1 overdraw: overdraft 4
    release d
    clock   +1h
    ask     acme 1 as=e    -> denied INSUFFICIENT_CREDITS
    grant   acme 7 as=more -> issued, repaid 2
    ask     acme 9 as=f    -> rule 1 overdraw: held 5 from more, overdraft 4
    """
    assert trail(rulings(case)[-2]) == [(1, "OVERDRAW", 0, "", 1, "OWED_TOO_LONG")]
    assert judged(case.core) == []


@policy_case
def test_rules_go_beyond_an_overdraft_that_holds_may_not_draw(case: PolicyCase) -> None:
    """
    account acme overdraft=3 holds_overdraft=no
    rules   acme overdraw=5
    ask     acme 5 as=a    -> rule 1 overdraw: overdraft 5
    ask     acme 1 as=b    -> denied INSUFFICIENT_CREDITS
    account wide overdraft=9
    rules   wide overdraw=5
    ask     wide 9 as=c    -> overdraft 9
    ask     wide 1 as=d    -> denied INSUFFICIENT_CREDITS
    """
    assert judged(case.core) == []


def test_conditions_are_looked_at_one_by_one() -> None:
    case = PolicyCase()
    case.run(
        """
        account acme
        grant   acme 5 paid=39
        rules   acme deny,of=image deny,with=t:free deny,when=OVERDRAFT topup,worth=40 deny,below=5
        buy     acme 6   -> denied INSUFFICIENT_CREDITS
        grant   acme 1 paid=1 as=more
        buy     acme 7   -> rule 4 top_up 1: denied INSUFFICIENT_CREDITS
        buy     acme 2
        buy     acme 5   -> rule 4 top_up 1: denied INSUFFICIENT_CREDITS
        policy  acme overdraft=1
        buy     acme 6   -> rule 3 deny: denied INSUFFICIENT_CREDITS
        """
    )
    assert [each[-1] for each in trail(rulings(case)[0])] == [
        "OTHER_PRODUCT",
        "OTHER_ATTRIBUTES",
        "OTHER_LIMIT",
        "LIFETIME_VALUE_BELOW",
        "AVAILABLE_NOT_BELOW",
    ]
    assert judged(case.core) == []


@policy_case
def test_the_cheapest_alternative_that_is_affordable_runs(case: PolicyCase) -> None:
    """
    account acme
    grant   acme 20
    rules   acme downgrade=image|half|image*250|nothing
    ask     acme 30 as=a         -> rule 1 downgrade to image: held 8 from acme    # 30/4, up
    capture a 6
    ask     acme 24 as=b         -> rule 1 downgrade to image: held 6 from acme
    release b
    ask     acme 30 or=free as=c -> rule 1 downgrade to free: free
    rules   acme
    ask     acme 30 or=half|image*500 as=d -> denied INSUFFICIENT_CREDITS
    ask     acme 28 or=half|image*500 as=e -> rule 0 downgrade to half: held 14 from acme
    """
    assert trail(rulings(case)[0]) == [
        (1, "DOWNGRADE", 1, "image", 30, "INSUFFICIENT_CREDITS"),
        (1, "DOWNGRADE", 2, "half", 15, "NOT_CHEAPEST"),
        (1, "DOWNGRADE", 3, "image", 8, ""),
        (1, "DOWNGRADE", 4, "nothing", 0, "UNPRICED"),
    ]
    assert judged(case.core) == []


@policy_case
def test_work_that_may_wait_is_held_as_long_as_its_product_lets_it(case: PolicyCase) -> None:
    """
    account  acme
    override acme batch/tokens:x1/2
    grant    acme 20
    rules    acme defer=batch~mode:later,of=chat
    ask      acme 30 as=a         -> rule 1 defer to batch: held 15 from acme
    clock    +34d
    capture  a 30                 -> drawn 15 from acme
    rules    acme defer=batch/2h
    ask      acme 10 as=b         -> rule 1 defer to batch: held 5 from acme
    clock    +3h
    sweep
    expect   held acme 0
    """
    [held] = [r for r in rulings(case) if r.asked is not None and r.charge == 30]
    assert held.asked is not None and held.asked.attributes == ()
    assert judged(case.core) == []


@policy_case
def test_what_is_missing_is_never_more_than_an_amount_may_be(case: PolicyCase) -> None:
    """
    account acme
    grant   acme 1
    rules   acme overdraw=9
    buy     acme 5
    rules   acme topup
    buy     acme 9223372036854775807
            -> rule 1 top_up 9223372036854775807: denied INSUFFICIENT_CREDITS   # and 4 are owed
    """
    assert judged(case.core) == []


@policy_case
def test_a_top_up_that_is_missing_is_asked_for(case: PolicyCase) -> None:
    """
    account acme
    grant   acme 10
    rules   acme topup
    rule    acme below=1 amount=4 price=2/1
    buy     acme 15 id=a   -> rule 1 top_up 5: denied INSUFFICIENT_CREDITS; tops up 1: 8 for 16
    buy     acme 15 id=a   -> replayed: rule 1 top_up 5: denied INSUFFICIENT_CREDITS
    buy     acme 16 id=b   -> rule 1 top_up 6: denied INSUFFICIENT_CREDITS
    buy     acme 30 id=c   -> rule 1 top_up 20: denied INSUFFICIENT_CREDITS; tops up 2: 12 for 24
    collect 1
    buy     acme 15 id=d   -> drawn 10 from acme, drawn 5 from top-up-1
    """
    assert [each.top_up for each in rulings(case)] == [1, 1, 2]
    assert judged(case.core) == []


@policy_case
def test_margins_are_kept(case: PolicyCase) -> None:
    """
    rate    credits usd 5/1
    account acme card=resold
    grant   acme 100
    rules   acme downgrade=half,margin=401                  # chat: price 5, cost 3, margin 2
    ask     acme 6 as=a         -> rule 1 downgrade to half: held 3 from acme
    rules   acme downgrade=half,margin=400
    ask     acme 6 as=b         -> held 6 from acme
    rules   acme downgrade=half,margin=900 deny,margin=450  # half: price 15, cost 2
    ask     acme 6 as=c         -> rule 2 deny: denied MARGIN_BELOW_FLOOR
    rules   acme downgrade=half,margin=900
    ask     acme 6 as=d         -> denied MARGIN_BELOW_FLOOR
    rules   acme deny,margin=999
    ask     acme 6 of=image as=e -> held 6 from acme        # the supplier has no price for it
    rules   acme deny,margin=1000,of=half downgrade=half,margin=401
    ask     acme 6 as=f         -> denied MARGIN_BELOW_FLOOR
    """
    assert judged(case.core) == []


@policy_case
def test_a_range_is_tried_first_then_the_rules(case: PolicyCase) -> None:
    """
    account acme
    grant   acme 20
    rules   acme overdraw=5 downgrade=half
    ask     acme 50 least=3 as=a  -> held 20 from acme
    ask     acme 50 least=6 as=b  -> denied INSUFFICIENT_CREDITS
    ask     acme 50 least=3 as=c  -> rule 1 overdraw: overdraft 5
    release a
    ask     acme 30 least=25 as=d -> rule 2 downgrade to half: held 15 from acme
    """
    assert judged(case.core) == []


@policy_case
def test_a_retry_is_told_the_same_and_another_body_names_the_field(case: PolicyCase) -> None:
    """
    account acme
    grant   acme 20
    ask     acme 30 or=half id=x as=a   -> rule 0 downgrade to half: held 15 from acme
    ask     acme 30 or=half id=x as=a   -> replayed: rule 0 downgrade to half: held 15 from acme
    ask     acme 30 or=free id=x as=a   -> refused CONFLICT alternatives
    ask     acme 30 id=x as=a           -> refused CONFLICT alternatives
    ask     acme 31 or=half id=x as=a   -> refused CONFLICT quantities
    ask     acme 30 of=half id=x as=a   -> refused CONFLICT product
    ask     acme 30 or=half with=a:b id=x as=a     -> refused CONFLICT attributes
    ask     acme 30 or=half lifetime=1h id=x as=a  -> refused CONFLICT lifetime_us
    ask     acme 30 or=half least=2 id=x as=a      -> refused CONFLICT up_to.quantity
    buy     acme 30 or=half id=x                   -> refused CONFLICT request
    ask     acme 5 or=half id=y as=b    -> held 5 from acme
    ask     acme 5 id=y as=b            -> refused CONFLICT alternatives
    buy     acme 50 or=half id=z        -> denied INSUFFICIENT_CREDITS
    buy     acme 50 or=half|free id=z   -> refused CONFLICT alternatives
    ask     acme 50 or=half id=z as=c   -> refused CONFLICT request
    rules   acme deny
    """
    known = c.SetDecisionPolicy(FAMILY.request("set"), case.accounts["acme"], ())
    case.execute(known)
    other = c.SetDecisionPolicy(known.key, known.account, (e.PolicyRule(e.PolicyAction.DENY),))
    assert case.execute(known)[1].startswith("replayed")
    assert case.execute(other)[1] == "refused CONFLICT rules"
    assert judged(case.core) == []


def test_a_family_comes_back_with_its_policies() -> None:
    case = PolicyCase()
    case.run(
        """
        account org
        account team parent=org
        grant   team 4
        rules   org overdraw=7/3h,worth=0 downgrade=half|image~a:b*300,margin=3
        rules   team topup
        rules   team
        ask     team 6 as=a
        """
    )
    state = case.core.state
    [root] = state.families
    before, body = digest(state), pack_family(state, root, state.settled_before)
    drop_family(state, root)
    unpack_family(state, body)
    assert digest(state) == before
    assert pack_family(state, root, state.settled_before) == body
    case.run("ask team 5 as=b -> rule 1 overdraw: overdraft 5")
    assert digest(replay(case.core.journal())) == digest(case.core.state)


@pytest.mark.parametrize(
    ("rule", "field", "reason"),
    [
        (e.PolicyRule(e.PolicyAction.NONE), "action", Reason.POLICY_RULE_INVALID),
        (e.PolicyRule(e.PolicyAction.DENY, bound=1), "bound", Reason.POLICY_RULE_INVALID),
        (e.PolicyRule(e.PolicyAction.TOP_UP, margin_floor=0), "action", None),
        (e.PolicyRule(e.PolicyAction.OVERDRAW, asset=CREDITS), "bound", None),
        (e.PolicyRule(e.PolicyAction.OVERDRAW, asset=99, bound=1), "asset", Reason.ASSET_UNKNOWN),
        (
            e.PolicyRule(e.PolicyAction.DENY, lifetime_asset=CREDITS, lifetime_least=1),
            "lifetime_value_asset",
            Reason.ASSET_KIND_INVALID,
        ),
        (e.PolicyRule(e.PolicyAction.DENY, margin_floor=1001), "margin_floor_permille", None),
        (e.PolicyRule(e.PolicyAction.DENY, limits=(9,)), "limits", None),
        (e.PolicyRule(e.PolicyAction.DEFER), "alternatives", None),
        (
            e.PolicyRule(e.PolicyAction.DOWNGRADE, alternatives=(e.Alternative(),)),
            "alternatives[0]",
            None,
        ),
        (
            e.PolicyRule(
                e.PolicyAction.DOWNGRADE,
                alternatives=(e.Alternative("x", (), (e.QuantityMap("tokens", "", 0),)),),
            ),
            "alternatives[0].permille",
            None,
        ),
        (
            e.PolicyRule(e.PolicyAction.DOWNGRADE, alternatives=(e.Alternative("x"),) * 9),
            "alternatives",
            None,
        ),
    ],
)
def test_a_rule_that_says_nothing_useful_is_refused(
    rule: e.PolicyRule, field: str, reason: Reason | None
) -> None:
    case = PolicyCase()
    case.run("account acme")
    command = c.SetDecisionPolicy(FAMILY.request("r"), case.accounts["acme"], (rule,))
    outcome = case.core.run(command)
    assert isinstance(outcome, Refusal), outcome
    assert (outcome.reason, outcome.field) == (
        reason or Reason.POLICY_RULE_INVALID,
        f"rules[0].{field}",
    )


def test_a_request_with_a_quote_names_no_alternatives() -> None:
    case = PolicyCase()
    case.run("account acme")
    command = c.AuthorizeHold(
        FAMILY.request("r"),
        case.accounts["acme"],
        case.core.shape("chat", "tokens"),
        (1,),
        0,
        quote=7,
        alternatives=(e.Alternative("half"),),
    )
    outcome = case.core.run(command)
    assert isinstance(outcome, Refusal) and outcome.reason == Reason.ALTERNATIVES_INVALID
