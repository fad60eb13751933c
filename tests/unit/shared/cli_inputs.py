"""What the tests of several commands give to `globe`."""

import io
import subprocess
from pathlib import Path

from command_line import globe
from PIL import Image

from globe.models.checkpoints import Usage
from globe.models.publish import publish_checkpoint

ROW = {
    "completion": "<think>a church</think><answer>country: France\ncity: Paris</answer>",
    "solution": {"country": "France", "city": "Paris"},
    "entities": ["church"],
}


def picture(colour: int = 0) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (8, 8), (colour, 0, 0)).save(file, "PNG")
    return file.getvalue()


def checkpoint(folder: Path, usage: Usage = Usage(), base_model: str = "b") -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(folder.name.encode())
    publish_checkpoint(folder, base_model=base_model, recipe="r", parent="p", step=3, usage=usage)
    return folder


def evaluate(model, dataset: Path, out: Path | str, *more: str) -> subprocess.CompletedProcess[str]:
    return globe("evaluate", "--url", model.url, "--model", model.name, "--dataset", str(dataset), "--out", str(out), *more)


def bad_places(tmp_path: Path) -> list[str]:
    file = tmp_path / "a-file"
    file.write_text("x")
    return ["", str(file), str(file / "below"), "/dev/full", "/proc/x", "/dev/null/x", "a\0b"]
