import re
from collections import Counter

import pytest
import yaml

from globe.curation.curate import curate
from globe.curation.recipe import CurationRecipe, Negatives
from globe.curation.sets.card import CARD_FILE, MOST_PLACES, count_set, write_card
from globe.curation.sets.outputs import SETS
from globe.curation.teachers.teacher import Teacher
from globe.data.completeness import Completeness
from globe.data.registry import find_data_set
from globe.data.rows import Row
from globe.data.shards import read_dataset, write_dataset
from globe.demo.teacher_server import running_teachers
from globe.demo.world import write_world
from globe.errors import InputError

RECIPE = CurationRecipe(
    timeout_s=3.0, concurrency=4, pool="kept", negatives=Negatives(other_picture=0.5, cues_removed=0.5), balance_verdicts=True
)


@pytest.fixture(scope="module")
def curated(tmp_path_factory):
    folder = tmp_path_factory.mktemp("curated")
    write_world(folder / "world", pictures=150)
    with running_teachers(folder / "world") as specs:
        result = curate(folder / "world", folder / "out", [Teacher.parse(spec) for spec in specs], RECIPE)
    return folder / "out", result


@pytest.fixture(scope="module")
def card(curated):
    path = write_card(*curated, RECIPE)
    assert path == curated[0] / CARD_FILE
    return path.read_text(encoding="utf-8")


def tables(text):
    """Every table of the card: its head, and its rows by their first cell."""
    found = []
    for block in re.findall(r"(?:^\|.*\n?)+", text, re.MULTILINE):
        head, _, *rows = [line.strip("| \n").split(" | ") for line in block.splitlines()]
        found.append((head, {row[0]: row[1:] for row in rows}))
    return found


def number(text):
    return int(text.replace(",", ""))


def test_the_counts_of_sets_and_verdicts_are_those_of_the_shards(curated, card):
    (_, sets), (_, verdicts), *_ = tables(card)
    rows = {name: list(read_dataset(curated[0] / name)) for name in SETS}
    assert {name: [number(cell) for cell in cells] for name, cells in sets.items()} == {
        name.replace("_", " "): [sum(row.split == split for row in of) for split in ("train", "test")]
        for name, of in rows.items()
    }
    judged = rows["reward_model"]
    kinds = Counter((row.split, "yes" if row.localizable else row.made or "no") for row in judged)
    shown = {"yes": "yes", "no": "no, as the teachers say"}
    shown |= {kind: f"no, {kind}".replace("_", "\\_") for kind in ("other_picture", "cues_removed")}
    assert {name: [number(cell) for cell in cells] for name, cells in verdicts.items()} == {
        title: [kinds["train", kind], kinds["test", kind]] for kind, title in shown.items()
    }
    assert all(kinds["train", kind] for kind in ("yes", "no", "other_picture"))  # the toy teachers write cues alone


def test_each_kind_of_no_is_counted_by_its_own_name(curated, tmp_path):
    rows = list(read_dataset(curated[0] / "reward_model"))[:6]
    made = [row.model_copy(update={"localizable": False, "provenance": {"made": "cues_removed"}}) for row in rows[:3]]
    write_dataset(tmp_path, [*made, *(row.model_copy(update={"localizable": True, "split": "train"}) for row in rows[3:])])
    counts = count_set(tmp_path).verdicts
    assert counts["train", "yes"] == 3
    assert counts["train", "cues_removed"] + counts["test", "cues_removed"] == 3
    assert counts.total() == 6


def test_the_counts_of_places_are_those_of_the_shards(curated, card):
    for name in ("sft", "pool", "test"):
        rows = list(read_dataset(curated[0] / name))
        countries, cities = Counter(row.country for row in rows), Counter((row.city, row.country) for row in rows)
        assert f"`{name}`: {len(countries)} countries, {len(cities)} cities." in card
        section = card.split("## Places")[1].split(f"`{name}`: ")[1].split("\n`")[0].split("\n## ")[0]
        (_, by_country), (_, by_city) = tables(section)
        for shown, counts, label in ((by_country, countries, str), (by_city, cities, ", ".join)):
            others = [cells for place, cells in shown.items() if place.endswith(" others")]
            assert sum(number(cells[0]) for cells in shown.values()) == len(rows)
            assert len(shown) - len(others) == min(MOST_PLACES, len(counts))
            most = {place: cells for place, cells in shown.items() if not place.endswith(" others")}
            by_label = {label(place): count for place, count in counts.items()}
            assert {place: number(cells[0]) for place, cells in most.items()} == {place: by_label[place] for place in most}


def test_the_funnel_adds_up_to_the_source(curated, card):
    (funnel,) = [rows for head, rows in tables(card) if head == ["Pictures", "Count"]]
    counts = {reason: number(cells[0]) for reason, cells in funnel.items()}
    assert counts.pop("in the source") == curated[1]["in"] == sum(counts.values()) == 150
    assert counts["kept"] == curated[1]["kept"]


