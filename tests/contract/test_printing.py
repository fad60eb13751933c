"""Whatever is printed goes through `globe.console` (or is made printable right there): a list of all that prints says so."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PRINTS = {
    "print",
    "echo",
    "secho",
    "pprint",
    "write",
    "writelines",
    "log",
    "rule",
    "print_exc",
    "print_json",
    "confirm",
    "prompt",
}
STREAMS = {"stdout", "stderr", "console", "Console", "typer", "traceback", "rich", "__stdout__", "__stderr__"}

ALLOWED = {
    "components/globe/console.py": {"emit", "say", "tell"},
    "components/globe/run/events.py": {"emit"},  # one_line
    "components/globe/run/stage.py": {"stage_events"},  # into the stage's log, which is shown through last_shown
    "components/globe/geo/gazetteer.py": {"_build_once"},  # our own words
    "components/globe/models/__main__.py": {"main"},  # errors, and paths for a shell that reads them
    "components/globe/demo/teacher_server.py": {"main"},  # errors, and JSON
    "components/globe/serving/server_key.py": {"main"},  # our own errors, and a path that a pod's template names
    "components/validate.py": {"validate"},  # a page of `globe.markdown`
    "components/globe/run/finish.py": {"tell_end"},  # likewise
    "pipelines/__main__.py": {"_end"},  # one_line
    "pipelines/compile.py": {"compile_all", "_write"},  # our own words, and printable
    "pipelines/local/containers.py": {"use_containers", "run", "_run"},  # into the run's log, which is shown through last_shown
    "pipelines/local/server_containers.py": {"run", "_answer"},  # likewise
    "pipelines/local/live.py": {"_say", "print_final_table"},  # one_line
    "pipelines/local/outcome.py": {"finish", "_print_failure", "_print"},  # printable
    "pipelines/local/run.py": {"run", "_supervise"},  # printable
    "pipelines/remote/server.py": {"print_line"},  # printable
    "pipelines/remote/submit.py": {"exit_code_of"},  # one_line
}
"""Functions that print by themselves, each with why nothing in their text acts."""


def printing(path: Path) -> set[str]:
    """The functions of a file that print."""
    found = set()
    for function in ast.walk(ast.parse(path.read_text())):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            calls = [call.func for call in ast.walk(function) if isinstance(call, ast.Call)]
            if any(prints(call) for call in calls):
                found.add(function.name)
    return found


def prints(call: ast.expr) -> bool:
    if isinstance(call, ast.Name):
        return call.id in ("print", "pprint")
    names = {node.attr for node in ast.walk(call) if isinstance(node, ast.Attribute)}
    names |= {node.id for node in ast.walk(call) if isinstance(node, ast.Name)}
    return isinstance(call, ast.Attribute) and call.attr in PRINTS and bool(names & STREAMS)


def test_nothing_else_prints():
    files = [*(ROOT / "components").rglob("*.py"), *(ROOT / "pipelines").rglob("*.py")]
    assert len(files) > 200
    found = {str(path.relative_to(ROOT)): names for path in files if (names := printing(path))}
    assert found == ALLOWED


@pytest.mark.parametrize(
    "line", ["print(x)", "sys.stdout.write(x)", "sys.stdout.buffer.write(x)", "typer.echo(x)", "console.print(x)",
     "Console().print(x)",
             "self.console.log(x)", "traceback.print_exc()"],
)  # fmt: skip
def test_a_function_that_prints_is_found(tmp_path, line):
    (tmp_path / "new.py").write_text(f"def tells(x):\n    {line}\n\ndef writes(file, x):\n    file.write(x)\n")
    assert printing(tmp_path / "new.py") == {"tells"}


def test_rich_reads_no_markup_in_what_is_printed():
    for path in (ROOT / "pipelines").rglob("*.py"):
        for call in ast.walk(ast.parse(path.read_text())):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == "print":
                own = (
                    isinstance(call.args[0], ast.Constant) or "Text" in ast.dump(call.args[0]) or "final_table" in ast.dump(call)
                )
                plain = any(word.arg == "markup" and ast.unparse(word.value) == "False" for word in call.keywords)
                number = isinstance(call.args[0], ast.JoinedStr) and "seconds" in ast.unparse(call.args[0])
                assert own or plain or number, f"{path}:{call.lineno}"
