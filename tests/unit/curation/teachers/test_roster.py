"""Servers over real HTTP that list models, or say in their replies which one they are from: who is taken for two teachers."""

import asyncio
import json
import threading

import pytest
from odd_photos import write_odd_photos
from odd_teachers import completion_about, picture_in

from globe.console import tell_once
from globe.curation.curate import curate
from globe.curation.recipe import CurationRecipe
from globe.curation.teachers import client
from globe.curation.teachers.asking import ask_teachers
from globe.curation.teachers.replies import ReplyLog
from globe.curation.teachers.roster import check_served
from globe.curation.teachers.teacher import Teacher
from globe.demo.world import write_world
from globe.errors import InputError

RECIPE = CurationRecipe(retries=0, rounds=1, concurrency=2, max_unusable_percent=60.0, part_rows=20)


def answering(says=None, speaks_as=None):
    """Answer as the model that is asked for; a reply names `says[that]` as its model, if that is given."""

    def answer(path, body):
        named = {"model": says[body["model"]]} if says else {}
        return 200, {}, completion_about((speaks_as or {}).get(body["model"], body["model"]), picture_in(body), **named)

    return answer


@pytest.fixture(autouse=True)
def patience(monkeypatch):
    """No server is known from another test, which may have had its port."""
    monkeypatch.setattr(client, "_IN_VAIN", set())
    tell_once.cache_clear()


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("world")
    write_world(folder, pictures=12)
    return folder


def ask(world, journal, *teachers):
    """Ask; returns the teachers' records by name."""
    with ReplyLog(journal) as log:
        ask_teachers(world, list(teachers), RECIPE, log, lambda *told: None)
    return kept(journal)


def kept(journal):
    records = [json.loads(line) for line in journal.read_text().splitlines()]
    return {name: [one for one in records if one["teacher"] == name] for name in {one["teacher"] for one in records}}


def vlm(name, server):
    return Teacher("vlm", name, server.url)


def test_a_name_that_a_server_does_not_list_is_refused_with_those_that_it_does_before_any_question(serve, world, tmp_path):
    right, wrong = serve(answering()), serve(answering())
    right.lists, wrong.lists = [{"id": "a"}], [{"id": f"/models/{name}.gguf"} for name in range(7)]
    with pytest.raises(InputError) as caught:
        ask(world, tmp_path / "journal", vlm("a", right), vlm("b", wrong))
    assert str(caught.value) == (
        f"teacher b at {wrong.url}: no model of this name is served there, but /models/0.gguf, /models/1.gguf, /models/2.gguf, "
        "/models/3.gguf, /models/4.gguf and 2 more; name the teacher as its server does or, to go on with replies of this name, "
        "have the server give its model this name"
    )
    assert right.requests == wrong.requests == []


def test_a_witness_is_held_to_its_servers_list_too(serve, world, tmp_path):
    server = serve(answering())
    server.lists = [{"id": "a"}, {"id": "geo", "kind": "coordinates"}]
    with pytest.raises(InputError, match=r"teacher geoclip at .*: no model of this name is served there, but a, geo; name"):
        ask(world, tmp_path / "journal", vlm("a", server), Teacher("coordinates", "geoclip", server.url))


@pytest.mark.parametrize(
    "entries",
    [
        [{"id": "a"}, {"id": "b"}],
        [{"id": "a", "root": "/mnt/models/one"}, {"id": "b", "root": "/mnt/models/two"}],
        [{"id": "a", "root": "org/base"}, {"id": "b", "root": "/adapters/b", "parent": "a"}],
        [{"id": "a:latest", "root": None}, {"id": "b", "aliases": 5}, {"no": "id"}, "text"],
        [{"id": "one", "aliases": ["a", "x"]}, {"id": "two", "aliases": ["b"]}],
        [{"id": "*"}],
        [{"id": "a", "root": "base", "parent": "base"}, {"id": "b", "root": "base", "parent": "base"}],
    ],
)
def test_the_ways_in_which_servers_list_two_models_are_understood(serve, world, tmp_path, entries):
    listing, silent = serve(answering()), serve(answering())
    listing.lists = entries
    expected = ask(world, tmp_path / "expected", vlm("a", silent), vlm("b", silent))
    got = ask(world, tmp_path / "journal", vlm("a", listing), vlm("b", listing))
    assert {name: {one["id"]: one["vlm"] for one in records} for name, records in got.items()} == {
        name: {one["id"]: one["vlm"] for one in records} for name, records in expected.items()
    }
    assert len(got["a"]) == len(got["b"]) == 12


