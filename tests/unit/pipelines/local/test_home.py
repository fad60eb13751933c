"""Nothing of a user's is deleted, or mixed up with ours."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from globe.errors import GlobeError, InputError
from pipelines.local.home import MARKER, find_home, using

CAP_SYS_ADMIN = 21


def use(folder: Path, fresh: bool = False) -> Path:
    home = find_home(str(folder))
    with using(home, alone=fresh):
        (home / "store").mkdir(exist_ok=True)
    return home


def everything(folder: Path) -> dict[str, bytes | None]:
    return {str(path): path.read_bytes() if path.is_file() else None for path in sorted(folder.rglob("*"))}


def earlier_home(folder: Path) -> Path:
    """A home as versions before the mark left it."""
    for name in ("history/20260102-030405-abcd", "store/source/0123456789abcdef"):
        (folder / name).mkdir(parents=True)
    (folder / "store/source/0123456789abcdef/result.json").write_text(json.dumps({"stage": "source"}))
    (folder / "store/source/0123456789abcdef.lock").touch()
    (folder / "store/promoted.json").write_text("{}")
    (folder / ".lock").touch()
    (folder / "report.html").touch()
    return folder


@pytest.mark.parametrize("fresh", [False, True])
@pytest.mark.parametrize(
    "names", [["store/thesis.txt"], ["history/1066.txt"], ["store/source/mine.txt", "history/a"], ["photo.jpg"]]
)
def test_a_folder_that_no_run_has_made_is_refused_and_left_as_it_is(tmp_path, names, fresh):
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("the user's")
    before = everything(tmp_path)
    with pytest.raises(InputError, match="was not created by a run"):
        use(tmp_path, fresh)
    assert everything(tmp_path) == before


def test_what_this_folder_is_and_may_become_is_asked_of_the_working_folder_too(tmp_path, monkeypatch):
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "thesis.txt").write_text("the user's")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="was not created by a run"):
        find_home(".")


@pytest.mark.parametrize("make", [lambda folder: None, lambda folder: folder.mkdir()])
def test_a_new_or_empty_folder_becomes_a_home_and_is_one_from_then_on(tmp_path, make):
    make(tmp_path / "home")
    home = use(tmp_path / "home")
    assert "--fresh" in (home / MARKER).read_text()
    (home / "store" / "old").mkdir()
    (home / "notes.txt").write_text("the user's, in a home")
    use(home)
    assert (home / "store" / "old").exists()
    use(home, fresh=True)
    assert list((home / "store").iterdir()) == []
    assert (home / "notes.txt").exists()
    assert {path.name for path in home.iterdir()} == {MARKER, ".lock", "store", "notes.txt"}


def test_a_home_of_an_earlier_version_is_known_by_what_is_in_it_and_marked(tmp_path):
    home = use(earlier_home(tmp_path / "home"))
    assert (home / MARKER).is_file()
    assert (home / "store/source/0123456789abcdef/result.json").exists()


@pytest.mark.parametrize("foreign", ["letter.txt", "store/letter.txt", "store/source/letter.txt", "history/letter.txt"])
def test_one_file_too_many_and_it_is_no_home_of_an_earlier_version(tmp_path, foreign):
    home = earlier_home(tmp_path / "home")
    (home / foreign).write_text("the user's")
    with pytest.raises(InputError, match=f"touch {home / MARKER}"):
        find_home(str(home))
    (home / MARKER).touch()  # what the error says to do
    assert find_home(str(home)) == home


def test_a_store_that_is_a_link_is_not_followed(tmp_path):
    home = use(tmp_path / "home")
    (home / "store").rmdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "thesis.txt").write_text("the user's")
    (home / "store").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="is a link"):
        use(home, fresh=True)
    assert (tmp_path / "elsewhere" / "thesis.txt").exists()


def test_links_inside_a_store_are_not_followed_either(tmp_path):
    home = use(tmp_path / "home")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "thesis.txt").write_text("the user's")
    (home / "store" / "sft").symlink_to(tmp_path / "elsewhere")
    use(home, fresh=True)
    assert list((home / "store").iterdir()) == []
    assert (tmp_path / "elsewhere" / "thesis.txt").exists()


def test_a_home_reached_through_a_link_is_the_one_that_it_leads_to(tmp_path):
    home = use(tmp_path / "home")
    (tmp_path / "link").symlink_to(home)
    assert find_home(str(tmp_path / "link")) == home


def test_what_a_kill_in_the_middle_of_forgetting_left_goes_with_the_next_run(tmp_path):
    home = use(tmp_path / "home")
    (home / ".forgotten-12345678" / "sft").mkdir(parents=True)
    use(home)
    assert not list(home.glob(".forgotten-*"))


def test_a_home_in_use_is_not_emptied(tmp_path):
    home = use(tmp_path / "home")
    with using(home, alone=False), pytest.raises(InputError, match="another run is using it"):
        use(home, fresh=True)
    assert (home / "store").exists()


@pytest.mark.parametrize("text", ["", "  ", "a\nb", "/dev/full", "/etc/passwd/x", "a" * 300, "~nobody-of-this-name/x", "\udcff"])
def test_an_odd_home_is_one_line_that_names_the_option(tmp_path, monkeypatch, text):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"^--home") as caught:
        use(find_home(text))
    assert str(caught.value).isprintable()
    assert list(tmp_path.iterdir()) == []


def test_a_place_where_no_folder_can_be_made_is_bad_input():
    with pytest.raises(InputError, match=r"^--home /proc/x: cannot be written"):
        use(Path("/proc/x"))


def test_links_that_lead_round_in_a_circle_are_bad_input(tmp_path):
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    with pytest.raises(InputError, match=r"^--home"):
        find_home(str(tmp_path / "a"))


def may_mount() -> bool:
    held = re.search(r"^CapEff:\s*(\w+)", Path("/proc/self/status").read_text(), re.MULTILINE)
    return bool(held and int(held[1], 16) >> CAP_SYS_ADMIN & 1)


@pytest.mark.skipif(not may_mount(), reason="mounting needs CAP_SYS_ADMIN, which root of a container need not have")
def test_a_file_system_that_only_reads_is_bad_input_and_a_full_one_the_machines_fault(tmp_path):
    for option, error in (("ro", InputError), ("size=4k", GlobeError)):
        place = tmp_path / option
        place.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", option, "tmpfs", place], check=True)
        try:
            if option != "ro":
                (place / "big").write_bytes(b"x" * 4096)
            with pytest.raises(error) as caught:
                use(place / "home")
            assert isinstance(caught.value, InputError) == (option == "ro")
            assert str(place / "home") in str(caught.value)
        finally:
            subprocess.run(["umount", place], check=True)


def test_an_address_is_no_home(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="is not on this machine"):
        find_home("s3://bucket/home")
    assert list(tmp_path.iterdir()) == []
