"""What a run's last task has told: its page lies beside the run's records in the store, if that can be seen from here."""

from collections.abc import Mapping
from typing import Any

from globe import storage
from globe.errors import GlobeError
from globe.markdown import is_plain
from globe.run.finish import SUMMARY_FILE
from globe.run.records import folder_of

STORE_PARAMETER = "store"


def read_last_word(parameters: Mapping[str, Mapping[str, Any]], arguments: Mapping[str, Any], run_id: str) -> str:
    """The page that tells how a run ended, what its stages took and what that cost.

    Args:
        parameters: The pipeline's parameters as its package defines them.
        arguments: What the run was given.
        run_id: The run's id.

    Returns:
        Markdown without its title; empty if there is none, if it is not as we write it, or if the store cannot be seen from here.
    """
    store = arguments.get(STORE_PARAMETER) or parameters.get(STORE_PARAMETER, {}).get("defaultValue")
    if not isinstance(store, str) or not store:
        return ""
    try:
        page = f"{folder_of(store, run_id)}/{SUMMARY_FILE}"
        if storage.address_of(page):
            storage.check_access(page)  # which is not patient: a summary is worth no waiting
        text = storage.read_text(page).partition("\n")[2].strip() if storage.exists(page) else ""
        return text if is_plain(text) else ""
    except (GlobeError, OSError):
        return ""
