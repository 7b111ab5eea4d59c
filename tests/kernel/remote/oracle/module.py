import asyncio

from sqlalchemy import func, insert, select

from martech.kernel import errors
from martech.kernel.db import Transaction
from martech.kernel.errors import Error, Invalid
from martech.kernel.module import Module
from tests.kernel.remote.oracle.contract import Asker, Oracle, WordSaid
from tests.kernel.remote.oracle.tables import metadata, words


class NotAWord(Invalid):
    """A kind of the module's own, which no other host knows."""


KINDS: dict[str, type[Error]] = {cls.slug(): cls for cls in [*errors.every(), NotAWord]}


class OracleService(Oracle):
    def __init__(self, tx: Transaction) -> None:
        self.tx = tx

    async def who(self) -> Asker:
        origin, principal = self.tx.origin, self.tx.principal
        return Asker(
            tenant=self.tx.tenant,
            principal=str(principal) if principal else None,
            correlation=origin.correlation,
            causation=origin.causation,
            trace=origin.traceparent,
            writes=self.tx.unit.write,
        )

    async def words(self, *, after: str = "", most: int = 10) -> list[str]:
        mine = select(words.c.word).where(words.c.tenant == self.tx.tenant, words.c.word > after)
        return list((await self.tx.execute(mine.order_by(words.c.word).limit(most))).scalars())

    async def refuse(
        self, slug: str, detail: str, *, field: str | None = None, retry_after: int | None = None
    ) -> None:
        raise KINDS[slug](detail, field=field, retry_after=retry_after)

    async def stumble(self) -> None:
        raise LookupError("a bug of the oracle")

    async def wait(self) -> None:
        await asyncio.Event().wait()

    async def say(self, word: str) -> int:
        mine = select(func.count()).select_from(words).where(words.c.tenant == self.tx.tenant)
        await self.tx.execute(insert(words), [{"tenant": self.tx.tenant, "word": word}])
        self.tx.publish(WordSaid(word=word))
        return int((await self.tx.execute(mine)).scalar_one())

    async def say_and_wait(self, word: str) -> None:
        await self.say(word)
        await self.wait()


module = Module(port=Oracle, service=OracleService, tables=metadata)
