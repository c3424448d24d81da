"""What can be asked of `launcher exec`; grammar.py and dialects.py read it from words."""

GRACE = 5.0  # seconds


class Options:
    """How to run a command.  The defaults are those of a command line without options."""

    __slots__ = (
        "delay",
        "grace",
        "group",
        "ok_exit",
        "pdeathsig",
        "quiet",
        "rewrite",
        "shell_fallback",
        "verbose",
        "warn_reap",
    )

    def __init__(self) -> None:
        self.group = False
        """Signal the process group of the command, not the command alone."""
        self.grace = GRACE
        """Seconds that everybody else has between TERM and KILL once the command has ended."""
        self.rewrite: dict[int, int] = {}
        """What is sent in place of a signal; 0 is nothing."""
        self.delay: dict[int, float] = {}
        """Seconds that a signal is held back."""
        self.ok_exit: set[int] = set()
        """Exit codes that stand for 0."""
        self.pdeathsig = 0
        """What the command gets when our parent ends, or we do; 0 is nothing."""
        self.warn_reap = False
        self.quiet = False
        self.verbose = False
        self.shell_fallback = False
        """A file without a format goes to /bin/sh, as execvp(3) does it."""
