import json

import pytest

from globe.curation.asking import MOST_SHARES, Share, ask_teachers, share_numbers
from globe.curation.recipe import CurationRecipe
from globe.curation.replies import ReplyLog
from globe.curation.teachers import Teacher
from globe.data.shards import read_dataset
from globe.demo.world import write_world
from globe.errors import InputError

IDS = [f"picture-{number}" for number in range(500)]


def test_parts_divide_a_source_and_stay_what_they_are_when_it_grows():
    parts = [[row_id for row_id in IDS if Share(index, 3).has(row_id)] for index in range(3)]
    assert sorted(row_id for part in parts for row_id in part) == sorted(IDS)
    assert all(len(part) > 100 for part in parts)
    assert [row_id for row_id in IDS[:100] if Share(1, 3).has(row_id)] == [row_id for row_id in parts[1] if row_id in IDS[:100]]


def test_there_is_at_least_one_part_and_not_more_than_teachers_could_answer():
    assert share_numbers(3) == [0, 1, 2]
    for count in (0, -1, MOST_SHARES + 1):
        with pytest.raises(InputError, match=f"annotators: {count}: give 1 to"):
            share_numbers(count)


def test_only_a_parts_pictures_are_asked_about_and_what_the_log_has_is_not_asked_again(serve, good_reply, tmp_path):
    write_world(tmp_path / "world", pictures=20)
    content = json.dumps({"choices": [{"message": {"content": json.dumps(good_reply)}}]}).encode()
    server = serve(lambda path, body: (200, {}, content))
    teachers = [Teacher("vlm", "a", server.url)]
    mine = [row.id for row in read_dataset(tmp_path / "world") if Share(0, 2).has(row.id)]
    figures = []
    with ReplyLog(tmp_path / "replies.jsonl") as log:
        for _ in range(2):
            asked = ask_teachers(
                tmp_path / "world", teachers, CurationRecipe(), log, lambda *call: figures.append(call), Share(0, 2)
            )
            assert (asked.rows, sorted(asked.digests), asked.quarantined) == (len(mine), sorted(mine), {})
    assert len(server.requests) == len(mine)
    assert figures[-1][2] == f"0 replies, 0 unusable, {len(mine)} from before"
