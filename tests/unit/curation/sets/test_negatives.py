import io

import pytest
from PIL import Image

from globe.curation.sets.negatives import Lenders, made_id, text_without, with_text_of, without_cues
from globe.data.rows import MAX_ID_CHARS, Row, to_record
from globe.demo.truth import load_truth
from globe.demo.world import write_world
from globe.entities.matching import VISUAL, known, named, thing_of


def row(row_id: str = "a", country: str = "France", reasoning: str = "a tower", **more) -> Row:
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "PNG")
    common = {"image": file.getvalue(), "lat_deg": 1.0, "lon_deg": 2.0, "split": "train", "localizable": True}
    return Row(id=row_id, country=country, city=f"{country} City", reasoning=reasoning, **common | more)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("Red tiled roofs and a tram stand out. It feels like Lisbon in summer.", "It feels like Lisbon in summer."),
        ("The city is Lisbon! A yellow tram passes.\nI am quite sure of it.", "The city is Lisbon! I am quite sure of it."),
        ("With red roofs and a yellow tram, this is surely Lisbon.", "This is surely Lisbon."),
        ("Red roofs, which suggests Lisbon.", ""),  # what is left of it is no sentence
        ("A tram.", ""),
        ("It feels like Lisbon.", ""),  # no cue to take away
        ("No tram runs here, so it is hardly Lisbon. A church is there.", "No tram runs here, so it is hardly Lisbon."),
        ("看到红瓦和电车。This is a church! Yes, it is.", "看到红瓦和电车。 Yes, it is."),
        ("", ""),
    ],
)
def test_without_its_cues_a_text_still_reads_as_one_or_there_is_none(text, left):
    assert text_without(text, VISUAL) == left


def test_what_only_this_picture_is_known_to_show_is_removed_too():
    told = row(reasoning="A quokka hops about. Only Rottnest has it.", entities=["quokka"])
    made = without_cues(told)
    assert made is not None
    assert made.reasoning == "Only Rottnest has it."
    assert without_cues(told, ["Rottnest"]) is None
    assert made.entities == []


def test_nothing_visible_is_named_in_what_is_left_of_any_text_of_the_toy_world(tmp_path):
    write_world(tmp_path, pictures=60)
    cues = sorted({cue for truth in load_truth(tmp_path).values() for cue in truth.cues})
    things = known(map(thing_of, cues), VISUAL)
    for n, cue in enumerate(cues):
        text = f"There is {cue} here. We are in town {n}. Behind it, {cues[n - 1]} is seen; this is certainly the place."
        left = text_without(text, things)
        assert named(left, things) == []
        assert "town" in left


def test_a_made_row_says_what_it_is_and_can_be_stored_whatever_the_id():
    told = row(
        "x" * MAX_ID_CHARS, provenance={"reasoning": "vlm-a", "localizable": "consensus of vlm-a"}, reasoning="A tram. So it is."
    )
    other = row("y", "Peru", "Llamas on a slope.", entities=["llama"], provenance={"reasoning": "vlm-b", "city": "gazetteer"})
    cleared, lent = without_cues(told), with_text_of(told, to_record(other))
    assert cleared is not None
    for made, kind in ((cleared, "cues_removed"), (lent, "other_picture")):
        assert Row.model_validate(made.model_dump()) == made
        assert made.id == made_id(kind, told.id)
        assert (made.made, made.localizable, made.image, made.split) == (kind, False, told.image, "train")
        assert made.provenance["image"] == told.id
    assert cleared.provenance == {"reasoning": "vlm-a", "made": "cues_removed", "image": told.id, "text": told.id}
    assert (cleared.country, cleared.city, cleared.lat_deg) == (told.country, told.city, told.lat_deg)
    assert lent.provenance == {"reasoning": "vlm-b", "city": "gazetteer", "made": "other_picture", "image": told.id, "text": "y"}
    assert (lent.reasoning, lent.country, lent.city, lent.entities) == (other.reasoning, "Peru", "Peru City", ["llama"])
    assert told.made == ""


PLACES = {
    "France": (48.9, 2.3), "Frankreich": (43.3, 5.4), "Peru": (-12.0, -77.0), "": (0.0, 0.0), "Chile": (-33.4, -70.7),
    "Hong Kong": (22.3, 114.2), "China": (22.3, 114.2), "Yugoslavia": (44.8, 20.5), "Serbia": (44.8, 20.5),
}  # fmt: skip


def placed(country: str) -> dict:
    return {"country": country, "lat_deg": PLACES[country][0], "lon_deg": PLACES[country][1]}


def texts(*countries: str) -> list[dict]:
    return [{"id": f"t{n}", **placed(country)} for n, country in enumerate(countries)]


def test_a_text_is_lent_once_and_only_to_a_picture_of_another_country():
    lenders = Lenders(iter(texts("France", "Frankreich", "Peru", "", "Chile")))
    asked = map(placed, ["France", "Peru", "Chile", "Peru", "Peru"])
    assert [found["id"] if found else None for found in map(lenders.lend, asked)] == ["t2", "t0", "t1", "t4", None]


@pytest.mark.parametrize(("one", "other"), [("Hong Kong", "China"), ("Yugoslavia", "Serbia")])
def test_the_same_place_under_another_countrys_name_lends_nothing(one, other):
    assert Lenders(iter(texts(one))).lend(placed(other)) is None
    assert Lenders(iter(texts(other))).lend(placed(one)) is None
    assert Lenders(iter(texts(other, "Peru"))).lend(placed(one))["country"] == "Peru"


def test_a_picture_of_an_unknown_country_is_lent_nothing():
    assert Lenders(iter(texts("Peru"))).lend(placed("")) is None


def test_of_the_texts_passed_over_only_some_are_kept():
    lenders = Lenders(iter(texts(*["Peru"] * 2000, "Chile")))
    assert lenders.lend(placed("Peru"))["id"] == "t2000"
    lent = [text["id"] for text in iter(lambda: lenders.lend(placed("Chile")), None)]
    assert 0 < len(lent) < 2000
    assert len(set(lent)) == len(lent)
