"""The program.  Signals are blocked before anything else: a TERM in the first milliseconds must not be lost.

As it is installed, in the image and by `make`, its first line names what blocks all signals before Python starts
(bin/start.c), and starts that with `-IS`: in half the time, and no variable and no file in the working directory
reaches it.  `launcher exec` needs no more than this.  (pip leaves only the interpreter in that line; so all works, but
slower, and the first milliseconds are not safe.)  What runs applications starts Python once more, as they know it; the
signals stay blocked meanwhile.
"""

import _signal

MASK = _signal.pthread_sigmask(_signal.SIG_BLOCK, _signal.valid_signals())

import gc  # noqa: E402
import sys  # noqa: E402

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from importlib.machinery import ModuleSpec

USAGE = """\
usage: launcher COMMAND [ARGUMENT...]

  run          supervise services: launcher run [OPTIONS] [MODULE:ATTR[=WORKERS]...]
               or a program written for oslo.service: launcher run --oslo PROGRAM [ARGUMENT...]
  exec         run one command under an init: launcher exec [OPTIONS] -- CMD [ARG...]
  check        check configuration and application, print them and the grace period they need
  status       show how the supervisor of this container is, and its services and workers (or --json)
  top          the same, live
  scale        let a service have so many workers: launcher scale SERVICE N
  reload       take up configuration and code anew (--wait for the outcome)
  stop         end everything gracefully
  backdoor     enter a worker's debugging shell: launcher backdoor PATH
  healthcheck  ask the supervisor whether it is ready (or --live)
  --version    print the version

`launcher COMMAND --help` says more."""
COMMANDS = "use run, exec, check, status, top, scale, reload, stop, backdoor, healthcheck or --version"
# Under these names the program is that init; docker-init is what Docker calls its tini.
DIALECTS = {"tini": "tini", "tini-static": "tini", "docker-init": "tini", "dumb-init": "dumb-init"}
APPLICATION_COMMANDS = ("run", "check")
PACKAGES = ("launcher.init", "launcher.supervisor")


class Finder:
    """Finds what `launcher exec` imports where it has to be: importing takes half the time without a search."""

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> "ModuleSpec | None":  # noqa: ARG004
        """Do as the import system asks; everything else than these modules is for the other finders."""
        if not name.startswith(PACKAGES):
            return None
        from _frozen_importlib_external import SourceFileLoader, spec_from_file_location

        folder = __file__.rpartition("/")[0] + name.removeprefix("launcher").replace(".", "/")
        file = folder + ("/__init__.py" if name in PACKAGES else ".py")
        loader, inside = SourceFileLoader(name, file), [folder] if name in PACKAGES else None
        return spec_from_file_location(name, file, loader=loader, submodule_search_locations=inside)


def main(mask: "Iterable[int]" = MASK) -> int:
    """Run the command that the arguments name; return the exit code.  `mask` is the signal mask we were given."""
    if sys.flags.no_site:
        gc.disable()  # nothing of what runs here makes cycles, and the imports set it off
        if sys.argv[1:2] and sys.argv[1] in APPLICATION_COMMANDS:
            import posix

            posix.execv(sys.executable, [sys.executable, *sys.argv])
        sys.meta_path.insert(0, Finder)
    dialect = DIALECTS.get(sys.argv[0].rpartition("/")[2])
    if dialect is not None:
        from launcher.init import command as init

        init.run(sys.argv[1:], mask, dialect)
    match sys.argv[1:]:
        case ["exec", *arguments]:
            from launcher.init import command as init

            init.run(arguments, mask)
        case ["run", "--oslo", *arguments]:
            from launcher.oslo import program

            return program.main(arguments, "launcher run --oslo")
        case ["run", *arguments]:
            gc.disable()  # the imports would set it off for nothing; `run` turns it on again
            from launcher.cli import run

            return run.main(arguments)
        case [command, *arguments]:
            _signal.pthread_sigmask(_signal.SIG_SETMASK, ())
            return _other(command, arguments)
    print(USAGE, file=sys.stderr)
    return 2


def _other(command: str, arguments: list[str]) -> int:
    match command:
        case "backdoor" | "check" | "healthcheck" | "status" | "top" | "scale" | "reload" | "stop":
            from importlib import import_module

            code: int = import_module(f"launcher.cli.{command}").main(arguments)
            return code
        case "--version":
            from launcher import __version__

            print(f"launcher {__version__}")
            return 0
        case "--help" | "-h" | "help":
            print(USAGE)
            return 0
    program = f"to run a program: launcher exec -- {command}"
    print(f"launcher: error: no command {command!r}; {COMMANDS}; {program}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
