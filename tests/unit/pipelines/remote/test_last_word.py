"""What a run's last task told, read from the store for the summary of a CI job."""

from globe.run.cluster import Cluster, Place
from globe.run.finish import SUMMARY_FILE, tell_end
from globe.run.records import StageRecord, write_record
from pipelines.remote.job_summary import Submitted, job_summary
from pipelines.remote.last_word import read_last_word

RUN = "0000-1"
SFT = StageRecord(RUN, "sft", "succeeded", "2026-11-03T09:00:00.000000+00:00", 5400.0, gpus=8)


def told(store, tmp_path) -> None:
    write_record(str(store), SFT)
    place = Place(RUN, cluster=Cluster(gpu_hour_price=2.5, currency="EUR"), store=str(store))
    tell_end(place, "GLOBE training", "promote", str(tmp_path / "page"))


def test_the_page_of_the_last_task_is_part_of_the_summary(tmp_path, monkeypatch):
    monkeypatch.delenv("GLOBE_RUN_ID", raising=False)
    told(tmp_path / "store", tmp_path)
    found = read_last_word({"store": {}}, {"store": str(tmp_path / "store")}, RUN)
    text = job_summary(Submitted("training", "try-1", last_word=found))
    assert "### What it took" in text
    assert "| GPU-hours | 12.00 |" in text
    assert "| cost | 30.00 EUR |" in text
    assert text.count("## GLOBE training") == 0


def test_what_somebody_else_has_put_there_is_no_part_of_the_summary(tmp_path, monkeypatch):
    monkeypatch.delenv("GLOBE_RUN_ID", raising=False)
    told(tmp_path / "store", tmp_path)
    (page,) = (tmp_path / "store").rglob(SUMMARY_FILE)
    ours = page.read_text()
    assert read_last_word({}, {"store": str(tmp_path / "store")}, RUN)
    for more in (
        "![x](https://evil.example/p)",
        "<img src=//evil.example>",
        "cc @team",
        "see [the result](//evil.example)",
    ):
        page.write_text(ours + more)
        assert read_last_word({}, {"store": str(tmp_path / "store")}, RUN) == ""


def test_the_store_may_be_the_pipelines_default(tmp_path, monkeypatch):
    monkeypatch.delenv("GLOBE_RUN_ID", raising=False)
    told(tmp_path / "store", tmp_path)
    assert read_last_word({"store": {"defaultValue": str(tmp_path / "store")}}, {}, RUN)


def test_where_it_cannot_be_seen_the_summary_just_lacks_it(tmp_path, monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    for store in (str(tmp_path), "/nowhere", "s3://no-such-bucket/store", "s3://", 5, ""):
        assert read_last_word({}, {"store": store}, RUN) == ""
    assert read_last_word({}, {}, RUN) == ""
    assert "What it took" not in job_summary(Submitted("training", "try-1"))
