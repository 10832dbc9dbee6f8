"""What a newcomer types: the targets of make, and the commands that the documents name."""

import re
import subprocess
from pathlib import Path

import click
import pytest

from ledger.cli.app import cli

ROOT = Path(__file__).parents[2]
MAKEFILE = (ROOT / "Makefile").read_text()
TARGETS = re.findall(r"^([a-z-]+):.*## ", MAKEFILE, re.MULTILINE)
DOCUMENTS = [
    path
    for path in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("**/*.md")]
    if path.name != "CHANGELOG.md"
]
BLOCK = re.compile(r"^```(?:sh|bash|console|shell)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def commands(path: Path) -> list[list[str]]:
    """Lines of the shell blocks of a document, split, comments and prompts gone."""
    lines = [line for block in BLOCK.findall(path.read_text()) for line in block.splitlines()]
    stripped = [re.sub(r"\s+#.*$", "", line).removeprefix("$ ").strip() for line in lines]
    return [line.split() for line in stripped if line]


def test_make_alone_lists_every_target() -> None:
    shown = subprocess.run(["make", "-C", ROOT], capture_output=True, text=True, check=True)
    for target in TARGETS:
        assert f"make {target} " in shown.stdout


@pytest.mark.parametrize(
    "target",
    ["demo", "test", "check", "bench", "protos", "serve", "compiled", "wheels", "clean", "help"],
)
def test_the_promised_targets_exist(target: str) -> None:
    assert target in TARGETS


def test_ci_runs_the_whole_suite() -> None:
    run = (ROOT / ".ci" / "run").read_text()
    assert re.search(r"^make test$", run, re.MULTILINE)
    subprocess.run(["bash", "-n", ROOT / ".ci" / "run"], check=True)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_every_make_target_that_a_document_names_exists(path: Path) -> None:
    for words in commands(path):
        if words[0] == "make":
            named = [word for word in words[1:] if not word.startswith("-") and "=" not in word]
            assert set(named) <= set(TARGETS), words


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_every_drawdown_command_that_a_document_names_exists(path: Path) -> None:
    """The command, its subcommand and each option."""
    for words in commands(path):
        if Path(words[0]).name != "drawdown" or len(words) == 1:
            continue
        command: click.Command = cli
        for word in words[1:]:
            if isinstance(command, click.Group) and not word.startswith("-"):
                assert word in command.commands, words
                command = command.commands[word]
        known = {option for each in command.params for option in (*each.opts, *each.secondary_opts)}
        named = {word.partition("=")[0] for word in words if word.startswith("--")}
        assert named <= known | {"--help"}, words
