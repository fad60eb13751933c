"""The data card of a curated folder: what is in it, how it was made, and what may be done with it.

Every count is taken from the finished sets or from the curation's own figures. Memory grows with the number of places.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

import yaml

from globe.curation.recipe import CurationRecipe, Rules, Sets, Splitting
from globe.curation.sets.hub import configs
from globe.curation.sets.negatives import CUES_REMOVED, OTHER_PICTURE
from globe.curation.sets.outputs import SETS
from globe.curation.teachers.teacher import Teacher
from globe.data.completeness import Completeness
from globe.data.registry import find_data_set
from globe.data.rows import provenance_of
from globe.data.shards import read_columns
from globe.files import write_atomically
from globe.markdown import escape, table

CARD_FILE = "DATA_CARD.md"
PLACES = ("sft", "pool", "test")
"""Sets whose countries and cities are counted; the reward model's set has rows with the place of another picture's text."""
MOST_PLACES = 20
UNKNOWN = "unknown"
_POOLS = {"all": "all pictures that are not held out", "kept": "pictures with such an annotation, without its reasoning"}
_SIZES = ((10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"), (10**7, "1M<n<10M"))


@dataclass
class SetCounts:
    """What a set holds.

    Attributes:
        rows: By split.
        countries: Rows by country; "" is unknown.
        cities: Rows by country and city.
        verdicts: Rows by split, and by "yes", "no", or the kind of "no" that was made.
    """

    rows: Counter[str] = field(default_factory=Counter)
    countries: Counter[str] = field(default_factory=Counter)
    cities: Counter[tuple[str, str]] = field(default_factory=Counter)
    verdicts: Counter[tuple[str, str]] = field(default_factory=Counter)


def count_set(folder: Path) -> SetCounts:
    """Count a finished set, without reading its pictures.

    Raises:
        InputError: It is not there, or damaged.
    """
    counts = SetCounts()
    for row in read_columns(folder, ("split", "country", "city", "localizable", "provenance")):
        counts.rows[row["split"]] += 1
        counts.countries[row["country"]] += 1
        counts.cities[row["country"], row["city"]] += 1
        verdict = "yes" if row["localizable"] else provenance_of(row).get("made", "no")
        counts.verdicts[row["split"], verdict] += 1
    return counts


def write_card(folder: Path, result: Mapping[str, Any], recipe: CurationRecipe, source: Completeness | None = None) -> Path:
    """Write the data card of a finished curation.

    Args:
        folder: The curated folder, with its sets.
        result: The content of curation.json.
        recipe: The recipe.
        source: What came of reading the source; None where nobody counted.

    Returns:
        The card's file.

    Raises:
        InputError: A set is missing or damaged.
    """
    counts = {name: count_set(folder / name) for name in SETS}
    values = {
        "metadata": yaml.safe_dump(_metadata(counts, source), sort_keys=False, allow_unicode=True),
        "name": escape(source.name) if source else "Photos",
        "sets": table(["Set", "Rows to train on:", "Rows held out:"], [_split_row(name, counts[name]) for name in SETS]),
        "pool": _POOLS[recipe.pool],
        "verdicts": _verdicts(counts["reward_model"]),
        "balance": _balance(recipe),
        "places": "\n\n".join(_places(name, counts[name]) for name in PLACES),
        "funnel": _funnel(result),
        "teachers": _teachers(result["teachers"]),
        "recipe": _indented(yaml.safe_dump(_thresholds(recipe), sort_keys=False)),
        "licence": _licence(source),
    }
    text = files("globe.curation.sets").joinpath("data_card.md").read_text(encoding="utf-8")
    write_atomically(folder / CARD_FILE, Template(text).substitute(values))
    return folder / CARD_FILE


def _metadata(counts: Mapping[str, SetCounts], source: Completeness | None) -> dict[str, Any]:
    """The head of a data set card of the Hugging Face Hub. Licences there are names of a list, and ours may be any text."""
    rows = max(sum(one.rows.values()) for one in counts.values())
    return {
        "license": "other" if source and source.licence else UNKNOWN,
        "task_categories": ["image-text-to-text"],
        "tags": ["image-geolocation", "globe", "reasoning"],
        "size_categories": [next((name for limit, name in _SIZES if rows < limit), "n>10M")],
        **configs({name: [split for split, count in one.rows.items() if count] for name, one in counts.items()}),
    }


def _split_row(name: str, counts: SetCounts) -> list[str]:
    return [name.replace("_", " "), f"{counts.rows['train']:,}", f"{counts.rows['test']:,}"]


def _verdicts(counts: SetCounts) -> str:
    titles = {"yes": "yes", "no": "no, as the teachers say"}
    titles |= {kind: f"no, {kind}" for kind in (OTHER_PICTURE, CUES_REMOVED)}
    rows = [
        [escape(title), *(f"{counts.verdicts[split, verdict]:,}" for split in ("train", "test"))]
        for verdict, title in titles.items()
    ]
    return table(["Verdict", "Rows to train on:", "Rows held out:"], rows)


def _balance(recipe: CurationRecipe) -> str:
    if recipe.balance_verdicts:
        return 'Each split has as many "yes" as "no": of the more frequent verdict a hash of the ids left rows out.'
    return "The verdicts are as frequent as they came; nothing was left out to balance them."


def _places(name: str, counts: SetCounts) -> str:
    # Pairs, because two places may look alike once they are written out: "Paris", "A, B" and "Paris, A", "B".
    countries = [(escape(country), rows) for country, rows in counts.countries.items() if country]
    cities = [(f"{escape(city)}, {escape(country) or UNKNOWN}", rows) for (country, city), rows in counts.cities.items() if city]
    text = f"`{name}`: {len(countries):,} countries, {len(cities):,} cities"
    if unknown := counts.countries[""]:
        text += f"; the country of {unknown:,} rows is unknown"
    return "\n\n".join([f"{text}.", *(_most(title, of) for title, of in (("Country", countries), ("City", cities)) if of)])


def _most(title: str, counts: Sequence[tuple[str, int]]) -> str:
    """A table of the places with the most rows, and of all others together."""
    ranked = sorted(counts, key=lambda item: (-item[1], item[0]))
    rows = [[place, f"{count:,}"] for place, count in ranked[:MOST_PLACES]]
    if others := ranked[MOST_PLACES:]:
        rows.append([f"{len(others):,} others", f"{sum(count for _, count in others):,}"])
    return table([title, "Rows:"], rows)


def _funnel(result: Mapping[str, Any]) -> str:
    rows = [["in the source", f"{result['in']:,}"]]
    rows += [[f"not usable: {_words(reason)}", f"{count:,}"] for reason, count in result["quarantined"].items()]
    rows += [[f"dropped: {_words(reason)}", f"{count:,}"] for reason, count in result["dropped"].items()]
    rows += [["kept", f"{result['kept']:,}"]]
    return table(["Pictures", "Count:"], rows)


def _teachers(figures: Mapping[str, Mapping[str, int]]) -> str:
    """By their models' names: where they are served is nobody's business."""
    asked = [(Teacher.told(spec), of) for spec, of in figures.items()]
    rows = [[escape(one.model), one.kind, f"{of['asked']:,}", f"{of['answered']:,}"] for one, of in asked]
    return table(["Model", "Kind", "Pictures asked about:", "Answered:"], rows)


def _thresholds(recipe: CurationRecipe) -> dict[str, Any]:
    """Of the recipe what decides which rows there are; how the teachers' servers are called does not."""
    values = recipe.model_dump(mode="json")
    shown = ["max_side_px", *(name for kind in (Rules, Splitting, Sets) for name in kind.model_fields)]
    return {name: values[name] for name in shown}


def _licence(source: Completeness | None) -> str:
    known = find_data_set(source.name) if source else None
    page, licence = (source.source, source.licence) if source else ("", "")
    rows = [
        ["Data set", escape(known.title if known else source.name if source else UNKNOWN)],
        ["To be had from", escape(page) or f"{UNKNOWN}: a folder or table of somebody's own"],
        ["Licence of the photos", escape(licence) or f"{UNKNOWN}: ask whoever took them before you pass them on"],
    ]
    if known:
        rows.append(["Notes", escape(known.notes)])
    return table(["What", "Known"], rows)


def _words(reason: str) -> str:
    return escape(reason.replace("_", " "))


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines())
