"""How the `datasets` library reads the sets: the part of a data card's head that says so.

It reads the shards without it, too, and then shows the pictures as bytes and every file as one split.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from globe.data.rows import SCHEMA

_NAMES = {pa.string(): "string", pa.float64(): "float64", pa.bool_(): "bool"}


def configs(splits: Mapping[str, list[str]]) -> dict[str, Any]:
    """Describe sets to `datasets.load_dataset(FOLDER, SET)`.

    Args:
        splits: By set, the splits of its rows. A set without rows has no files to read, and is left out.

    Returns:
        Entries of the card's head: where each set's files are, and the columns. Rows of several splits may be in one file, so
        these make one split that has the names of both, as `train_and_test`.
    """
    names = [name for name, of in splits.items() if of]
    return {
        "configs": [
            {
                "config_name": name,
                "data_files": [{"split": "_and_".join(sorted(splits[name], reverse=True)), "path": f"{name}/*.parquet"}],
            }
            for name in names
        ],
        "dataset_info": [{"config_name": name, "features": [_feature(field) for field in SCHEMA]} for name in names],
    }


def _feature(field: pa.Field) -> dict[str, Any]:
    if field.name == "image":
        return {"name": field.name, "dtype": "image"}
    if not pa.types.is_list(field.type):
        return {"name": field.name, "dtype": _NAMES[field.type]}
    value = field.type.value_type
    return {"name": field.name, "list": [_feature(one) for one in value] if pa.types.is_struct(value) else _NAMES[value]}
