"""Teachers that fail in all the ways that servers and proxies do: a curation ends as with healthy ones, or stops and says why.

The teachers are the toy world's, in a process of their own; in front of each is a proxy that breaks calls. All over real HTTP.
"""

import json
import random
from contextlib import ExitStack
from pathlib import Path

import pytest
from faulty_proxy import FAULTS, faulty_proxy

from globe.curation.curate import curate
from globe.curation.recipe import CurationRecipe
from globe.curation.teachers.teacher import Teacher
from globe.demo.teacher_server import running_teachers
from globe.demo.truth import ErrorRates
from globe.demo.world import write_world
from globe.errors import GlobeError, InputError

PICTURES = 60
ROUGH = CurationRecipe(timeout_s=1.0, rounds=3, concurrency=8, patience_s=60)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("world")
    write_world(folder, pictures=PICTURES, rates=ErrorRates(timeout=0.0, malformed=0.05))
    return folder


@pytest.fixture(scope="module")
def teachers(world):
    with running_teachers(world) as specs:
        yield [Teacher.parse(spec) for spec in specs]


@pytest.fixture(scope="module")
def healthy(world, teachers, tmp_path_factory):
    out = tmp_path_factory.mktemp("healthy")
    curate(world, out, teachers, CurationRecipe(rounds=1))
    found = outputs(out)
    assert len(found) > 8
    assert found["decisions.jsonl"].count(b'"kept"') > 10
    return found


def outputs(out: Path) -> dict[str, bytes]:
    """All files of a curation but what it keeps to ask again; of curation.json all but how often the teachers were asked."""
    files = {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}
    del files["parts/00000/replies.jsonl"], files["parts/00000/asked.json"]
    figures = json.loads(files.pop("curation.json"))
    del figures["teachers"]
    return files | {"figures": json.dumps(figures, sort_keys=True).encode()}


def behind(stack, teacher, fault):
    proxy = stack.enter_context(faulty_proxy(teacher.url, fault))
    return Teacher(teacher.kind, teacher.model, proxy.url), proxy


@pytest.mark.parametrize("seed", [1, 2])
def test_teachers_of_whose_calls_a_tenth_fails_bring_the_same_result(world, teachers, healthy, tmp_path, seed):
    rng, met = random.Random(seed), []

    def fault(number):
        met.append(rng.choice(FAULTS) if rng.random() < 0.1 else "")
        return met[-1]

    with ExitStack() as stack:
        rough = [behind(stack, teacher, fault)[0] for teacher in teachers]
        curate(world, tmp_path, rough, ROUGH)
    assert outputs(tmp_path) == healthy
    assert sum(map(bool, met)) >= 10
    assert len(set(met)) > 6


@pytest.mark.parametrize("how", ["reset", "page", "500"])
def test_a_teacher_that_dies_stops_the_run_by_name_and_nothing_is_asked_twice_when_it_is_back(
    world, teachers, healthy, tmp_path, how
):
    with ExitStack() as stack:
        second, proxy = behind(stack, teachers[1], lambda number: how if number >= 25 else "")
        some = [teachers[0], second, teachers[2]]
        recipe = CurationRecipe(concurrency=8, patience_s=1.0)
        why = {"reset": "disconnected", "page": "an HTML page", "500": "HTTP status 500"}[how]
        with pytest.raises(GlobeError, match=rf"toy-vlm-b at {proxy.url} has not answered .*patience_s=1 .*{why}") as caught:
            curate(world, tmp_path, some, recipe)
        assert not isinstance(caught.value, InputError)
        assert not (tmp_path / "curation.json").exists()
        assert sum(proxy.passed.values()) == 25
        proxy.fault = lambda number: ""
        result = curate(world, tmp_path, some, recipe)
        assert len(proxy.passed) == PICTURES
        once = [count for (_, asked), count in proxy.passed.items() if asked]
        malformed = result["teachers"][second.spec]["malformed"]
        # What the model itself says wrong is asked for again: in each of two rounds three times, some of it in the first run.
        assert sum(count > 1 for count in once) <= malformed
    assert outputs(tmp_path) == healthy


def test_a_proxys_pages_are_no_answers_and_are_asked_for_again_when_the_teacher_is_repaired(world, teachers, healthy, tmp_path):
    with ExitStack() as stack:
        second, proxy = behind(stack, teachers[1], lambda number: "page" if number % 10 == 9 else "")
        some = [teachers[0], second, teachers[2]]
        hasty = CurationRecipe(retries=0, rounds=1, max_failed_share=0.6)
        curate(world, tmp_path, some, hasty)
        assert outputs(tmp_path) != healthy
        proxy.fault = lambda number: ""
        curate(world, tmp_path, some, hasty)
    assert outputs(tmp_path) == healthy


def test_a_teacher_that_hangs_is_given_up_on_with_the_setting_that_says_when(world, teachers, tmp_path):
    with ExitStack() as stack:
        second, _ = behind(stack, teachers[1], lambda number: "hangs")
        with pytest.raises(
            InputError, match=r"toy-vlm-b .* gave no usable reply .* \(no reply within the recipe's timeout_s=1\)"
        ):
            # One at a time: with many in flight a busy machine's healthy teachers would take as long.
            curate(world, tmp_path, [teachers[0], second, teachers[2]], CurationRecipe(timeout_s=1.0, concurrency=1, retries=0))


def test_of_two_servers_of_a_teacher_the_sick_one_is_left_out_and_taken_back(world, teachers, healthy, tmp_path):
    with ExitStack() as stack:
        well, first = behind(stack, teachers[1], lambda number: "")
        sick, second = behind(stack, teachers[1], lambda number: "reset" if 5 <= number < 12 else "")
        both = [teachers[0], well, sick, teachers[2]]
        result = curate(world, tmp_path, both, CurationRecipe(concurrency=2))
    assert outputs(tmp_path) == healthy
    figures = next(told for spec, told in result["teachers"].items() if "toy-vlm-b" in spec)
    assert set(figures["replies"]) == {well.url, sick.url}
    assert min(figures["replies"].values()) > 0
    assert sum(figures["replies"].values()) == PICTURES
    assert first.calls > second.calls
