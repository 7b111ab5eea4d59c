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

from benchmarks import analytics, mails, questions, story
from benchmarks.questions import Answer

RESULTS = Path(__file__).parent / "results.json"
KINDS = ("sqlite", "postgresql")
ASK = {
    "track": questions.track,
    "batch": questions.batch,
    "hops": questions.hops,
    "beside": questions.beside,
    "lag": questions.lag,
    "mails": mails.mails,
    "entering": story.entering,
    "status": story.status,
    "figures": analytics.figures,
    "memory": questions.memory,
}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--only", choices=ASK, action="append", help="ask this; may be repeated")
    parser.add_argument("--kind", choices=KINDS, action="append", help="on this database only")
    parser.add_argument("--seconds", type=float, default=10.0, help="of load a question")
    options = parser.parse_args()
    console, answers = Console(), list[Answer]()
    for kind in options.kind or KINDS:
        for name in options.only or ASK:
            if name in ("memory", "figures") and kind != "sqlite":
                continue
            with console.status(f"{name} on {kind}"):
                said = ASK[name](kind, options.seconds)
            answers.append(said)
            _show(console, said)
    if not options.only and not options.kind:
        RESULTS.write_text(json.dumps(_report(answers), indent=2, ensure_ascii=False) + "\n")
        console.print(f"written to {RESULTS.name}")
    return 0


def _show(console: Console, answer: Answer) -> None:
    mark = "[green]met[/]" if answer.met else "[red]missed[/]"
    console.print(f"{mark} {answer.database}: {answer.question}: {answer.measured}")
    console.print(f"    bar {answer.bar}" + (f" · limit {answer.limit}" if answer.limit else ""))


def _report(answers: list[Answer]) -> dict[str, object]:
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    ).stdout.strip()
    return {
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "commit": commit,
        "machine": {
            "cpus": os.cpu_count(),
            "python": machine.python_version(),
            "system": f"{machine.system()} {machine.machine()}",
        },
        "answers": [vars(answer) for answer in answers],
    }


if __name__ == "__main__":
    sys.exit(main())
