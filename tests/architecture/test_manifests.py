"""The house rules hold in every manifest; and each rule, shown its violation, catches it."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import ClassVar, Protocol
from uuid import UUID

import pytest
from litestar import Controller, get
from sqlalchemy import Column, ForeignKey, Integer, Table
from sqlalchemy.exc import NoReferencedTableError

from martech.app import installed, load
from martech.kernel.columns import bare_metadata, tenant_column
from martech.kernel.db import module_metadata
from martech.kernel.messages import Command, Event
from martech.kernel.module import Module, job
from tests.architecture import manifests
from tests.sample.kitchen.module import module as kitchen
from tests.sample.shop.contract import Shop
from tests.sample.shop.module import module as shop

RuleOfOne = Callable[[Module], list[str]]
RuleOfAll = Callable[[Sequence[Module]], list[str]]

PRODUCT = load(installed())
SAMPLE = [shop, kitchen]
OF_ONE: list[RuleOfOne] = [
    manifests.the_service_answers_the_port,
    manifests.the_port_has_the_modules_name,
    manifests.the_schema_is_the_modules_own,
    manifests.every_table_has_a_tenant,
    manifests.a_job_is_its_modules_own,
    manifests.an_inward_job_stays_at_home,
    manifests.every_route_says_who_may,
    manifests.a_scope_is_the_modules_own,
    manifests.a_subject_is_a_field,
]
OF_ALL: list[RuleOfAll] = [
    manifests.every_command_has_one_job,
    manifests.every_operation_has_a_name,
]


class Architecture(Protocol):
    async def count(self, of: UUID, *, limit: int = 10) -> int: ...


class Word(Architecture):
    async def count(self, of: UUID, *, limit: int = 10) -> int:
        return limit


class Silent(Architecture): ...


class Shorter:
    async def count(self, of: UUID) -> int:
        return 1


class OtherDefault:
    async def count(self, of: UUID, *, limit: int = 20) -> int:
        return limit


class OtherType:
    async def count(self, of: str, *, limit: int = 10) -> int:
        return limit


class AtOnce:
    def count(self, of: UUID, *, limit: int = 10) -> int:
        return limit


class Shelves(Protocol): ...


class Arranged(Event, frozen=True):
    SUBJECT: ClassVar[str] = "shelve"

    shelf: str


class Dust(Command, frozen=True): ...


@job(Dust)
async def dust(command: Dust) -> None: ...


@job(Dust, inward=True)
async def dust_outside(command: Dust, service: Word, neighbour: Shop) -> None: ...


class Open(Controller):
    @get("/open", operation_id="open", sync_to_thread=False)
    def read(self) -> None: ...


class Vague(Controller):
    @get("/vague", operation_id="vague", opt={"scope": "everything"}, sync_to_thread=False)
    def read(self) -> None: ...


class Private(Controller):
    @get("/private", operation_id="x", opt={"public": False}, sync_to_thread=False)
    def read(self) -> None: ...


class Nameless(Controller):
    @get("/nameless", opt={"scope": "architecture:read"}, sync_to_thread=False)
    def read(self) -> None: ...


class Foreign(Controller):
    @get("/foreign", operation_id="foreign", opt={"scope": "shop:read"}, sync_to_thread=False)
    def read(self) -> None: ...


class Sells(Controller):
    @get("/sales", operation_id="sell", opt={"scope": "architecture:read"}, sync_to_thread=False)
    def sell(self) -> None: ...


def tables(*columns: Column[object]) -> Table:
    return Table("shelves", bare_metadata("architecture"), Column("x", Integer), *columns)


GOOD = Module(port=Architecture, service=Word, tables=module_metadata("architecture"))
PLANTED = [
    (manifests.the_service_answers_the_port, replace(GOOD, service=Silent)),
    (manifests.the_service_answers_the_port, replace(GOOD, service=Shorter)),
    (manifests.the_service_answers_the_port, replace(GOOD, service=OtherDefault)),
    (manifests.the_service_answers_the_port, replace(GOOD, service=OtherType)),
    (manifests.the_service_answers_the_port, replace(GOOD, service=AtOnce)),
    (manifests.the_port_has_the_modules_name, replace(GOOD, port=Shelves)),
    (manifests.the_schema_is_the_modules_own, replace(GOOD, tables=shop.tables)),
    (manifests.every_table_has_a_tenant, replace(GOOD, tables=tables().metadata)),
    (
        manifests.every_table_has_a_tenant,
        replace(GOOD, tables=tables(Column("tenant", Integer)).metadata),
    ),
    (manifests.a_job_is_its_modules_own, replace(GOOD, jobs=kitchen.jobs)),
    (manifests.an_inward_job_stays_at_home, replace(GOOD, jobs=[dust_outside])),
    (manifests.every_route_says_who_may, replace(GOOD, controllers=[Open])),
    (manifests.every_route_says_who_may, replace(GOOD, controllers=[Vague])),
    (manifests.every_route_says_who_may, replace(GOOD, protocols=[Private])),
    (manifests.a_scope_is_the_modules_own, replace(GOOD, controllers=[Foreign])),
    (manifests.a_subject_is_a_field, GOOD),
]
PLANTED_OF_ALL = [
    (manifests.every_command_has_one_job, [GOOD]),
    (manifests.every_command_has_one_job, [replace(GOOD, jobs=[dust, dust])]),
    (manifests.every_operation_has_a_name, [replace(GOOD, controllers=[Nameless])]),
    (manifests.every_operation_has_a_name, [shop, replace(GOOD, controllers=[Sells])]),
]


@pytest.mark.parametrize("rule", OF_ONE)
@pytest.mark.parametrize("module", PRODUCT, ids=lambda module: module.name)
def test_a_module_keeps(rule: RuleOfOne, module: Module) -> None:
    assert rule(module) == []


@pytest.mark.parametrize("rule", OF_ALL)
def test_all_modules_keep(rule: RuleOfAll) -> None:
    assert rule(PRODUCT) == []


@pytest.mark.parametrize("rule", OF_ONE)
@pytest.mark.parametrize("module", SAMPLE, ids=lambda module: module.name)
def test_a_legal_module_passes(rule: RuleOfOne, module: Module) -> None:
    assert rule(module) == []


@pytest.mark.parametrize("rule", OF_ALL)
def test_legal_modules_pass_together(rule: RuleOfAll) -> None:
    assert rule(SAMPLE) == []


@pytest.mark.parametrize(
    ("rule", "module"), PLANTED, ids=[f"{p[0].__name__}-{n}" for n, p in enumerate(PLANTED)]
)
def test_a_rule_catches_its_violation(rule: RuleOfOne, module: Module) -> None:
    assert rule(module) != []


@pytest.mark.parametrize(
    ("rule", "modules"),
    PLANTED_OF_ALL,
    ids=[f"{p[0].__name__}-{n}" for n, p in enumerate(PLANTED_OF_ALL)],
)
def test_a_rule_of_all_catches_its_violation(rule: RuleOfAll, modules: list[Module]) -> None:
    assert rule(modules) != []


def test_every_rule_was_seen_to_catch() -> None:
    assert {rule for rule, _ in [*PLANTED, *PLANTED_OF_ALL]} == {*OF_ONE, *OF_ALL}


def test_a_key_into_a_neighbours_schema_is_impossible() -> None:
    reaching = Table(
        "shelves",
        bare_metadata("architecture"),
        tenant_column(),
        Column("sale", Integer, ForeignKey("shop.sales.number")),
    )
    with pytest.raises(NoReferencedTableError):
        reaching.c.sale.references(shop.tables.tables["shop.sales"].c.number)
