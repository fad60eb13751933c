"""images/build.py, and what runs in the serve image."""

import itertools
import os
import subprocess
import sys

import pytest
from image_files import HIDE, IMAGES, NAMES, ROOT, locked, locks_of, out_of_reach, project, script


def test_the_build_names_its_target_and_passes_the_variant_and_secrets_never_as_arguments():
    build = script("build")
    options = build.parse(
        ["--variant", "cpu", "--base", "b:1", "--ca", "/c.crt", "--pip", "/p.conf", "--uv", "/u.toml", "--docker", "d"]
    )
    for name in NAMES:
        command = build.build_command(name, options, "localhost/globe-wheels:1")
        values = [value for flag, value in itertools.pairwise(command) if flag == "--build-arg"]
        assert command[command.index("--target") + 1] == name
        assert command[command.index("-t") + 1] == f"localhost/globe-{name}:cpu"
        assert {f"VERSION={project()['version']}", "BASE=b:1", "VARIANT=cpu"} <= set(values)
        assert {"WHEELS=localhost/globe-wheels:1", "TORCH_WHEELS=/wheels"} <= set(values)
        assert not [value for value in values if ".crt" in value or ".conf" in value or ".toml" in value]
        secrets = [value for flag, value in itertools.pairwise(command) if flag == "--secret"]
        assert secrets == ["id=ca,src=/c.crt", "id=pip,src=/p.conf", "id=uv,src=/u.toml"]


def built(tmp_path, **environment):
    """What `make images` tells the container engine for serve's CPU variant, in an environment with nothing else."""
    engine = tmp_path / "engine"
    engine.write_text(
        '#!/bin/sh\nshift 0; for word; do printf "%s\\n" "$word"; done >> "$LOG"; echo end >> "$LOG"; echo 5000000\n'
    )
    engine.chmod(0o755)
    told = {"PATH": os.environ["PATH"], "DOCKER": str(engine), "LOG": str(tmp_path / "log")} | environment
    command = ["make", "--no-print-directory", "-C", str(ROOT), "images", "NAMES=serve", "VARIANT=cpu"]
    done = subprocess.run([*command, f"PYTHON={sys.executable}"], capture_output=True, text=True, env=told)
    assert done.returncode == 0, done.stderr
    assert "localhost/globe-serve:cpu: 5 MB in" in done.stdout
    return (tmp_path / "log").read_text().splitlines()


def test_make_builds_the_cpu_image_where_nothing_is_set_and_where_everything_is(tmp_path):
    plain = built(tmp_path)
    assert plain[: plain.index("end")][-1] == str(ROOT)
    assert "VARIANT=cpu" in plain
    assert not [word for word in plain if word.startswith(("WHEELS=", "TORCH_WHEELS=", "BASE=", "--secret", "--network"))]
    (tmp_path / "log").unlink()
    (tmp_path / "torch-1.whl").write_text("")
    told = built(tmp_path, TORCH_WHEELS=str(tmp_path), IMAGE_BASE="base:1", IMAGE_NETWORK="host")
    assert {"TORCH_WHEELS=/wheels", "BASE=base:1", "--network", "host"} <= set(told)


def test_an_unknown_image_is_refused_in_one_line_with_exit_code_2():
    done = subprocess.run([sys.executable, str(IMAGES / "build.py"), "gateway"], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr == f"error: no image gateway; there are {', '.join(NAMES)}\n"


# What servers' pods run in the serve image


MODULES = (
    "globe.gateway.server",
    "globe.gateway.__main__",
    "globe.serving.guard",
    "globe.serving.outlive",
    "globe.models.__main__",
)


@pytest.mark.parametrize("variant", ["gpu", "cpu"])
@pytest.mark.parametrize("module", [*MODULES, "globe.serving.engine"])
def test_what_a_servers_pod_runs_needs_nothing_that_the_serve_image_lacks(module, variant):
    """As in the image: every package of this environment that the lock does not name is out of reach."""
    there = {*locked(locks_of("serve")[variant]), *locked(IMAGES / "base" / "kfp.lock"), "globe-kubeflow"}
    absent = out_of_reach(there)
    assert {"pytest", "moto", "s3fs", "kubernetes"} <= absent
    program = "\n".join([HIDE, f"hide({absent!r})", f"import {module}", "print(*sorted(sys.modules))"])
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr[-2000:]
    assert not {"torch", "vllm", "transformers"} & set(done.stdout.split()), "it would take seconds, and memory"
