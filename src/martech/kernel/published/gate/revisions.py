"""Contracts as they lie in the working tree, and as git has kept them."""

import json
import subprocess
from pathlib import Path

from martech.kernel.published.gate.places import Document
from martech.kernel.published.gate.verdict import judge_of


class Incomparable(Exception):
    """There is nothing to compare with, or to compare. The sentence is for whoever asked."""


def in_tree(repository: Path) -> dict[str, Document]:
    """The contracts of the working tree, committed or not: path in the repository -> document."""
    return {
        path: _read(path, file.read_bytes())
        for file in sorted(repository.glob("contracts/**/*.json"))
        if judge_of(path := file.relative_to(repository).as_posix())
    }


def at_revision(repository: Path, revision: str) -> tuple[str, dict[str, Document]]:
    """The commit that *revision* means, and the contracts in it."""
    try:
        said = _git(repository, "rev-parse", "--verify", f"{revision}^{{commit}}")
    except Incomparable as refused:
        raise Incomparable(
            f"{revision}: no such revision in {repository.resolve()} ({refused}). Name a commit, a"
            " branch or a tag: where nothing is committed yet, commit first; in a shallow clone,"
            " `git fetch --unshallow` first."
        ) from None
    commit = said.decode().strip()
    listed = _git(repository, "ls-tree", "-r", "-z", "--name-only", commit, "--", "contracts/")
    paths = [path for path in listed.decode().split("\0") if judge_of(path)]
    return commit, {
        path: _read(path, _git(repository, "show", f"{commit}:./{path}")) for path in paths
    }


def _read(path: str, text: bytes) -> Document:
    try:
        document: Document = json.loads(text)
    except ValueError as refused:
        raise Incomparable(
            f"{path} is no JSON: {refused}. Write it anew: make contracts."
        ) from None
    return document


def _git(repository: Path, *arguments: str) -> bytes:
    try:
        return subprocess.run(  # noqa: S603 - no shell; with ^{commit} behind it a revision is no option
            ["git", "-C", str(repository), *arguments],  # noqa: S607 - the git of whoever asks
            capture_output=True,
            check=True,
        ).stdout
    except FileNotFoundError:
        raise Incomparable("git is not installed") from None
    except subprocess.CalledProcessError as refused:
        raise Incomparable(refused.stderr.decode().strip()) from None
