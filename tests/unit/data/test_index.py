"""An index on disk finds what a search of all names finds, is kept for who opens an archive next, and is believed only whole."""

import os
import subprocess
import sys
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from globe.data import index
from globe.data.index import MISSING, SEVERAL, File, index_of, passing_index

PLACE = Path("/somewhere/photos.tar")


def by_hand(names, wanted):
    """A search of all names: the position of the file that is found, or the reason why there is none."""
    paths = [str(PurePosixPath(name)) for name in names]
    for one in map(str, wanted):
        if one in paths:
            return len(paths) - 1 - paths[::-1].index(one)
    for one in map(str, wanted):
        ends = {path for path in paths if path.endswith(f"/{one}")}
        if ends:
            return SEVERAL if len(ends) > 1 else by_hand(names, ends)
    return MISSING


# Few letters, so that paths meet; those beside / in their order, those of other lengths as UTF-8, and one that is no Unicode.
PARTS = st.text("a.0/éя\udce9😀\ue000\0", max_size=3)
PATHS = st.lists(PARTS, min_size=1, max_size=4).map("/".join)


@given(st.lists(PATHS, max_size=12), st.lists(st.lists(PATHS, min_size=1, max_size=3), min_size=1, max_size=6))
def test_a_name_finds_the_file_that_a_search_of_all_names_finds(names, asked):
    made = passing_index(PLACE, [File(name, at=number) for number, name in enumerate(names)])
    for paths in [*asked, *([name] for name in names), *([name.partition("/")[2]] for name in names)]:
        wanted = [PurePosixPath(path) for path in paths]
        found = made.find(wanted)
        assert (found if isinstance(found, str) else found.at) == by_hand(names, wanted)
    assert list(made.names()) == sorted(names)
    made.close()


def test_numbers_that_no_file_could_have_are_kept_as_the_largest_that_fit(cache):
    made = passing_index(PLACE, [File("a", at=-(2**70), size=2**64 - 1, packed=5, crc=2**32 - 1, method=8, flags=2048)])
    assert made.find([PurePosixPath("a")]) == File("a", -(2**63 - 1), 2**63 - 1, 5, 2**32 - 1, 8, 2048)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """The folder of kept indexes; two files are enough for one."""
    monkeypatch.setenv("GLOBE_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(index, "KEPT_FROM", 2)
    return tmp_path / "cache" / "indexes"


def opened(names, state=(10, 20)):
    """The names that an index of an archive gives, and how often the archive was listed for it."""
    listed = []

    def files():
        listed.append(1)
        return map(File, names)

    made = index_of(PLACE, state, files)
    found = list(made.names())
    made.close()
    return found, len(listed)


def test_a_large_archive_is_listed_once_and_again_when_it_has_changed(cache):
    assert opened("ab") == (["a", "b"], 1)
    assert opened("xy") == (["a", "b"], 0)
    for state in ((11, 20), (11, 21)):
        assert opened("cd", state) == (["c", "d"], 1)
        assert opened("xy", state) == (["c", "d"], 0)
    assert len(list(cache.iterdir())) == 1


def test_a_small_archive_and_a_folder_leave_nothing_behind(cache):
    assert opened("a") == (["a"], 1)
    assert list(passing_index(PLACE, map(File, "cba")).names()) == ["a", "b", "c"]
    assert list(cache.iterdir()) == []


@pytest.mark.parametrize("damage", ["cut", "empty", "no database", "another table"])
def test_a_kept_index_that_is_not_whole_is_made_again(cache, damage):
    names = [f"{number:05}.jpg" for number in range(2000)]
    assert opened(names) == (names, 1)
    (kept,) = cache.iterdir()
    whole = kept.read_bytes()
    kept.write_bytes(
        {"cut": whole[:-4096], "empty": b"", "no database": b"x" * 9000}.get(damage, whole.replace(b"about", b"other"))
    )
    assert opened(names) == (names, 1)
    assert opened(names) == (names, 0)


def test_who_reads_an_index_goes_on_with_it_while_a_newer_one_takes_its_place(cache):
    old = index_of(PLACE, (1, 1), lambda: map(File, "ab"))
    assert opened("cd", (2, 2)) == (["c", "d"], 1)
    assert list(old.names()) == ["a", "b"]


def test_what_a_listing_raises_is_raised_and_leaves_nothing_behind(cache):
    def broken():
        yield File("a")
        raise EOFError("cut")

    with pytest.raises(EOFError, match="cut"):
        index_of(PLACE, (1, 1), broken)
    assert list(cache.iterdir()) == []


def test_what_killed_processes_left_is_removed_after_a_day(cache):
    cache.mkdir(parents=True)
    for name, age_s in (("old.part", 2 * 24 * 3600), ("new.part", 60)):
        (cache / name).write_bytes(b"half")
        os.utime(cache / name, (0, (cache / name).stat().st_mtime - age_s))
    opened("ab")
    assert [path.name for path in cache.glob("*.part")] == ["new.part"]


def test_a_cache_folder_that_cannot_be_written_costs_only_the_keeping(cache):
    cache.parent.mkdir()
    cache.write_text("a file where the folder should be")
    assert opened("ab") == (["a", "b"], 1)
    assert opened("xy") == (["x", "y"], 1)


def test_a_full_disk_is_one_clear_error_and_leaves_nothing_behind(cache):
    """The limit of a process stands for the disk's: no file of it may be larger."""
    code = (
        "import resource, sys; from pathlib import Path; from globe.data.index import File, index_of\n"
        "from globe.errors import GlobeError\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, 2**20))\n"
        "try: index_of(Path('/p.zip'), (1, 1), lambda: (File(f'{number}.jpg') for number in range(200_000)))\n"
        "except GlobeError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"no index of /p.zip can be written to {cache}; make room there, or set GLOBE_CACHE_DIR (")
    assert list(cache.iterdir()) == []
