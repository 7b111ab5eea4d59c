"""contracts, contracts check: what we promise, and whether we still do."""

import sys
from pathlib import Path

import click
import msgspec
from rich.markup import escape

from martech import app
from martech.cli.terminal import out
from martech.kernel import published
from martech.kernel.files import installed
from martech.kernel.published import gate

repository = click.Path(path_type=Path, file_okay=False, exists=True)


@click.group(invoke_without_command=True)
@click.option("--into", default=".", type=click.Path(path_type=Path), help="The repository.")
@click.pass_context
def contracts(context: click.Context, into: Path) -> None:
    """Write contracts/ and docs/modules/ anew: what we promise, as a diff to review. Says which
    files are others than they were.

    Golden payloads are written for types that have none, and never written anew.

    \b
    Examples:
      martech contracts
      martech contracts check --against origin/main
    """
    if context.invoked_subcommand:
        return
    modules = app.load(installed())
    for name, text in published.files(modules, app.describe).items():
        _write(into, name, text)
    for name, text in published.golden(modules).items():
        if not (into / name).exists():
            _write(into, name, text)


def _write(into: Path, name: str, text: str) -> None:
    file = into / name
    if file.exists() and file.read_text(encoding="utf-8") == text:
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    out.print(name)


@contracts.command()
@click.option("--against", "revision", required=True, metavar="REV", help="Any git revision.")
@click.option("--json", "as_json", is_flag=True, help="The verdict as one JSON document.")
@click.option("--repository", default=".", type=repository, help="The repository.")
def check(revision: str, as_json: bool, repository: Path) -> None:
    """Compare contracts/ as it lies here with contracts/ at REV: 0 if every promise is kept.

    \b
    Kept means, within a major version:
      events     old readers read new events and new readers old ones: a field may come,
                 with a default; nothing goes, nothing becomes wider or narrower
      requests   may ask for less than before, never for more
      answers    may say more than before, never less, and nothing that nobody can read
      names      of subscriptions and commands stay: rows are stored under them

    What has to change otherwise comes as V2 beside V1, which is never a breach. Otherwise the
    verdict is 1, with one entry a breach: file, JSON pointer, rule, what was, what is, and what
    to do instead. 2 is for what cannot be compared, such as a revision that is not there.

    \b
    Examples:
      martech contracts check --against HEAD
      martech contracts check --against "$(git merge-base HEAD origin/main)" --json

    It reads files only. That they say what the code does is for `make contracts` and its test.
    The rules and the way to a V2 are in docs/contracts.md.
    """
    commit, then = gate.at_revision(repository, revision)
    found = gate.verdict(then, gate.in_tree(repository))
    breaches, corrected = gate.corrected(found, gate.corrections(repository))
    if as_json:
        said = {"against": commit, "breaches": breaches, "corrected": corrected}
        click.echo(msgspec.json.format(msgspec.json.encode(said), indent=2))
    else:
        _print_verdict(revision, commit, breaches, corrected)
    sys.exit(1 if breaches else 0)


def _print_verdict(
    revision: str,
    commit: str,
    breaches: list[gate.Breach],
    corrected: list[gate.Correction],
) -> None:
    for one in corrected:
        out.print(f"{escape(one.file)} {escape(one.pointer)}", soft_wrap=True)
        out.print(f"    corrected: {escape(one.why)}", soft_wrap=True)
    for breach in breaches:
        out.print(f"{escape(breach.file)} {escape(breach.pointer)}", soft_wrap=True)
        out.print(f"    [bold]{breach.rule}[/]", soft_wrap=True)
        out.print(f"    was: {escape(_short(breach.was))}", soft_wrap=True)
        out.print(f"    is:  {escape(_short(breach.now))}", soft_wrap=True)
        out.print(f"    {escape(breach.instead)}", soft_wrap=True)
    count = len(breaches)
    kept = "Every promise is kept" if not count else f"{count} broken promise{'s' * (count > 1)}"
    out.print(f"{kept}, against {escape(revision)} ({commit[:12]}).", soft_wrap=True)


def _short(value: object) -> str:
    """On one line; `--json` has all of it."""
    if value is None:
        return "nothing"
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= 160 else f"{text[:159]}…"
