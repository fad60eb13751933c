"""What a user gives as a data set: its NAME, NAME@PLACE, or a path or s3:// address; found here for commands and stages alike.

NAME alone is looked for in `$GLOBE_DATASETS/NAME`. A place is a folder, an s3:// address, a zip or a tar.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

from globe.data.images import MAX_BYTES
from globe.data.pictures import PICTURE_SUFFIXES, is_archive, is_zip_on_s3, open_pictures
from globe.data.registry import DataSet, data_sets, find_data_set
from globe.data.shards import fetch_dataset, is_dataset
from globe.errors import InputError
from globe.storage import Wanted, address_of, exists, fetch, is_mirrored, mirror_of, names_in

DATASETS_VARIABLE = "GLOBE_DATASETS"
TABLE_SUFFIXES = frozenset({".csv", ".tsv", ".txt", ".parquet"})
IN_ARCHIVES = frozenset({".csv", ".tsv"})
"""Suffixes of tables that are looked for in archives: a text there is more likely to be a note."""


@dataclass(frozen=True)
class Given:
    """A source, found: where its table and its pictures are.

    Attributes:
        path: What was given, on this machine: dataset folder, folder or archive of photos, or table.
        tables: The table, or the parts of a parquet one; empty for photos without a table, and for a dataset.
        pictures: Folders and archives of the pictures.
        content: The table's bytes, where it lies in an archive.
        data_set: The data set that was named, if one was.
    """

    path: Path
    tables: tuple[Path, ...] = ()
    pictures: tuple[Path, ...] = ()
    content: bytes | None = field(default=None, repr=False)
    data_set: DataSet | None = None

    @property
    def is_dataset(self) -> bool:
        """Whether it is a finished dataset of our own."""
        return is_dataset(self.path)

    @property
    def columns(self) -> Mapping[str, str]:
        """The table's columns, as far as the data set's file says."""
        return self.data_set.columns if self.data_set else {}

    @property
    def name(self) -> str:
        """What a record calls it: what only lies in a folder of a data set's name was not held against that data set."""
        if self.data_set:
            return self.data_set.name
        name = self.path.name
        return f"{self.path.absolute().parent.name}/{name}" if find_data_set(name) else name


def split_name(text: str) -> tuple[DataSet | None, str]:
    """The data set that a text names, and the place after its @; None and the text itself if it is a path."""
    name, _, place = text.partition("@")
    found = find_data_set(name)
    return (found, place) if found else (None, text)


def resolve(text: str, images: str = "") -> Given:
    """Find what a user gave as a data set; what lies on S3 is fetched.

    Args:
        text: NAME, NAME@PLACE, a path or an s3:// address: a dataset or curated folder (its test set), a folder, zip or tar of
            geotagged photos, or a table.
        images: Folder, zip, tar or s3:// address of the table's pictures; empty if they lie with it.

    Raises:
        InputError: Nothing is there, or not what the data set consists of; says what is looked for and where to get it.
    """
    known, place = split_name(text)
    if known is None:
        name, at, _ = text.partition("@")
        if at and "/" not in name and not address_of(text) and not Path(text).exists():
            raise InputError(f"{text}: no data set is called {name!r}; known are {', '.join(data_sets())}")
        return given_path(Path(fetch_source(text)), _brought(images, _pictures) if images else None)
    roots = [place] if place else []
    if not place and images:  # the table may lie among the pictures or beside their folder, as the original's do
        roots = [images] if address_of(images) else [images, str(Path(images).parent)]
    if not place and (os.environ.get(DATASETS_VARIABLE) or not roots):
        roots.append(home_of(known))
    return _of_data_set(known, roots, images)


