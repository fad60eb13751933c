"""Small curations of odd photos, and what they leave."""

from globe.curation.recipe import CurationRecipe
from globe.data.shards import read_dataset

RECIPE = CurationRecipe(timeout_s=3.0, concurrency=4)
OUTPUTS = ("sft", "reward_model", "pool", "test")
ODD = CurationRecipe(max_unusable_percent=60.0)


def files_of(out):
    """The bytes of all that a curation is for."""
    named = [
        *(path for name in OUTPUTS for path in sorted((out / name).iterdir())),
        out / "decisions.jsonl",
        out / "curation.json",
    ]
    return {str(path.relative_to(out)): path.read_bytes() for path in named}


def below(folder):
    """The bytes of every file that lies in a folder, however deep."""
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def cut_to(part_rows):
    return ODD.model_copy(update={"part_rows": part_rows})


def rows_of(folder):
    return {row.id: row for row in read_dataset(folder)}
