"""`python -m launcher.oslo PROGRAM`.  Signals are blocked before anything else: a TERM must not be lost."""

import _signal

_signal.pthread_sigmask(_signal.SIG_BLOCK, _signal.valid_signals())

import sys  # noqa: E402

from launcher.oslo.program import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], "python -m launcher.oslo"))
