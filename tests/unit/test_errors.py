"""What errors say to people."""

from __future__ import annotations

import errno

from launcher.errors import why


def test_of_a_limit_it_says_which_to_raise():
    assert why(errno.EMFILE) == "too many open files: raise the limit (ulimit -n)"
    assert why(errno.EAGAIN).endswith(": raise the limit of processes (ulimit -u, or the pids of the container)")


def test_of_anything_else_it_says_what_the_system_says():
    assert why(errno.ENOENT) == "no such file or directory"
