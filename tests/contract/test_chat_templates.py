"""A model's chat template is a program. Whatever renders one here does so in Jinja's sandbox, which lets it reach nothing."""

import re
import shutil
from importlib.util import find_spec
from pathlib import Path

import jinja2
import jinja2.exceptions
import pytest

RENDERERS = ("transformers", "swift", "vllm")
_ENVIRONMENT = re.compile(r"(\w*)(?:Environment|jinja2\.Template)\(")
PROMPT = [{"role": "user", "content": "Where is this?"}]


def attack(marker: Path) -> str:
    """A template that reaches `os` from an object that every template has."""
    return f"{{{{ cycler.__init__.__globals__.os.system('touch {marker}') }}}}"


def test_the_attack_is_one_where_there_is_no_sandbox(tmp_path):
    jinja2.Environment().from_string(attack(tmp_path / "ran")).render(messages=PROMPT)
    assert (tmp_path / "ran").exists()


@pytest.mark.parametrize("place", ["chat_template.jinja", "additional_chat_templates/other.jinja"])
@pytest.mark.parametrize("reader", ["AutoProcessor", "AutoTokenizer"])
def test_a_template_cannot_leave_the_sandbox(tiny_model, tmp_path, place, reader):
    """ms-swift and vLLM ask the tokenizer for it; reward model and baselines ask the processor."""
    import transformers

    folder = shutil.copytree(tiny_model, tmp_path / "m")
    (folder / place).parent.mkdir(exist_ok=True)
    (folder / place).write_text(attack(tmp_path / "ran"))
    loaded = getattr(transformers, reader).from_pretrained(folder)
    name = None if place == "chat_template.jinja" else "other"
    with pytest.raises(jinja2.exceptions.SecurityError):
        loaded.apply_chat_template(PROMPT, chat_template=name, tokenize=False)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("package", RENDERERS)
def test_no_library_that_loads_models_renders_anything_outside_a_sandbox(package):
    found = find_spec(package)
    if not found or not found.submodule_search_locations:
        pytest.skip(f"{package} is not installed")
    made = [
        (path, match[1])
        for path in Path(found.submodule_search_locations[0]).rglob("*.py")
        if "jinja2" in (text := path.read_text(encoding="utf-8"))
        for match in _ENVIRONMENT.finditer(text)
    ]
    assert made or package == "swift"  # it has none of its own
    assert [path for path, kind in made if kind != "ImmutableSandboxed"] == []
