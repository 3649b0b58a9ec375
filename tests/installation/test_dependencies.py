"""What is locked, and what an installation without the development packages needs."""

import ast
import re
import sys
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path
from unittest.mock import patch

import pytest
import setuptools
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

LOCKS = ("requirements.lock", ".ci/uv.lock")
PYTHONS = ("3.11", "3.12", "3.13")
OF_PYSPARK = {"py4j"}  # Spark pins which version it can talk to
_DISTRIBUTIONS = packages_distributions()


def _setup() -> dict[str, object]:
    """Return what setup.py tells setuptools."""
    with patch.object(setuptools, "setup") as told:
        exec(compile(Path("setup.py").read_text(encoding="utf-8"), "setup.py", "exec"), {})
    return dict(told.call_args.kwargs)


def _names(requirements: object) -> set[str]:
    assert isinstance(requirements, list)
    return {_plain(Requirement(requirement).name) for requirement in requirements}


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _entries(lock: str) -> list[str]:
    """Return the requirements of a lock, each with its hashes in one line."""
    text = Path(lock).read_text(encoding="utf-8").replace("\\\n", " ")
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def test_the_same_pythons_are_supported_by_setup_py_and_the_scripts() -> None:
    wanted = SpecifierSet(str(_setup()["python_requires"]))
    minors = [f"3.{minor}" for minor in range(20) if f"3.{minor}" in wanted]
    assert minors == list(PYTHONS)
    assert "(3, 11) <= sys.version_info[:2] <= (3, 13)" in Path(".ci/is_python").read_text(
        encoding="utf-8"
    )


@pytest.mark.parametrize("lock", LOCKS)
def test_each_locked_requirement_is_pinned_and_has_a_hash(lock: str) -> None:
    for entry in _entries(lock):
        requirement, *hashes = entry.split("--hash=sha256:")
        assert [each.operator for each in Requirement(requirement.strip()).specifier] == ["=="]
        assert hashes, requirement


@pytest.mark.parametrize("lock", LOCKS)
def test_no_lock_names_a_registry(lock: str) -> None:
    text = Path(lock).read_text(encoding="utf-8")
    assert not re.search(r"://|--(extra-)?index|--find-links|^-[if]\b", text, re.MULTILINE)


@pytest.mark.parametrize("python", PYTHONS)
def test_the_lock_serves_each_python_with_one_version_of_each_dependency(python: str) -> None:
    environment = {"python_version": python, "python_full_version": f"{python}.0"}
    told = _setup()
    extras = told["extras_require"]
    assert isinstance(extras, dict)
    locked: dict[str, int] = {}
    for entry in _entries("requirements.lock"):
        requirement = Requirement(entry.split("--hash")[0].strip())
        if requirement.marker is None or requirement.marker.evaluate(environment):
            name = _plain(requirement.name)
            locked[name] = locked.get(name, 0) + 1
    assert set(locked.values()) == {1}
    assert _names(told["install_requires"]) | _names(extras["dev"]) <= set(locked)


def test_what_runs_imports_no_package_of_development_alone() -> None:
    told = _setup()
    extras = told["extras_require"]
    assert isinstance(extras, dict)
    allowed = _names(told["install_requires"]).union(
        OF_PYSPARK, *(_names(extra) for name, extra in extras.items() if name != "dev")
    )
    assert {
        module: paths for module, paths in _owned().items() if not _owners(module) & allowed
    } == {}


def _owned() -> dict[str, set[str]]:
    """Return each module of another project, and the files that import it."""
    found: dict[str, set[str]] = {}
    for path in [*Path("lakehouse").rglob("*.py"), *Path("jobs").glob("*.py")]:
        for module in set(_imported(path)) - sys.stdlib_module_names - {"lakehouse", "jobs"}:
            found.setdefault(module, set()).add(str(path))
    return found


def _owners(module: str) -> set[str]:
    return {_plain(name) for name in _DISTRIBUTIONS.get(module, [module])}


def _imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.split(".")[0]
