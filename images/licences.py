"""What the images hold, and under which licences.

python images/licences.py labels                     writes each image's licence expression into the Containerfile, from its locks
python images/licences.py packages IMAGE VENV OUT    in an image's build: writes the list of what VENV holds, OUT/sbom.cdx.json
                                                     (CycloneDX), and copies the packages' licences and notices to OUT/packages

The licence of each package stands in images/base/licences.txt. Only the standard library is imported: this installs nothing.
"""

import importlib.metadata
import json
import re
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote

IMAGES = Path(__file__).resolve().parent
TABLE = IMAGES / "base" / "licences.txt"
CONTAINERFILE = IMAGES / "Containerfile"
KFP = IMAGES / "base" / "kfp.lock"
SBOM = "sbom.cdx.json"
BESIDES = {"Apache-2.0", "CC-BY-4.0", "LicenseRef-Debian", "PSF-2.0", "Unicode-3.0"}
"""What every image holds besides packages: this project, GeoNames' places, the base's Debian packages (each one's licence lies in
/usr/share/doc/PACKAGE/copyright), Python, and CLDR's names of countries."""
LABEL = re.compile(r'(?m)^(FROM \S+ AS ([a-z]+)(?:-([a-z]+))?\nLABEL org\.opencontainers\.image\.licenses=")[^"]*')
NOTICE = re.compile(r"(licen[cs]es?|copying|notices?|third.?party|authors|eula)\b.*(?<!\.py)(?<!\.pyc)", re.IGNORECASE)
"""Names of files that a licence asks to pass on."""
BAD_INPUT = 2


def canonical(name: str) -> str:
    """A package's name as indexes write it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def table() -> dict[str, str]:
    """The licence of each known package."""
    lines = [line.partition("#")[0].strip() for line in TABLE.read_text(encoding="utf-8").splitlines()]
    return dict(line.split(": ", 1) for line in lines if line)


def licence_of(name: str, known: dict[str, str], where: str) -> str:
    """The licence of a package.

    Args:
        name: Its canonical name.
        known: The table.
        where: What holds it, for the error.

    Raises:
        ValueError: The table does not know it.
    """
    if name not in known:
        raise ValueError(f"{where}: the licence of {name} is not known; add a line `{name}: SPDX-EXPRESSION` to {TABLE.name}")
    return known[name]


def combined(expressions: Iterable[str]) -> str:
    """One expression for all of these."""
    terms = {f"({part})" if " OR " in part else part for text in expressions for part in _parts(text)}
    return " AND ".join(sorted(terms | BESIDES))


def _parts(expression: str) -> list[str]:
    return [expression] if " OR " in expression else expression.split(" AND ")


def locked_names(lock: Path) -> list[str]:
    """The packages of a lock."""
    return [canonical(name) for name in re.findall(r"(?m)^([A-Za-z0-9._-]+)==", lock.read_text(encoding="utf-8"))]


def of_image(image: str, variant: str) -> str:
    """The licence expression of an image, from its locks; `variant` is empty where it has one lock."""
    lock = IMAGES / image / ".".join(["requirements", *([variant] if variant else []), "lock"])
    known = table()
    return combined(licence_of(name, known, f"{image}/{lock.name}") for name in [*locked_names(lock), *locked_names(KFP)])


def labelled(text: str) -> str:
    """The Containerfile's text with each image's licence expression."""
    return LABEL.sub(lambda match: match[1] + of_image(match[2], match[3] or ""), text)


def packages(image: str, environment: Path, out: Path) -> None:
    """Write the list of an environment's packages, and their licences and notices.

    Args:
        image: The image that gets the environment.
        environment: The virtual environment.
        out: Folder to write to; it may exist.

    Raises:
        ValueError: A package's licence is not known.
    """
    [site] = environment.glob("lib/python3*/site-packages")
    known = table()
    found = sorted(importlib.metadata.distributions(path=[str(site)]), key=lambda package: canonical(package.name))
    components = [_component(package, licence_of(canonical(package.name), known, image), out / "packages") for package in found]
    expression = combined(known[canonical(package.name)] for package in found)
    described = {"type": "container", "name": f"globe-{image}", "bom-ref": image, "licenses": [{"expression": expression}]}
    document = {"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1, "metadata": {"component": described}}
    out.mkdir(parents=True, exist_ok=True)
    (out / SBOM).write_text(json.dumps(document | {"components": components}, indent=1) + "\n", encoding="utf-8")
    print(f"{image}: {len(components)} packages in {SBOM}")


def _component(package: importlib.metadata.Distribution, licence: str, out: Path) -> dict[str, object]:
    """What the list says about a package, whose licences and notices are copied."""
    name = canonical(package.name)
    address = f"pkg:pypi/{name}@{quote(package.version, safe='')}"
    notices = []
    for file in sorted(package.files or (), key=str):
        source = Path(str(package.locate_file(file)))
        if NOTICE.fullmatch(file.name) and ".." not in file.parts and source.is_file():
            copy = Path(f"{name}-{package.version}", *file.parts)
            (out / copy).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, out / copy)
            notices.append({"name": "globe:notice", "value": f"packages/{copy.as_posix()}"})
    component: dict[str, object] = {
        "type": "library",
        "bom-ref": address,
        "name": name,
        "version": package.version,
        "purl": address,
    }
    return component | {"licenses": [{"expression": licence}]} | ({"properties": notices} if notices else {})


def main() -> None:
    """Do what the command line says, or end with exit code 2 and one line."""
    try:
        match sys.argv[1:]:
            case ["labels"]:
                CONTAINERFILE.write_text(labelled(CONTAINERFILE.read_text(encoding="utf-8")), encoding="utf-8")
            case ["packages", image, environment, out]:
                packages(image, Path(environment), Path(out))
            case _:
                raise ValueError("give `labels`, or `packages` with an image, an environment and a folder")
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(BAD_INPUT)


if __name__ == "__main__":
    main()