@pytest.mark.parametrize(
    ("entries", "model"),
    [
        ([{"id": "a", "root": "/mnt/models"}, {"id": "b", "root": "/mnt/models"}], "/mnt/models"),
        ([{"id": "one", "aliases": ["a", "b"]}], "one"),
        ([{"id": "a", "root": "b"}, {"id": "b"}], "b"),
    ],
)
@pytest.mark.parametrize("addresses", [1, 2])
def test_one_model_that_its_server_lists_under_two_names_is_not_two_teachers(serve, world, tmp_path, entries, model, addresses):
    servers = [serve(answering()) for _ in range(addresses)]
    for server in servers:
        server.lists = entries
    with pytest.raises(InputError, match=rf"teachers (a and b|b and a): both are model {model} \(http://127"):
        ask(world, tmp_path / "journal", vlm("a", servers[0]), vlm("b", servers[-1]))
    assert [server.requests for server in servers] == addresses * [[]]


def test_the_same_weights_at_two_servers_are_one_model_and_the_same_path_on_two_machines_is_not(serve, world, tmp_path):
    first, second = serve(answering()), serve(answering())
    first.lists, second.lists = ([{"id": name, "root": "/mnt/models"}] for name in ("a", "b"))
    assert set(ask(world, tmp_path / "paths", vlm("a", first), vlm("b", second))) == {"a", "b"}
    first.lists, second.lists = ([{"id": name, "root": "org/weights"}] for name in ("a", "b"))
    with pytest.raises(InputError, match=r"both are model org/weights"):
        ask(world, tmp_path / "weights", vlm("a", first), vlm("b", second))


@pytest.mark.parametrize("says", [{"a": "x", "b": "x"}, {"a": "a", "b": "a"}])
def test_replies_of_two_teachers_from_one_model_end_it_and_no_such_reply_is_kept(serve, world, tmp_path, says):
    server = serve(answering(says))
    with pytest.raises(InputError, match=rf"both are model {says['a']} \(http://127.*\), which cannot confirm its own answers"):
        ask(world, tmp_path / "journal", vlm("a", server), vlm("b", server))
    assert len(kept(tmp_path / "journal")) <= 1
    assert len(server.requests) <= 2 * 2 * RECIPE.concurrency  # as many pictures are in flight as twice that, of two teachers


def test_what_an_earlier_run_was_replied_counts_and_a_new_name_is_asked_anew(serve, world, tmp_path):
    """The second teacher was away in the first run; its server turns out to be the first one's, under another address."""
    first, same, other = serve(answering({"a": "x"})), serve(lambda path, body: (400, {}, b"{}")), serve(answering({"c": "y"}))
    with pytest.raises(InputError, match="gave no usable reply"):
        ask(world, tmp_path / "journal", vlm("a", first), vlm("b", same))
    before = kept(tmp_path / "journal")["a"]
    assert before
    assert {one["served"] for one in before} == {"x"}
    same.answer = answering({"b": "x"})
    with pytest.raises(InputError, match=r"teachers a and b: both are model x"):
        ask(world, tmp_path / "journal", vlm("a", first), vlm("b", same))
    assert "ok" not in {one["status"] for one in kept(tmp_path / "journal").get("b", [])}
    records = ask(world, tmp_path / "journal", vlm("a", first), vlm("c", other))
    assert records["a"][: len(before)] == before
    assert len(records["a"]) == len(records["c"]) == 12


def comes_late(serve):
    """A server that is not there yet at its first two questions, and then serves another model; and what it was asked."""
    late, calls = serve(None), []

    def answer(path, body):
        calls.append(body)
        if len(calls) <= 2:
            return 503, {"Retry-After": "1"}, b"{}"
        late.lists = [{"id": "something else"}]
        return answering()(path, body)

    late.answer = answer
    return late, calls


def test_a_server_that_was_away_is_asked_what_it_serves_once_it_answers_and_before_its_reply_is_kept(serve, world, tmp_path):
    late, calls = comes_late(serve)
    late.lists = (503, {}, b"{}")
    with pytest.raises(InputError, match=r"teacher b at .*: no model of this name is served there, but something else;"):
        ask(world, tmp_path / "journal", vlm("a", serve(answering())), vlm("b", late))
    assert len(calls) > 2
    assert "b" not in kept(tmp_path / "journal")


def test_each_address_of_a_teacher_is_held_to_it(serve, world, tmp_path):
    own, others = serve(answering()), serve(answering())
    own.lists, others.lists = [{"id": "a", "root": "org/a"}], [{"id": "a", "root": "org/b"}, {"id": "b", "root": "org/b"}]
    twice = Teacher("vlm", "a", own.url, (others.url,))
    with pytest.raises(InputError, match=r"both are model org/b"):
        ask(world, tmp_path / "journal", twice, vlm("b", others))
    others.lists = [{"id": "b"}]
    with pytest.raises(InputError, match=rf"teacher a at {others.url}: no model of this name is served there, but b;"):
        ask(world, tmp_path / "journal", twice, vlm("b", others))
    others.lists = own.lists
    records = ask(world, tmp_path / "journal", twice, vlm("b", serve(answering())))
    assert {one["replica"] for one in records["a"]} == {own.url, others.url}


