"""The names of ms-swift's arguments, as they lie beside `globe.training.further_arguments`, are those of the installed ms-swift.

``python tests/contract/test_swift_arguments.py`` writes them anew, after another ms-swift is locked.
"""

import json
import os
import subprocess
import sys
from importlib.util import find_spec

import pytest

from globe.files import write_json
from globe.training.further_arguments import NAMES_FILE

# In a process of its own: the import takes torch, and changes much.
ASK = """
import dataclasses, importlib.metadata, json
from swift.arguments import RLHFArguments, SftArguments

kinds = {"sft": SftArguments, "rlhf": RLHFArguments}
names = {command: sorted(field.name for field in dataclasses.fields(kind) if field.init) for command, kind in kinds.items()}
print("\\n@@" + json.dumps({"ms_swift": importlib.metadata.version("ms-swift"), **names}))
"""


def installed() -> dict:
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": ""}
    asked = subprocess.run([sys.executable, "-c", ASK], capture_output=True, text=True, env=environment, check=True)
    return json.loads(asked.stdout.rpartition("\n@@")[2])


@pytest.mark.skipif(not find_spec("swift"), reason="needs the train extra")
def test_the_names_are_those_that_ms_swifts_own_classes_take():
    assert json.loads(NAMES_FILE.read_text()) == installed()


if __name__ == "__main__":
    write_json(NAMES_FILE, installed())
