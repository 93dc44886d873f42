"""``python -m harness`` and the ``harness`` command."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """The ``harness`` command.

    Where the locale says that names of files are ASCII (``LC_ALL=C`` and ``PYTHONUTF8=0``) it begins once more in
    Python's UTF-8 mode: else a file that a YAML names in other letters could not be opened. The terminal's encoding
    stays as it is.
    """
    if os.name == "posix" and sys.getfilesystemencoding() == "ascii" and os.environ.get("PYTHONUTF8") != "1":
        environment = {"PYTHONIOENCODING": sys.stdout.encoding, **os.environ, "PYTHONUTF8": "1"}
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environment)
    try:
        from harness.cli.app import main as command  # here, so that Ctrl-C while it is imported is no traceback

        command()
    except KeyboardInterrupt:  # before a command has begun, or when it had ended
        print("Interrupted.", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
