"""Contract of stage source: the toy world, or photos from a folder or a table."""

from kfp import dsl

from components.contract import contract


@contract("curation")
def source(source: str, pictures: int, seed: int, store: str, data: dsl.Output[dsl.Dataset]):
    """Draw the toy world or read geotagged photos.

    Args:
        source: "toy", a folder of geotagged photos, or a CSV/TSV with positions.
        pictures: How many pictures to draw, or to read at most; 0 reads all.
        seed: Seed of the toy world.
        store: Folder that keeps the results of all stages.
        data: Reference to the dataset.
    """
    from pathlib import Path

    from globe.artifacts import write_reference
    from globe.curation.ingest import source as stage

    result = stage(source=source, pictures=pictures, seed=seed, store=Path(store))
    write_reference(data.path, result)
