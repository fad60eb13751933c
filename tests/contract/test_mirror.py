"""A module's tests are found in one guess: tests/unit lies as the code does, and whatever is tried elsewhere says where."""

import re
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).parents[2]
MIRRORS = {"components/globe": "tests/unit", "pipelines": "tests/unit/pipelines"}
LONGEST = 400
"""Lines of a file that can still be read in one go."""

RECIPE = "fields alone; every recipe is loaded by tests/contract/test_recipes.py"
SUBMIT = "tried as a whole, over HTTP, by tests/unit/pipelines/remote/test_submit_run.py and its neighbours"
DAG = "a DAG; what it compiles to is tried by tests/contract/test_pipelines.py"
ARGUMENTS = "given to ms-swift's own classes by tests/contract/test_real_recipes.py"
MEMORY = "parts of what tests/unit/training/test_memory.py compares with real models"
PLAN = "tried from the command line by tests/unit/cli/test_training.py"
TRAINJOB = "tried with real processes by tests/unit/training/trainjob/test_submit.py and tests/integration/test_trainjob.py"

ELSEWHERE: dict[str, dict[str, str]] = {
    "components/globe/asking": {"recipe": RECIPE},
    "components/globe/cli": {"__main__": "starts the app"},
    "components/globe/data": {"recipe": RECIPE},
    "components/globe/demo": {
        "tiny_geoclip": "loaded by its package and served, by tests/unit/witness/test_coordinates.py",
        "tiny_sentences": "loaded, served and computed by hand, by tests/unit/witness/test_alignment.py",
    },
    "components/globe/gateway": {
        "app": "put together and asked over HTTP by tests/unit/gateway/test_edge.py",
        "state": "holds the parts together; every test over HTTP has one",
    },
    "components/globe/geo": {
        "layout": "constants and paths, tried with the file by tests/unit/geo/test_gazetteer.py",
        "country_names": "a table, read by tests/unit/geo/test_countries.py",
        "build": "takes 15 s; the file that it builds is tried by tests/unit/geo/test_gazetteer.py",
    },
    "components/globe/models": {
        "card": "written, read and run by tests/unit/models/test_usable.py",
        "licence": "tried with the card by tests/unit/models/test_usable.py",
    },
    "components/globe/rewards": {
        "probe": "tried over HTTP by tests/unit/rewards/test_service.py",
        "waiting": "tried over HTTP by tests/unit/rewards/test_service.py",
    },
    "components/globe/serving": {"room": "tried from the command line by tests/unit/cli/test_training.py"},
    "components/globe/training": {
        "adapters": "trains; tests/integration/test_adapters.py",
        "arguments": ARGUMENTS,
        "grpo_arguments": ARGUMENTS,
        "grpo_recipe": "tried with its rules by tests/unit/training/test_grpo_rules.py",
        "control": "files that a real training and its stage exchange: tests/integration/test_training_outages.py",
        "swift_control": "inside of ms-swift: tests/integration/test_training_outages.py",
        "swift_rollout_engine": "inside of `swift rollout`: tests/integration/test_training_outages.py",
        "swift_attention": "hands on what tests/unit/models/test_attention.py tries",
        "finish": "tried by what it makes: tests/unit/models/test_usable.py",
        "ports": "asks the kernel",
        "reward_model": "its rows: tests/unit/training/test_verdicts.py; its training: tests/integration/test_resume.py",
        "random_numbers": "tried by tests/unit/training/test_swift_reward_outage.py and tests/unit/training/test_swift_shown.py",
        "layers": MEMORY,
        "lengths": MEMORY,
        "model_parts": MEMORY,
        "sampling_memory": MEMORY,
        "plan_by_hand": PLAN,
        "plan_rows": PLAN,
        "plan_table": PLAN,
        "plan_refusals": "tried by tests/unit/training/test_plan.py",
    },
    "components/globe/training/trainjob": dict.fromkeys(["job", "launch", "node"], TRAINJOB),
    "components/globe/report": {"views": "plain records, filled and printed in tests/unit/report/test_run_report.py"},
    "components/globe/run": {
        "tracking": "a record that does nothing, tried by tests/unit/run/test_tracked.py",
        "local_server": "tried with real servers by tests/unit/demo/test_teacher_server.py and tests/unit/witness/test_local.py",
    },
    "components/globe/storage": {
        "keeper": "needs a bucket and a second machine; tests/integration/s3/test_s3_kept_work.py",
        "inputs": "needs a bucket; tests/integration/s3/test_s3_inputs.py",
        "ranges": "needs a bucket; tests/integration/s3/test_s3_archives.py",
    },
    "components/globe/witness": {"serve": "tried as a process by tests/unit/cli/test_witness.py"},
    "pipelines": {
        "training": DAG,
        "curation": DAG,
        "evaluation": DAG,
        "catalog": "tried by tests/contract/test_pipelines.py",
        "compile": "tried by tests/contract/test_pipelines.py",
        "placement": "tried by tests/contract/test_pipelines.py",
    },
    "pipelines/local": {
        "folder": "names of paths",
        "run": "runs a whole pipeline, as tests/integration/test_local_run.py does",
        "container_settings": "values alone, tried by tests/unit/pipelines/local/test_server_containers.py",
    },
    "pipelines/remote": dict.fromkeys(
        [
            *("access", "client", "connection", "evaluation_result", "job_summary"),
            *("package", "submission", "submit", "watch", "choice", "server", "wanted"),
            *("recurring", "scheduling"),
        ],
        SUBMIT,
    ),
}
"""Modules without a file of tests of their own, by folder, each with the reason."""


