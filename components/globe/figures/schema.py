"""What metrics.json holds: the figures of an evaluation, with the JSON Schema that describes them.

All of it but `n` and `accuracy` may be missing: what was not measured is left out, never null and never 0. Further keys are
allowed. Percents are 0 to 100, `ci95` are the lower and the upper end of a 95% interval (null where an end does not exist).
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from globe.errors import InputError

Percent = Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0)]
Kilometres = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Ends = Annotated[list[float | None], Field(min_length=2, max_length=2)]


class _Open(BaseModel):
    model_config = ConfigDict(extra="allow", use_attribute_docstrings=True)


class Slice(_Open):
    """Accuracy of a set of pictures."""

    n: Count
    """Pictures; each counts in every share, whatever became of its answer."""
    accuracy: dict[str, Percent]
    """Percent within 1, 25, 200, 750 and 2500 km of the truth, by distance. A country alone counts at 750 and 2500 only."""
    ci95: dict[str, Ends | None] = {}
    """By the name of the figure: a distance, or a key such as country_match."""
    country_match: Percent | None = None
    """Percent with the right country by name."""
    city_match: Percent | None = None
    """Percent with the right city by name."""
    median_km: Kilometres | None = None
    """Median distance; null where half of the answers or more have no position."""
    mean_km: Kilometres | None = None
    """Mean distance of the answers that have a position."""
    mean_of: Count | None = None
    """How many these are."""
    geoscore: Annotated[float, Field(ge=0, le=5000)] | None = None
    """Mean of 5000·exp(-distance / 1492.7 km)."""


class CountryLevel(_Open):
    """Answers that are placed by their country alone."""

    count: Count
    percent: Percent


class Bin(_Open):
    """Answers with nearly the same confidence."""

    low: Annotated[float, Field(ge=0, le=1)]
    high: Annotated[float, Field(ge=0, le=1)]
    n: Count
    confidence_percent: Percent
    """What they claim on average."""
    right_percent: Percent
    """How many are within 25 km."""
    ci95: Ends


class Kept(_Open):
    """What remains if only the surest answers are kept."""

    coverage_percent: Percent
    right_percent: Percent


class Calibration(_Open):
    """What one kind of confidence is worth."""

    n: Count
    ece_percent: Percent
    """Expected calibration error (Guo et al. 2017)."""
    bins: list[Bin]
    risk_coverage: list[Kept]
    aurc: Annotated[float, Field(ge=0, le=1)]
    """Area under the risk-coverage curve: smaller is better."""


class Abstention(_Open):
    """Whether a low confidence tells pictures that cannot be placed."""

    n: Count
    localizable: Count
    auroc: Annotated[float, Field(ge=0, le=1)]
    ci95: Ends


class Coverage(_Open):
    """How many answers lie within their radius."""

    n: Count
    coverage_percent: Percent
    ci95: Ends


class RadiusFigures(_Open):
    """The radius that confidence was turned into, measured on other held-out data than it was made from."""

    level_percent: Percent
    by: str
    calibrated_on: Count
    measured_on: Count
    coverage_percent: Percent
    ci95: Ends
    median_radius_km: Kilometres
    continents: dict[str, Coverage] = {}


class Grounding(_Open):
    """Named visual cues that are known to be in the picture."""

    n: Count
    named: Count
    in_picture: Count
    percent: Percent
    ci95: Ends


class PairedDifference(_Open):
    """A difference in percentage points."""

    difference: float
    ci95: Ends


class ImageSwap(_Open):
    """Named cues that fit the own picture, another one of its country, and one of another country, with the differences."""

    n: Count
    own_percent: Percent
    same_country_percent: Percent
    other_country_percent: Percent
    own_minus_same_country: PairedDifference | None = None
    own_minus_other_country: PairedDifference | None = None


class Searched(_Open):
    """How often the truth lies in the area around the first answers."""

    answers: Count
    area_km2: Annotated[float, Field(ge=0)]
    recall_percent: Percent


class Unusable(_Open):
    """Rows that could not be used for one reason."""

    n: Count
    first: list[str] = []
    """Ids of the first few."""


class Dataset(_Open):
    """What was asked about, and how complete it is."""

    name: str
    digest: str | None = None
    rows_expected: Count | None = None
    rows: Count | None = None
    usable: Count | None = None
    unusable: dict[str, Unusable] | None = None
    """By reason."""
    source: str | None = None
    licence: str | None = None


class Expected(_Open):
    """What was said about the result before it was known."""

    within_25_km_percent: Annotated[list[Percent], Field(min_length=2, max_length=2)]
    outcome: str


class Figures(Slice):
    """metrics.json: the figures of an evaluation."""

    model: str | None = None
    intervals: str | None = None
    """How the intervals were made."""
    parsed: Count | None = None
    """Answers that could be read."""
    geocoded: Count | None = None
    """Answers that have a position."""
    failed: Count | None = None
    """Answers that have none."""
    failures: dict[str, Count] = {}
    """By status."""
    errors: dict[str, Count] = {}
    """Why calls failed."""
    warnings: list[str] = []
    """What readers of the figures must know."""
    slices: dict[str, dict[str, Slice]] = {}
    """By kind (continent, country, city_size, localizable, scene), then by name."""
    country_level: CountryLevel | None = None
    confidence: dict[str, Calibration] | None = None
    """By kind: answer_probability, agreement."""
    abstention: Abstention | None = None
    radius: RadiusFigures | None = None
    grounding: Grounding | None = None
    image_swap: ImageSwap | None = None
    recall_area: list[Searched] | None = None
    dataset: Dataset | None = None
    manifest: dict[str, Any] | None = None
    """Model and its digest, server version, prompt and its hash, decoding, data hash, gazetteer version, code revision."""
    timing: dict[str, Any] | None = None
    """Seconds, pictures a second, latencies (p50, p95), tokens."""
    expected: Expected | None = None


def schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of metrics.json."""
    found = Figures.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema"} | found


def check_figures(content: Any, where: str) -> dict[str, Any]:
    """Check that something has the shape of metrics.json.

    Args:
        content: What was read.
        where: What the message calls it.

    Raises:
        InputError: It has not; names the first key that is wrong.
    """
    try:
        Figures.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise InputError(
            f"{where}: {f'{key}: ' if key else ''}{first['msg']}; give the folder of a finished globe evaluate"
        ) from None
    return dict(content)
