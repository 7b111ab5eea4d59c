"""The README's numbers, from the bench's own file: `python -m benchmarks.readme`."""

import json
import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results.json"
PLACE = re.compile(r"(<!-- bench -->\n).*?(<!-- /bench -->)", re.DOTALL)


def table(report: dict[str, Any]) -> str:
    """Markdown: a row an answer, and the machine it was measured on."""
    machine = report["machine"]
    head = ["question", "database", "bar", "measured", "limit in the same run"]
    rows = [head, ["---"] * len(head), *(_row(answer) for answer in report["answers"])]
    where = (
        f"Measured {report['at'][:10]} at {report['commit']}: {machine['cpus']} cores shared by"
        f" server and load, {machine['system']}, Python {machine['python']}."
    )
    return "\n".join([*(f"| {' | '.join(row)} |" for row in rows), "", where])


def _row(answer: dict[str, Any]) -> list[str]:
    measured = answer["measured"] if answer["met"] else f"**missed:** {answer['measured']}"
    if "commit" in answer:
        measured += f" (at {answer['commit']})"
    return [answer["question"], answer["database"], answer["bar"], measured, answer["limit"]]


def filled(readme: str, report: dict[str, Any]) -> str:
    return PLACE.sub(lambda found: f"{found[1]}{table(report)}\n{found[2]}", readme)


def main() -> int:
    readme = ROOT / "README.md"
    readme.write_text(filled(readme.read_text(), json.loads(RESULTS.read_text())))
    return 0


if __name__ == "__main__":
    sys.exit(main())
