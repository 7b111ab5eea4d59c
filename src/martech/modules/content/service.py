"""What content does. Every public method is one use case."""

from collections.abc import Mapping
from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec
from sqlalchemy import RowMapping, insert, select, update

from martech.kernel.aside import Aside
from martech.kernel.columns import new_id
from martech.kernel.db import Transaction
from martech.kernel.errors import Conflict, NotFound
from martech.kernel.paging import Small, cursor, place
from martech.modules.content import domain
from martech.modules.content.contract import (
    Content,
    ContentPublished,
    ContentWithdrawn,
    Findings,
    Listed,
    Preview,
    Published,
    Template,
    Templates,
    Version,
    Versions,
)
from martech.modules.content.domain import Compiled, Texts
from martech.modules.content.tables import templates, versions

Sample = Mapping[str, object]

SHORT = ("id", "name", "revision", "subject", "version", "withdrawn_at", "created_at", "changed_at")
LISTED = [templates.c[name] for name in SHORT]

VERSIONS = 2**31
"""More than a column can count."""


class ContentService(Content):
    def __init__(self, tx: Transaction) -> None:
        self.tx = tx

    # drafts

    async def create(self, name: str, texts: Texts, sample: Sample) -> Template:
        domain.check(texts, sample)
        content_id = new_id()
        row = {
            "tenant": self.tx.tenant,
            "id": content_id,
            "name": name,
            "revision": 1,
            **msgspec.structs.asdict(texts),
            "sample": sample,
            "created_at": self.tx.now,
            "changed_at": self.tx.now,
        }
        await self.tx.execute(insert(templates), [row])
        self.tx.audit("template.create", f"template:{content_id}", name=name)
        return await self.template(content_id)

    async def template(self, content_id: UUID) -> Template:
        return _template(await self._row(content_id))

    async def templates(self, *, after: str | None = None, limit: int = 100) -> Templates:
        mine = select(*LISTED).where(templates.c.tenant == self.tx.tenant)
        if after is not None:
            mine = mine.where(templates.c.id > place(after, tuple[UUID])[0])
        ordered = mine.order_by(templates.c.id).limit(limit + 1)
        rows = (await self.tx.execute(ordered)).mappings().all()
        end = cursor(rows[limit - 1]["id"]) if len(rows) > limit else None
        return Templates(data=[_listed(row) for row in rows[:limit]], next=end)

    async def change(
        self, content_id: UUID, name: str, texts: Texts, sample: Sample, *, revision: int
    ) -> Template:
        """Replace the draft. What was published of it stays. Raises `Conflict` if somebody else
        has changed it since *revision*."""
        domain.check(texts, sample)
        row = await self._row(content_id, lock=True)
        _expect(row, revision)
        changed = {"name": name, **msgspec.structs.asdict(texts), "sample": dict(sample)}
        if all(row[column] == value for column, value in changed.items()):
            return _template(row)
        await self._write(content_id, **changed, revision=revision + 1, changed_at=self.tx.now)
        self.tx.audit("template.change", f"template:{content_id}", revision=revision + 1)
        return await self.template(content_id)

    # versions

    async def to_publish(
        self, content_id: UUID, *, revision: int | None = None
    ) -> Template | Published:
        """The draft, to be compiled; or the version that was made of it as it is. Raises `Conflict`
        if it is not at *revision*, where one is named."""
        row = await self._row(content_id)
        if revision is not None:
            _expect(row, revision)
        return await self._published_of(row) or _template(row)

    async def publish(self, content_id: UUID, made: Compiled, *, revision: int) -> Published:
        """Make a version of *made*, which was compiled of the draft at *revision*; or give the one
        that was made of it. Raises `Conflict` if somebody has changed the draft meanwhile."""
        row = await self._row(content_id, lock=True)
        _expect(row, revision)
        if published := await self._published_of(row):
            return published
        version = Published(
            content_id=content_id,
            name=row["name"],
            version=(row["version"] or 0) + 1,
            subject=made.subject,
            html=made.html,
            text=made.text,
            published_at=self.tx.now,
        )
        of = {"tenant": self.tx.tenant, "revision": revision}
        await self.tx.execute(insert(versions), [msgspec.structs.asdict(version) | of])
        await self._write(content_id, version=version.version, withdrawn_at=None)
        self.tx.publish(ContentPublished(**msgspec.structs.asdict(version)))
        self.tx.audit("template.publish", f"template:{content_id}", version=version.version)
        return version

    async def withdraw(self, content_id: UUID, *, revision: int | None = None) -> Template:
        """Nobody is to be shown it any more. Doing it twice is harmless. Raises `Conflict` if it is
        not at *revision*, where one is named."""
        row = await self._row(content_id, lock=True)
        if revision is not None:
            _expect(row, revision)
        if row["version"] is None:
            raise Conflict("Nothing of this template is published. There is nothing to withdraw.")
        if row["withdrawn_at"] is None:
            await self._write(content_id, withdrawn_at=self.tx.now)
            self.tx.publish(ContentWithdrawn(content_id=content_id, version=row["version"]))
            self.tx.audit("template.withdraw", f"template:{content_id}", version=row["version"])
        return await self.template(content_id)

    async def version(self, content_id: UUID, version: int) -> Published:
        """What was published then, also if it is withdrawn by now."""
        return _published(await self._version(content_id, version))

    async def versions(
        self, content_id: UUID, *, after: str | None = None, limit: int = 100
    ) -> Versions:
        await self._row(content_id)
        mine = select(*(versions.c[name] for name in Version.__struct_fields__)).where(
            versions.c.tenant == self.tx.tenant, versions.c.content_id == content_id
        )
        if after is not None:
            mine = mine.where(versions.c.version > place(after, tuple[Small])[0])
        ordered = mine.order_by(versions.c.version).limit(limit + 1)
        rows = (await self.tx.execute(ordered)).mappings().all()
        end = cursor(rows[limit - 1]["version"]) if len(rows) > limit else None
        return Versions(data=[Version(**row) for row in rows[:limit]], next=end)

    async def published(self, content_id: UUID, *, version: int | None = None) -> Published:
        row = await self._row(content_id)
        if row["version"] is None or row["withdrawn_at"] is not None:
            raise NotFound(f"Nothing of template {content_id} is published. Publish it first.")
        return await self.version(content_id, row["version"] if version is None else version)

    # rows

    async def _row(self, content_id: UUID, *, lock: bool = False) -> RowMapping:
        mine = select(templates).where(
            templates.c.tenant == self.tx.tenant, templates.c.id == content_id
        )
        found = await self.tx.execute(mine.with_for_update() if lock else mine)
        row = found.mappings().one_or_none()
        if row is None:
            raise NotFound(f"There is no template {content_id}.")
        return row

    async def _published_of(self, row: RowMapping) -> Published | None:
        """The latest version, if it was made of the draft as it is and holds."""
        if row["version"] is None or row["withdrawn_at"] is not None:
            return None
        latest = await self._version(row["id"], row["version"])
        return _published(latest) if latest["revision"] == row["revision"] else None

    async def _version(self, content_id: UUID, version: int) -> RowMapping:
        mine = select(versions).where(
            versions.c.tenant == self.tx.tenant,
            versions.c.content_id == content_id,
            versions.c.version == version,
        )
        known = 0 < version < VERSIONS
        row = (await self.tx.execute(mine)).mappings().one_or_none() if known else None
        if row is None:
            raise NotFound(f"Template {content_id} has no version {version}.")
        return row

    async def _write(self, content_id: UUID, **values: object) -> None:
        mine = update(templates).where(
            templates.c.tenant == self.tx.tenant, templates.c.id == content_id
        )
        await self.tx.execute(mine.values(**values))


