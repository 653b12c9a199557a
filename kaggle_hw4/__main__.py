"""The entry of `hw4`: Ctrl-C ends it in one line also while it is still being imported."""

import sys

INTERRUPTED = 130  # exit code, as of kaggle_hw4.errors


def main() -> None:
    """Run the command line."""
    try:
        from kaggle_hw4.cli import main as command_line

        command_line()
    except KeyboardInterrupt:  # before the handlers of signals were in place
        sys.stderr.write("hw4: stopped; run the same command again\n")
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()
