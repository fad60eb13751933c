"""`globe keys`: what it prints, and that what it writes opens a gateway."""

import json
import subprocess
from pathlib import Path

from command_line import globe, refused

from globe.gateway.keyfile import is_key, read_keys
from globe.gateway.keys import KeyRing
from globe.gateway.settings import GatewaySettings


def test_a_key_is_printed_once_and_opens_a_gateway_with_the_file(tmp_path: Path):
    file = tmp_path / "my keys.json"
    made = globe("keys", "make", "--name", "ci", "--file", str(file), "--expires", "90d", "--pixels-per-minute", "5")
    key = made.stdout.strip()
    assert (made.returncode, is_key(key)) == (0, True)
    assert KeyRing(GatewaySettings(keys_file=file)).client(f"Bearer {key}").pixels_per_minute == 5
    listed = globe("keys", "list", "--file", str(file))
    assert listed.stdout.splitlines()[0].split() == ["name", "state", "made", "expires", "pixels/min", "tokens/min"]
    assert listed.stdout.splitlines()[1].split()[:2] == ["ci", "active"]
    assert key not in file.read_text() + listed.stdout + made.stderr


def test_the_line_for_the_cluster_is_a_line_for_a_shell(tmp_path: Path):
    file = tmp_path / "my keys.json"
    said = globe("keys", "make", "--name", "ci", "--file", str(file)).stderr
    line = said.partition("kubectl ")[2].partition(" | ")[0]
    words = subprocess.run(
        ["bash", "-c", f"printf '%s\\n' {line}"], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert words[:5] == ["-n", "NAMESPACE", "create", "secret", "generic"]
    assert f"--from-file=keys.json={file}" in words


def test_json_is_all_that_is_on_stdout(tmp_path: Path):
    file = str(tmp_path / "keys.json")
    made = json.loads(globe("keys", "make", "--name", "ci", "--file", file, "--expires", "2999-01-01", "--json").stdout)
    assert is_key(made.pop("key"))
    assert made == {"name": "ci", "expires": "2999-01-02T00:00:00Z", "file": file}
    [listed] = [json.loads(line) for line in globe("keys", "list", "--file", file, "--json").stdout.splitlines()]
    assert (listed["name"], listed["state"], "sha256" in listed) == ("ci", "active", False)
    revoked = json.loads(globe("keys", "revoke", "ci", "--file", file, "--json").stdout)
    assert revoked["revoked"].endswith("Z")
    assert read_keys(Path(file))[0].revoked is not None


def test_bad_input_is_one_line_and_code_2(tmp_path: Path):
    file = str(tmp_path / "keys.json")
    refused(globe("keys", "list", "--file", file), "no such file; make a key first")
    refused(globe("keys", "revoke", "ci", "--file", file), "no such file")
    refused(globe("keys", "make", "--name", "a b", "--file", file), "--name 'a b'")
    refused(globe("keys", "make", "--name", "ci", "--file", file, "--expires", "soon"), "--expires 'soon'")
    refused(globe("keys", "make", "--name", "ci", "--file", f"{file}/x/keys.json"), "cannot be written")
    refused(globe("keys", "make", "--name", "ci", "--file", "s3://bucket/keys.json"), "not on this machine")
    globe("keys", "make", "--name", "ci", "--file", file)
    refused(globe("keys", "make", "--name", "ci", "--file", file), "there is an active key of this name")
    refused(globe("keys", "revoke", "\x1b[31mx", "--file", file), "has no key of this name; it has ci")


def test_without_a_command_the_help_is_told_in_whole_lines():
    shown = globe("keys")
    assert (shown.returncode, [line for line in shown.stderr.splitlines() if line.startswith("  ") and "..." in line]) == (2, [])
    assert [line.split()[0] for line in shown.stderr.splitlines() if line.startswith("  ")][-3:] == ["make", "list", "revoke"]


def test_a_day_that_no_calendar_has_room_for_is_told_so(tmp_path: Path):
    made = ("keys", "make", "--file", str(tmp_path / "k.json"), "--name", "x", "--expires")
    refused(globe(*made, "9999-12-31"), "--expires 9999-12-31", "is too far away")
