"""All rules: what a version of the backend would refuse, drop or misread in a compiled package."""

from collections.abc import Callable, Iterator

from backend import graphs, metrics, parsing, placeholders, pods, sizes, times, values
from backend.package import Package
from pipelines.backends import Backend

Rule = Callable[[Package, Backend], Iterator[str]]
RULES: dict[str, Rule] = {
    rule.__name__: rule
    for rule in (
        *(parsing.pipeline_spec_parses, parsing.platform_spec_is_read, parsing.settings_are_known),
        *(values.inputs_have_their_types, values.inputs_are_given, values.items_have_their_type),
        *(values.defaults_have_their_types, values.outputs_have_their_types),
        *(
            graphs.sources_exist,
            graphs.tasks_wait_for_tasks_that_can_end,
            graphs.settings_wait_for_what_they_read,
            graphs.outputs_have_producers,
        ),
        *(graphs.one_of_brings_one_type, graphs.one_of_artifacts_need_2_17, graphs.loops_are_gathered_where_they_can_be),
        *(graphs.names_are_keys_where_they_are_looked_up, graphs.conditions_can_be_decided),
        *(graphs.the_exit_task_waits_for_groups_alone, graphs.equal_containers_have_equal_components),
        *(graphs.labels_reach_their_pods, graphs.retries_are_seen),
        *(pods.resources_read_texts, pods.quantities_are_quantities, pods.volumes_have_names_of_their_own),
        pods.secrets_may_be_missing,
        *(pods.variables_are_plain, pods.labels_are_labels, pods.users_agree),
        *(placeholders.commands_hold_known_placeholders, placeholders.commands_name_given_parameters),
        *(placeholders.constants_are_whole_placeholders, placeholders.commands_hold_no_dollars_of_kubernetes),
        *(sizes.arguments_fit, sizes.templates_fit, sizes.workflow_fits, sizes.names_fit),
        *(times.retries_may_be_late, times.retries_can_be_counted, times.failures_are_tried_again),
        times.results_are_kept_as_long_as_told,
        metrics.metrics_are_finite_numbers,
    )
}
"""By name."""


def refusals(package: Package, backend: Backend) -> list[str]:
    """All that a version would refuse, drop or misread, each with its rule's name."""
    return [f"{name}: {why}" for name, rule in RULES.items() for why in rule(package, backend)]
