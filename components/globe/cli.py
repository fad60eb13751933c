"""The command ``globe``: every command parses its arguments, calls one function of the package and prints the result.

Commands import what they need when they run, so that ``globe --help`` stays fast. Exit codes: 0 success, 1 a failed run or
gate, 2 bad input. With ``--json`` stdout holds JSON and nothing else.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from globe import stage_commands, training_commands
from globe.errors import GlobeError, InputError

app = typer.Typer(
    name="globe",
    help="GLOBE: where was this photo taken, and why. Exit codes: 0 success, 1 failed run or gate, 2 bad input.",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

JsonFlag = Annotated[bool, typer.Option("--json", help="Print JSON to stdout, and nothing else there.")]


def main() -> None:
    """Entry point: turns the package's errors into one line on stderr and an exit code."""
    try:
        app()
    except InputError as error:
        _fail(error, 2)
    except GlobeError as error:
        _fail(error, 1)
    except BrokenPipeError:
        sys.stderr.close()  # the reader (head, less) has seen enough
        raise SystemExit(0) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None


def _fail(error: GlobeError, code: int) -> None:
    print(f"globe: {' '.join(str(error).split())}", file=sys.stderr)
    raise SystemExit(code) from None


def emit(lines: Iterable[str]) -> None:
    """Writes lines to stdout as UTF-8, whatever the terminal's encoding; lone surrogates become JSON escapes."""
    data = "".join(f"{line}\n" for line in lines).encode("utf-8", "backslashreplace")
    if sys.stdout is None:
        raise GlobeError("stdout is closed: there is nowhere to print to")
    try:
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        sys.stdout = None  # or Python tries once more at its end
        raise GlobeError(f"stdout: cannot be written ({error.strerror})") from None


def to_json(document: Any, indent: int | None = None) -> str:
    """JSON text with place names in their own script."""
    return json.dumps(document, ensure_ascii=False, indent=indent, allow_nan=False)


@app.command()
def geocode(
    queries: Annotated[list[str], typer.Argument(metavar="QUERY...", help='"CITY, COUNTRY"; "-" reads one a line from stdin.')],
    geocoder: Annotated[str, typer.Option(help="offline, or an online service: nominatim, azure.")] = "offline",
    as_json: JsonFlag = False,
) -> None:
    """Find places by name in the offline gazetteer (data: GeoNames, CC BY 4.0).

    One line a query: query, found, city, country, country_code, lat_deg, lon_deg,
    match (exact, alias, country, none), geonames_id.
    """
    from globe.geo.online import resolver

    find = resolver(geocoder)
    texts = [line for query in queries for line in (_stdin_lines() if query == "-" else [query])]
    rows = [_geocoded(text, find(text)) for text in texts]
    if as_json:
        emit(to_json(row) for row in rows)
        return
    emit("\t".join("" if v is None else " ".join(str(v).split()) for v in row.values()) for row in rows)


def _geocoded(query: str, match: Any) -> dict[str, Any]:
    return {
        "query": query,
        "found": match.found,
        "city": match.city,
        "country": match.country,
        "country_code": match.country_code,
        "lat_deg": match.lat_deg,
        "lon_deg": match.lon_deg,
        "match": match.match,
        "geonames_id": match.geonames_id,
        "admin1": match.admin1,
        "population": match.population,
        "homonyms": match.homonyms,
        "chosen_by": match.chosen_by or None,
    }


def _stdin_lines() -> list[str]:
    try:
        return [line.strip() for line in sys.stdin.buffer.read().decode("utf-8-sig").splitlines() if line.strip()]
    except UnicodeDecodeError as error:
        raise InputError(f"stdin: not text in UTF-8 (byte {error.start})") from None


@app.command()
def reward(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE.jsonl", help="Rows: completion, solution {country, city, lat_deg, lon_deg}, entities [..]."),
    ],
    rewards: Annotated[str, typer.Option(help="Names, separated by commas; all by default.")] = "",
    as_json: JsonFlag = False,
) -> None:
    """Score completions with the training rewards: one line a row, each score with its reason."""
    from globe.rewards.files import score_file

    rows = score_file(file, rewards)
    if as_json:
        emit(to_json({"row": number, "scores": {n: s._asdict() for n, s in scores.items()}}) for number, scores in rows)
        return
    emit(f"{number}\t" + "\t".join(f"{n} {s.score:.3f} ({s.reason})" for n, s in scores.items()) for number, scores in rows)


@app.command()
def score(
    truth: Annotated[Path, typer.Option(help="CSV: id, lat, lon [, country, city].")],
    predictions: Annotated[Path, typer.Option(help="CSV: id and any of answer | country, city | lat, lon.")],
    rounds: Annotated[int, typer.Option(min=0, max=100_000, help="Bootstrap rounds for the 95% intervals.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Of the bootstrap.")] = 0,
    as_json: JsonFlag = False,
) -> None:
    """Score predictions: accuracy within 1, 25, 200, 750 and 2500 km, distances, GeoScore and name matches."""
    from globe.evaluation.metrics import summarize
    from globe.evaluation.show import summary_lines
    from globe.evaluation.tables import read_scored

    summary = summarize(read_scored(truth, predictions), rounds=rounds, seed=seed)
    emit([to_json(summary, indent=2)] if as_json else summary_lines(summary))


@app.command()
def compare(
    a: Annotated[Path, typer.Argument(metavar="A", help="Evaluation folder, such as the baseline's.")],
    b: Annotated[Path, typer.Argument(metavar="B", help="Evaluation folder of the same dataset.")],
    rounds: Annotated[int, typer.Option(min=1, max=100_000, help="Bootstrap rounds for the 95% intervals.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Of the bootstrap.")] = 0,
    as_json: JsonFlag = False,
) -> None:
    """Compare two evaluations of the same pictures: differences B minus A with intervals, and a verdict."""
    from globe.evaluation.compare import compare as paired
    from globe.evaluation.show import comparison_lines
    from globe.evaluation.tables import read_evaluation

    result = paired(read_evaluation(a), read_evaluation(b), rounds=rounds, seed=seed)
    emit([to_json(result, indent=2)] if as_json else comparison_lines(result))


for _command in (*stage_commands.COMMANDS, *training_commands.COMMANDS):
    app.command()(_command)


if __name__ == "__main__":
    main()