def test_aliases_of_two_models_change_no_result_and_are_told(serve, tmp_path, capsys):
    table = write_odd_photos(tmp_path / "photos", 40)
    says = {"a": "backend/x", "b": "backend/y"}
    plain, proxy = serve(answering()), serve(answering(says))
    curate(table, tmp_path / "plain", [vlm(name, plain) for name in "ab"], RECIPE)
    told = capsys.readouterr().err
    assert told.count(f"teacher a at {plain.url}: its server has no list of models") == 1  # once, and not for each part
    result = curate(table, tmp_path / "proxy", [vlm(name, proxy) for name in "ab"], RECIPE)
    assert capsys.readouterr().err.count(f"teacher b at {proxy.url}: its replies say that they are from backend/y") == 1
    first, second = ((tmp_path / name / "decisions.jsonl").read_bytes() for name in ("plain", "proxy"))
    assert first == second
    assert result["kept"]
    figures = [result["teachers"][f"{name}@{proxy.url}"] for name in "ab"]
    assert [one["served"] for one in figures] == [{says[name]: one["answered"]} for name, one in zip("ab", figures, strict=True)]


def test_replies_are_compared_between_all_parts_whoever_asked():
    check_served({"a": {"x", "y"}, "b": {"b"}, "geo": set()})
    with pytest.raises(InputError, match=r"teachers a and b: both are model y \(replies that were received\)"):
        check_served({"a": {"x", "y"}, "c": {"c"}, "b": {"y", "z"}})


def test_where_all_is_answered_no_server_need_be_there(serve, world, tmp_path):
    server = serve(answering())
    before = ask(world, tmp_path / "journal", vlm("a", server), vlm("b", server))
    server.server.shutdown()
    server.server.server_close()
    assert ask(world, tmp_path / "journal", vlm("a", server), vlm("b", server)) == before


HOSTED = [{"id": f"maker/model-{number}", "description": "x" * 20_000} for number in range(80)]


@pytest.mark.parametrize(
    ("names", "entries"),
    [
        (("maker/a:nitro", "maker/b:some-host"), [{"id": "maker/a"}, {"id": "maker/b"}]),
        (("our-deployment", "our-other"), HOSTED),
        (("maker/model-7", "maker/model-8:floor"), HOSTED),
        (("a", "b"), (200, {}, json.dumps([{"id": "a"}, {"id": "b"}]).encode())),
    ],
)
def test_what_hosted_services_take_beside_what_they_list_is_no_wrong_name(serve, world, tmp_path, capsys, names, entries):
    server = serve(answering({names[0]: "x", names[1]: "y"}, {names[0]: "a", names[1]: "b"}))
    server.lists = entries
    records = ask(world, tmp_path / "journal", *(vlm(name, server) for name in names))
    assert [len(records[name]) for name in names] == [12, 12]
    told = f"teacher our-deployment at {server.url}: is none of the 80 models that its server lists, so nothing may show"
    assert capsys.readouterr().err.count(told) == (names[0] == "our-deployment")


def test_a_variant_of_a_model_does_not_confirm_it(serve, world, tmp_path):
    server = serve(answering())
    server.lists = HOSTED
    with pytest.raises(InputError, match=r"both are model maker/model-7 \(http://127"):
        ask(world, tmp_path / "journal", vlm("maker/model-7:nitro", server), vlm("maker/model-7", server))
    assert server.requests == []


def test_folders_of_one_name_on_two_machines_are_two_models_and_at_one_address_they_are_one(serve, world, tmp_path):
    """Also where replies name the folder, and where a run goes on from them."""
    for number, path in enumerate(("/mnt/models", "checkpoint", "out/v1/checkpoint-400", "C:\\models\\one")):
        first, second = (serve(answering({name: path})) for name in ("a", "b"))
        first.lists, second.lists = ([{"id": name, "root": path}] for name in ("a", "b"))
        journal = tmp_path / f"{number}"
        if path != "checkpoint":  # as a reply's model it is a name
            assert set(ask(world, journal, vlm("a", first), vlm("b", second))) == {"a", "b"}
            assert set(ask(world, journal, vlm("a", first), vlm("b", second))) == {"a", "b"}
            check_served({"a": {path}, "b": {path}})
        else:
            first.answer = second.answer = answering()
            assert set(ask(world, journal, vlm("a", first), vlm("b", second))) == {"a", "b"}
        one = serve(answering({"a": path, "b": path}))
        with pytest.raises(InputError, match="both are model"):
            ask(world, tmp_path / f"{number}-one", vlm("a", one), vlm("b", one))


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_list_that_is_not_to_be_had_for_a_while_is_asked_for_again_before_a_reply_is_kept(serve, world, tmp_path, status):
    server, asked = serve(answering()), []

    def lists():
        asked.append(0)
        return (status, {"Retry-After": "0"}, b"{}") if len(asked) <= 4 else [{"id": "a", "root": "x"}, {"id": "b", "root": "x"}]

    server.lists = lists
    with pytest.raises(InputError, match=r"both are model x"):
        ask(world, tmp_path / "journal", vlm("a", server), vlm("b", server))
    assert len(kept(tmp_path / "journal")) <= 1