def given_path(path: Path, images: Path | None = None) -> Given:
    """Find what lies at a path.

    Args:
        path: Dataset or curated folder, folder or archive of photos, with or without their table, folder of parquet files, or
            table.
        images: Folder or archive of a table's pictures, if they do not lie beside it.

    Raises:
        InputError: No such path, or none of these.
    """
    if not _is_there(path):
        raise InputError(
            f"{path}: no such folder or table; give a data set's name, photos, a CSV, TSV or parquet table, or a dataset"
        )
    if images is not None and not _is_there(images):
        raise InputError(f"{images}: no such folder or archive; give the one that holds the pictures of {path}")
    if path.is_dir():
        dataset = next((folder for folder in (path, path / "test") if is_dataset(folder)), None)
        if dataset is not None and images is not None:
            raise InputError(f"{path}: is a dataset, which holds its pictures itself; leave out {images}")
        if dataset is not None:
            return Given(dataset)
        return Given(path, _tables_in(path), (images or path,))
    if path.suffix.lower() in TABLE_SUFFIXES:
        return Given(path, (path,), (images or path.parent,))
    if is_archive(path):
        return _of_archive(path, images)
    raise InputError(f"{path}: a source is a folder or archive of photos, a .csv, .tsv or .parquet table, or a dataset folder")


def _tables_in(folder: Path) -> tuple[Path, ...]:
    """The parts of a folder's parquet table, or its one other table; without one, its photos say where they were taken."""
    parts = tuple(sorted(folder.glob("*.parquet")))
    tables = [path for path in sorted(folder.iterdir()) if path.suffix.lower() in IN_ARCHIVES and not path.name.startswith(".")]
    if parts or not tables:
        return parts
    if len(tables) > 1:
        names = ", ".join(table.name for table in tables[:3])
        raise InputError(f"{folder}: holds several tables ({names}); give one by its path, or only the folder of the photos")
    return (tables[0],)


def fetch_source(source: str) -> str:
    """Download a source from S3: photos, a table with the pictures beside it, or a dataset (see `fetch_dataset`).

    Args:
        source: Its `s3://` URI; anything else, such as a path or the name of a generated world, is returned as it is.

    Returns:
        Its path on this machine. A zip is not fetched: it is read where it lies.

    Raises:
        InputError: Nothing is there, or it cannot be reached.
    """
    if is_zip_on_s3(source):
        return str(mirror_of(source))
    here = fetch_dataset(source)
    if address_of(source) and Path(here).is_file() and Path(here).suffix.lower() in TABLE_SUFFIXES:
        fetch(source.rpartition("/")[0], _pictures)
    return here


def _brought(place: str, wanted: Wanted) -> Path:
    """What lies at a place, fetched from S3 but for zips."""
    if is_zip_on_s3(place):
        return mirror_of(place)
    return Path(fetch(place, lambda names: [name for name in wanted(names) if not name.lower().endswith(".zip")]))


def _is_there(path: Path) -> bool:
    return path.exists() or (is_mirrored(path) and exists(path))


def _pictures(names: Collection[str]) -> list[str]:
    return [name for name in names if PurePosixPath(name).suffix.lower() in PICTURE_SUFFIXES]


def home_of(known: DataSet) -> str:
    """Where a data set lies that is given by its name alone: the folder of one of its names.

    Raises:
        InputError: `$GLOBE_DATASETS` is not set.
    """
    home = os.path.expanduser(os.environ.get(DATASETS_VARIABLE, ""))
    if not home:
        raise InputError(
            f"{known.name}: set {DATASETS_VARIABLE} to the folder that holds it as {known.name}, or write {known.name}@PLACE: "
            f"folder, s3:// address, zip or tar (a folder of this name is ./{known.name}); to be had from {known.source}"
        )
    folders = [f"{home.rstrip('/')}/{name}" for name in (known.name, *known.aliases)]
    return next((folder for folder in folders if Path(folder).is_dir()), folders[0])


