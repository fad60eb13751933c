import io
import multiprocessing
import os
import signal

import pytest
from PIL import Image

from globe.curation.recipe import CurationRecipe, Negatives
from globe.curation.rules.evidence import Evidence
from globe.curation.rules.verify import judge
from globe.curation.rules.vocabulary import Vocabulary
from globe.curation.sets.outputs import CANDIDATES, SETS, Outputs
from globe.curation.teachers.replies import VlmReply
from globe.data import shards
from globe.data.rows import Row
from globe.data.shards import DatasetWriter, dataset_digest, is_dataset, read_dataset
from globe.geo.verdict import Truth

CITIES = (
    ("France", "Paris", 48.86, 2.35),
    ("Japan", "Tokyo", 35.68, 139.69),
    ("Peru", "Lima", -12.05, -77.04),
    ("Kenya", "Nairobi", -1.29, 36.82),
)
MADE = CurationRecipe(negatives=Negatives(other_picture=0.3, cues_removed=0.3), pool="kept")
CHOSEN = MADE.model_copy(update={"balance_verdicts": True, "max_reward_model_rows": 40, "max_pool_rows": 20, "max_sft_rows": 20})


@pytest.fixture(scope="module")
def judged():
    """Rows with what two teachers say of them and the real verdict: kept, not localizable, disputed, or of the wrong place."""
    vocabulary, found = Vocabulary(), []
    replies = []
    for n in range(240):
        file = io.BytesIO()
        Image.new("RGB", (8, 8), (n, 0, 0)).save(file, "PNG")
        country, city, lat, lon = CITIES[n % 4]
        split = "test" if n % 5 == 0 else "train"
        row = Row(id=f"p{n:03}", image=file.getvalue(), lat_deg=lat, lon_deg=lon, country=country, city=city, split=split)
        said = {"score": 0.9, "country": country, "city": city, "elements": ["red roofs", "a tower"]}
        told = VlmReply(localizable=True, reasoning=f"Red roofs under a tower. It must be {city}, number {n}.", **said)
        blank = VlmReply(localizable=False, score=0.1, country="", city="", reasoning=f"Only fog {n}.", elements=[])
        wrong = told.model_copy(update={"country": "Chile", "city": "Santiago"})
        first, second = {0: (blank, blank), 1: (told, wrong), 2: (wrong, wrong)}.get(n % 7, (told, told))
        replies.append((row, {"vlm-a": first, "vlm-b": second}))
        for name in ("vlm-a", "vlm-b"):
            vocabulary.add(name, ["red roofs", "a tower"])
    for row, vlms in replies:
        evidence = Evidence(vlms=vlms)
        truth = Truth(row.country, row.city, row.lat_deg, row.lon_deg)
        found.append((row, row.split, judge(truth, evidence, vocabulary, MADE), evidence))
    return found


def written(folder, judged, recipe):
    with Outputs(folder, recipe) as outputs:
        for one in judged:
            outputs.add(*one)
    sets = {name: list(read_dataset(folder / name)) for name in SETS}
    assert outputs.rows == {name: len(rows) for name, rows in sets.items()}
    assert sorted(path.name for path in folder.iterdir()) == sorted(SETS)  # the candidates are gone
    return sets


def test_the_pool_has_every_picture_that_is_not_held_out_or_only_those_that_were_kept(tmp_path, judged):
    of_all = written(tmp_path / "all", judged, CurationRecipe())
    kept = written(tmp_path / "kept", judged, CurationRecipe(pool="kept"))
    verified = {row.id for row, split, verdict, _ in judged if verdict.best and split == "train"}
    assert {row.id for row in of_all["pool"]} == {row.id for row, split, _, _ in judged if split == "train"}
    assert kept["pool"] == [row for row in of_all["pool"] if row.id in verified]
    assert 0 < len(verified) < len(of_all["pool"])
    assert [row.id for row in kept["pool"]] == [row.id for row in kept["sft"]]
    assert {name: kept[name] for name in ("sft", "reward_model", "test")} == {
        name: of_all[name] for name in ("sft", "reward_model", "test")
    }


def test_made_rows_are_added_to_those_of_the_teachers_and_to_no_other_set(tmp_path, judged):
    plain = written(tmp_path / "plain", judged, CurationRecipe(pool="kept"))
    made = written(tmp_path / "made", judged, MADE)
    assert [row for row in made["reward_model"] if not row.made] == plain["reward_model"]
    assert {name: made[name] for name in ("sft", "pool", "test")} == {name: plain[name] for name in ("sft", "pool", "test")}
    kinds = {row.made for row in made["reward_model"]}
    assert kinds == {"", "other_picture", "cues_removed"}
    yes = {row.id: row for row in plain["reward_model"] if row.localizable}
    for row in made["reward_model"]:
        if row.made == "cues_removed":
            told = yes[row.provenance["image"]]
            assert row.reasoning == told.reasoning.partition(". ")[2]
            assert (row.image, row.city, row.localizable) == (told.image, told.city, False)


