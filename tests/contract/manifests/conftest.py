"""What is in manifests/, as kustomize renders it."""

import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # for the helper beside this file


def pytest_collection_modifyitems(items):
    if not shutil.which("kubectl"):
        for item in items:
            if Path(__file__).parent in item.path.parents:
                item.add_marker(pytest.mark.skip(reason="needs kubectl, which renders kustomizations"))
