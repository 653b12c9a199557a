"""What the documents say to type exists: README, help texts, Makefile."""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

import kaggle_hw4
from kaggle_hw4 import errors
from kaggle_hw4.cli import app, main

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
GUIDES = ("board", "tuning", "sessions", "architecture", "pretraining")
DOCUMENTS = README + "".join((ROOT / "docs" / f"{name}.md").read_text() for name in GUIDES)


def commands_of(text: str) -> list[str]:
    """Lines of code blocks, and inline code, that call hw4."""
    blocks = "\n".join(re.findall(r"```\w*\n(.*?)```", text, re.DOTALL)).replace("\\\n", " ")
    lines = [line.split(" #")[0].strip().removeprefix("$ ") for line in blocks.splitlines()]
    inline = re.findall(r"`(hw4 [^`]+)`", text)
    return [line for line in [*lines, *inline] if line.startswith("hw4 ")]


def tree(
    command: typer.main.TyperGroup, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], object]]:
    for name, child in command.commands.items():
        yield (*path, name), child
        if hasattr(child, "commands"):
            yield from tree(child, (*path, name))


ROOT_COMMAND = typer.main.get_command(app)
COMMANDS = dict(tree(ROOT_COMMAND))


def runs(command: object) -> bool:
    """Whether it does something by itself: all but a group that only holds others."""
    return not hasattr(command, "commands") or command.invoke_without_command


RUNNING = {path: command for path, command in COMMANDS.items() if runs(command)}


def check(line: str) -> None:
    """Assert that the command of `line` exists and knows every option given to it."""
    words = shlex.split(line)[1:]
    path = next((tuple(words[:n]) for n in (2, 1) if tuple(words[:n]) in COMMANDS), ())
    command = COMMANDS.get(path, ROOT_COMMAND)
    if not runs(command):
        assert all(word.startswith("-") for word in words[len(path) :]), f"{line}: no such command"
    known = {"--help"} | {option for p in command.params for option in p.opts}
    given = {word.split("=")[0] for word in words if word.startswith("-")}
    assert given <= known, f"{line}: unknown {given - known}"


@pytest.mark.parametrize("line", commands_of(DOCUMENTS))
def test_a_command_of_the_readme_exists(line: str) -> None:
    check(line)


def test_the_readme_shows_every_command() -> None:
    shown = " ".join(commands_of(DOCUMENTS))
    for path in RUNNING:
        assert f"hw4 {' '.join(path)}" in shown, path


@pytest.mark.parametrize("path", RUNNING)
def test_every_command_has_a_sentence_and_an_example(path: tuple[str, ...]) -> None:
    text = COMMANDS[path].help
    sentence, example = text.split("\n")[0], re.search(r"Example: (hw4 .*)", text)
    assert sentence.endswith(".")
    assert len(sentence) <= 60, "the list of commands would cut it"
    assert example
    assert example.group(1).startswith(f"hw4 {' '.join(path)}")
    check(example.group(1))


def test_what_the_readme_prints_of_the_board_is_what_hw4_prints(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    commands = (["import", str(ROOT / "examples" / "past_scores.csv")], ["show"], ["choose"])
    for command in commands:
        with pytest.raises(SystemExit):
            main(["--workspace", str(tmp_path), "leaderboard", *command])
        printed = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
        if command[0] != "import":
            assert "\n".join(printed).strip("\n") in DOCUMENTS


def test_the_examples_are_imported_into_a_workspace_of_their_own() -> None:
    examples = [command.help.split("Example: ")[1] for command in RUNNING.values()]
    for line in [*commands_of(DOCUMENTS), *examples]:
        assert "past_scores" not in line or "--workspace tour" in line, line


def test_make_targets_of_the_readme_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"(?:^|`)make ([a-z-]+)", DOCUMENTS, re.M)) <= targets


def test_exit_codes_are_as_documented() -> None:
    kinds = errors.Hw4Error.__subclasses__() + errors.Shutdown.__subclasses__()
    codes = {kind.__name__: kind.exit_code for kind in kinds}
    drawn = dict(re.findall(r"[├└]── (\w+) +(\d+)", errors.__doc__))
    assert {name: int(code) for name, code in drawn.items()} == codes
    for code in codes.values():
        assert re.search(rf"^\| {code} \|", DOCUMENTS, re.MULTILINE), f"{code} is not explained"


def test_the_file_tree_of_the_readme_is_the_one_there_is() -> None:
    block = DOCUMENTS[DOCUMENTS.index("kaggle_hw4/\n") :].split("```")[0]
    named = set(re.findall(r"\b(\w+\.py)\b", block))
    there = {p.name for p in (ROOT / "kaggle_hw4").rglob("*.py")} - {"__init__.py", "__main__.py"}
    assert named == there


def test_the_python_of_the_readme_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    [example] = re.findall(r"```python\n(.*?)```", DOCUMENTS, re.DOTALL)
    printed: list[object] = []
    exec(compile(example, "README.md", "exec"), {"print": lambda *values: printed.extend(values)})
    difference, score, board = printed
    assert difference.n > 0
    assert score.board == "local"
    assert [row.version for row in board] == ["Medium+Strong_V1"]


def test_every_name_of_the_python_api_is_there_and_documented() -> None:
    for name in kaggle_hw4.__all__:
        assert getattr(kaggle_hw4, name).__doc__, name
    public = [method for name, method in vars(kaggle_hw4.Project).items() if name[0] != "_"]
    assert all(method.__doc__ for method in public)
    with pytest.raises(AttributeError, match="no attribute 'projet'"):
        kaggle_hw4.projet  # noqa: B018


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = "import sys, kaggle_hw4; print({'torch', 'numpy', 'pydantic'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "set()\n"


def test_the_readme_is_short_and_its_links_lead_somewhere() -> None:
    assert len(README.split()) < 1500
    for path in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        for target in re.findall(r"\]\(([^)#]+)\)", path.read_text()):
            assert target.startswith("http") or (path.parent / target).exists(), (path, target)
