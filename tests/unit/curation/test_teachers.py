import asyncio
import gzip
import io
import json
import time

import pytest
from PIL import Image
from recorder import recorder

from globe.curation.recipe import API_KEY_VARIABLE
from globe.curation.teachers import PROMPT, Teacher, TeacherClient, check_teachers
from globe.errors import InputError
from globe.keys import FORM_VARIABLE, TEACHER_KEY


def picture():
    out = io.BytesIO()
    Image.new("RGB", (8, 8), (200, 30, 30)).save(out, "PNG")
    return out.getvalue()


def completion(content):
    return json.dumps({"choices": [{"message": {"content": content}}]}).encode()


def ask(teacher, timeout_s=5.0, retries=0, times=1, concurrency=4):
    async def run():
        async with TeacherClient(teacher, concurrency=concurrency, timeout_s=timeout_s, retries=retries) as client:
            records = await asyncio.gather(*(client.ask(f"p{n}", "00", picture()) for n in range(times)))
            return records, client.tally

    return asyncio.run(run())


@pytest.mark.parametrize(
    "spec",
    ["a@http://h:1/v1", "org/model:7b@https://h.example/x/v1", "coordinates:geo@http://[::1]:80/v1", "a@b@http://h/v1"],
)
def test_a_teacher_is_written_as_it_is_read(spec):
    assert Teacher.parse(spec).spec == spec


def test_a_trailing_slash_makes_no_other_teacher():
    assert Teacher.parse("a@http://h/v1/") == Teacher.parse("a@http://h/v1")


@pytest.mark.parametrize(
    "spec",
    [
        *("", "a", "@http://h/v1", "http://h/v1", "a@ftp://h/v1", "a@http:///v1", "a@http://h", "a@http://h:99999/v1"),
        *("a@http://user:secret@h/v1", "a@http://h/v1?key=1", "coordinates:@http://h/v1", "a@file:///etc/v1"),
    ],
)
def test_anything_else_is_no_teacher(spec):
    with pytest.raises(InputError):
        Teacher.parse(spec)


@pytest.mark.parametrize(
    "specs",
    [
        ["a@http://h/v1"],
        ["coordinates:c@http://h/v1"],
        ["a@http://h/v1", "coordinates:c@http://h/v1"],
        ["a@http://h/v1", "a@http://other/v1"],
        [],
    ],
)
def test_teachers_that_cannot_verify_each_other_are_refused(specs):
    with pytest.raises(InputError):
        check_teachers([Teacher.parse(spec) for spec in specs], min_entity_support=1.0)


def test_one_vlm_is_enough_for_those_who_do_without_confirmed_elements():
    pair = [Teacher.parse("a@http://h/v1"), Teacher.parse("coordinates:c@http://h/v1")]
    check_teachers(pair, min_entity_support=0.0)


def test_a_vlm_is_asked_with_picture_and_prompt_at_temperature_zero(serve, good_reply, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "private")
    monkeypatch.setenv(API_KEY_VARIABLE, "for-teachers")
    server = serve(lambda path, body: (200, {}, completion(json.dumps(good_reply))))
    [record], tally = ask(Teacher("vlm", "m", server.url))
    [(path, body, headers)] = server.requests
    assert path == "/v1/chat/completions"
    assert (body["model"], body["temperature"]) == ("m", 0)
    image, text = body["messages"][0]["content"]
    assert image["image_url"]["url"].startswith("data:image/png;base64,")
    assert text["text"] == PROMPT
    assert headers["Authorization"] == "Bearer for-teachers"
    assert (record.status, record.vlm.city, record.attempts, tally.ok) == ("ok", "Rome", 1, 1)


def test_the_key_is_not_read_on_its_way_to_a_host_far_off(monkeypatch, capsys):
    monkeypatch.setenv(API_KEY_VARIABLE, "for-teachers")
    with recorder() as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        ask(Teacher("vlm", "m", "http://teacher.example/v1"))
    assert (proxy.paths, proxy.keys) == (["http://teacher.example/v1/chat/completions"], ["Bearer none"])
    assert "GLOBE_TEACHER_API_KEY is not sent to http://teacher.example/v1" in capsys.readouterr().err


def test_in_a_run_of_a_cluster_the_key_goes_to_the_hosts_of_its_secret_alone(monkeypatch):
    monkeypatch.setenv(API_KEY_VARIABLE, "for-teachers")
    monkeypatch.setenv(FORM_VARIABLE, "1")
    with recorder() as collector:
        teacher = Teacher("vlm", "m", f"{collector.url}/v1")
        ask(teacher)
        monkeypatch.setenv(TEACHER_KEY.hosts_variable, f"api.example.org,{collector.url.removeprefix('http://')}")
        ask(teacher)
    assert collector.keys == ["Bearer none", "Bearer for-teachers"]


