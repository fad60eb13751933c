"""Write published digests into images/pins.yaml: python images/pin.py NAME=REFERENCE@sha256:DIGEST ...

The manifests' kustomizations and settings, which cannot read that file, are updated in the same call. Anything that is not a
digest is refused, and so is a name that has no pin; then nothing is written. Images that are not named keep what they have.
"""

import os
import re
import sys
from collections.abc import Collection
from pathlib import Path

import yaml

IMAGES = Path(__file__).resolve().parent
PINS = IMAGES / "pins.yaml"
MANIFESTS = IMAGES.parent / "manifests"
PINNED = re.compile(r"[a-z0-9.-]+(:[0-9]+)?(/[a-z0-9._-]+)+(:[A-Za-z0-9._-]+)?@sha256:[0-9a-f]{64}")
"""REGISTRY/PATH[:TAG]@sha256:DIGEST, in full: every node pulls the same bytes for it."""
ENTRY = re.compile(r"(?m)^( *- name: globe-([a-z]+)\b.*\n)( +)newName: .*\n +(?:newTag|digest): .*$")
"""An image in a kustomization."""
SETTING = re.compile(r"(?m)^(  (?:image|fetchImage): )(?!localhost/)\S*globe-([a-z]+)[:@]\S+$")
"""An image in the settings of a server."""
WHAT = "# The one place that says which image a stage runs in. "
UNPUBLISHED = WHAT + "Nothing has been published yet: these are version tags, not digests.\n"
PUBLISHED = WHAT + "Written by the publish workflow (images/pin.py).\n"
BAD_INPUT = 2


def parse(pair: str, names: Collection[str]) -> tuple[str, str]:
    """Name and reference of NAME=REFERENCE.

    Args:
        pair: NAME=REFERENCE@sha256:DIGEST.
        names: The images that there are.

    Raises:
        ValueError: No such image, or the reference has no digest.
    """
    name, _, reference = pair.partition("=")
    if name not in names:
        raise ValueError(f"{pair}: there is no image {name!r}, only {', '.join(names)}; give NAME=REFERENCE@sha256:DIGEST")
    if not PINNED.fullmatch(reference):
        raise ValueError(f"{name}: {reference or 'nothing'} is no digest; give REGISTRY/PATH@sha256: and 64 hexadecimal digits")
    return name, reference


def in_kustomization(text: str, pins: dict[str, str]) -> str:
    """A kustomization's text with the images that the pins name by digest."""

    def entry(match: re.Match[str]) -> str:
        repository, _, digest = pins.get(match[2], "").partition("@")
        if not digest:
            return match[0]
        folder, _, last = repository.rpartition("/")
        return f"{match[1]}{match[3]}newName: {folder}/{last.partition(':')[0]}\n{match[3]}digest: {digest}"

    return ENTRY.sub(entry, text)


def in_settings(text: str, pins: dict[str, str]) -> str:
    """The text of a server's settings with the images that the pins name by digest."""
    return SETTING.sub(lambda match: match[1] + pins[match[2]] if "@" in pins.get(match[2], "") else match[0], text)


def pin(pairs: list[str], path: Path = PINS, manifests: Path = MANIFESTS) -> dict[str, str]:
    """Rewrite the pins, and the manifests with them.

    Args:
        pairs: NAME=REFERENCE@sha256:DIGEST of each published image.
        path: The pins' file.
        manifests: Folder of the manifests.

    Returns:
        All pins, as written.

    Raises:
        ValueError: A pair is wrong; nothing was written.
    """
    pins: dict[str, str] = yaml.safe_load(path.read_text(encoding="utf-8"))
    new = dict(parse(pair, pins) for pair in pairs)
    if len(new) < len(pairs):
        raise ValueError("an image is named twice; give each one once")
    pins |= new
    head = PUBLISHED if all(PINNED.fullmatch(reference) for reference in pins.values()) else UNPUBLISHED
    lines = [f"{name}: {reference}\n" for name, reference in pins.items()]
    _write(path, head + "".join(lines))
    for name, changed_in in (("kustomization.yaml", in_kustomization), ("settings.yaml", in_settings)):
        for file in sorted(manifests.rglob(name)):
            text = file.read_text(encoding="utf-8")
            if (changed := changed_in(text, pins)) != text:
                _write(file, changed)
    return pins


def _write(path: Path, text: str) -> None:
    draft = path.with_suffix(".draft")
    draft.write_text(text, encoding="utf-8")
    os.replace(draft, path)


def main() -> None:
    """Pin what the command line says, or end with exit code 2 and one line."""
    if not sys.argv[1:]:
        print("error: nothing to pin; give NAME=REFERENCE@sha256:DIGEST ...", file=sys.stderr)
        sys.exit(BAD_INPUT)
    try:
        for name, reference in pin(sys.argv[1:]).items():
            print(f"{name}: {reference}")
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(BAD_INPUT)


if __name__ == "__main__":
    main()
