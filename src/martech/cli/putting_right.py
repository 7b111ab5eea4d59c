"""parked, replay: putting things right."""

import asyncio
import sys
from collections.abc import Mapping
from functools import partial

import click
import msgspec
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from martech.cli.terminal import err, out, settings_of, with_host
from martech.kernel import parked, shadow
from martech.kernel.bus.replay import beginning, replay
from martech.kernel.host import Host
from martech.kernel.parked import Parked, ParkedPage, Wanted
from martech.kernel.settings import Settings

subscription_option = click.option("--subscription", help="Only items of this one.")
type_option = click.option("--type", "type_", help="Only of this type, as the list shows it.")


@click.group("parked")
def parked_() -> None:
    """Look at what failed to the end; try it again, or give it up."""


@parked_.command("list")
@click.option("--module", help="Only of this one; all without.")
@subscription_option
@type_option
@click.option("--after", help="The `next` of the page before; needs --module.")
@click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True)
@settings_of
def parked_list(
    settings: Settings, /, module: str | None, after: str | None, limit: int, **named: str | None
) -> None:
    """List parked items and commands: module, id, type, error.

    \b
    Examples:
      martech parked list --module profiles --subscription record_what_was_tracked
      martech parked list --type tracking.events_tracked.v1
    """
    if after is not None and module is None:
        raise click.UsageError("--after goes on in the list of one module: name it, --module.")
    wanted = Wanted(named["subscription"], named["type_"])

    async def look(host: Host) -> ParkedPage:
        if module is None:
            return ParkedPage(data=await parked.parked(host, wanted, limit), next=None)
        async with parked.opened(host, module, write=False) as things:
            return await things.page(wanted, after=after, limit=limit)

    page = asyncio.run(with_host(settings, look))
    for one in page.data:
        _print(one)
    if not page.data:
        out.print("Nothing is parked.")
    if page.next:
        out.print(f"There are more: --module {module} --after {page.next}", soft_wrap=True)


@parked_.command("show")
@click.argument("module")
@click.argument("id_", metavar="ID")
@settings_of
def parked_show(settings: Settings, module: str, id_: str) -> None:
    """Show the parked ID of MODULE as JSON: what was told or is to be done, why it failed, who
    has tried it again.

    \b
    Example:
      martech parked show profiles record_what_was_tracked:1042:7
    """

    async def show(host: Host) -> bytes:
        async with parked.opened(host, module, write=False) as things:
            return msgspec.json.encode(await things.show(id_))

    shown = asyncio.run(with_host(settings, show))
    click.echo(msgspec.json.format(shown, indent=2))


@parked_.command("retry")
@click.argument("module")
@click.argument("id_", metavar="[ID]", required=False)
@subscription_option
@type_option
@settings_of
def parked_retry(settings: Settings, module: str, id_: str | None, **named: str | None) -> None:
    """Try the parked ID of MODULE again, or all of a subscription or type, with all attempts.

    \b
    Examples:
      martech parked retry profiles record_what_was_tracked:1042:7
      martech parked retry delivery 0190163d-8694-739b-aea5-966c26f8ad91
      martech parked retry profiles --subscription record_what_was_tracked
    """
    wanted = Wanted(named["subscription"], named["type_"])
    if id_ is not None and wanted != parked.EVERYTHING:
        raise click.UsageError("Give an ID, or say which by --subscription and --type.")

    async def again(host: Host) -> int:
        async with parked.opened(host, module) as things:
            if id_ is None:
                return await things.retry_all(wanted)
            await things.retry(id_)
            return 1

    tried = asyncio.run(with_host(settings, again))
    out.print("It is due again." if id_ else f"{tried:,} are due again.")


@parked_.command("drop")
@click.argument("module")
@click.argument("id_", metavar="ID")
@click.option("--reason", required=True, help="Why; it is audited.")
@settings_of
def parked_drop(settings: Settings, module: str, id_: str, reason: str) -> None:
    """Give up the parked ID of MODULE for good.

    \b
    Example:
      martech parked drop profiles record_what_was_tracked:1042:7 --reason "sent by a test"
    """

    async def drop(host: Host) -> None:
        async with parked.opened(host, module) as things:
            await things.drop(id_, reason)

    asyncio.run(with_host(settings, drop))
    out.print("It is given up.")


@click.command("replay")
@click.argument("subscription")
@click.option("--from", "since", metavar="POSITION|TIME", help="0 is everything.")
@click.option("--shadow", "beside", is_flag=True, help="Make it anew beside the one in use.")
@click.option("--in-place", is_flag=True, help="With --from: even if --shadow would do.")
@click.option("--abandon", is_flag=True, help="Remove what a killed --shadow left behind.")
@settings_of
def replay_(
    settings: Settings,
    /,
    subscription: str,
    since: str | None,
    beside: bool,
    abandon: bool,
    in_place: bool,
) -> None:
    """Have SUBSCRIPTION hear its source again. Nothing is told again or done outside.

    With --shadow its projection is made anew, from the beginning, beside the one in use, and then
    takes its place; until then nothing in use is touched, and it may be interrupted at any time.

    With --from its handler writes again what it wrote, to what is there. What can be made anew in a
    shadow is refused then, unless --in-place is said: until it has caught up, what is in use is
    as it was long ago, and whoever reads it acts on it (who has opted out since may get a mail).

    \b
    Examples:
      martech replay profiles.record_what_was_tracked --shadow
      martech replay campaigns.keep_status_current --from 2027-01-31T09:00:00Z
    """
    if (since is not None) + beside + abandon != 1:
        raise click.UsageError("Say --from where, or --shadow (from the beginning), or --abandon.")
    if in_place and since is None:
        raise click.UsageError("--in-place goes with --from.")
    if beside:
        _make_anew(settings, subscription)
    elif abandon:
        asyncio.run(with_host(settings, lambda host: shadow.abandon(host, subscription)))
        out.print(f"Nothing is left of a shadow of {subscription}.")
    else:
        start = beginning(since or "")
        again = partial(replay, name=subscription, since=start, in_place=in_place)
        to = asyncio.run(with_host(settings, again))
        out.print(f"{subscription} hears everything behind {to} again.")


INTERRUPTED: Mapping[shadow.Stage, str] = {
    "making": "what is in use was not touched.",
    "swapping": "it was taking its place, as a whole or not at all. To be sure, say it again.",
    "swapped": "what was made anew is in use now. --abandon removes what its making left.",
}


def _make_anew(settings: Settings, subscription: str) -> None:
    stage: shadow.Stage = "making"
    columns = TextColumn("position"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, console=err, transient=True) as progress:
        task = progress.add_task(subscription, total=None)

        def seen(reached: int, end: int) -> None:
            progress.update(task, completed=reached, total=end)

        def now(begun: shadow.Stage) -> None:
            nonlocal stage
            stage = begun

        making = with_host(settings, lambda host: shadow.rebuild(host, subscription, seen, now))
        try:
            dropped = asyncio.run(making)
        except KeyboardInterrupt:
            err.print(f"martech: interrupted; {INTERRUPTED[stage]}", soft_wrap=True)
            sys.exit(130)
    out.print(f"{subscription} is made anew; {dropped:,} commands were not given outside again.")


def _print(one: Parked) -> None:
    said = escape(" ".join(one.error.split())[:200])
    line = f"{one.module} [bold]{one.id}[/] {one.type}, {one.attempts} attempts: {said}"
    out.print(line, soft_wrap=True)