def test_a_redirect_takes_neither_key_nor_picture_along(monkeypatch):
    monkeypatch.setenv(API_KEY_VARIABLE, "for-teachers")
    with recorder() as collector, recorder(307, f"{collector.url}/v1/chat/completions") as teacher:
        [record], _ = ask(Teacher("vlm", "m", f"{teacher.url}/v1"))
    assert (record.detail, collector.paths) == ("HTTP status 307", [])


def test_a_coordinate_model_is_asked_at_its_own_path(serve):
    reply = b'{"lat_deg": 1.5, "lon_deg": 2.5, "confidence": 0.5, "more": 1}'
    server = serve(lambda path, body: (200, {"Content-Type": "application/json"}, reply))
    [record], _ = ask(Teacher("coordinates", "geo", server.url))
    assert server.requests[0][0] == "/v1/coordinates"
    assert set(server.requests[0][1]) == {"model", "image"}
    assert (record.coordinates.lat_deg, record.vlm) == (1.5, None)


HOSTILE = {
    "a megabyte of text": (200, {}, completion("x" * 2**20)),
    "a body without end": (200, {}, b" " * (8 * 2**20)),
    "a packed body": (200, {"Content-Encoding": "gzip"}, gzip.compress(b" " * (64 * 2**20))),
    "deep nesting": (200, {}, b'{"choices":' + b"[" * 100_000),
    "deep nesting inside": (200, {}, completion('{"a":' * 5000 + "1" + "}" * 5000)),
    "html": (200, {"Content-Type": "text/html"}, b"<html>login</html>"),
    "no choices": (200, {}, b'{"choices": []}'),
    "wrong types": (200, {}, b'{"choices": {"0": 1}}'),
    "content that is a list": (200, {}, b'{"choices": [{"message": {"content": [1]}}]}'),
    "null": (200, {}, b"null"),
    "nothing": (200, {}, b""),
    "not utf-8": (200, {}, b'{"choices": "\xff\xfe"}'),
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("kind", ["vlm", "coordinates"])
def test_a_hostile_reply_is_a_malformed_one(serve, kind, name):
    server = serve(lambda path, body: HOSTILE[name])
    [record], tally = ask(Teacher(kind, "m", server.url), retries=1)
    assert record.status == "malformed"
    assert (record.attempts, record.malformed, tally.retries) == (2, 2, 1)
    assert len(record.detail) <= 200


def test_a_call_that_fails_on_the_way_is_tried_again(serve, good_reply):
    replies = iter([(503, {}, b"{}"), (200, {}, completion("no idea")), (429, {}, b"{}")])
    good = (200, {}, completion(json.dumps(good_reply)))
    server = serve(lambda path, body: next(replies, good))
    [record], tally = ask(Teacher("vlm", "m", server.url), retries=3)
    assert (record.status, record.attempts, record.malformed, tally.retries) == ("ok", 4, 1, 3)


@pytest.mark.parametrize("status", [400, 401, 404, 302])
def test_a_call_that_can_never_succeed_is_made_once(serve, status):
    server = serve(lambda path, body: (status, {"Location": "http://127.0.0.1:1/"}, b"{}"))
    [record], _ = ask(Teacher("vlm", "m", server.url), retries=3)
    assert (record.status, record.detail, len(server.requests)) == ("failed", f"HTTP status {status}", 1)


def test_a_slow_teacher_times_out_and_may_do_better_next_time(serve, good_reply):
    naps = iter([1.0])

    def answer(path, body):
        time.sleep(next(naps, 0))
        return 200, {}, completion(json.dumps(good_reply))

    [record], _ = ask(Teacher("vlm", "m", serve(answer).url), timeout_s=0.3, retries=1)
    assert (record.status, record.attempts, record.timeouts) == ("ok", 2, 1)
    [record], _ = ask(Teacher("vlm", "m", serve(lambda p, b: time.sleep(1) or (200, {}, b"")).url), timeout_s=0.2)
    assert (record.status, record.timeouts) == ("timeout", 1)


def test_a_teacher_that_does_not_run_is_a_failure_not_an_exception():
    [record], tally = ask(Teacher("vlm", "m", "http://127.0.0.1:9/v1"), retries=1)
    assert (record.status, record.attempts, tally.failures) == ("failed", 2, 1)


def test_no_more_calls_are_in_flight_than_allowed(serve, good_reply):
    running, most = [], []

    def answer(path, body):
        running.append(1)
        most.append(len(running))
        time.sleep(0.02)
        running.pop()
        return 200, {}, completion(json.dumps(good_reply))

    records, _ = ask(Teacher("vlm", "m", serve(answer).url), times=30, concurrency=3)
    assert all(record.status == "ok" for record in records)
    assert 2 <= max(most) <= 3
