"""The command ``globe``: every command parses its arguments, calls one function of the package and prints the result.

Commands import what they need when they run, so that ``globe --help`` stays fast. Exit codes: 0 success, 1 a failed run or
gate, 2 bad input, 75 told to end before it was done, and saved. With ``--json`` stdout holds JSON and nothing else.
"""

from __future__ import annotations

import sys

import typer

from globe.cli import (
    curation,
    evaluation,
    geo,
    keys,
    lmms_eval,
    locate,
    notify,
    release,
    report,
    rewards,
    serving,
    signing,
    training,
    witness,
)
from globe.cli.options import CommandGroup
from globe.console import tell
from globe.errors import STOPPED, GlobeError, InputError, Stopped

app = typer.Typer(
    name="globe",
    help="GLOBE: where was this photo taken, and why. Exit codes: 0 success, 1 failed run or gate, 2 bad input.",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    cls=CommandGroup,
)


def main() -> None:
    """Entry point: turns the package's errors into one line on stderr and an exit code."""
    try:
        app()
    except InputError as error:
        _fail(error, 2)
    except Stopped as error:
        _fail(error, STOPPED)
    except GlobeError as error:
        _fail(error, 1)
    except BrokenPipeError:
        sys.stderr.close()  # the reader (head, less) has seen enough
        raise SystemExit(0) from None
    except OSError as error:
        named = ": ".join(str(part) for part in (error.filename, error.strerror) if part) or str(error) or type(error).__name__
        _fail(GlobeError(named), 1)
    except KeyboardInterrupt:
        raise SystemExit(130) from None


def _fail(error: GlobeError, code: int) -> None:
    tell(str(error))
    raise SystemExit(code) from None


for _group in (
    geo,
    rewards,
    evaluation,
    report,
    lmms_eval,
    locate,
    serving,
    release,
    curation,
    witness,
    training,
    notify,
    signing,
):
    for _command in _group.COMMANDS:
        app.command()(_command)
for _name, _commands in keys.GROUPS.items():
    app.add_typer(_commands, name=_name)