def test_a_page_of_a_proxy_before_a_server_comes_is_not_its_answer(serve, world, tmp_path):
    """Its address answers, but it is not there yet."""
    late, calls = comes_late(serve)
    for page in (
        (200, {"Content-Type": "text/html"}, b"<html>"),
        (404, {}, b"default backend"),
        (200, {}, b'{"status": "starting"}'),
    ):
        late.lists = page
        calls.clear()
        with pytest.raises(InputError, match=r"no model of this name is served there, but something else;"):
            ask(world, tmp_path / "journal", vlm("a", serve(answering())), vlm("b", late))
        assert "b" not in kept(tmp_path / "journal")


DEEP = b"[" * 100_000


@pytest.mark.parametrize(
    ("told", "why"),
    [
        ((401, {}, b'{"error": {"message": "no key"}}'), "HTTP status 401: no key"),
        ((403, {}, b""), "HTTP status 403"),
        ((307, {"Location": "http://127.0.0.1:9/v1/models"}, b""), "HTTP status 307"),
        ((200, {"Content-Type": "text/html"}, b"<html>"), "an HTML page"),
        ((200, {"Content-Encoding": "gzip"}, b"\x1f\x8b"), "a response compressed with"),
        ((200, {}, b" " * 9_000_000), "a response of over 8388608 bytes"),
        ((200, {}, DEEP), "its server has no list of models, so"),
        ((200, {}, b'{"data": [{"id": "\xff\xfe"}]}'), "its server has no list of models, so"),
        ((200, {}, b'{"data": [{"id": "\\ud800"}]}'), "its server has no list of models, so"),
        ((200, {}, b'{"data": {"a": 1}, "object": "list"}'), "its server has no list of models, so"),
        ((500, {}, b"{}"), "HTTP status 500"),
    ],
)
def test_no_list_that_a_server_may_send_ends_or_holds_up_the_asking(serve, world, tmp_path, capsys, told, why, monkeypatch):
    monkeypatch.setattr(client, "BUSY_S", 0.01)
    server = serve(answering({"a": "x", "b": "y"}))
    server.lists = told
    records = ask(world, tmp_path / "journal", vlm("a", server), vlm("b", server))
    assert (len(records["a"]), len(records["b"])) == (12, 12)
    (line,) = [line for line in capsys.readouterr().err.splitlines() if f"teacher a at {server.url}: its server has no" in line]
    assert why in line


def test_a_list_that_never_comes_is_waited_for_once_and_not_for_each_part(serve, tmp_path, capsys, monkeypatch):
    patient_s, impatient_s, limits_s, timeout = 3.03, 0.55, [], asyncio.timeout
    monkeypatch.setattr(client, "LIST_TIMEOUT_S", patient_s)
    monkeypatch.setattr(client, "IMPATIENT_S", impatient_s)
    monkeypatch.setattr(asyncio, "timeout", lambda limit_s: limits_s.append(limit_s) or timeout(limit_s))
    over, asked = threading.Event(), []
    server, plain = serve(answering()), serve(answering())
    server.lists = lambda: asked.append(0) or (over.wait(60) and (404, {}, b""))
    table = write_odd_photos(tmp_path / "photos", 80)  # four parts
    try:
        curate(table, tmp_path / "out", [vlm(name, server) for name in "ab"], RECIPE)
    finally:
        over.set()
    waited_s = [limit_s for limit_s in limits_s if limit_s in (patient_s, impatient_s)]
    curate(table, tmp_path / "plain", [vlm(name, plain) for name in "ab"], RECIPE)
    assert len(asked) == 4 * 2 * 2  # parts, teachers, at the start and when it has answered
    # Both teachers wait for it at the very start, side by side, and nobody does again.
    assert waited_s == [patient_s] * 2 + [impatient_s] * 14
    assert "no list of models (no answer within" in capsys.readouterr().err
    first, second = ((tmp_path / name / "decisions.jsonl").read_bytes() for name in ("out", "plain"))
    assert first == second
