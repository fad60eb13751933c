import pytest

from globe.curation import earlier as earlier_module
from globe.curation.earlier import EarlierReplies, PartLog, finish_putting_aside, put_aside
from globe.curation.teachers.replies import Record, ReplyLog


def record(key, status="ok"):
    return Record(id="a", teacher="t", key=key * 32, status=status, attempts=1)


@pytest.fixture
def parts(tmp_path):
    """Two parts with journals, the second of which a kill has cut short."""
    for name, records in (("00000", [record("a"), record("b", "timeout")]), ("00001", [record("c"), record("d", "malformed")])):
        (tmp_path / "parts" / name).mkdir(parents=True)
        with ReplyLog(tmp_path / "parts" / name / "replies.jsonl") as log:
            for one in records:
                log.append(one)
    with (tmp_path / "parts" / "00001" / "replies.jsonl").open("a") as journal:
        journal.write('{"id": "torn')
    (tmp_path / "parts" / "00000" / "source").mkdir()
    return tmp_path / "parts"


def test_answers_of_former_parts_are_found_by_their_question_and_failures_are_not(parts, tmp_path):
    put_aside(parts, tmp_path / "earlier")
    assert not parts.exists()
    with EarlierReplies(tmp_path / "earlier") as earlier:
        found = {key: earlier.get(key * 32) for key in "abcde"}
    assert found == {"a": record("a"), "b": None, "c": record("c"), "d": record("d", "malformed"), "e": None}


def test_a_journal_takes_over_what_was_answered_earlier(parts, tmp_path):
    put_aside(parts, tmp_path / "earlier")
    with EarlierReplies(tmp_path / "earlier") as earlier, PartLog(tmp_path / "replies.jsonl", earlier) as log:
        assert [log.is_finished(key * 32) for key in "abc"] == [True, False, True]
    with ReplyLog(tmp_path / "replies.jsonl") as log:
        assert log.get("c" * 32) == record("c")
        assert log.get("d" * 32) is None


@pytest.mark.parametrize("moved", [0, 1, 2])
def test_a_kill_while_parts_are_put_aside_leaves_no_part_without_its_journal_and_is_finished_later(
    parts, tmp_path, monkeypatch, moved
):
    """Killed before each of the journals is moved, and before the rest is removed."""
    calls, rename = iter(range(9)), earlier_module.Path.rename

    def kill_at(path, target):
        if path.name == "replies.jsonl" and next(calls) == moved:
            raise KeyboardInterrupt
        return rename(path, target)

    def kill(path):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(earlier_module.Path, "rename", kill_at)
        patch.setattr(earlier_module.shutil, "rmtree", kill)
        with pytest.raises(KeyboardInterrupt):
            put_aside(parts, tmp_path / "earlier")
    assert not parts.exists()
    finish_putting_aside(parts, tmp_path / "earlier")
    assert [path.name for path in tmp_path.iterdir()] == ["earlier"]
    with EarlierReplies(tmp_path / "earlier") as earlier:
        assert earlier.get("a" * 32) == record("a")
        assert earlier.get("c" * 32) == record("c")


def test_a_journal_put_aside_takes_the_place_of_no_other_though_one_was_removed(parts, tmp_path):
    earlier = tmp_path / "earlier"
    put_aside(parts, earlier)
    (earlier / "000000.jsonl").unlink()
    kept = (earlier / "000001.jsonl").read_bytes()
    (parts / "00000").mkdir(parents=True)
    with ReplyLog(parts / "00000" / "replies.jsonl") as log:
        log.append(record("f"))
    put_aside(parts, earlier)
    assert (earlier / "000001.jsonl").read_bytes() == kept
    with EarlierReplies(earlier) as replies:
        assert [replies.get(key * 32) for key in "cdf"] == [record("c"), record("d", "malformed"), record("f")]


def test_without_former_parts_nothing_is_written(tmp_path):
    with EarlierReplies(tmp_path / "earlier") as earlier:
        assert earlier.get("a" * 32) is None
    assert not (tmp_path / "earlier").exists()
