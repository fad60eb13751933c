"""The curation pipeline, top to bottom: several annotators side by side, their replies merged and judged together.

validate -> source -> annotate, once per share -> curation

Whatever happens, the last task tells how the run ended.
"""

from kfp import dsl

from components.curation import annotate, shares
from components.curation import curation as curation_stage
from components.source import source as source_stage
from components.teardown import teardown
from components.validate import validate
from pipelines.placement import RUN, backend, cluster_settings

RECIPES = {"source": "photos", "curation": "mp16"}


def curation(
    source: str = "/mnt/globe/sources/photos",
    teachers: str = "qwen2.5-vl-72b@http://qwen2-5-vl-72b:8000/v1,internvl3-78b@http://internvl3-78b:8000/v1,"
    "coordinates:geoclip@http://geoclip:8000/v1",
    store: str = "/mnt/globe/store",
    annotators: int = 4,
    recipes: dict = RECIPES,
    overrides: dict = {},  # noqa: B006 (KFP's way to give a dict parameter a default)
):
    """Annotate, verify and split photos; training runs can use the result as start_from {"curation": its folder}.

    Args:
        source: Folder of geotagged photos, CSV/TSV with positions, dataset, s3:// URI, or "toy".
        teachers: Models that annotate, comma-separated MODEL@URL (and coordinates:MODEL@URL), or "simulated" (toy world only).
        store: Folder or s3:// prefix for the results of all runs; finished stages are found there and reused.
        annotators: How many pods ask the teachers side by side, each about its share of the photos; on KFP 2.5 one
            pod asks about all.
        recipes: Recipe of each stage, by name.
        overrides: Values that replace recipes', by STAGE.FIELD, such as {"curation.concurrency": 64}.
    """
    common = {"recipes": recipes, "overrides": overrides, "store": store}
    cluster = cluster_settings()
    ended = {"pipeline": "GLOBE curation", "goal": "curation", "servers": False}

    with dsl.ExitHandler(teardown(cluster=cluster, run=RUN, store=store, **ended)):
        valid = validate(stages=list(RECIPES), cluster=cluster, source=source, teachers=teachers, **common)
        raw = source_stage(source=source, **common).after(valid).outputs["data"]
        if backend().collects:
            numbers = shares(count=annotators).after(valid).output
            with dsl.ParallelFor(numbers, name="annotators") as share:
                told = annotate(data=raw, share=share, shares=annotators, teachers=teachers, **common)
            replies = dsl.Collected(told.outputs["replies"])
            curation_stage(data=raw, replies=replies, teachers=teachers, **common)
        else:  # nothing could gather what several annotators bring, so the last stage asks about all photos
            curation_stage(data=raw, teachers=teachers, **common)
