"""The table of docs/security.md: what each method asks for, as `ledger.api.access` has it.

`python -m tests.docs.access_table` writes it anew.
"""

from __future__ import annotations

from pathlib import Path

from ledger.api.access import ACCESS, Reach, Rule
from ledger.auth.principal import ALL_SCOPES, Scope

PAGE = Path(__file__).parents[2] / "docs" / "security.md"
BEGIN = "<!-- access: python -m tests.docs.access_table -->\n"
END = "<!-- end of access -->"
ORDER = (*Scope,)

CONCERNS = {
    Reach.ACCOUNTS: "the accounts that it names",
    Reach.ITEMS: "each account that it names, one by one",
    Reach.TENANT: "the whole tenant",
    Reach.CATALOG: "what all of the tenant may see",
    Reach.SERVERS: "servers of the database",
    Reach.PROVEN: "anybody who is proven",
    Reach.OPEN: "anybody",
}


def asked(rule: Rule) -> tuple[str, str]:
    """(scopes, whom it concerns) in words."""
    if rule.scopes == ALL_SCOPES:
        scopes = "any"
    else:
        scopes = ", ".join(f"`{scope}`" for scope in ORDER if scope in rule.scopes) or "-"
    concerns = CONCERNS[rule.reach]
    if rule.family == "*":
        concerns = "the whole family of its account"
    elif rule.family:
        concerns += f"; its family with `{rule.family}`"
    if rule.no_read:
        concerns += f"; not `read` with `{rule.no_read}`"
    return scopes, concerns


def table() -> str:
    """The table in Markdown."""
    rows: dict[tuple[str, str, str], list[str]] = {}
    for name, rule in ACCESS.items():
        service, _, method = name.partition("/")
        rows.setdefault((service.rpartition(".")[2], *asked(rule)), []).append(method)
    lines = ["| service | methods | one of | concerns |", "|---|---|---|---|"]
    for (service, scopes, concerns), methods in rows.items():
        lines.append(f"| {service} | {', '.join(methods)} | {scopes} | {concerns} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Write the table where the page has it."""
    before, _, rest = PAGE.read_text("utf-8").partition(BEGIN)
    PAGE.write_text(before + BEGIN + table() + END + rest.partition(END)[2], "utf-8")


if __name__ == "__main__":
    main()
