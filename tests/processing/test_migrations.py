import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from processing import migrations
from processing.catalog import Catalog
from processing.tables import metadata
from tests.records import migrated

MIGRATE = "import sys; from processing.catalog import Catalog; Catalog(sys.argv[1]).migrate(); "


def test_the_migrated_tables_are_those_of_the_code(catalog: Catalog) -> None:
    def differences(connection: Connection) -> list[object]:
        return list(compare_metadata(MigrationContext.configure(connection), metadata))

    assert catalog.database.read(differences) == []


def test_head_is_the_last_step() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    assert ScriptDirectory.from_config(config).get_current_head() == migrations.HEAD


def test_a_start_with_nothing_to_do_does_not_load_alembic(catalog: Catalog) -> None:
    script = MIGRATE + "sys.exit('alembic' in sys.modules)"
    url = catalog.database.engine.url.render_as_string(hide_password=False)
    subprocess.run([sys.executable, "-c", script, url], check=True)


def test_processes_that_start_at_once_all_find_the_tables(database_url: str) -> None:
    command = [sys.executable, "-c", MIGRATE, database_url]
    starting = [subprocess.Popen(command) for _ in range(3)]
    assert [process.wait(timeout=60) for process in starting] == [0, 0, 0]
    with migrated(database_url) as catalog:
        assert catalog.find() == ([], None)


def test_a_database_of_a_later_version_is_refused_and_left_alone(catalog: Catalog) -> None:
    later = text("UPDATE alembic_version SET version_num = '9999'")
    catalog.database.write(lambda connection: connection.execute(later))
    with pytest.raises(RuntimeError, match="revision 9999"):
        catalog.migrate()
    assert catalog.find() == ([], None)
