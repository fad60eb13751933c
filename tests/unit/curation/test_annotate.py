import json
from collections import Counter
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
from odd_photos import write_odd_photos
from odd_teachers import completion_about, picture_in

from globe.curation.annotate import annotate
from globe.curation.curation import merged
from globe.curation.cut import cut
from globe.curation.parts import PartFiles, end_as_is, go_on_from
from globe.curation.recipe import CurationRecipe
from globe.curation.source_part import files_of, source_part
from globe.curation.teachers.named import SIMULATED
from globe.data.recipe import SourceRecipe
from globe.data.shards import read_dataset
from globe.run.events import EVENTS_VARIABLE
from globe.run.stage import RUN_VARIABLE

SOURCE = SourceRecipe(toy_pictures=16)


@pytest.fixture
def parts(tmp_path):
    store = tmp_path / "store"
    shares = cut(source="toy", recipe=SOURCE, part_rows=10, annotators=1, store=store)
    return [source_part(source="toy", recipe=SOURCE, shares=shares, part=part, store=store) for part in shares.of(0)]


def asked_about(part, store, **values):
    recipe = CurationRecipe(timeout_s=3.0, concurrency=4, **values)
    return annotate(part=part, source="toy", source_recipe=SOURCE, teachers=SIMULATED, recipe=recipe, store=store)


def test_a_parts_pictures_are_asked_of_every_teacher_once(parts, tmp_path):
    result = asked_about(parts[1], tmp_path / "store", rounds=1)
    files = files_of(parts[1], result)
    mine = [row.id for row in read_dataset(files.data)]
    assert len(mine) == 6
    replies = [json.loads(line) for line in (files.asked / "replies.jsonl").read_text().splitlines()]
    assert sorted((reply["id"], reply["teacher"]) for reply in replies) == sorted(
        (row_id, teacher) for row_id in mine for teacher in ("toy-vlm-a", "toy-vlm-b", "toy-coordinates")
    )
    assert set(files.pictures().digests) == set(mine)
    assert result.outcome.figure == "part 2: 6 pictures"


def test_the_same_replies_serve_whatever_becomes_of_them_later(parts, tmp_path):
    def key(**values):
        return asked_about(parts[0], tmp_path / "store", **values).key

    assert key() == key(min_score=0.9, agree_km=10.0, test_share=0.5, part_rows=3)
    assert key() != key(max_side_px=512)


class Asked:
    """Two teachers behind one server. What is `wrong` decides what the second one does with some pictures.

    Attributes:
        answered: Each question that was answered, as (model, picture's digest), as often as it was.
        failed: Likewise each that was not.
        wrong: Status for pictures whose digest begins with a byte below `share`; 0 answers all.
    """

    def __init__(self, serve, share):
        self.answered, self.failed, self.wrong, self.share = Counter(), Counter(), 0, share
        self.server = serve(self._answer)

    def _answer(self, path, body):
        model, picture = body["model"], picture_in(body)
        question = model, sha256(picture).hexdigest()
        if self.wrong and model == "b" and sha256(picture).digest()[0] < self.share:
            self.failed[question] += 1
            return self.wrong, {}, b"{}"
        self.answered[question] += 1
        return 200, {}, completion_about(model, picture)


class Pipeline:
    """A curation by two annotators, as the pipeline does it, each time a run of its own."""

    recipe = CurationRecipe(retries=0, rounds=1, concurrency=4, patience_s=1.0, max_unusable_percent=60.0)

    def __init__(self, table, asked, store, monkeypatch):
        self._table, self._store, self._set = str(table), store, monkeypatch.setenv
        self._named = {"teachers": ",".join(f"{name}@{asked.server.url}" for name in ("a", "b")), "recipe": self.recipe}

    def run(self, run: str):
        """Returns the results of asking, in the parts' order, and all that the merge has written, by name."""
        self._set(RUN_VARIABLE, run)
        source_recipe = SourceRecipe(max_unusable_percent=60.0)
        same = {"source": self._table, "store": self._store}
        shares = cut(recipe=source_recipe, part_rows=15, annotators=2, **same)
        read = [source_part(recipe=source_recipe, shares=shares, part=part, **same) for part in shares.of(0) + shares.of(1)]
        asked = [annotate(part=part, source_recipe=source_recipe, **same, **self._named) for part in read]
        brought = list(zip(read, asked, strict=True))
        made = merged(parts=brought, recipe_name="x", source_recipe=source_recipe, **same, **self._named)
        data = Path(made.outcome.outputs["data"])
        return asked, {str(path.relative_to(data)): path.read_bytes() for path in data.rglob("*") if path.is_file()}


