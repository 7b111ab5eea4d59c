"""What a tenant was told is found without looking at everybody's: outside systems ask for it."""

from alembic import op

revision: str = "0003"
down_revision: str | None = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("outbox", schema="access") as batch_op:
        batch_op.create_index(
            batch_op.f("ix_outbox_tenant_position"), ["tenant", "position"], unique=False
        )


def downgrade() -> None:
    with op.batch_alter_table("outbox", schema="access") as batch_op:
        batch_op.drop_index(batch_op.f("ix_outbox_tenant_position"))