def modules() -> list[tuple[str, str, Path]]:
    """Folder, name, and where the tests of it belong, of each module; `__init__` hands on what others define."""
    found = []
    for code, tests in MIRRORS.items():
        for path in sorted((ROOT / code).rglob("*.py")):
            if path.name != "__init__.py":
                room = path.parent.relative_to(ROOT)
                mirror = ROOT / tests / path.parent.relative_to(ROOT / code) / f"test_{path.stem.strip('_')}.py"
                found.append((room.as_posix(), path.stem, mirror))
    return found


def test_each_module_has_its_file_of_tests_or_a_reason_why_not():
    missing = [
        f"{room}/{name}.py: write {mirror.relative_to(ROOT)}"
        for room, name, mirror in modules()
        if not mirror.is_file() and name not in ELSEWHERE.get(room, {})
    ]
    assert not missing, f"modules without tests of their own; or name them in ELSEWHERE with the reason: {missing}"


def test_each_reason_is_needed_and_names_tests_that_exist():
    bare = {(room, name) for room, name, mirror in modules() if not mirror.is_file()}
    listed = {(room, name): reason for room, names in ELSEWHERE.items() for name, reason in names.items()}
    needless = sorted(f"{room}: {name}" for room, name in listed.keys() - bare)
    assert not needless, f"take out of ELSEWHERE what has tests or is gone: {needless}"
    named = {path for reason in listed.values() for path in re.findall(r"tests/[\w/]+\.py", reason)}
    assert [path for path in sorted(named) if not (ROOT / path).is_file()] == []


def test_no_file_is_too_long_to_be_read():
    files = [path for code in MIRRORS for path in (ROOT / code).rglob("*") if path.suffix in (".py", ".html", ".css", ".js")]
    lines = {path.relative_to(ROOT).as_posix(): path.read_bytes().count(b"\n") for path in files}
    assert {name: count for name, count in lines.items() if count > LONGEST} == {}


def test_no_module_imports_itself_in_a_circle():
    graph = grimp.build_graph("globe", "components", "pipelines")
    order = TopologicalSorter({name: graph.find_modules_directly_imported_by(name) for name in graph.modules})
    try:
        order.prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))
