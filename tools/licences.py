"""Writes docs/licences.md anew from the metadata of what is locked: python -m tools.licences"""

import re
from importlib.metadata import Distribution, distribution
from pathlib import Path

from packaging.markers import Marker

LOCK, PAGE = Path("requirements.lock"), Path("docs/licences.md")
ALLOWED = re.compile(
    r"(?:the )?(?:0?BSD|MIT|Apache|PSF|Python Software Foundation|MPL-2\.0"
    r"|Mozilla Public License 2\.0|ISC|Zlib|CC0-1\.0|[23]-Clause BSD)\b",
    re.IGNORECASE,
)
"""Licences under which a dependency may be used and passed on beside code of any licence."""
_LOCKED = re.compile(
    r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^\s;\\]+)(?: ; ([^\\\n]+))?", re.MULTILINE
)
_LONGEST = 60
_HEAD = """# Licences of the dependencies

Of each package of `requirements.lock`, as its own metadata tell. `python -m tools.licences` makes
this page; a test fails where it is not current, or where the tool does not allow a licence.

| package | version | licence |
|---|---|---|
"""


def locked() -> dict[str, str]:
    """The locked packages and their versions, without those that another system needs alone."""
    entries = _LOCKED.findall(LOCK.read_text(encoding="utf-8"))
    return {
        name: version
        for name, version, marker in entries
        if not marker or Marker(marker.strip()).evaluate()
    }


def licence_of(package: str) -> str:
    """The licence of an installed package: as an expression, in words, or by its licence file."""
    found = distribution(package)
    told = [found.metadata.get("License-Expression"), found.metadata.get("License")]
    classifiers = [
        text.split(" :: ")[-1]
        for text in found.metadata.get_all("Classifier") or ()
        if text.startswith("License") and not text.endswith("OSI Approved")
    ]
    short = [text for text in told if text and len(text) <= _LONGEST and "\n" not in text]
    return next(iter([*short, ", ".join(classifiers), _by_file(found)]), "") or _by_file(found)


def _by_file(found: Distribution) -> str:
    """The first words of a package's licence file; empty where it has none."""
    paths = [path for path in found.files or () if "licen" in path.name.lower()]
    lines = paths[0].read_text(encoding="utf-8").splitlines() if paths else []
    words = (line.strip() for line in lines if line.strip())
    first = next((line for line in words if not line.startswith("Copyright")), "")
    return "MIT" if first.startswith("Permission is hereby granted, free of charge") else first


def is_allowed(licence: str) -> bool:
    """Whether one licence of each `AND` part is allowed."""
    parts = re.split(r"\bAND\b", licence)
    return all(
        any(ALLOWED.match(one.strip(" ()")) for one in re.split(r"\bOR\b|,", part))
        for part in parts
    )


def made() -> str:
    """Return what the page should hold."""
    rows = [f"| {name} | {version} | {licence_of(name)} |" for name, version in locked().items()]
    return _HEAD + "\n".join(rows) + "\n"


if __name__ == "__main__":
    PAGE.write_text(made(), encoding="utf-8")
