"""Follows what profiles tells. Here is the volume: however many items a batch has, it runs the same
handful of statements over all of them."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import bindparam, update

from martech.modules.personalization.domain.behaviour import Done, done
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
        heard = await self._remember(news)
        known = await self._people(_concerned(news))
        following = Following(all_.catalog, known, register.measures, register.now)
        for item in news:
            match item:
                case Activity():
                    if (fresh := heard.pop(_key(item), None)) is not None:
                        following.acted(fresh)
                case ProfileChange():
                    following.changed(item.profile_id, item.traits)
                case ProfilesMerged():
                    following.merges(item.kept, item.merged)
        some = following.finished()
        await self._redirect(following.merged)
        await self._judge(some, all_, register)
        await self._count(sum(p.new for p in some) - len(following.merged))

    async def _remember(self, news: Sequence[News]) -> dict[tuple[UUID, str], Done]:
        """What was not heard of before."""
        things: dict[bytes, tuple[tuple[UUID, str], Done]] = {}
        for item in news:
            if isinstance(item, Activity) and (thing := done(item)) is not None:
                things.setdefault(thing.digest, (_key(item), thing))
        rows = [{"tenant": self.tx.tenant, **thing._asdict()} for _, thing in things.values()]
        new = await self.tx.insert_new(behaviour, rows, returning=["digest"])
        return dict(things[row.digest] for row in new)

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


def _key(activity: Activity) -> tuple[UUID, str]:
    return activity.profile_id, activity.message_id


def _concerned(news: Sequence[News]) -> set[UUID]:
    ids = set[UUID]()
    for item in news:
        if isinstance(item, ProfilesMerged):
            ids |= {item.kept, item.merged}
        else:
            ids.add(item.profile_id)
    return ids
