"""From an exception to one line on standard error and an exit code."""

from __future__ import annotations

import io
import os
import sys
import traceback

import click

from orcastra_core.model.errors import OrcastraError

_SIGPIPE = 141
_CTRL_C = 130


def prepare_streams() -> None:
    """Make standard streams safe to write to: closed ones swallow, odd characters are escaped."""
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - open for the life of the process
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # arguments that are not UTF-8 arrive as surrogates, which no encoder takes
            stream.reconfigure(errors="backslashreplace")


def exit_code_of(error: BaseException, *, debug: bool) -> int:
    """Tell the user what went wrong; return the exit code."""
    error = _leaf(error)
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    _drop_unwritable()
    if isinstance(error, BrokenPipeError):
        return _SIGPIPE
    if debug and not isinstance(error, click.UsageError):
        _say("".join(traceback.format_exception(error)).rstrip())
    if isinstance(error, (click.Abort, KeyboardInterrupt)):
        return _CTRL_C
    if isinstance(error, click.UsageError):
        path = error.ctx.command_path if error.ctx is not None else "orcastra"
        _say(f"{path}: {_one_line(error.format_message())} (see: {path} --help)")
        return 2
    _say(f"orcastra: {_describe(error)}")
    return error.exit_code if isinstance(error, click.ClickException) else 1


def _drop_unwritable() -> None:
    """Let go of output that cannot be written (the reader has gone, the disk is full): it must not fail again at exit."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _describe(error: BaseException) -> str:
    if isinstance(error, click.ClickException):
        return _one_line(error.format_message())
    if isinstance(error, OrcastraError):
        return _one_line(str(error)) or type(error).__name__
    if isinstance(error, OSError):
        return _one_line(f"{error.filename}: {error.strerror}" if error.filename else str(error))
    return f"unexpected {type(error).__name__}: {_one_line(str(error))} (orcastra --debug … shows the traceback)"


def _leaf(error: BaseException) -> BaseException:
    """Return the first exception of a group, which is what a TaskGroup raises."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _say(text: str) -> None:
    try:
        click.echo(text, err=True)
    except OSError:  # standard error is full or gone: nobody left to tell
        pass
