"""Standard streams that are closed, full or gone: the command works, its exit code stays."""

import os
import sys
from contextlib import suppress
from pathlib import Path


def open_missing() -> None:
    """Give a closed stdin, stdout or stderr the null device.

    Otherwise the next file to be opened would take its number, and get what is printed.
    """
    for descriptor in range(3):
        with suppress(OSError):
            os.fstat(descriptor)
            continue
        os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free: this one
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115


def settle() -> None:
    """Flush; what cannot be written is given up, so that the interpreter ends in silence."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except ValueError:  # closed by somebody else
            pass
        except OSError:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, stream.fileno())
            os.close(null)
