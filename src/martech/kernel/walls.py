"""The walls that PostgreSQL itself holds: whose a schema is, and whose rows are seen in it.

`migrate` raises them anew after every change, a shadow has the same, and what has moved away is
left without a door. (SQLite has no roles: there a module is a file, and `tenancy` is the wall.)
"""

from sqlalchemy import Connection


def open_schema(connection: Connection, name: str) -> None:
    """The module's own role and schema, if they are not there."""
    connection.exec_driver_sql(OPEN.format(name=name))


def raise_walls(connection: Connection, schema: str, role: str) -> None:
    """Let *role* use the rows of *schema*, a tenant's at a time."""
    connection.exec_driver_sql(WALLS.format(name=schema, role=role))
    connection.exec_driver_sql(THRIFT.format(name=schema))


def close_table(connection: Connection, schema: str, table: str) -> None:
    """A table that is the operator's, and not the module's."""
    connection.exec_driver_sql(CLOSED.format(schema=schema, table=table))


def close_schema(connection: Connection, schema: str) -> None:
    """Nobody gets in who comes as the module."""
    connection.exec_driver_sql(f'REVOKE USAGE ON SCHEMA "{schema}" FROM "{schema}"')


# A role belongs to the whole server, where the migrator of another database may be making it too.
OPEN = """
DO $$
DECLARE
    may text := CASE WHEN current_setting('server_version_num')::int < 160000
                     THEN 'MEMBER' ELSE 'SET' END;
BEGIN
    BEGIN
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{name}') THEN
            CREATE ROLE "{name}" NOLOGIN;
        END IF;
    EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
    END;
    BEGIN
        IF NOT pg_has_role(current_user, '{name}', may) THEN
            EXECUTE format('GRANT "{name}" TO %I', current_user);
        END IF;
    EXCEPTION WHEN unique_violation THEN NULL;
    END;
    CREATE SCHEMA IF NOT EXISTS "{name}";
    GRANT USAGE ON SCHEMA "{name}" TO "{name}";
    ALTER DEFAULT PRIVILEGES IN SCHEMA "{name}"
        GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO "{name}";
    ALTER DEFAULT PRIVILEGES IN SCHEMA "{name}" GRANT USAGE ON SEQUENCES TO "{name}";
END $$
"""

CLOSED = 'REVOKE ALL ON "{schema}"."{table}" FROM "{schema}"'

# An unset tenant is an error and not an empty answer; FORCE holds for the tables' owner too.
WALLS = """
DO $$
DECLARE
    bare regclass;
BEGIN
    GRANT USAGE ON SCHEMA "{name}" TO "{role}";
    GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA "{name}" TO "{role}";
    GRANT USAGE ON ALL SEQUENCES IN SCHEMA "{name}" TO "{role}";
    FOR bare IN
        SELECT c.oid FROM pg_class c
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant' AND NOT a.attisdropped
        WHERE c.relnamespace = '"{name}"'::regnamespace AND c.relkind IN ('r', 'p')
          AND NOT (c.relforcerowsecurity AND c.relrowsecurity AND EXISTS (
              SELECT FROM pg_policy p WHERE p.polrelid = c.oid AND p.polname = 'tenant'))
    LOOP
        EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', bare);
        EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', bare);
        EXECUTE format('DROP POLICY IF EXISTS tenant ON %s', bare);
        EXECUTE format($policy$
            CREATE POLICY tenant ON %s USING (
                tenant = (SELECT nullif(current_setting('martech.tenant'), '*')::uuid)
                OR (SELECT current_setting('martech.tenant')) = '*'
            )$policy$, bare);
    END LOOP;
END $$
"""

# PostgreSQL's own compression of a folded event of 1 MB costs 32 µs an item, lz4 8. A server that
# was built without lz4, or is older than 14, keeps its own.
THRIFT = """
DO $$
DECLARE
    one record;
BEGIN
    FOR one IN
        SELECT c.oid::regclass AS rows, a.attname AS name FROM pg_class c
        JOIN pg_attribute a ON a.attrelid = c.oid AND NOT a.attisdropped
        WHERE c.relnamespace = '"{name}"'::regnamespace AND c.relkind IN ('r', 'p')
          AND a.atttypid = 'bytea'::regtype AND a.attcompression <> 'l'
    LOOP
        EXECUTE format('ALTER TABLE %s ALTER COLUMN %I SET COMPRESSION lz4', one.rows, one.name);
    END LOOP;
EXCEPTION WHEN feature_not_supported OR undefined_column THEN NULL;
END $$
"""
