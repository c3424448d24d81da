"""The file where Kubernetes reads why a container ended (`terminationMessagePath`)."""

import posix

PATH = "/dev/termination-log"
MAX = 4096  # bytes that Kubernetes shows


def write(path: str, reason: str, flags: int = posix.O_TRUNC) -> None:
    """Write the reason; the file is the orchestrator's, so it is never created here."""
    try:
        fd = posix.open(path, posix.O_WRONLY | posix.O_NONBLOCK | posix.O_CLOEXEC | flags)
    except OSError:
        return
    try:
        posix.write(fd, reason.encode(errors="replace")[:MAX])
    except OSError:
        pass
    finally:
        posix.close(fd)
