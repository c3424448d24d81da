"""The program.  Signals are blocked before anything else: a TERM in the first milliseconds must not be lost."""

import _signal

MASK = _signal.pthread_sigmask(_signal.SIG_BLOCK, _signal.valid_signals())

import sys  # noqa: E402

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

USAGE = """\
usage: launcher COMMAND [ARGUMENT...]

  run          supervise services: launcher run [OPTIONS] [MODULE:ATTR[=WORKERS]...]
  exec         run one command under an init: launcher exec [OPTIONS] -- CMD [ARG...]
  check        check configuration and application, print them and the grace period they need
  healthcheck  ask the supervisor of this container whether it is ready (or --live)
  --version    print the version

`launcher COMMAND --help` says more."""
# Under these names the program is that init; docker-init is what Docker calls its tini.
DIALECTS = {"tini": "tini", "tini-static": "tini", "docker-init": "tini", "dumb-init": "dumb-init"}


def main(mask: "Iterable[int]" = MASK) -> int:
    """Run the command that the arguments name; return the exit code.  `mask` is the signal mask we were given."""
    dialect = DIALECTS.get(sys.argv[0].rpartition("/")[2])
    if dialect is not None:
        from launcher.cli import exec as init

        init.run(sys.argv[1:], mask, dialect)
    match sys.argv[1:]:
        case ["exec", *arguments]:
            from launcher.cli import exec as init

            init.run(arguments, mask)
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
    print(f"launcher: error: no command {command!r}; use run, exec, check, healthcheck or --version", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