def test_of_a_picture_that_is_held_out_neither_picture_nor_text_is_trained_on(tmp_path, judged):
    sets = written(tmp_path, judged, MADE)
    held_out = {row.image for row, split, _, _ in judged if split == "test"}
    words = {reply.reasoning for row, split, _, evidence in judged if split == "test" for reply in evidence.vlms.values()}
    trained = [row for rows in sets.values() for row in rows if row.split == "train"]
    assert not held_out & {row.image for row in trained}
    assert not words & {row.reasoning for row in trained}
    assert {row.split for row in sets["reward_model"] if row.made} == {"train", "test"}


def test_supervised_training_and_grpo_are_limited_to_the_same_pictures(tmp_path, judged):
    sets = written(tmp_path, judged, CHOSEN)
    assert len(sets["sft"]) == len(sets["pool"]) == 20
    assert [row.id for row in sets["sft"]] == [row.id for row in sets["pool"]]
    train = [row.localizable for row in sets["reward_model"] if row.split == "train"]
    assert (train.count(True), train.count(False)) == (20, 20)


def test_an_error_midway_leaves_no_set_and_no_candidates(tmp_path, judged):
    def torn():
        yield from judged
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        written(tmp_path, torn(), CHOSEN)
    assert not any(is_dataset(tmp_path / name) for name in SETS)
    assert not (tmp_path / CANDIDATES).exists()


def test_a_set_that_cannot_be_settled_leaves_none(tmp_path, judged):
    def ending_on_a_bad_disk():
        yield from judged
        (tmp_path / CANDIDATES / "reward_model" / "part.tmp").mkdir()  # in the way of the file of this name

    with pytest.raises(IsADirectoryError):
        written(tmp_path, ending_on_a_bad_disk(), CHOSEN)
    assert not any(is_dataset(tmp_path / name) for name in SETS)


def digests(folder):
    return {name: dataset_digest(folder / name) for name in SETS if is_dataset(folder / name)}


def killed(folder, judged, kill_at):
    """Write the sets in a process of its own, which SIGKILL ends as soon as `kill_at()` says so, asked at each row and file."""

    def write() -> None:
        add, finish = DatasetWriter.add, shards.write_json

        def fatal(work, *given):
            if kill_at():
                os.kill(os.getpid(), signal.SIGKILL)
            work(*given)

        DatasetWriter.add = lambda writer, row: fatal(add, writer, row)  # type: ignore[method-assign]
        shards.write_json = lambda path, content: fatal(finish, path, content)
        written(folder, judged, CHOSEN)

    child = multiprocessing.get_context("fork").Process(target=write)
    child.start()
    child.join()
    return child.exitcode


@pytest.fixture(scope="module")
def undisturbed(judged, tmp_path_factory):
    """The digests of sets that were written in one go, and how many rows and manifests that took."""
    folder, asked = tmp_path_factory.mktemp("undisturbed"), []
    with pytest.MonkeyPatch.context() as patch:
        add, finish = DatasetWriter.add, shards.write_json
        patch.setattr(DatasetWriter, "add", lambda writer, row: (asked.append(1), add(writer, row)))
        patch.setattr(shards, "write_json", lambda path, content: (asked.append(1), finish(path, content)))
        written(folder, judged, CHOSEN)
    assert len(digests(folder)) == len(SETS)
    return digests(folder), len(asked)


@pytest.mark.parametrize("moment", [0.01, 0.3, 0.6, 0.8, 0.9, -7, -4, -3, -2, -1])
def test_killed_at_any_moment_no_set_is_torn_and_when_run_again_the_bytes_are_the_same(tmp_path, judged, undisturbed, moment):
    """The last four moments are those at which the sets' manifests are written."""
    whole, moments = undisturbed
    left = iter(range(moments + moment if moment < 0 else int(moment * moments)))
    assert killed(tmp_path, judged, lambda: next(left, None) is None) == -signal.SIGKILL
    left_behind = digests(tmp_path)
    assert len(left_behind) == max(0, moment + len(SETS)) * (moment < 0)
    assert left_behind.items() <= whole.items()
    written(tmp_path, judged, CHOSEN)
    assert digests(tmp_path) == whole
