import asyncio
import gzip
import hashlib
import io
import itertools
import json
import time

import pytest
from PIL import Image
from recorder import recorder

from globe.curation.recipe import API_KEY_VARIABLE, CurationRecipe
from globe.curation.teachers.client import TeacherClient
from globe.curation.teachers.questions import PROMPT, RESPONSE_FORMAT, about_picture
from globe.curation.teachers.teacher import Teacher
from globe.data.images import data_url
from globe.errors import InputError
from globe.keys import FORM_VARIABLE, TEACHER_KEY


def picture():
    out = io.BytesIO()
    Image.new("RGB", (8, 8), (200, 30, 30)).save(out, "PNG")
    return out.getvalue()


def completion(content, ended="stop"):
    return json.dumps({"choices": [{"message": {"content": content}, "finish_reason": ended}]}).encode()


def ask(teacher, times=1, last=True, **settings):
    recipe = CurationRecipe(**{"timeout_s": 5.0, "retries": 0, "concurrency": 4, **settings})
    url, digest = data_url(picture()), hashlib.sha256(picture()).digest()

    async def run():
        async with TeacherClient(teacher, recipe) as client:
            calls = (client.ask(about_picture(teacher, f"p{n}", digest, url), last) for n in range(times))
            return await asyncio.gather(*calls), client.tally

    return asyncio.run(run())


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
    assert (text["text"], body["response_format"]) == (PROMPT, RESPONSE_FORMAT)
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
    "html": (200, {"Content-Type": "text/html"}, b"<html>login</html>"),
    "no choices": (200, {}, b'{"choices": []}'),
    "wrong types": (200, {}, b'{"choices": {"0": 1}}'),
    "content that is a list": (200, {}, b'{"choices": [{"message": {"content": [1]}}]}'),
    "null": (200, {}, b"null"),
    "nothing": (200, {}, b""),
    "not utf-8": (200, {}, b'{"choices": "\xff\xfe"}'),
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("kind", ["vlm", "coordinates", "segmentation"])
def test_what_is_no_answer_of_the_model_is_a_failure_that_the_next_run_mends(serve, kind, name):
    server = serve(lambda path, body: HOSTILE[name])
    [record], tally = ask(Teacher(kind, "m", server.url), retries=1)
    assert (record.status, record.attempts, record.malformed, tally.retries) == ("failed", 2, 0, 1)
    assert len(record.detail) <= 200


OWN = {
    "prose": completion("I think it is Rome."),
    "nothing": completion(""),
    "null": completion(None),
    "a wrong type": completion('{"localizable": "perhaps", "score": 1, "reasoning": ""}'),
    "a special token": completion('{"localizable": true, "score": 1, "reasoning": "<|im_end|>"}'),
    "deep nesting inside": completion('{"a":' * 5000 + "1" + "}" * 5000),
    "an answer that was too long": completion('{"localizable": true, "sc', "length"),
}


@pytest.mark.parametrize("name", OWN)
def test_what_the_model_itself_says_wrong_counts_as_its_answer_once_it_is_asked_for_the_last_time(serve, name):
    server = serve(lambda path, body: (200, {}, OWN[name]))
    for last, status in ((False, "failed"), (True, "malformed")):
        [record], _ = ask(Teacher("vlm", "m", server.url), retries=1, last=last)
        assert (record.status, record.attempts, record.malformed) == (status, 2, 2)
    assert ("cut off after 1024 tokens" in record.detail) == ("too long" in name)


def test_an_answer_that_the_server_broke_off_is_not_the_models(serve):
    server = serve(lambda path, body: (200, {}, completion('{"localizable": true, "sc', "abort")))
    [record], _ = ask(Teacher("vlm", "m", server.url))
    assert (record.status, record.detail) == ("failed", "the server broke the answer off (abort)")


def test_a_call_that_fails_on_the_way_is_tried_again(serve, good_reply):
    replies = iter([(503, {}, b"{}"), (200, {}, completion("no idea")), (429, {}, b"{}")])
    good = (200, {}, completion(json.dumps(good_reply)))
    server = serve(lambda path, body: next(replies, good))
    [record], tally = ask(Teacher("vlm", "m", server.url), retries=3)
    assert (record.status, record.attempts, record.malformed, tally.retries) == ("ok", 4, 1, 3)