class Press:
    """What holds the processor: drafts are compiled, linted and filled in aside, and in no unit of
    work. All of it raises `TooMany` when a tenant asks too much at once, and `Unavailable` when
    too many tenants do."""

    def __init__(self) -> None:
        self.aside = Aside()

    async def compiled(self, tenant: UUID, template: Template) -> Compiled:
        """Raises `TemplateError` for a draft that cannot be sent."""
        attempt = await self.aside.do(tenant, domain.attempt_compiled, _texts(template))
        return domain.outcome(attempt)

    async def lint(self, tenant: UUID, template: Template, at: datetime) -> Findings:
        values = domain.sampled(template.sample, at)
        found = await self.aside.do(tenant, domain.lint, _texts(template), values)
        return Findings(data=found)

    async def preview(
        self, tenant: UUID, template: Template, at: datetime, sample: Sample | None = None
    ) -> Preview:
        """The draft, filled in with *sample* or with its own, as if sent at *at*. Raises
        `TemplateError`."""
        if sample is not None:
            domain.check_sample(sample)
        values = domain.sampled(template.sample if sample is None else sample, at)
        attempt = await self.aside.do(tenant, domain.attempt_preview, _texts(template), values)
        return domain.outcome(attempt)

    async def close(self) -> None:
        await self.aside.close()


def _expect(row: RowMapping, revision: int) -> None:
    if row["revision"] != revision:
        raise Conflict(
            f"Somebody has changed it: it is at revision {row['revision']} now, not at {revision}. "
            "Read it again, and bring your change into it.",
            field="revision",
        )


def _texts(template: Template) -> Texts:
    return Texts(
        subject=template.subject, mjml=template.mjml, html=template.html, text=template.text
    )


def _template(row: RowMapping) -> Template:
    return Template(
        id=row["id"],
        name=row["name"],
        revision=row["revision"],
        subject=row["subject"],
        mjml=row["mjml"],
        html=row["html"],
        text=row["text"],
        sample=row["sample"],
        status=_status(row),
        version=row["version"],
        created_at=row["created_at"],
        changed_at=row["changed_at"],
    )


def _listed(row: RowMapping) -> Listed:
    return Listed(
        id=row["id"],
        name=row["name"],
        revision=row["revision"],
        subject=row["subject"],
        status=_status(row),
        version=row["version"],
        created_at=row["created_at"],
        changed_at=row["changed_at"],
    )


def _status(row: RowMapping) -> Literal["draft", "published", "withdrawn"]:
    if row["version"] is None:
        return "draft"
    return "published" if row["withdrawn_at"] is None else "withdrawn"


def _published(row: RowMapping) -> Published:
    return Published(
        content_id=row["content_id"],
        name=row["name"],
        version=row["version"],
        subject=row["subject"],
        html=row["html"],
        text=row["text"],
        published_at=row["published_at"],
    )
