import subprocess
import sys

import pytest

from globe.errors import InputError
from globe.witness.wanted import KINDS, Wanted, read_wanted


@pytest.mark.parametrize(
    ("text", "kind", "model"),
    [
        ("segmentation:nvidia/segformer-b5-finetuned-ade-640-640", "segmentation", "nvidia/segformer-b5-finetuned-ade-640-640"),
        (" coordinates:geoclip ", "coordinates", "geoclip"),
        ("alignment:/models/with: colon", "alignment", "/models/with: colon"),
    ],
)
def test_a_kind_and_a_model_without_a_url_is_a_witness_that_is_yet_to_be_served(text, kind, model):
    assert read_wanted(text) == Wanted(kind, model)


@pytest.mark.parametrize("text", ["geoclip", "segmentation:", "vlm:x", "coordinates:m@http://host:1/v1", "m:7b@https://host/v1"])
def test_anything_else_is_none(text):
    assert read_wanted(text) is None


def test_a_folder_is_called_by_its_own_name_and_a_model_of_the_hub_by_its_id(tmp_path, monkeypatch):
    (tmp_path / "geoclip").mkdir()
    monkeypatch.chdir(tmp_path)
    assert Wanted("segmentation", f"{tmp_path}/geoclip/").name == "geoclip"
    assert Wanted("segmentation", "owner/name").name == "owner/name"
    assert Wanted("coordinates", "geoclip").folder is None, "the package's weights, whatever lies here"
    assert Wanted("coordinates", "./geoclip").folder is not None


@pytest.mark.parametrize("model", ["/no/such/folder", "./here", "a/b/c", "~/model"])
def test_a_path_that_leads_nowhere_is_told_before_the_hub_is_asked(model):
    with pytest.raises(InputError, match=r"segmentation:.*no such folder"):
        Wanted("segmentation", model).check()


def test_a_folder_that_would_run_code_is_refused(tmp_path):
    (tmp_path / "config.json").write_text('{"auto_map": {"AutoModel": "evil.Model"}}')
    with pytest.raises(InputError, match=r"auto_map"):
        Wanted("alignment", str(tmp_path)).check()


@pytest.mark.parametrize("kind", KINDS)
def test_missing_packages_are_named_with_what_to_install(kind, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match=rf"{kind}: .*torch.* not installed; pip install 'globe-kubeflow\[witness\]'"):
        Wanted(kind, "owner/name").check()


def test_curation_names_and_starts_witnesses_without_importing_a_models_package():
    heavy = "{'torch', 'transformers', 'sentence_transformers', 'geoclip'}"
    script = f"import sys, globe.curation.teachers.named, globe.witness.local; print(sorted({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.strip() == "[]"
