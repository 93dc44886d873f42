"""``python -m harness`` and the ``harness`` command."""

from __future__ import annotations

import sys


def main() -> None:
    """The ``harness`` command."""
    try:
        from harness.cli.app import main as command  # here, so that Ctrl-C while it is imported is no traceback

        command()
    except KeyboardInterrupt:  # before a command has begun, or when it had ended
        print("Interrupted.", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
