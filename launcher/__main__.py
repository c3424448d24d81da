"""The program.  Signals are blocked before anything else: a TERM in the first milliseconds must not be lost."""

import _signal

_signal.pthread_sigmask(_signal.SIG_BLOCK, _signal.valid_signals())

import sys  # noqa: E402

USAGE = """\
usage: launcher COMMAND [ARGUMENT...]

  run          supervise services: launcher run [OPTIONS] [MODULE:ATTR[=WORKERS]...]
  check        check configuration and application, print them and the grace period they need
  healthcheck  ask the supervisor of this container whether it is ready (or --live)
  --version    print the version

`launcher COMMAND --help` says more."""


def main() -> int:
    """Run the command that the arguments name; return the exit code."""
    match sys.argv[1:]:
        case ["run", *arguments]:
            from launcher.cli import run

            return run.main(arguments)
        case [command, *arguments]:
            _signal.pthread_sigmask(_signal.SIG_SETMASK, ())
            return _other(command, arguments)
    print(USAGE, file=sys.stderr)
    return 2


def _other(command: str, arguments: list[str]) -> int:
    match command:
        case "check":
            from launcher.cli import check

            return check.main(arguments)
        case "healthcheck":
            from launcher.cli import healthcheck

            return healthcheck.main(arguments)
        case "--version":
            from launcher import __version__

            print(f"launcher {__version__}")
            return 0
        case "--help" | "-h" | "help":
            print(USAGE)
            return 0
    print(f"launcher: error: no command {command!r}; use run, check, healthcheck or --version", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
