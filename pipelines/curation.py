"""The curation pipeline, top to bottom: several annotators side by side, what they bring merged and judged together.

validate -> cut -> source -> annotate, once per annotator -> curation

The source is cut into parts (recipe curation, part_rows). Each annotator has its share of them and does one after the other; each
part is a result of its own in the store, so a pod that is lost costs no part that it had finished.

Whatever happens, the last task tells how the run ended.
"""

from kfp import dsl

from components.curation import curation as curation_stage
from components.parts import annotate, cut
from components.parts import curation as merge_parts
from components.parts import source as read_parts
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
        source: Folder, zip or tar of geotagged photos, table (CSV, TSV, parquet) with positions, dataset, s3:// URI, a known data
            set's NAME or NAME@PLACE, or "toy".
        teachers: Models that annotate, comma-separated: VLMs as MODEL@URL, witnesses as KIND:MODEL[@URL] (KIND: coordinates,
            segmentation, alignment); or "simulated" (toy world only).
        store: Folder or s3:// prefix for the results of all runs; finished stages are found there and reused.
        annotators: How many pods read photos and ask the teachers side by side, each its share of the parts; on KFP 2.5 one
            pod does all.
        recipes: Recipe of each stage, by name.
        overrides: Values that replace recipes', by STAGE.FIELD, such as {"curation.concurrency": 64}.
    """
    common = {"recipes": recipes, "overrides": overrides, "store": store}
    cluster = cluster_settings()
    ended = {"pipeline": "GLOBE curation", "goal": "curation", "servers": False}

    with dsl.ExitHandler(teardown(cluster=cluster, run=RUN, store=store, **ended)):
        valid = validate(stages=list(RECIPES), cluster=cluster, source=source, teachers=teachers, **common)
        if backend().collects:
            made = cut(source=source, annotators=annotators, **common).after(valid).outputs
            with dsl.ParallelFor(made["Output"], name="annotators") as annotator:
                mine = read_parts(source=source, annotator=annotator, shares=made["shares"], **common)
                parts = mine.outputs["parts"]
                told = annotate(source=source, parts=parts, teachers=teachers, **common)
            merge_parts(source=source, asked=dsl.Collected(told.outputs["asked"]), teachers=teachers, **common)
        else:  # nothing could gather what several annotators bring, so one reads and asks about all photos
            raw = source_stage(source=source, **common).after(valid).outputs["data"]
            curation_stage(data=raw, teachers=teachers, **common)
