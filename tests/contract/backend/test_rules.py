"""Each rule refuses a small package with one fault, and takes it without; what is committed passes them all."""

import functools

import pytest
from kfp.kubernetes import kubernetes_executor_config_pb2
from kfp.pipeline_spec import pipeline_spec_pb2

from backend.package import Package
from backend.parsing import LATER
from backend.rules import RULES, refusals
from backend.small import edited, small
from pipelines.backends import BACKENDS
from pipelines.catalog import PIPELINES
from pipelines.compile import COMPILED

package_of = functools.cache(small)
GROUP, BRANCHES, TRAINED, LOOP = "comp-exit-handler-1", "comp-condition-branches-2", "comp-condition-3", "comp-for-loop-5"

NEEDED = {"secretName": "keys", "keyToEnv": [{"secretKey": "KEY", "envVar": "KEY"}]}
OPTIONAL = NEEDED | {"optional": True}


def task(package, graph, name):
    """The definition of a task."""
    return package.graphs[graph]["tasks"][name]


def declared(package, component, parameter, side="inputDefinitions"):
    """What a component declares of a parameter."""
    return package.components[component][side]["parameters"][parameter]


def settings(package, name):
    return package.settings[f"exec-{name}"]


def container(package, name):
    return package.executors[f"exec-{name}"]


def gpus_are_a_number(package):
    for component, parameter, side in (
        ("comp-plan", "gpus", "outputDefinitions"),
        (BRANCHES, "pipelinechannel--plan-gpus", "inputDefinitions"),
        (TRAINED, "pipelinechannel--plan-gpus", "inputDefinitions"),
    ):
        declared(package, component, parameter, side)["parameterType"] = "NUMBER_INTEGER"


def one_of_two_types(package):
    declared(package, TRAINED, "pipelinechannel--train-Output", "outputDefinitions")["parameterType"] = "STRUCT"


def one_of_artifacts(package):
    artifact = {"artifactType": {"schemaTitle": "system.Artifact", "schemaVersion": "0.0.1"}}
    selectors = [{"producerSubtask": f"condition-{number}", "outputArtifactKey": "told"} for number in (3, 4)]
    for name in (BRANCHES, TRAINED, "comp-condition-4"):
        package.components[name].setdefault("outputDefinitions", {})["artifacts"] = {"told": artifact}
    package.graphs[BRANCHES].setdefault("outputs", {})["artifacts"] = {"told": {"artifactSelectors": selectors}}


def equal_containers(package):
    package.executors["exec-join"].clear()
    package.executors["exec-join"].update(container(package, "gather"))
    package.settings.pop("exec-join", None)


def a_loop_over_texts(package):
    items = task(package, GROUP, "for-loop-5")["parameterIterator"]
    items["items"] = {"raw": '["0", "1"]'}


def put(path, value):
    """An edit that sets a value: the first of the path is a function of the package, the rest are keys."""

    def edit(package):
        find, *keys = path
        place = find(package)
        for key in keys[:-1]:
            place = place[key]
        place[keys[-1]] = value

    return edit


def drop(path):
    def edit(package):
        find, *keys = path
        place = find(package)
        for key in keys[:-1]:
            place = place[key]
        del place[keys[-1]]

    return edit


def of_task(graph, name):
    return lambda package: task(package, graph, name)


def of_settings(name):
    return lambda package: settings(package, name)


def of_container(name):
    return lambda package: container(package, name)


def of_parameter(component, parameter, side="inputDefinitions"):
    return lambda package: declared(package, component, parameter, side)


def of_kubernetes(package):
    return package.kubernetes


def of_spec(package):
    return package.spec


