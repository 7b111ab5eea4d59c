"""Questions with numbers: `make bench`, or `python -m benchmarks --only track --kind sqlite`.

Load comes from a process of its own that reports its own CPU; misses count as misses; at the end
the server is killed and what it acknowledged is counted. Writes benchmarks/results.json.
"""

import argparse
import json
import os
import platform as machine
import subprocess
import sys
import time
from pathlib import Path

from rich.console import Console

from benchmarks import analytics, feeds, mails, ports, questions, story, tracing
from benchmarks.questions import Answer

RESULTS = Path(__file__).parent / "results.json"
KINDS = ("sqlite", "postgresql")
ASK = {
    "track": questions.track,
    "tracing": tracing.tracing,
    "ports": ports.ports,
    "batch": questions.batch,
    "hops": questions.hops,
    "beside": questions.beside,
    "lag": questions.lag,
    "mails": mails.mails,
    "entering": story.entering,
    "entering_beside": story.entering_beside,
    "status": story.status,
    "status_apart": story.status_apart,
    "figures": analytics.figures,
    "feeds": feeds.feeds,
    "memory": questions.memory,
}

ONLY = {"memory": "sqlite", "figures": "sqlite", "status_apart": "postgresql"}
"""Questions to one of the databases."""


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--only", choices=ASK, action="append", help="ask this; may be repeated")
    parser.add_argument("--kind", choices=KINDS, action="append", help="on this database only")
    parser.add_argument("--seconds", type=float, default=10.0, help="of load a question")
    parser.add_argument("--keep", action="store_true", help="put into the results what was asked")
    options = parser.parse_args()
    console, answers = Console(), list[Answer]()
    for kind in options.kind or KINDS:
        for name in options.only or ASK:
            if ONLY.get(name, kind) != kind:
                continue
            with console.status(f"{name} on {kind}"):
                said = ASK[name](kind, options.seconds)
            answers.append(said)
            _show(console, said)
    if not options.only and not options.kind:
        RESULTS.write_text(json.dumps(_report(answers), indent=2, ensure_ascii=False) + "\n")
        console.print(f"written to {RESULTS.name}")
    elif options.keep:
        _keep(answers)
        console.print(f"put into {RESULTS.name}")
    return 0


def _keep(answers: list[Answer]) -> None:
    """Put *answers* in the place of what the results say to the same questions; each names the
    commit at which it was asked again."""
    report = json.loads(RESULTS.read_text())
    stood = {(a["question"], a["database"]): a for a in report["answers"]}
    for answer in answers:
        stood[answer.question, answer.database] = {**vars(answer), "commit": _commit()}
    report["answers"] = list(stood.values())
    RESULTS.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n")


def _commit() -> str:
    asked = ["git", "rev-parse", "--short", "HEAD"]
    return subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()


def _show(console: Console, answer: Answer) -> None:
    mark = "[green]met[/]" if answer.met else "[red]missed[/]"
    console.print(f"{mark} {answer.database}: {answer.question}: {answer.measured}")
    console.print(f"    bar {answer.bar}" + (f" · limit {answer.limit}" if answer.limit else ""))


def _report(answers: list[Answer]) -> dict[str, object]:
    return {
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "commit": _commit(),
        "machine": {
            "cpus": os.cpu_count(),
            "python": machine.python_version(),
            "system": f"{machine.system()} {machine.machine()}",
        },
        "answers": [vars(answer) for answer in answers],
    }


if __name__ == "__main__":
    sys.exit(main())
