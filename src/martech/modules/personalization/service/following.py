"""Follows what profiles tells. Here is the volume: however many items a batch has, it runs the same
handful of statements over all of them."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import bindparam, select, update

from martech.modules.personalization.domain.behaviour import Done, done
from martech.modules.personalization.domain.catalog import Catalog
from martech.modules.personalization.domain.people import Following, Person
from martech.modules.personalization.service.judging import Judging
from martech.modules.personalization.tables import behaviour, people, registers
from martech.modules.profiles.contract import Activity, ProfileChange, ProfilesMerged

News = Activity | ProfileChange | ProfilesMerged


class FollowingNews(Judging):
    async def follow(self, news: Sequence[News]) -> None:
        """Keep what was done, who it was and who is one person, and bring segments up to date."""
        register = await self._alone()
        all_ = await self._segments()
        fresh = await self._remember(news)
        following = Following(
            all_.catalog,
            await self._people(_concerned(news, all_.catalog)),
            register.measures,
            register.now,
        )
        for profile_id in await self._strangers(news, following):
            following.met(profile_id)
        for number, item in enumerate(news):
            match item:
                case Activity():
                    if number in fresh:
                        following.acted(fresh[number])
                case ProfileChange():
                    following.changed(item.profile_id, item.traits)
                case ProfilesMerged():
                    following.merges(item.kept, item.merged)
        some = following.finished()
        await self._redirect(following.merged)
        await self._judge(some, all_, register)
        await self._count(sum(p.new for p in some) - len(following.merged))

    async def _remember(self, news: Sequence[News]) -> dict[int, Done]:
        """What was not heard of before, by its place in *news*."""
        things: dict[bytes, tuple[int, Done]] = {}
        for number, item in enumerate(news):
            if isinstance(item, Activity) and (thing := done(item)) is not None:
                things.setdefault(thing.digest, (number, thing))
        rows = [self._row(thing) for _, thing in things.values()]
        new = await self.tx.insert_new(behaviour, rows, returning=["digest"])
        return dict(things[row.digest] for row in new)

    def _row(self, thing: Done) -> dict[str, object]:
        return {
            "tenant": self.tx.tenant,
            "profile_id": thing.profile_id,
            "event": thing.event,
            "at": thing.at,
            "digest": thing.digest,
            "identity": thing.identity,
            "properties": thing.properties,
        }

    async def _strangers(self, news: Sequence[News], following: Following) -> list[UUID]:
        """Who is not on record, of those who did nothing that a segment asks for."""
        ids = {item.profile_id for item in news if isinstance(item, Activity)}
        ids -= following.people.keys()
        mine = select(people.c.id).where(*self._mine(people))
        there = {row.id for row in await self.tx.among(mine, people.c.id, sorted(ids))}
        return sorted(ids - there)

    async def _redirect(self, merged: Sequence[Person]) -> None:
        """Write down who answers for *merged*, and for those for whom they answered, before
        anybody's past is read."""
        if not merged:
            return
        await self._keep(merged)
        theirs = update(people).where(*self._mine(people), people.c.kept == bindparam("gone"))
        rows = [{"gone": person.id, "root": person.kept} for person in merged]
        await self.tx.execute(theirs.values(kept=bindparam("root")), rows)

    async def _count(self, more: int) -> None:
        if more:
            mine = update(registers).where(*self._mine(registers))
            await self.tx.execute(mine.values(people=registers.c.people + more))


def _concerned(news: Sequence[News], catalog: Catalog) -> set[UUID]:
    """Whom to look up: not those who only did what no segment asks for."""
    ids = set[UUID]()
    for item in news:
        match item:
            case ProfilesMerged():
                ids |= {item.kept, item.merged}
            case ProfileChange():
                ids.add(item.profile_id)
            case Activity() if item.event in catalog.by_event:
                ids.add(item.profile_id)
    return ids
