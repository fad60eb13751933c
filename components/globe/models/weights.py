"""Load weights strictly: every key of a checkpoint has its place in the model, and every place its key.

When names do not match, the libraries give a warning at most and carry on with whatever the model had before: random weights, or
the base model's. So everything that loads weights goes through here.
"""

import json
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from globe.errors import GlobeError, InputError
from globe.printable import one_line

DATA_ONLY = {"trust_remote_code": False, "use_safetensors": True}
"""For transformers, which otherwise asks at a terminal whether to run a model's code, and takes a pickle where that is all."""


def load_model(folder: Path) -> Any:
    """Load a vision-language model on the CPU, in the precision of its weights.

    Args:
        folder: A model's folder.

    Raises:
        GlobeError: A key is missing, unexpected, or of another shape; names the first one.
    """
    from transformers import AutoModelForImageTextToText

    from globe.models.attention import batch_windows

    batch_windows()
    model, info = AutoModelForImageTextToText.from_pretrained(folder, dtype="auto", output_loading_info=True, **DATA_ONLY)
    require_all_keys(info, folder)
    return model


def require_whole_model(folder: Path) -> None:
    """Check that a model's folder holds every weight of its architecture and no other, without loading one.

    vLLM does not check: where a linear layer's weights are missing it serves whatever is in memory.

    Raises:
        InputError: transformers cannot read it as a vision-language model.
        GlobeError: A key is missing, unexpected, or of another shape; names the first one.
    """
    from safetensors import SafetensorError
    from transformers import AutoModelForImageTextToText

    try:
        _, info = AutoModelForImageTextToText.from_pretrained(folder, device_map="meta", output_loading_info=True, **DATA_ONLY)
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise InputError(f"{folder}: is no vision-language model that transformers can read ({error})") from error
    require_all_keys(info, folder)


def require_whole_files(folder: Path) -> None:
    """Check that a model's files of weights have their full length, and that those which its index names are all there.

    It reads their headers only: whoever has a checkpoint's manifest compares every byte.

    Raises:
        InputError: One is cut short, or missing; names it.
    """
    from safetensors import SafetensorError, safe_open

    held: dict[str, set[str]] = {}
    for file in sorted(folder.glob("*.safetensors")):
        try:
            with safe_open(file, framework="numpy") as opened:  # it compares the file's length with what the header says
                held[file.name] = set(opened.keys())
        except (OSError, SafetensorError) as error:
            raise InputError(f"{file}: is no whole file of weights ({one_line(str(error))}); copy it again") from None
    for index in sorted(folder.glob("*.safetensors.index.json")):
        for name, file_name in _weight_map(index).items():
            if name not in held.get(file_name, ()):
                missing = f"has no {name}" if file_name in held else "is not there"
                raise InputError(f"{folder / file_name}: {missing}, which {index.name} names; copy the model again")


def _weight_map(index: Path) -> dict[str, str]:
    try:
        return {str(name): str(file) for name, file in json.loads(index.read_text(encoding="utf-8"))["weight_map"].items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise InputError(f"{index}: cannot be read; copy the model again") from None


def add_adapter(model: Any, folder: Path) -> Any:
    """Put a trained LoRA adapter onto its base model.

    Args:
        model: The base model.
        folder: The adapter's folder.

    Returns:
        The model with the adapter.

    Raises:
        GlobeError: There are no safetensors, or a key is missing or unexpected; names the first one.
    """
    from peft import PeftConfig, get_peft_model

    adapted = get_peft_model(model, PeftConfig.from_pretrained(folder))
    require_adapter_keys(adapted, folder)
    adapted.load_adapter(folder, adapted.active_adapter)
    return adapted


def require_all_keys(info: Mapping[str, Iterable[Any]], where: object) -> None:
    """Check what transformers' `from_pretrained` reports.

    Args:
        info: Its `output_loading_info`.
        where: What was loaded, for the error.

    Raises:
        GlobeError: Not all weights were loaded; names the first that was not.
    """
    for kind in ("missing_keys", "unexpected_keys", "mismatched_keys", "error_msgs"):
        found = sorted(map(str, info.get(kind) or ()))
        if found:
            raise _misfit(where, kind.removesuffix("s").replace("_", " ").replace("msg", "message"), found)


def require_adapter_keys(model: Any, folder: object) -> None:
    """Check that an adapter's file holds exactly the weights of the model's adapter, fully trained modules included.

    Raises:
        GlobeError: It does not; names the first key. Or the file is not there as safetensors: peft would take a pickle instead,
            or ask a model hub.
    """
    from peft import get_peft_model_state_dict, load_peft_weights
    from peft.utils import SAFETENSORS_WEIGHTS_NAME

    if not Path(str(folder), SAFETENSORS_WEIGHTS_NAME).is_file():
        raise GlobeError(f"{folder}: no {SAFETENSORS_WEIGHTS_NAME}; an adapter's weights are read as safetensors only")
    require_same_keys(get_peft_model_state_dict(model), load_peft_weights(str(folder), device="cpu"), folder)


def require_same_keys(model: Collection[str], weights: Collection[str], where: object) -> None:
    """Check that weights have exactly a model's keys.

    Raises:
        GlobeError: They do not; names the first key.
    """
    for kind, found in (("missing key", set(model) - set(weights)), ("unexpected key", set(weights) - set(model))):
        if found:
            raise _misfit(where, kind, sorted(found))


def _misfit(where: object, kind: str, found: list[str]) -> GlobeError:
    more = f" and {len(found) - 1} more" if len(found) > 1 else ""
    return GlobeError(f"{where}: the weights do not fit the model: {kind} {found[0]}{more}")
