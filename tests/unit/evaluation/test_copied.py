"""Tables in which the truth passes for predictions are refused, and those that only look like it are not."""

import pytest

from globe.errors import InputError
from globe.evaluation.copied import MANY, prediction_columns
from globe.evaluation.tables import read_scored
from globe.figures.predictions import write_predictions

PLACES = [(f"p{i}", 45.0 + i / 7, 1.0 + i / 9, "France", f"Ville {i}") for i in range(MANY)]
TRUTH = "id,lat,lon,country,city\n" + "".join(f"{i},{lat},{lon},{country},{city}\n" for i, lat, lon, country, city in PLACES)


@pytest.fixture
def scored(tmp_path):
    def read(predictions, truth=TRUTH):
        (tmp_path / "t.csv").write_text(truth)
        (tmp_path / "p.csv").write_text(predictions)
        return read_scored(tmp_path / "t.csv", tmp_path / "p.csv")

    return read


def few(text, rows=3):
    """A table with only its first rows."""
    return "".join(text.splitlines(keepends=True)[: rows + 1])


POSITIONS = "id,lat,lon\n" + "".join(f"{i},{lat:.6f},{lon:.6f}\n" for i, lat, lon, *_ in PLACES)
BESIDE_ANSWERS = "id,LAT,LON,answer\n" + "".join(f'{i},{lat},{lon},"country: Italy, city: Rome"\n' for i, lat, lon, *_ in PLACES)
NAMES_BESIDE_ANSWERS = "id,country,city,answer\n" + "".join(f'{i},France,{city},"country: Italy"\n' for i, *_, city in PLACES)
OTHER_ORDER = "city,id,lon,lat,country\n" + "".join(f"{city},{i},{lon},{lat},{land}\n" for i, lat, lon, land, city in PLACES)


@pytest.mark.parametrize(
    ("predictions", "truth", "says"),
    [
        (TRUTH, TRUTH, "is the same as .*, the truth"),
        (few(TRUTH), few(TRUTH), "is the same as .*, the truth"),
        (POSITIONS, TRUTH, "lat and lon are those of .* in all of 20 rows"),
        (OTHER_ORDER, TRUTH, "lat and lon are those"),
        (few(OTHER_ORDER), few(TRUTH), "lat and lon are those of .* in all of 3 rows"),
        (few(BESIDE_ANSWERS), few(TRUTH), "lat and lon .* though id 'p0' answers something else"),
        (few(NAMES_BESIDE_ANSWERS), few(TRUTH), "country and city .* though id 'p0' answers something else"),
    ],
)
def test_the_truth_is_no_prediction(scored, predictions, truth, says):
    with pytest.raises(InputError, match=says):
        scored(predictions, truth)


def test_the_truths_own_file_is_refused_under_any_name(tmp_path):
    (tmp_path / "t.csv").write_text(TRUTH)
    (tmp_path / "p.csv").symlink_to(tmp_path / "t.csv")
    for path in (tmp_path / "t.csv", tmp_path / "p.csv"):
        with pytest.raises(InputError, match="the truth"):
            read_scored(tmp_path / "t.csv", path)


def test_a_small_table_may_be_right_everywhere_and_a_large_one_nearly_everywhere(scored):
    assert len(scored(few(POSITIONS), few(TRUTH))) == 3
    assert len(scored(POSITIONS.replace("45.000000,1.000000", "45.100000,1.000000"))) == MANY


def test_names_that_are_all_right_are_predictions_even_where_the_truth_is_a_list_of_cities(scored):
    cities = [("Paris", 48.85341, 2.3488), ("Lyon", 45.74846, 4.84671)]
    rows = [(f"p{i}", *cities[i % 2]) for i in range(2 * MANY)]
    truth = "id,lat,lon,country,city\n" + "".join(f"{i},{lat},{lon},France,{city}\n" for i, city, lat, lon in rows)
    for predictions in (
        "id,country,city\n" + "".join(f"{i},France,{city}\n" for i, city, *_ in rows),
        "id,answer\n" + "".join(f'{i},"country: France, city: {city}"\n' for i, city, *_ in rows),
    ):
        assert {record["level"] for record in scored(predictions, truth)} == {"city"}


def test_an_evaluation_that_is_right_everywhere_is_one(tmp_path):
    truth = {"country": "France", "city": "Paris", "lat_deg": 48.85341, "lon_deg": 2.3488}
    said = "country: France, city: Paris"
    records = [{"id": str(i), "status": "ok", "answer": said, "level": "city", **truth, "truth": truth} for i in range(2 * MANY)]
    write_predictions(tmp_path, records)
    lines = [f"{i},48.85341,2.3488,France,Paris\n" for i in range(2 * MANY)]
    (tmp_path / "t.csv").write_text("".join(["id,lat,lon,country,city\n", *lines]))
    assert len(read_scored(tmp_path / "t.csv", tmp_path / "predictions.jsonl")) == 2 * MANY


@pytest.mark.parametrize(
    ("header", "columns"),
    [
        ("id,pred_lat,pred_lon", {"id": "id", "lat": "pred_lat", "lon": "pred_lon"}),
        ("id,lat_pred,Predicted Longitude", {"id": "id", "lat": "lat_pred", "lon": "Predicted Longitude"}),
        ("id,true_lat,true_lon,lat,lon", {"id": "id", "lat": "lat", "lon": "lon"}),
        ("id,prediction", {"id": "id", "answer": "prediction"}),
        ("id,output_lat,output_lon", {"id": "id", "lat": "output_lat", "lon": "output_lon"}),
        ("id,lat,lon,answer_text,latest", {"id": "id", "lat": "lat", "lon": "lon"}),
        ("id,status,answer,pred_country", {"id": "id", "status": "status", "answer": "answer", "country": "pred_country"}),
    ],
)
def test_columns_marked_as_predictions_are_found_by_any_mark(tmp_path, header, columns):
    assert prediction_columns(tmp_path, header.split(",")) == columns


@pytest.mark.parametrize(
    ("header", "says"),
    [
        ("IMG_ID,LAT,LON,pred_lat,pred_lon", "LAT, LON beside pred_lat, pred_lon"),
        ("id,lat,lon,pred_country,pred_city", "lat, lon beside pred_country, pred_city"),
        ("id,country,city,pred_lat,pred_lon", "country, city beside pred_lat, pred_lon"),
        ("id,lat,lon,predicted answer", "lat, lon beside predicted answer"),
        ("id,LAT,LON,lat_est,lon_est", "LAT, LON beside lat_est, lon_est"),
        ("id,LAT,LON,model_lat,model_lon", "LAT, LON beside model_lat, model_lon"),
    ],
)
def test_plain_columns_beside_marked_ones_are_refused_by_name(tmp_path, header, says):
    with pytest.raises(InputError, match=f"row 1: has the columns {says}.* true_"):
        prediction_columns(tmp_path, header.split(","))


def test_two_positions_without_a_mark_are_refused_in_predictions_and_in_truths(scored):
    both = "id,LAT,LON,latitude,longitude\np0,40,5,41,6\n"
    for predictions, truth in ((both, few(TRUTH)), (few(POSITIONS, 1), both)):
        with pytest.raises(InputError, match="columns LAT, latitude, so it is unclear"):
            scored(predictions, truth)