def test_teachers_are_named_and_not_where_they_are_served(curated, card):
    assert "toy-vlm-a" in card
    assert not re.search(r"127\.0\.0\.1|localhost|\d{4,5}/v1", card)


def test_a_teacher_of_several_servers_is_one_row_by_its_name(curated):
    out, result = curated
    several = Teacher("vlm", "big", "http://gpu1:8000/v1", ("http://gpu2:8000/v1",))
    figures = dict(zip([several.spec, *list(result["teachers"])[1:]], result["teachers"].values(), strict=True))
    text = write_card(out, result | {"teachers": figures}, RECIPE).read_text(encoding="utf-8")
    (teachers,) = [rows for head, rows in tables(text) if head[0] == "Model"]
    assert list(teachers) == ["big", *(Teacher.parse(spec).model for spec in list(result["teachers"])[1:])]
    assert "gpu1" not in text


def test_the_thresholds_are_the_recipes(card):
    block = re.search(r"(?:^    .*\n)+", card.split("## Settings")[1], re.MULTILINE)
    shown = yaml.safe_load(block[0])
    values = RECIPE.model_dump(mode="json")
    assert shown == {name: values[name] for name in shown}
    assert {"agree_km", "min_score", "test_share", "negatives", "balance_verdicts"} <= set(shown)
    assert "concurrency" not in shown


def test_the_head_is_that_of_a_data_set_card_of_the_hub(card):
    head = yaml.safe_load(card.split("---\n")[1])
    assert head["license"] == "unknown"
    assert head["size_categories"] == ["n<1K"]
    assert all(isinstance(tag, str) for tag in [*head["tags"], *head["task_categories"]])


def test_the_licence_is_the_data_sets_own_words_and_unknown_where_nobody_says(curated, card):
    assert "unknown: ask whoever took them" in card
    known = find_data_set("yfcc4k")
    source = Completeness("yfcc4k", 150, 150, 150, {}, known.source, known.licence)
    text = write_card(*curated, RECIPE, source).read_text(encoding="utf-8")
    (what,) = [rows for head, rows in tables(text) if head == ["What", "Known"]]
    plain = {name: cells[0].replace("\\", "") for name, cells in what.items()}
    assert plain["Licence of the photos"] == known.licence
    assert plain["To be had from"] == known.source
    assert yaml.safe_load(text.split("---\n")[1])["license"] == "other"


def test_names_of_a_hostile_source_are_shown_as_they_are(curated, tmp_path):
    out, result = curated
    row = next(iter(read_dataset(out / "sft")))
    hostile = "<script>x</script> | [a](http://b) `c`\n# d"
    for name in SETS:
        write_dataset(tmp_path / name, [Row.model_validate(row.model_dump() | {"country": hostile, "city": hostile})])
    text = write_card(tmp_path, result, RECIPE, Completeness(hostile, 1, 1, 1)).read_text(encoding="utf-8")
    assert not re.search(r"<script|(?<!\\)\]\(|^# d", text, re.MULTILINE)
    assert len(tables(text)[2][1]) == 1


def test_places_that_are_not_known_are_counted_as_such(curated, tmp_path):
    out, result = curated
    rows = list(read_dataset(out / "sft"))[:4]
    nowhere = [row.model_copy(update={"country": "", "city": ""}) for row in rows[:3]]
    for name in SETS:
        write_dataset(tmp_path / name, [*nowhere, rows[3]])
    assert count_set(tmp_path / "sft").countries[""] == 3
    assert "1 countries, 1 cities; the country of 3 rows is unknown." in write_card(tmp_path, result, RECIPE).read_text()


def test_places_that_look_alike_once_written_out_are_counted_each_for_itself(curated, tmp_path):
    out, result = curated
    rows = list(read_dataset(out / "sft"))[:4]
    named = [("A, B", "Paris"), ("B", "Paris, A"), ("", "Rome"), ("unknown", "Rome")]
    placed = [row.model_copy(update={"country": country, "city": city}) for row, (country, city) in zip(rows, named, strict=True)]
    for name in SETS:
        write_dataset(tmp_path / name, placed)
    text = write_card(tmp_path, result, RECIPE).read_text()
    lines = [
        line for line in text.partition("`sft`: 3 countries, 4 cities; the country of 1 rows is unknown.")[2].splitlines() if line
    ]
    assert lines[:11] == [
        *("| Country | Rows |", "| --- | --: |"),
        *(f"| {country} | 1 |" for country in ("A, B", "B", "unknown")),
        *("| City | Rows |", "| --- | --: |"),
        *("| Paris, A, B | 1 |", "| Paris, A, B | 1 |", "| Rome, unknown | 1 |", "| Rome, unknown | 1 |"),
    ]


def test_without_a_finished_set_there_is_no_card(curated, tmp_path):
    with pytest.raises(InputError, match="expected a dataset"):
        write_card(tmp_path, curated[1], RECIPE)
    assert not (tmp_path / CARD_FILE).exists()
