"""What a reading of the backend's sources found in our packages, each done again to a committed one: a rule must see it.

That a launcher may read the secret of KFP's object store is seen by tests/contract/manifests/test_rights.py.
"""

import pytest

from backend.package import Package
from backend.rules import RULES
from backend.small import edited
from pipelines.backends import BACKENDS
from pipelines.compile import COMPILED

NEWEST = BACKENDS["2.17"]


def committed(name, backend=NEWEST):
    return Package.of(COMPILED / backend.folder / f"{name}.yaml")


def found(rule, package, backend=NEWEST):
    return list(RULES[rule](package, backend))


def test_gpu_counts_as_numbers_would_be_no_limits_at_all():
    def as_numbers(package):
        for component in package.components.values():
            for side in ("inputDefinitions", "outputDefinitions"):
                for name, parameter in component.get(side, {}).get("parameters", {}).items():
                    if name.endswith("_gpus"):
                        parameter["parameterType"] = "NUMBER_INTEGER"

    told = found("resources_read_texts", edited(committed("training"), as_numbers))
    assert len(told) == len([task for task in committed("training").pods() if "accelerator" in task.container["resources"]]) == 4
    assert all("no accelerator at all" in why for why in told)


def test_annotators_numbers_as_a_plain_list_would_fail_each_annotator():
    def as_texts(package):
        for component in package.components.values():
            for name, parameter in component.get("inputDefinitions", {}).get("parameters", {}).items():
                if name.endswith("-loop-item"):
                    parameter["parameterType"] = "STRING"

    (told,) = found("inputs_have_their_types", edited(committed("curation"), as_texts))
    assert "input parameter 'annotator' type mismatch: expect NUMBER_INTEGER, got STRING" in told


@pytest.mark.parametrize("version", ["2.16", "2.15", "2.5"])
@pytest.mark.parametrize("field", ["resourceTtlOnCompletion", "activeDeadlineSeconds"])
def test_a_limit_of_the_run_would_cost_an_older_backend_the_whole_platform_spec(version, field):
    backend = BACKENDS[version]
    limited = edited(committed("training", backend), lambda package: package.kubernetes.update(pipelineConfig={field: 604800}))
    (told,) = found("platform_spec_is_read", limited, backend)
    assert "all of it skipped" in told


def test_ten_minutes_as_the_longest_time_of_retries_would_forbid_them():
    def ten_minutes(package):
        for task in package.pods():
            task.definition.get("retryPolicy", {}).update(backoffMaxDuration="600s")

    retried = [task for task in committed("training").pods() if "retryPolicy" in task.definition]
    changed = edited(committed("training"), ten_minutes)
    assert len(found("retries_may_be_late", changed)) == len(retried) > 1


def test_without_a_supervisor_2_17_would_not_try_anything_again_that_failed():
    def unsupervised(package):
        for container in package.executors.values():
            container["command"] = container["command"][container["command"].index("--") + 1 :]

    retried = [task for task in committed("training").pods() if "retryPolicy" in task.definition]
    assert len(found("failures_are_tried_again", edited(committed("training"), unsupervised))) == len(retried) > 1


def test_a_time_to_keep_runs_alone_would_be_an_hour():
    def alone(package):
        for field in ("resourceTtlOnSuccess", "resourceTtlOnFailure"):
            del package.kubernetes["pipelineConfig"][field]

    told = found("results_are_kept_as_long_as_told", edited(committed("training"), alone))
    assert len(told) == 2
    assert all("after 3600 s and not 604800 s" in why for why in told)


def test_figures_as_a_stage_returns_them_would_fail_it_when_it_is_done():
    def as_they_are(package):
        command = package.executors["exec-sft"]["command"]
        for number, text in enumerate(command):
            command[number] = text.replace("artifacts.finite(", "dict(")

    (told,) = found("metrics_are_finite_numbers", edited(committed("training"), as_they_are))
    assert told.startswith("exec-sft: ")


def test_titles_would_hide_outputs_from_those_that_need_them_before_2_14():
    newest, backend = committed("training"), BACKENDS["2.5"]
    titled = {task.name for task in newest.tasks() if task.definition["taskInfo"]["name"] != task.name}
    told = found("names_are_keys_where_they_are_looked_up", newest, backend)
    assert len(told) == len(titled) > 10


def test_a_loops_name_would_hide_what_it_brought_before_2_16():
    (told,) = found("names_are_keys_where_they_are_looked_up", committed("curation"), BACKENDS["2.15"])
    assert "recorded as 'annotators'" in told


def test_a_queue_for_gpus_would_be_one_for_all_pods_before_2_14():
    def queued(package):
        for task in package.pods():
            if "accelerator" in task.container["resources"]:
                package.settings[task.executor]["podMetadata"]["labels"]["kueue.x-k8s.io/queue-name"] = "globe"

    backend = BACKENDS["2.5"]
    (told,) = found("labels_reach_their_pods", edited(committed("training", backend), queued), backend)
    assert "kueue.x-k8s.io/queue-name" in told
    assert found("labels_reach_their_pods", edited(committed("training"), queued)) == []
