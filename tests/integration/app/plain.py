"""A server that knows nothing of the launcher: sockets and readiness as systemd passes them, and an HTTP of its own."""

import json
import os
import select
import signal
import socket

assert os.environ["LISTEN_PID"] == str(os.getpid())
assert os.environ["LISTEN_FDS"] == "1"
listener = socket.socket(fileno=3)
listener.setblocking(False)
told, tells = os.pipe()
os.set_blocking(tells, False)
signal.set_wakeup_fd(tells)
signal.signal(signal.SIGTERM, lambda *_: None)

with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor:
    supervisor.connect(os.environ["NOTIFY_SOCKET"].replace("@", "\0", 1))
    supervisor.send(b"READY=1\nSTATUS=serving")
os.write(1, b"serving\n")

while True:
    ready, _, _ = select.select([listener, told], [], [])
    if told in ready:
        break
    try:
        client, _ = listener.accept()
    except BlockingIOError:  # another worker was faster
        continue
    with client:
        client.setblocking(True)
        client.recv(65536)
        body = json.dumps({"pid": os.getpid()}).encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        client.sendall(head.encode() + body)
os.write(1, b"done")
