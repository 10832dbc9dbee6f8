"""`drawdown sizing`: rules from a file, and how sized holds turned out, from a shell."""

from __future__ import annotations

import json
from pathlib import Path

from cli.processes import Server, drawdown

RULES = {
    "rules": [
        {
            "product": "chat",
            "quantities": ["output_tokens"],
            "attributes": ["model"],
            "permille": 950,
        }
    ]
}
TENANT = "sandbox"


def test_rules_are_published_listed_and_reported_on(server: Server, tmp_path: Path) -> None:
    file = tmp_path / "rules.json"
    file.write_text(json.dumps(RULES))
    options = ("--address", server.address, "--tenant", TENANT)
    published = drawdown("sizing", "publish", str(file), *options)
    assert published.stdout.endswith("1 rules: published\n"), published
    again = drawdown("sizing", "publish", str(file), *options)
    assert again.stdout.endswith("unchanged: these are the newest rules already\n"), again
    listed = drawdown("sizing", "list", *options)
    assert "chat: output_tokens by model, 950 in 1,000, of 100 or more" in listed.stdout, listed
    shown = json.loads(drawdown("sizing", "list", *options, "--json").stdout)
    assert shown["versions"][0]["rules"][0]["permille"] == 950
    none = drawdown("sizing", "accuracy", *options)
    assert none.stdout == "no sized hold was captured\n", none

    file.write_text(json.dumps({"rules": [{"product": "chat"}]}))
    refused = drawdown("sizing", "publish", str(file), *options)
    assert "rules[0].quantities" in refused.stderr and refused.returncode != 0, refused
    file.write_text("{")
    refused = drawdown("sizing", "publish", str(file), *options)
    assert "these are no sizing rules" in refused.stderr, refused
