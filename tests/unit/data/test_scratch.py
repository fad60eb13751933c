import sqlite3

import pytest

from globe.data.scratch import scratch_database


@pytest.mark.parametrize("named", [True, False])
def test_a_scratch_database_gives_back_what_it_was_given_within_a_small_cache(tmp_path, named):
    path = tmp_path / "scratch.sqlite" if named else ""
    database = scratch_database(path, cache_kib=64)
    database.execute("CREATE TABLE kept (number INTEGER PRIMARY KEY, text TEXT)")
    database.executemany("INSERT INTO kept VALUES (?, ?)", ((number, str(number) * 50) for number in range(5000)))
    assert database.execute("SELECT count(*), sum(length(text)) FROM kept").fetchone() == (
        5000,
        sum(50 * len(str(number)) for number in range(5000)),
    )
    database.close()
    assert [one.name for one in tmp_path.iterdir()] == (["scratch.sqlite"] if named else [])
    with pytest.raises(sqlite3.ProgrammingError):
        database.execute("SELECT 1")
