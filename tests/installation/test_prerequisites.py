"""Which Python and Java are taken, tried with programs that only say which version they are."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

CI = Path(".ci").resolve()
PYTHON_BUT_FOR = """#!/bin/bash
exec {python} -c "import sys; sys.version_info = ({major}, {minor}, 0); exec(sys.argv[2])" "$@"
"""
WITHOUT_VENV = """#!/bin/bash
exec {python} -c "import sys; sys.modules['venv'] = None; exec(sys.argv[2])" "$@"
"""
JAVA = """#!/bin/bash
echo 'openjdk version "{version}" 2025-04-15' >&2
"""


def _program(folder: Path, name: str, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / name
    program.write_text(text, encoding="utf-8")
    program.chmod(0o755)
    return program


def _python(folder: Path, name: str, version: tuple[int, int]) -> Path:
    major, minor = version
    text = PYTHON_BUT_FOR.format(python=_this_python(), major=major, minor=minor)
    return _program(folder, name, text)


def _this_python() -> str:
    return str(Path(sys.executable).resolve())


def _run(name: str, *words: str, path: Path, java_home: Path | None = None) -> tuple[int, str]:
    """Return the exit code and what was said, with the programs of one folder and bash's own."""
    environment = {"PATH": f"{path}:{path.parent / 'bash'}"}
    _own_tools(path.parent / "bash")
    if java_home:
        environment["JAVA_HOME"] = str(java_home)
    done = subprocess.run(
        ["/bin/bash", str(CI / name), *words],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, (done.stdout + done.stderr).strip()


def _own_tools(folder: Path) -> None:
    """Link what the scripts call, so that no Python or Java of this machine is found beside it."""
    folder.mkdir(exist_ok=True)
    for tool in ("bash", "env", "dirname", "sed", "head"):
        link = folder / tool
        if not link.exists():
            link.symlink_to(
                next(p for p in (Path("/usr/bin", tool), Path("/bin", tool)) if p.exists())
            )


@pytest.mark.parametrize("version", [(3, 11), (3, 12), (3, 13)])
@pytest.mark.parametrize("java", ["17.0.15", "21.0.8"])
def test_a_supported_python_and_java_are_taken(
    tmp_path: Path, version: tuple[int, int], java: str
) -> None:
    _python(tmp_path / "bin", "python3", version)
    _program(tmp_path / "bin", "java", JAVA.format(version=java))
    assert _run("check_prerequisites", "python3", path=tmp_path / "bin") == (0, "")


@pytest.mark.parametrize("version", [(2, 7), (3, 10), (3, 14), (4, 11)])
def test_another_python_is_refused_in_one_sentence(
    tmp_path: Path, version: tuple[int, int]
) -> None:
    _python(tmp_path / "bin", "python3", version)
    code, said = _run("check_prerequisites", "python3", path=tmp_path / "bin")
    assert code == 1
    assert said.startswith(
        "Python 3.11, 3.12 or 3.13 with its venv module is needed, and 'python3'"
    )
    assert len(said.splitlines()) == 1


def test_a_python_that_cannot_make_environments_is_refused(tmp_path: Path) -> None:
    _program(tmp_path / "bin", "python3", WITHOUT_VENV.format(python=_this_python()))
    assert _run("check_prerequisites", "python3", path=tmp_path / "bin")[0] == 1


@pytest.mark.parametrize("java", ["1.8.0_112", "11.0.2", "22.0.1", "25.0.3"])
def test_another_java_is_refused_in_one_sentence(tmp_path: Path, java: str) -> None:
    _python(tmp_path / "bin", "python3", (3, 13))
    _program(tmp_path / "home" / "bin", "java", JAVA.format(version=java))
    code, said = _run(
        "check_prerequisites", "python3", path=tmp_path / "bin", java_home=tmp_path / "home"
    )
    assert code == 1
    assert re.match(r"Java 17 or 21 is needed, and '\S+/home/bin/java' is version \d+:", said)
    assert len(said.splitlines()) == 1


def test_a_missing_java_is_named_in_one_sentence(tmp_path: Path) -> None:
    _python(tmp_path / "bin", "python3", (3, 12))
    code, said = _run("check_prerequisites", "python3", path=tmp_path / "bin")
    assert code == 1
    assert said.startswith("Java 17 or 21 is needed, and 'java' is not there:")


def test_java_home_goes_before_the_java_of_the_path(tmp_path: Path) -> None:
    _python(tmp_path / "bin", "python3", (3, 11))
    _program(tmp_path / "bin", "java", JAVA.format(version="11.0.2"))
    _program(tmp_path / "home" / "bin", "java", JAVA.format(version="21.0.8"))
    with_home = _run(
        "check_prerequisites", "python3", path=tmp_path / "bin", java_home=tmp_path / "home"
    )
    assert with_home == (0, "")
    assert _run("check_prerequisites", "python3", path=tmp_path / "bin")[0] == 1


def test_python3_is_taken_where_it_is_supported_though_a_newer_one_is_there(
    tmp_path: Path,
) -> None:
    chosen = _python(tmp_path / "bin", "python3", (3, 11))
    _python(tmp_path / "bin", "python3.13", (3, 13))
    assert _run("find_python", path=tmp_path / "bin") == (0, str(chosen))


@pytest.mark.parametrize("unsupported", [(3, 9), (3, 14)])
def test_the_newest_supported_python_is_taken_where_python3_is_not(
    tmp_path: Path, unsupported: tuple[int, int]
) -> None:
    _python(tmp_path / "bin", "python3", unsupported)
    _python(tmp_path / "bin", "python3.11", (3, 11))
    newest = _python(tmp_path / "bin", "python3.12", (3, 12))
    assert _run("find_python", path=tmp_path / "bin") == (0, str(newest))


def test_a_python_that_is_there_in_name_alone_is_passed_over(tmp_path: Path) -> None:
    _program(tmp_path / "bin", "python3.13", "#!/bin/bash\nexit 127\n")  # a shim of pyenv
    there = _python(tmp_path / "bin", "python3.11", (3, 11))
    assert _run("find_python", path=tmp_path / "bin") == (0, str(there))