def _of_data_set(known: DataSet, roots: list[str], images: str) -> Given:
    """A named data set: the first table that one of the places has, and all places of its pictures."""

    own = (_brought(images, set),) if images and not known.pictures_also_in else ()
    missing: list[str] = []
    for place in roots:
        root = _brought(place, _parts_of(known))
        if not _is_there(root):
            missing.append(place)
        elif is_archive(root) and not root.is_dir():
            found = _table_within(root, known.tables)
            if found is not None:
                return Given(root, (root / found[0],), (*(own or (root,)), *_elsewhere(known, images)), found[1], known)
            continue
        table = next(_matches(root, known.tables), None)
        if table is not None:
            pictures = own or tuple(_matches(root, known.images)) or (root,)
            return Given(root, (table,), (*pictures, *_elsewhere(known, images)), None, known)
    looked = " or ".join(known.tables)
    lacks = "such folder or archive as" if missing == roots else "table in"
    raise InputError(
        f"{known.name}: no {lacks} {' or '.join(roots)} (looked for {looked}; pictures in {' or '.join(known.images)}); "
        f"to be had from {known.source}"
    )


def _elsewhere(known: DataSet, images: str) -> Iterator[Path]:
    """Where the pictures are that a data set lacks and another one has, if that is given as `images` or lies beside it."""
    others = [data_sets()[name] for name in known.pictures_also_in]
    places = [(images, one) for one in others if images]
    places += [(home, one) for one in others if os.environ.get(DATASETS_VARIABLE) and exists(home := home_of(one))]
    for place, other in places:
        root = _brought(place, _pictures_of(other))
        if not _is_there(root):
            raise InputError(f"{place}: no such folder or archive; give the one that holds the pictures of {known.name}")
        archive = is_archive(root) and not root.is_dir()
        yield from (root,) if archive else tuple(_matches(root, other.images)) or (root,)


def _pictures_of(known: DataSet) -> Wanted:
    """Which files below a prefix on S3 are a data set's pictures."""
    return lambda names: [name for name in names if any(fnmatch(name, one) for one in _globs(known.images))]


def _globs(images: Iterable[str]) -> list[str]:
    return [*images, *(f"{one}/*" for one in images)]


def _parts_of(known: DataSet) -> Wanted:
    """Which files below a prefix on S3 are a data set's."""

    def wanted(names: Collection[str]) -> list[str]:
        listed = [*known.tables, *_globs(known.images)]
        beside = {name for name in _pictures(names) if "/" not in name}
        return [name for name in names if name in beside or any(fnmatch(name, one) for one in listed)]

    return wanted


def _matches(root: Path, patterns: Iterable[str]) -> Iterator[Path]:
    zips = [root / name for name in names_in(root) if name.lower().endswith(".zip")] if is_mirrored(root) else []
    for pattern in patterns:
        yield from sorted({*root.glob(pattern), *(path for path in zips if fnmatch(str(path.relative_to(root)), pattern))})


def _of_archive(path: Path, images: Path | None) -> Given:
    """An archive of photos, with the one table that it holds, if it holds one."""
    found = _table_within(path, ["*"])
    if found is None:
        return Given(path, (), (images or path,))
    return Given(path, (path / found[0],), (images or path,), found[1])


def _table_within(path: Path, patterns: Iterable[str]) -> tuple[str, bytes] | None:
    """Name and bytes of the table in an archive that matches the first pattern that any does."""
    with closing(open_pictures([path])) as pictures:
        tables = [name for name in pictures.names() if PurePosixPath(name).suffix.lower() in IN_ARCHIVES]
        tables = [name for name in tables if not any(part.startswith((".", "__MACOSX")) for part in PurePosixPath(name).parts)]
        for pattern in patterns:
            hits = [name for name in tables if fnmatch(name, pattern) or fnmatch(name, f"*/{pattern}")]
            if len(hits) > 1:
                raise InputError(
                    f"{path}: holds several tables ({', '.join(hits[:3])}); give one by its path, and this as --images"
                )
            if hits:
                content = pictures.read(hits[0])
                if isinstance(content, str) or len(content) > MAX_BYTES:
                    why = content if isinstance(content, str) else f"larger than {MAX_BYTES // 2**20} MiB"
                    raise InputError(f"{path}: {hits[0]}: cannot be read there ({why}); unpack it, and give this as --images")
                return hits[0], content
    return None
