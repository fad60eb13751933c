"""`globe locate`: say where photos were taken."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from globe.cli.located import CsvFile, GeoJsonFile, columns, lines, row
from globe.cli.options import JsonFlag, Overrides, PromptFile, RecipeName, some_path
from globe.console import PATIENCE_S, emit, tell, to_json
from globe.errors import GlobeError, InputError

MAX_KEY_BYTES = 4096


def locate(
    photos: Annotated[
        list[Path], typer.Argument(parser=some_path, metavar="PHOTO...", help="JPEG, PNG or WEBP files, or folders of them.")
    ],
    url: Annotated[
        str, typer.Option(help="A gateway's address, or a served model's base URL, ending in /v1; GLOBE_API_KEY is its key.")
    ] = "",
    model: Annotated[str, typer.Option(help="Name of the served model [the first one].")] = "",
    checkpoint: Annotated[
        Path | None,
        typer.Option(parser=some_path, metavar="FOLDER", help="Serve this checkpoint for the one question, instead of --url."),
    ] = None,
    samples: Annotated[
        int,
        typer.Option(
            "--samples",
            "-n",
            min=0,
            metavar="N",
            help="Answers to ask for each photo, and tell how many agree; 0 for the recipe's.",
        ),
    ] = 0,
    key_file: Annotated[
        Path | None, typer.Option(parser=some_path, metavar="FILE", help="File with the server's key, instead of GLOBE_API_KEY.")
    ] = None,
    csv: Annotated[Path | None, typer.Option(parser=some_path, metavar="FILE", help="Write the answers as a table, too.")] = None,
    geojson: Annotated[Path | None, typer.Option(parser=some_path, metavar="FILE", help="Write them for a map, too.")] = None,
    compare_exif: Annotated[
        bool, typer.Option("--compare-exif", help="Say how far off each answer is from the position in the photo's own file.")
    ] = False,
    concurrency: Annotated[int, typer.Option(min=1, metavar="N", help="Photos that are asked about at once.")] = 8,
    recipe: RecipeName = "",
    settings: Overrides = None,
    prompt: PromptFile = None,
    as_json: JsonFlag = False,
) -> None:
    """Say where photos were taken, and why.

    One photo gives a few lines, or one JSON document; several, or a folder, give a line each, and those that cannot be used are
    told in their place. The photos' own metadata is never sent.
    """
    from globe.evaluation.locate import Asking, locate_all
    from globe.evaluation.locate import locate as locate_one
    from globe.evaluation.photos import photos_in
    from globe.evaluation.usage import read_prompt
    from globe.recipes.load import parse_overrides

    overrides = parse_overrides(settings or [])
    asking = Asking(url, model, checkpoint, recipe, overrides, read_prompt(prompt) if prompt else "", samples)
    is_one = len(photos) == 1 and not photos[0].is_dir()
    left_out: list[str] = []
    files = photos_in(photos, left_out.append)
    _require_apart(csv, geojson, files)
    with ExitStack() as stack:
        stack.enter_context(_key(key_file))
        written: list[Callable[[dict[str, Any]], None]] = []
        if csv:
            written.append(stack.enter_context(CsvFile(csv, compare_exif)).add)
        if geojson:
            written.append(stack.enter_context(GeoJsonFile(geojson)).add)
        if is_one:
            answer = locate_one(files[0], asking)
            answer |= _exif(files[0], answer) if compare_exif else {}
            for write in written:
                write(row(files[0], answer))
            emit([to_json(answer)] if as_json else lines(answer))
            if compare_exif and not as_json:
                emit([_compared(answer["exif"])])
            return
        told = _Told(files, written, as_json=as_json, compare_exif=compare_exif)
        failed = locate_all(files, asking, told, concurrency)
    for text in left_out:
        tell(text)
    if failed:
        raise GlobeError(f"{failed} of {len(files)} photos have no answer; their lines say why")


def _require_apart(csv: Path | None, geojson: Path | None, photos: Iterable[Path]) -> None:
    """Check that nothing is written over a photo, or over the other file.

    Raises:
        InputError: It would be.
    """
    written = {option: file.resolve() for option, file in (("--csv", csv), ("--geojson", geojson)) if file}
    if len(set(written.values())) < len(written):
        raise InputError(f"--csv and --geojson both name {csv}; give each a file of its own")
    read = {photo.resolve() for photo in photos} if written else set()
    for option, file in written.items():
        if file in read:
            raise InputError(f"{option} {file}: is one of the photos, which it would be written over; give another file")


class _Told:
    """Prints and writes each photo's answer as it comes, and now and then how many have come."""

    def __init__(
        self, files: list[Path], written: list[Callable[[dict[str, Any]], None]], *, as_json: bool, compare_exif: bool
    ) -> None:
        self._files, self._written = files, written
        self._as_json, self._compare_exif = as_json, compare_exif
        self._count, self._last_s = 0, time.monotonic()

    def __call__(self, photo: Path, answer: dict[str, Any]) -> None:
        if self._compare_exif and answer["status"] != "bad_photo":
            answer = answer | _exif(photo, answer)
        found = row(photo, answer)
        for write in self._written:
            write(found)
        emit([to_json({"photo": str(photo), **answer})] if self._as_json else [columns(found, self._files)])
        self._count += 1
        if time.monotonic() - self._last_s > PATIENCE_S:
            tell(f"{self._count:,} of {len(self._files):,} photos")
            self._last_s = time.monotonic()


@contextmanager
def _key(file: Path | None) -> Iterator[None]:
    """Have the key in a file take the place of the one in the environment: the same rules say where it may go.

    Raises:
        InputError: The file cannot be read, or holds no key.
    """
    from globe.keys import SERVER_KEY

    if file is None:
        yield
        return
    try:
        with file.open("rb") as opened:
            key = opened.read(MAX_KEY_BYTES + 1).decode("ascii").strip()
    except OSError as error:
        raise InputError(f"--key-file {file}: cannot be read ({error.strerror})") from None
    except ValueError:
        key = ""
    if not key or len(key) > MAX_KEY_BYTES or not key.isprintable() or " " in key:
        raise InputError(f"--key-file {file}: holds no key; write the server's key in it, and nothing else")
    before = os.environ.get(SERVER_KEY.variable)
    os.environ[SERVER_KEY.variable] = key
    try:
        yield
    finally:
        if before is None:
            del os.environ[SERVER_KEY.variable]
        else:
            os.environ[SERVER_KEY.variable] = before


def _exif(photo: Path, answer: Mapping[str, Any]) -> dict[str, Any]:
    """Where the photo's own file says that it was taken, and how far from there the answer is; None if it says nothing."""
    from globe.data.images import exif_position
    from globe.geo.distance import distance_km

    if (position := exif_position(photo)) is None:
        return {"exif": None}
    lat_deg, lon_deg = answer.get("lat_deg"), answer.get("lon_deg")
    km = None if lat_deg is None or lon_deg is None else round(distance_km(lat_deg, lon_deg, *position), 3)
    return {"exif": {"lat_deg": position[0], "lon_deg": position[1], "distance_km": km}}


def _compared(exif: Mapping[str, Any] | None) -> str:
    if exif is None:
        return "the file holds no position to compare with"
    km = exif["distance_km"]
    return "the file holds a position, and the answer none" if km is None else f"{km:,.1f} km from the position in the file"


COMMANDS = (locate,)
