"""What a transaction that holds a row knows of it."""

from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from dxmesh_runtime.db import Database, locked


class _Base(DeclarativeBase):
    pass


class Effect(_Base):
    __tablename__ = "effect"
    n: Mapped[int] = mapped_column(primary_key=True)
    thing_id: Mapped[UUID]
    value: Mapped[int]


async def test_a_row_read_before_is_held_as_it_is_now(database: Database) -> None:
    async with database.sessions.begin() as tx:
        tx.add(Effect(n=1, thing_id=UUID(int=1), value=1))
    async with database.sessions.begin() as tx:
        before = (await tx.scalars(select(Effect))).one()
        async with database.sessions.begin() as another:
            await another.execute(update(Effect).values(value=2))
        assert before.value == 1
        held = (await tx.scalars(locked(select(Effect)))).one()
        assert held.value == 2
        async with database.sessions.begin() as another:
            assert (await another.scalars(locked(select(Effect), skip_locked=True))).all() == []
