"""The ``l0bayes`` command, also as ``python -m l0bayes``: a missing package is told in a line."""

import sys

from l0bayes.optional_packages import needed_for

__all__ = ["main"]


def main() -> None:
    """Entry point of the command; exits with status 2 where a package is missing."""
    try:
        with needed_for("The command line"):
            from l0bayes.cli import main as run
        run()
    except ModuleNotFoundError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
