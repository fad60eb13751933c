"""`globe serve` as people call it: what cannot be served is told before a server is started."""

from cli_inputs import checkpoint
from command_line import ended, globe, refused

from globe.models.checkpoints import MANIFEST_FILE, Usage


def test_checkpoints_that_are_none_are_refused_before_a_server_is_started(tmp_path):
    refused(globe("serve", str(tmp_path / "nowhere")), "nowhere", "no such folder")
    empty = tmp_path / "empty"
    empty.mkdir()
    refused(globe("serve", str(empty)), "no config.json")
    (empty / "config.json").write_text("{}")
    refused(globe("serve", str(empty)), "no weights")
    made = checkpoint(tmp_path / "made", Usage(serving={"max_pixels": -1}))
    refused(globe("serve", str(made)), MANIFEST_FILE, "max_pixels")
    refused(globe("serve", str(made), "--recipe", "nothing"), "no recipe 'nothing'")
    (made / MANIFEST_FILE).write_text('{"uri": ')
    refused(globe("serve", str(made)), MANIFEST_FILE, "JSON")
    (made / MANIFEST_FILE).write_text('{"uri": 7}')
    refused(globe("serve", str(made)), MANIFEST_FILE, "uri")


def test_a_folder_without_a_manifest_whose_weights_are_none_is_not_served(tmp_path):
    folder = checkpoint(tmp_path / "m")
    (folder / MANIFEST_FILE).unlink()
    ended(globe("serve", str(folder)), 2, "no vision-language model")


def test_a_served_name_that_would_be_a_path_is_refused(tmp_path):
    ended(globe("serve", str(checkpoint(tmp_path / "m")), "--name", "../x"), 2, "--name '../x'")


def test_keys_that_let_nobody_in_are_told_before_anything_is_started(tmp_path):
    made, keys = str(checkpoint(tmp_path / "m")), tmp_path / "keys.json"
    refused(globe("serve", made, "--keys-file", str(keys)), str(keys), "globe keys make")
    keys.write_text("x")
    refused(globe("serve", made, "--keys-file", str(keys)), str(keys), "it is not what `globe keys` writes")
    assert globe("keys", "make", "--file", str(tmp_path / "k.json"), "--name", "a").returncode == 0
    assert globe("keys", "revoke", "a", "--file", str(tmp_path / "k.json")).returncode == 0
    refused(globe("serve", made, "--keys-file", str(tmp_path / "k.json")), "has no key that opens anything")
