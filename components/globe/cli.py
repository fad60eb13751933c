"""The command ``globe``: every command parses its arguments, calls one function of the package and prints the result.

Commands import what they need when they run, so that ``globe --help`` stays fast. Exit codes: 0 success, 1 a failed run or
gate, 2 bad input. With ``--json`` stdout holds JSON and nothing else.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from globe import stage_commands, training_commands
from globe.console import emit, tell, to_json
from globe.errors import GlobeError, InputError
from globe.options import JsonFlag

MAX_STDIN_BYTES = 64 << 20
app = typer.Typer(
    name="globe",
    help="GLOBE: where was this photo taken, and why. Exit codes: 0 success, 1 failed run or gate, 2 bad input.",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


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
    except OSError as error:
        named = ": ".join(str(part) for part in (error.filename, error.strerror) if part) or str(error) or type(error).__name__
        _fail(GlobeError(named), 1)
    except KeyboardInterrupt:
        raise SystemExit(130) from None


def _fail(error: GlobeError, code: int) -> None:
    tell(str(error))
    raise SystemExit(code) from None


COLUMNS = (
    "query", "found", "city", "country", "country_code", "lat_deg", "lon_deg", "match", "geonames_id", "admin1", "population",
    "homonyms", "chosen_by",
)  # fmt: skip
"""What `globe geocode` prints of a query, in this order."""


@app.command(
    help=f"""Find places by name in the offline gazetteer.

    Data: GeoNames, CC BY 4.0. One line a query, with tabs between: {", ".join(COLUMNS)}. match is exact, alias, country or none;
    admin1 is the state or region, homonyms the number of places of that name, chosen_by what decided between them. What is not
    known is empty."""
)
def geocode(
    queries: Annotated[list[str], typer.Argument(metavar="QUERY...", help='"CITY, COUNTRY"; "-" reads one a line from stdin.')],
    geocoder: Annotated[str, typer.Option(help="offline, or an online service: nominatim, azure.")] = "offline",
    as_json: JsonFlag = False,
) -> None:
    """Find places by name in the offline gazetteer."""
    from globe.geo.online import resolver

    find = resolver(geocoder)
    texts = [line for query in queries for line in (_stdin_lines() if query == "-" else [query])]
    rows = [_geocoded(text, find(text)) for text in texts]
    if as_json:
        emit(to_json(row) for row in rows)
        return
    emit("\t".join("" if v is None else " ".join(str(v).split()) for v in row.values()) for row in rows)


def _geocoded(query: str, match: Any) -> dict[str, Any]:
    row = {name: query if name == "query" else getattr(match, name) for name in COLUMNS}
    return row | {"chosen_by": match.chosen_by or None}


def _stdin_lines() -> list[str]:
    if sys.stdin is None:
        raise InputError("stdin: is closed; give the queries as arguments")
    try:
        data = sys.stdin.buffer.read(MAX_STDIN_BYTES + 1)
        if len(data) > MAX_STDIN_BYTES:
            raise InputError(f"stdin: more than {MAX_STDIN_BYTES >> 20} MiB of queries; give them in parts")
        return [line.strip() for line in data.decode("utf-8-sig").splitlines() if line.strip()]
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
    """Score completions with the training rewards. One line a row, each score with its reason."""
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
    """Score predictions against the truth. Accuracy within 1, 25, 200, 750 and 2500 km, distances, GeoScore, name matches."""
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
    """Compare two evaluations of the same pictures. Differences B minus A with intervals, and a verdict."""
    from globe.evaluation.compare import compare as paired
    from globe.evaluation.show import comparison_lines
    from globe.evaluation.tables import read_evaluation

    result = paired(read_evaluation(a), read_evaluation(b), rounds=rounds, seed=seed)
    emit([to_json(result, indent=2)] if as_json else comparison_lines(result))


for _command in (*stage_commands.COMMANDS, *training_commands.COMMANDS):
    app.command()(_command)


if __name__ == "__main__":
    main()
