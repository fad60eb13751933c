"""The samples file of lmms-eval. These lines are as lmms-eval 0.7.3 wrote them; `tests/integration/test_lmms_eval.py` runs it."""

import json

import pytest

from globe.errors import InputError
from globe.evaluation.lmms_samples import is_samples, prediction_of_text, read_samples
from globe.evaluation.tables import read_scored
from globe.figures.metrics import summarize

PARIS = "<think>a tower</think><answer>country: France\ncity: Paris</answer>"
TRUTH = "id,lat,lon,country,city\na,48.85,2.35,France,Paris\nb,52.52,13.40,Germany,Berlin\nc,45.76,4.84,France,Lyon\n"


def line(doc_id, answer, identity=None, **more):
    target = json.dumps({"id": identity, "country": "", "city": "", "lat_deg": 0.0, "lon_deg": 0.0}) if identity else "France"
    return {"doc_id": doc_id, "target": target, "filtered_resps": answer, "token_counts": [None], "doc_hash": "74"} | more


@pytest.fixture
def samples(tmp_path):
    def write(*lines):
        path = tmp_path / "20261129_184731_samples_globe.jsonl"
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
        (tmp_path / "t.csv").write_text(TRUTH)
        return path

    return write


def test_answers_are_found_by_the_id_in_their_target_and_scored(samples, tmp_path):
    path = samples(
        line(0, PARIS, "a"),
        line(1, "[LMMS_EVAL_REQUEST_FAILED after 5 retries] Connection error.", "b"),
        line(2, [PARIS], "c", resps=[[PARIS]]),
    )
    records = read_scored(tmp_path / "t.csv", path)
    assert [(record["id"], record["status"]) for record in records] == [("a", "ok"), ("b", "call_failed"), ("c", "ok")]
    assert records[1]["error"] == "[LMMS_EVAL_REQUEST_FAILED after 5 retries] Connection error."
    figures = summarize(records, rounds=0)
    assert [figures["accuracy"][km] for km in ("25", "750")] == pytest.approx([100 / 3, 200 / 3], abs=1e-4)
    assert figures["failures"]["call_failed"] == 1


def test_an_empty_answer_is_no_answer_and_one_cut_out_of_the_file_too(samples, tmp_path):
    records = read_scored(tmp_path / "t.csv", samples(line(0, PARIS, "a"), line(1, "", "b")))
    assert [record["status"] for record in records] == ["ok", "no_answer", "no_answer"]


def test_the_id_of_a_row_is_taken_where_the_target_holds_none_and_the_rows_number_where_there_is_no_row(samples):
    path = samples(line(7, PARIS, doc={"IMG_ID": "a", "LAT": 48.85}), line(8, PARIS), line(9, PARIS, doc={"question": "where?"}))
    assert [record["id"] for _, record in read_samples(path)] == ["a", "8", "9"]


def test_a_picture_of_another_data_set_is_told(samples, tmp_path):
    with pytest.raises(InputError, match=r"row 2: id '17' is not in"):
        read_scored(tmp_path / "t.csv", samples(line(0, PARIS, "a"), line(17, PARIS)))


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (line(1, [PARIS, PARIS], "b"), "row 2: filtered_resps holds 2 answers; run lmms-eval without --repeats"),
        (line(1, [], "b"), "row 2: filtered_resps holds no answer"),
        (line(1, None, "b"), "row 2: filtered_resps holds no answer"),
        (line(1, {"a": 1}, "b"), "row 2: filtered_resps holds no answer"),
        (line(None, PARIS), "row 2: neither target nor doc_id says"),
        (line(True, PARIS), "row 2: neither target nor doc_id says"),
        (line(0, PARIS, "a"), "row 2: id 'a' appears twice"),
    ],
)
def test_a_line_that_is_no_one_answer_is_refused(samples, tmp_path, broken, said):
    with pytest.raises(InputError, match=said):
        read_scored(tmp_path / "t.csv", samples(line(0, PARIS, "a"), broken))


def test_a_file_in_which_every_call_failed_is_no_result(samples, tmp_path):
    failed = "[LMMS_EVAL_REQUEST_FAILED after 1 retries] Connection error."
    with pytest.raises(InputError, match="all 3 calls failed"):
        read_scored(tmp_path / "t.csv", samples(*(line(number, failed, name) for number, name in enumerate("abc"))))


def test_a_table_of_predictions_is_not_taken_for_samples():
    assert is_samples(line(0, PARIS))
    assert not is_samples({"id": "a", "answer": PARIS})


def test_a_text_says_what_it_says_anywhere_else():
    paris = prediction_of_text(PARIS)
    assert (paris["status"], paris["country"], paris["city"], paris["level"]) == ("ok", "France", "Paris", "city")
    assert (round(paris["lat_deg"]), round(paris["lon_deg"])) == (49, 2)
    assert prediction_of_text("no idea")["status"] == "not_parsed"
    assert prediction_of_text("[LMMS_EVAL_BUDGET_EXCEEDED]")["status"] == "call_failed"