WITHOUT_CHECK = "\ndef train(metrics):\n    for name, value in figures.items():\n        metrics.log_metric(name, value)\n"
RETRIED = {"maxRetryCount": 2, "backoffDuration": "60s", "backoffFactor": 2.0, "backoffMaxDuration": "604800s"}
CASES = [
    ("pipeline_spec_parses", "2.17", put((of_spec, "speed"), "high"), "no field named"),
    ("pipeline_spec_parses", "2.15", put((of_parameter("comp-join", "text"), "literals"), ["a"]), "ParameterSpec.literals"),
    ("platform_spec_is_read", "2.16", put((of_kubernetes, "pipelineConfig"), {"activeDeadlineSeconds": 60}), "all of it skipped"),
    ("settings_are_known", "2.15", put((of_settings("train"), "securityContext"), {"runAsUser": "1001"}), "run refused"),
    ("settings_are_known", "2.5", put((of_settings("train"), "secretAsEnv"), [OPTIONAL]), "pod labels dropped"),
    (
        "tasks_wait_for_tasks_that_can_end",
        "2.17",
        put((of_task(GROUP, "join"), "dependentTasks"), ["nope"]),
        "'nope', which does not",
    ),
    ("tasks_wait_for_tasks_that_can_end", "2.5", put((of_task(GROUP, "plan"), "dependentTasks"), ["join"]), "waits for itself"),
    (
        "tasks_wait_for_tasks_that_can_end",
        "2.17",
        put((of_task(GROUP, "plan"), "dependentTasks"), ["gather"]),
        "waits for itself",
    ),
    ("inputs_are_given", "2.17", drop((of_task(GROUP, "gather"), "inputs", "artifacts")), "it starts without artifact 'parts'"),
    ("secrets_may_be_missing", "2.17", drop((of_settings("train"), "secretAsEnv", 0, "optional")), "or one of its keys"),
    ("secrets_may_be_missing", "2.5", put((of_settings("train"), "secretAsEnv"), [NEEDED]), "or one of its keys"),
    ("secrets_may_be_missing", "2.5", put((of_settings("train"), "secretAsVolume", 0, "optional"), False), "is missing"),
    (
        "volumes_have_names_of_their_own",
        "2.5",
        put((of_settings("train"), "secretAsVolume", 0, "secretName"), "my.keys"),
        "cannot name a volume",
    ),
    ("settings_are_known", "2.17", put((of_settings("train"), "hostNetwork"), True), "no field named"),
    (
        "inputs_have_their_types",
        "2.17",
        put((of_parameter(LOOP, "pipelinechannel--plan-numbers-loop-item"), "parameterType"), "STRING"),
        "'number' type mismatch: expect NUMBER_INTEGER, got STRING",
    ),
    ("inputs_are_given", "2.17", drop((of_task(TRAINED, "train"), "inputs", "parameters", "nodes")), "neither value nor default"),
    ("items_have_their_type", "2.17", a_loop_over_texts, "item '0' is no NUMBER_INTEGER"),
    (
        "defaults_have_their_types",
        "2.17",
        put((of_parameter("comp-given", "text"), "defaultValue"), 3),
        "default of 'text' is NUMBER",
    ),
    ("outputs_have_their_types", "2.17", one_of_two_types, "brings STRING"),
    (
        "sources_exist",
        "2.17",
        put((of_task(GROUP, "join"), "inputs", "parameters", "text", "taskOutputParameter", "producerTask"), "joint"),
        "nothing brings",
    ),
    (
        "sources_exist",
        "2.17",
        put((of_settings("train"), "nodeSelector", "nodeSelectorJson", "componentInputParameter"), "selectors"),
        "nothing brings",
    ),
    (
        "settings_wait_for_what_they_read",
        "2.17",
        put(
            (of_settings("plan"), "nodeSelector"),
            {"nodeSelectorJson": {"taskOutputParameter": {"producerTask": "join", "outputParameterKey": "nodes"}}},
        ),
        "without waiting",
    ),
    (
        "outputs_have_producers",
        "2.17",
        drop((lambda package: package.graphs[TRAINED]["outputs"]["parameters"], "pipelinechannel--train-Output")),
        "which does not exist",
    ),
    ("one_of_brings_one_type", "2.17", one_of_two_types, "another type in each branch"),
    ("one_of_artifacts_need_2_17", "2.16", one_of_artifacts, "always taken from"),
    (
        "names_are_keys_where_they_are_looked_up",
        "2.5",
        put((of_task(GROUP, "plan"), "taskInfo", "name"), "Plan"),
        "recorded as 'Plan'",
    ),
    (
        "names_are_keys_where_they_are_looked_up",
        "2.15",
        put((of_task(GROUP, "for-loop-5"), "taskInfo", "name"), "parts"),
        "recorded as 'parts'",
    ),
    (
        "conditions_can_be_decided",
        "2.17",
        drop((of_task(BRANCHES, "condition-3"), "inputs", "parameters", "pipelinechannel--plan-decision")),
        "no such key",
    ),
    (
        "conditions_can_be_decided",
        "2.17",
        put(
            (of_task(BRANCHES, "condition-3"), "triggerPolicy", "condition"),
            "inputs.parameter_values['pipelinechannel--plan-decision'] == 1",
        ),
        "never true",
    ),
    (
        "the_exit_task_waits_for_groups_alone",
        "2.5",
        put((of_task("root", "last"), "inputs", "parameters", "run"), {"taskFinalStatus": {"producerTask": "exit-handler-1"}}),
        "not supported yet",
    ),
    ("equal_containers_have_equal_components", "2.17", equal_containers, "run with the inputs and outputs of"),
    (
        "labels_reach_their_pods",
        "2.5",
        put((of_settings("train"), "podMetadata", "labels", "queue"), "gpus"),
        "labels of one of them",
    ),
    ("retries_are_seen", "2.5", put((of_task(GROUP, "plan"), "retryPolicy"), RETRIED), "skipped without a word"),
    ("resources_read_texts", "2.17", gpus_are_a_number, "no accelerator at all"),
    (
        "resources_read_texts",
        "2.17",
        put((of_container("plan"), "resources", "resourceMemoryLimit"), "{{$.inputs.parameters['memory']}}"),
        "did not contain 'memory'",
    ),
    (
        "quantities_are_quantities",
        "2.17",
        put((of_container("plan"), "resources", "resourceMemoryLimit"), "1 GiB"),
        "not a quantity",
    ),
    (
        "quantities_are_quantities",
        "2.17",
        put((of_settings("train"), "emptyDirMounts", 0, "sizeLimit"), "much"),
        "not a quantity",
    ),
    (
        "volumes_have_names_of_their_own",
        "2.17",
        put((of_settings("train"), "pvcMount", 0, "pvcNameParameter", "runtimeValue", "constant"), "my.store"),
        "cannot name a volume",
    ),
    (
        "volumes_have_names_of_their_own",
        "2.17",
        put((of_settings("train"), "emptyDirMounts", 0, "mountPath"), "/s3"),
        "'/s3' is there twice",
    ),
    (
        "variables_are_plain",
        "2.17",
        put((of_container("plan"), "env", 0, "value"), "{{$.pipeline_job_uuid}}"),
        "nothing is resolved there",
    ),
    ("labels_are_labels", "2.17", put((of_settings("plan"), "podMetadata", "labels", "title"), "A stage"), "label title=A stage"),
    ("labels_are_labels", "2.17", put((of_settings("plan"), "podMetadata", "labels", "pipeline/runid"), "1"), "backend's own"),
    ("users_agree", "2.17", put((of_settings("plan"), "securityContext", "runAsUser"), "0"), "must not be root"),
    ("commands_hold_known_placeholders", "2.17", put((of_container("plan"), "args", 0), "{{workflow.name}}"), "Argo may"),
    ("commands_hold_known_placeholders", "2.17", put((of_container("plan"), "args", 0), 'f"{{{x}"'), "braces that do not end"),
    (
        "commands_hold_known_placeholders",
        "2.17",
        put((of_container("plan"), "args", 0), "{{$.inputs.artifacts['x'].path}}"),
        "no such artifact",
    ),
    (
        "commands_name_given_parameters",
        "2.17",
        put((of_container("given"), "args", 0), "{{$.inputs.parameters['text']}}"),
        "'text' not found",
    ),
    (
        "constants_are_whole_placeholders",
        "2.17",
        put((of_task("root", "last"), "inputs", "parameters", "run", "runtimeValue", "constant"), "run-{{$.pipeline_job_uuid}}"),
        "is not resolved there",
    ),
    (
        "constants_are_whole_placeholders",
        "2.16",
        put(
            (of_task("root", "last"), "inputs", "parameters", "run", "runtimeValue", "constant"),
            "{{$.pipeline_job_create_time_utc}}",
        ),
        "before KFP 2.17",
    ),
    (
        "commands_hold_no_dollars_of_kubernetes",
        "2.17",
        put((of_container("plan"), "args", 0), "echo $(KEY)"),
        "replaces '$(KEY)'",
    ),
    ("commands_hold_no_dollars_of_kubernetes", "2.17", put((of_container("plan"), "args", 0), "echo $$"), "replaces '$$'"),
    ("arguments_fit", "2.17", put((of_container("plan"), "command", 0), "x" * (128 * 1024 + 1)), "no process starts"),
    ("templates_fit", "2.5", put((of_container("plan"), "command", 0), "x" * (64 * 1024)), "its template takes"),
    ("workflow_fits", "2.17", put((of_container("plan"), "command", 0), "x" * 1024 * 1024), "longer than maximum"),
    ("names_fit", "2.17", put((of_spec, "pipelineInfo", "name"), "x" * 60), "cut short"),
    ("names_fit", "2.17", put((of_spec, "pipelineInfo", "name"), "A pipeline"), "cannot name a workflow"),
    (
        "retries_may_be_late",
        "2.17",
        put((of_task(GROUP, "plan"), "retryPolicy", "backoffMaxDuration"), "600s"),
        "not started again, and ended, 600 s",
    ),
    ("retries_may_be_late", "2.17", drop((of_task(GROUP, "plan"), "retryPolicy", "backoffMaxDuration")), "never started again"),
    ("retries_can_be_counted", "2.17", put((of_task(GROUP, "plan"), "retryPolicy", "backoffFactor"), 1.5), "not a whole number"),
    ("retries_can_be_counted", "2.17", drop((of_task(GROUP, "plan"), "retryPolicy", "backoffDuration")), "no base duration"),
    ("failures_are_tried_again", "2.17", put((of_container("plan"), "command"), ["sh", "-ec", "train"]), "not tried again"),
    (
        "results_are_kept_as_long_as_told",
        "2.17",
        drop((of_kubernetes, "pipelineConfig", "resourceTtlOnSuccess")),
        "after 3600 s and not 600 s",
    ),
    ("metrics_are_finite_numbers", "2.17", put((of_container("train"), "command", 3), WITHOUT_CHECK), "fails the stage"),
]


