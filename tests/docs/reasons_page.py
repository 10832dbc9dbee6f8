"""docs/errors.md, as `ledger.reasons` and the gateways have it.

`python -m tests.docs.reasons_page` writes it anew.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ledger.gateway import cloud_events, replies
from ledger.reasons import GROUPS
from ledger.reasons.form import Area, Over, Row

PAGE = Path(__file__).parents[2] / "docs" / "errors.md"

HEAD = """\
# Errors and reasons

Every refusal of Drawdown has a reason: a code in capitals that never changes its meaning and is
never used again. Programs go by it, never by the text of a message. It stands

- in a status, as `reason` of a `google.rpc.ErrorInfo` of the domain `drawdown`, whose metadata
  names the `field` and the `value` at fault and says `retryable`; `BadRequest` lists all faults of
  a request, `RetryInfo` says how long to wait;
- in what became of one event of a batch, of a hold, of an item of a stream;
- in a denial of `Authorize`, `Check` and `Debit`, which is an answer and no status
  ([Decisions](decisions.md#what-decided));
- in `x-drawdown-reason` and `error.code` of what gateways are told
  ([Gateways](gateway.md#what-comes-back));
- in `reason` of the client's exceptions ([The Python client](sdk.md)).

On a terminal `drawdown reasons CODE` says what to do, and so does a command that is refused.

**again**: *yes* = nothing was recorded, or the ids make it safe, so the same may be sent again as
it is; the SDK does so. *No* = the SDK does not: mostly the same is refused again until something
else has changed, and the row says where it is not.
**HTTP**: the status of a gateway's question, then of [usage over HTTP](gateway.md#usage-over-http)
where that is another; a dash where neither is answered so. The statuses are those of gRPC:

| status | means |
|---|---|
| INVALID_ARGUMENT | the request is wrong whatever the state: correct it |
| FAILED_PRECONDITION | the state does not allow it: change that first |
| NOT_FOUND, ALREADY_EXISTS | what is named is not there, or is there already |
| ABORTED | something changed meanwhile: read it again, or send the same again |
| RESOURCE_EXHAUSTED | a limit of the ledger or of a policy is reached |
| OUT_OF_RANGE | a number is beyond what is there, or fits |
| UNAUTHENTICATED, PERMISSION_DENIED | who calls is not proven, or may not |
| UNAVAILABLE, DEADLINE_EXCEEDED | with a reason: not now, nothing was recorded |
| UNKNOWN, INTERNAL, or no reason | recorded or not: ask `GetOutcome`, or send the same ids again |

What a job left alone or did not try ([re-rating](corrections.md#re-rating), simulations) and
explanations have words of their own, on their pages. This page is made of `ledger/reasons` by
`python -m tests.docs.reasons_page`.
"""


def http(row: Row) -> str:
    """The statuses over HTTP: of a question, of an event where that is another."""
    if row.kind.http:
        return str(row.kind.http)
    found = []
    if Over.QUESTION in row.over:
        found.append(replies.status_of(row.reason))
    if Over.EVENT in row.over:
        found.append(cloud_events.status_of(row.reason))
    return " / ".join(str(each) for each in dict.fromkeys(found)) or "-"


def table(area: Area) -> Iterator[str]:
    """The lines of an area's table; columns that say nothing are left out."""
    sent = any(row.kind.code or row.kind.http for row in area.rows)
    served = any(http(row) != "-" for row in area.rows)
    heads = ["reason", *(["status"] if sent else []), *(["HTTP"] if served else [])]
    heads += [*(["again"] if sent else []), "what happened", "what to do"]
    yield f"| {' | '.join(heads)} |"
    yield f"|{'---|' * len(heads)}"
    for row in area.rows:
        cells = [f"`{row.reason}`"]
        cells += [row.kind.code or "-"] if sent else []
        cells += [http(row)] if served else []
        cells += ["yes" if row.kind.retryable else "no"] if sent else []
        cells += [row.happened, row.advice]
        yield f"| {' | '.join(cells)} |"


def page() -> str:
    """The page in Markdown."""
    lines = [HEAD]
    for title, areas in GROUPS:
        lines.append(f"## {title}\n")
        for area in areas:
            lines.append(f"### {area.title}\n")
            name = area.page.partition(".")[0].replace("-", " ").capitalize()
            lines.append(f"{area.about} See [{name}]({area.page}).\n")
            lines.extend(table(area))
            lines.append("")
    return "\n".join(lines).rstrip("\n") + "\n"


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(), "utf-8")


if __name__ == "__main__":
    main()