@pytest.fixture
def pipeline(serve, tmp_path, monkeypatch):
    """Makes pipelines over the same photos and teachers, each with a store of its own, and says whom they ask."""
    table, asked = write_odd_photos(tmp_path / "photos", 60), Asked(serve, share=24)
    return asked, lambda store: Pipeline(table, asked, tmp_path / store, monkeypatch)


def test_the_next_run_asks_what_had_no_answer_and_ends_as_if_the_teacher_had_always_been_well(pipeline):
    asked, made = pipeline
    _, expected = made("undisturbed").run("well")
    questions = asked.answered
    assert set(questions.values()) == {1}
    asked.answered, asked.wrong = Counter(), 400
    disturbed = made("disturbed")
    first, poor = disturbed.run("one")
    lost = asked.failed
    unanswered = [one.outcome.figures["unanswered"] for one in first]
    assert sum(unanswered) == len(lost) >= 3
    assert 0 in unanswered
    assert poor["decisions.jsonl"] != expected["decisions.jsonl"]
    asked.wrong, before = 0, asked.answered.copy()
    second, mended = disturbed.run("two")
    assert mended == expected
    assert asked.answered == questions  # once each, over both runs
    assert set(asked.answered - before) == set(lost)
    assert [one.key == was.key for one, was in zip(second, first, strict=True)] == [not count for count in unanswered]
    third, again = disturbed.run("three")
    assert (again, [one.key for one in third]) == (expected, [one.key for one in second])
    assert asked.answered == questions


def test_a_run_that_goes_on_after_a_kill_asks_nothing_again_itself(pipeline):
    asked, made = pipeline
    asked.wrong, disturbed = 400, made("store")
    first, poor = disturbed.run("one")
    failed = asked.failed.copy()
    second, same = disturbed.run("one")
    assert (same, [one.key for one in second]) == (poor, [one.key for one in first])
    assert asked.failed == failed


@pytest.mark.parametrize("how", ["the same questions fail again", "all calls to a teacher fail"])
def test_a_teacher_that_fails_again_costs_nothing_that_was_there_and_is_asked_by_the_run_after(
    pipeline, monkeypatch, tmp_path, how
):
    asked, made = pipeline
    _, expected = made("undisturbed").run("well")
    asked.answered, asked.wrong, disturbed = Counter(), 400, made("disturbed")
    first, poor = disturbed.run("one")
    if how == "all calls to a teacher fail":
        asked.wrong = 500
    monkeypatch.setenv(EVENTS_VARIABLE, str(tmp_path / "events.jsonl"))
    second, still = disturbed.run("two")
    assert still["decisions.jsonl"] == poor["decisions.jsonl"]
    assert [one.outcome.figures for one in second] == [one.outcome.figures for one in first]
    told = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    assert not [event for event in told if event["kind"] == "failed"]
    worst = max(second, key=lambda one: one.outcome.figures["unanswered"])
    assert worst.outcome.figure.endswith(f"; unanswered questions: {worst.outcome.figures['unanswered']}")
    asked.wrong = 0
    _, mended = disturbed.run("three")
    assert mended == expected
    assert set(asked.answered.values()) == {1}


def test_what_a_killed_second_try_has_got_is_kept_and_half_a_copy_is_made_anew(pipeline):
    asked, made = pipeline
    asked.wrong = 400
    (first, *_), _ = made("store").run("one")
    before = PartFiles(first.folder, first.folder, first.outcome.path("asked"))
    again = replace(before, asked=first.folder / "again")
    again.asked.mkdir()
    journal = again.asked / "replies.jsonl"
    (again.asked / "replies.jsonl.part").write_bytes(b"half")
    go_on_from(again, before)
    assert journal.read_bytes() == (before.asked / "replies.jsonl").read_bytes()
    answered = next(json.loads(line) for line in journal.read_text().splitlines() if '"status":"failed"' in line)
    got = json.dumps(answered | {"status": "ok"}).encode() + b"\n"
    with journal.open("ab") as file:
        file.write(got)
    go_on_from(again, before)
    assert journal.read_bytes().endswith(got)
    end_as_is(again, before)
    assert again.unanswered() == before.unanswered() - 1
    assert again.is_asked