@pytest.mark.parametrize("status", [401, 404, 302])
def test_a_call_that_can_never_succeed_is_made_once(serve, status):
    server = serve(lambda path, body: (status, {"Location": "http://127.0.0.1:1/"}, b"{}"))
    [record], _ = ask(Teacher("vlm", "m", server.url), retries=3)
    assert (record.status, record.detail, len(server.requests)) == ("failed", f"HTTP status {status}", 1)


def test_a_server_that_has_too_much_to_do_is_left_alone_for_as_long_as_it_says_and_no_attempt_is_lost(serve, good_reply):
    times, replies = [], iter(3 * [(429, {"Retry-After": "1"}, b"{}")])

    def answer(path, body):
        times.append(time.monotonic())
        return next(replies, (200, {}, completion(json.dumps(good_reply))))

    [record], _ = ask(Teacher("vlm", "m", serve(answer).url), retries=0)
    assert (record.status, record.attempts) == ("ok", 4)
    assert all(later - earlier >= 0.95 for earlier, later in itertools.pairwise(times))


@pytest.mark.parametrize("headers", [{}, {"Retry-After": "0"}])
def test_a_server_that_always_has_too_much_to_do_is_waited_for_as_long_as_the_patience_lasts(serve, headers):
    server = serve(lambda path, body: (429, headers, b'{"error": {"message": "quota exceeded"}}'))
    with pytest.raises(InputError, match=r"not answered for patience_s=0\.2 \(HTTP status 429: quota exceeded\); check that"):
        ask(Teacher("vlm", "m", server.url), retries=0, patience_s=0.2)


@pytest.mark.parametrize("status", [404, 401, 500])
def test_of_several_servers_one_that_always_refuses_is_left_out_and_costs_no_picture(serve, good_reply, status):
    wrong = serve(lambda path, body: (status, {}, b"{}"))
    right = serve(lambda path, body: (200, {}, completion(json.dumps(good_reply))))
    records, tally = ask(Teacher("vlm", "m", wrong.url, (right.url,)), times=40, retries=4, concurrency=2)
    assert {record.status for record in records} == {"ok"}
    assert {record.replica for record in records} == {right.url}
    assert tally.failures == 0
    assert len(wrong.requests) < len(right.requests) == 40


def refuses_a_schema(status, message, good_reply):
    def answer(path, body):
        if "response_format" in body:
            return status, {}, json.dumps({"error": {"message": message}}).encode()
        return 200, {}, completion(f"Sure: {json.dumps(good_reply)}")

    return answer


@pytest.mark.parametrize(
    ("status", "message"),
    [(400, "response_format: json_schema is not supported"), (422, "Extra inputs are not permitted"), (501, "")],
)
def test_a_server_that_takes_no_schema_is_asked_without_and_told_about_once(serve, good_reply, capsys, status, message):
    server = serve(refuses_a_schema(status, message, good_reply))
    records, _ = ask(Teacher("vlm", "m", server.url), times=6, concurrency=1)
    assert [record.status for record in records] == 6 * ["ok"]
    assert ["response_format" in body for _, body, _ in server.requests] == [True, *6 * [False]]
    assert capsys.readouterr().err.count("takes no response_format") == 1


def test_a_question_that_is_refused_either_way_says_nothing_about_schemas(serve, good_reply, capsys):
    refusals = iter(2 * [(400, {}, b'{"error": {"message": "picture too large"}}')])
    server = serve(lambda path, body: next(refusals, (200, {}, completion(json.dumps(good_reply)))))
    records, _ = ask(Teacher("vlm", "m", server.url), times=2, concurrency=1, retries=3)
    assert [record.status for record in records] == ["failed", "ok"]
    assert records[0].detail == "HTTP status 400: picture too large"
    assert ["response_format" in body for _, body, _ in server.requests] == [True, False, True]
    assert not capsys.readouterr().err


def test_a_slow_teacher_times_out_and_may_do_better_next_time(serve, good_reply):
    naps = iter([4.0])

    def answer(path, body):
        time.sleep(next(naps, 0))
        return 200, {}, completion(json.dumps(good_reply))

    [record], _ = ask(Teacher("vlm", "m", serve(answer).url), timeout_s=2.0, retries=1)
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
