#!/usr/bin/env python3
"""Holds the code to the drawing in src/CMakeLists.txt.

A folder of src/ may include itself, the folders that its sluice_library()/sluice_executable() line
names as DEPS (and their DEPS), and the public headers. Public headers include std and sluice/ only.
Prints every violation as file:line and exits 1; `--self-test` shows that violations are found.
"""
import pathlib
import re
import sys
import tempfile

INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"/]+)/[^"]*"')
LIBRARY = re.compile(r"sluice_(?:library|executable)\(\s*(\w+)([^)]*)\)", re.S)
KEYWORDS = {"DEPS", "LINKS", "SOURCES"}
TEST_ONLY = {"testing"}


def read_drawing(cmake: str) -> dict[str, set[str]]:
    """Folder -> folders that it names after DEPS."""
    drawing = {}
    for name, arguments in LIBRARY.findall(re.sub(r"#.*", "", cmake)):
        section, deps, folder = None, set(), name
        for word in arguments.split():
            if word in KEYWORDS:
                section = word
            elif section == "DEPS":
                deps.add(word)
            elif section == "SOURCES":
                folder = word
        drawing[folder] = deps
    return drawing


def closure(folder: str, drawing: dict[str, set[str]]) -> set[str]:
    seen, todo = set(), [folder]
    while todo:
        current = todo.pop()
        if current not in seen:
            seen.add(current)
            todo.extend(drawing.get(current, ()))
    return seen


def violations(root: pathlib.Path) -> list[str]:
    drawing = read_drawing((root / "src/CMakeLists.txt").read_text())
    found = []
    for path in sorted((root / "src").rglob("*")):
        if path.suffix not in {".h", ".cc", ".cu", ".inl", ".inc"}:
            continue
        folder = path.relative_to(root / "src").parts[0]
        if folder not in drawing:
            found.append(f"{path}: folder {folder}/ has no line in src/CMakeLists.txt")
            continue
        allowed = closure(folder, drawing) | {"sluice"}
        if path.stem.endswith(("_test", "_bench", "_fuzz")):
            allowed |= TEST_ONLY
        for number, line in enumerate(path.read_text().splitlines(), 1):
            match = INCLUDE.match(line)
            if match and match.group(1) not in allowed and match.group(1) in drawing | {"..": 0}:
                found.append(f"{path}:{number}: {folder}/ may not include {match.group(1)}/ "
                             f"(not among its DEPS in src/CMakeLists.txt)")
    for path in sorted((root / "include").rglob("*.h")):
        for number, line in enumerate(path.read_text().splitlines(), 1):
            match = INCLUDE.match(line)
            if match and match.group(1) != "sluice":
                found.append(f"{path}:{number}: public headers include std and sluice/ only")
    return found


def self_test() -> None:
    with tempfile.TemporaryDirectory() as name:
        root = pathlib.Path(name)
        (root / "include").mkdir()
        for folder in ("low", "high"):
            (root / "src" / folder).mkdir(parents=True)
        (root / "src/CMakeLists.txt").write_text("sluice_library(low)\nsluice_library(high DEPS low)\n")
        (root / "src/high/a.cc").write_text('#include "low/a.h"\n')
        assert not violations(root)
        (root / "src/low/a.h").write_text('#include "high/a.h"\n')
        assert len(violations(root)) == 1
        (root / "src/stray").mkdir()
        (root / "src/stray/a.h").write_text("")
        assert len(violations(root)) == 2


if __name__ == "__main__":
    if "--self-test" in sys.argv:
        self_test()
    problems = violations(pathlib.Path(__file__).resolve().parent.parent)
    print("\n".join(problems) or "floors: every include goes down")
    sys.exit(bool(problems))