@pytest.mark.parametrize(
    ("rule", "version", "fault", "told"), CASES, ids=[f"{number}-{case[0]}" for number, case in enumerate(CASES)]
)
def test_a_rule_takes_a_package_and_refuses_it_with_a_fault(rule, version, fault, told):
    backend = BACKENDS[version]
    package = package_of(backend)
    assert list(RULES[rule](package, backend)) == []
    found = list(RULES[rule](edited(package, fault), backend))
    assert any(told in why for why in found), found


def test_a_loop_whose_outputs_are_gathered_is_refused_where_that_cannot_be():
    package = package_of(BACKENDS["2.17"])
    rule = RULES["loops_are_gathered_where_they_can_be"]
    assert list(rule(package, BACKENDS["2.15"])) == []
    assert "cannot find what loop 'for-loop-5' brought" in next(rule(package, BACKENDS["2.5"]))


def test_each_rule_has_a_package_that_breaks_it():
    assert {case[0] for case in CASES} | {"loops_are_gathered_where_they_can_be"} == set(RULES)


@pytest.mark.parametrize("version", BACKENDS)
def test_the_small_package_keeps_every_rule(version):
    assert refusals(package_of(BACKENDS[version]), BACKENDS[version]) == []


@pytest.mark.parametrize("name", PIPELINES)
@pytest.mark.parametrize("version", BACKENDS)
def test_what_is_committed_for_a_version_keeps_every_rule_of_it(version, name):
    backend = BACKENDS[version]
    assert refusals(Package.of(COMPILED / backend.folder / f"{name}.yaml"), backend) == []


@pytest.mark.parametrize("older", ["2.16", "2.15", "2.5"])
def test_no_package_is_committed_for_a_version_that_could_have_the_one_before(older):
    newer = list(BACKENDS)[list(BACKENDS).index(older) - 1]
    package = Package.of(COMPILED / BACKENDS[newer].folder / "curation.yaml")
    assert refusals(package, BACKENDS[older])


def test_the_table_of_later_fields_names_fields_that_the_newest_version_has():
    files = (pipeline_spec_pb2.DESCRIPTOR, kubernetes_executor_config_pb2.DESCRIPTOR)
    known = set()
    stack = [message for file in files for message in file.message_types_by_name.values()]
    while stack:
        message = stack.pop()
        stack += message.nested_types
        known |= {f"{message.name}.{field.name}" for field in message.fields}
    assert set(LATER) <= known
