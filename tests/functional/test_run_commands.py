"""Commands as services: real programs under the real supervisor."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys

import pytest

from tests.functional import proc
from tests.functional.cases import WEB, both_ways, not_pid1
from tests.functional.program import launcher

PYTHON = sys.executable
PRELUDE = """
import os, sys, time
def note(*words):
    with open("notes", "a") as notes:
        print(*words, file=notes)
def wait_for_gate():
    while not os.path.exists("gate"):
        time.sleep(0.02)
"""
SERVER = """
import json, os, socket, sys
listener = socket.socket(fileno=int(sys.argv[1]))
note("start", os.getpid(), json.dumps({
    "words": sys.argv[2:],
    "listen": [os.environ.get(f"LISTEN_{name}") for name in ("PID", "FDS", "FDNAMES")],
    "notify": os.environ.get("NOTIFY_SOCKET"),
    "blocking": listener.getblocking(),
}))
while True:
    client, _ = listener.accept()
    client.recv(65536)
    client.sendall(b"HTTP/1.0 200 OK\\r\\n\\r\\n%d" % os.getpid())
    client.close()
"""
NOTIFIER = """
import os, socket, sys
def say(*lines):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
        client.connect(os.environ["NOTIFY_SOCKET"].replace("@", "\\0"))
        client.send("\\n".join(lines).encode())
"""


def commands(*texts):
    """As a config file wants them."""
    return "\n  ".join(texts)


@pytest.fixture
def write(program):
    """Write a program that is to be a command; it imports no eventlet, as that of an application does."""
    return lambda name, source: (program.folder / name).write_text(PRELUDE + source)


@pytest.fixture
def run(program):
    """Start commands; nothing listens unless it is said."""

    def run(*texts, popen=None, **options):
        program.configure(**{"listen": None, "ready": 0.1, **options, "command": commands(*texts)})
        program.start(**popen or {})

    return run


class TestWhatItGets:
    @both_ways
    def test_a_socket_its_own_pid_and_nothing_of_ours(self, program, run, write):
        write("server.py", SERVER)
        run(f"web=2:{PYTHON} server.py {{fd}} {{worker}} 'a  b'", listen=f"web=127.0.0.1:{program.port}")
        workers = program.wait_ready(2)
        program.wait_for_notes("start", 2)
        started = {int(note.split()[1]): json.loads(note.split(maxsplit=2)[2]) for note in program.notes()}
        assert [started[pid]["words"] for pid in workers] == [["0", "a  b"], ["1", "a  b"]]
        for pid in workers:
            assert started[pid]["listen"] == [str(pid), "1", "web"]
            assert (started[pid]["notify"], started[pid]["blocking"]) == (None, True)
            outer = program.outer(pid)
            kinds = {fd: what.partition(":")[0] for fd, what in proc.descriptors(outer).items()}
            assert kinds == {0: "/dev/null", 1: "pipe", 2: "pipe", 3: "socket"}
            assert os.getpgid(outer) == outer
        assert int(program.get()[1]) in workers
        assert program.stop() == 0
        program.wait_nothing_left()

    def test_default_signals_and_the_environment_of_the_container(self, program, run):
        # A Python would ignore some signals, and add to its environment: a shell does neither.
        run("job:sh -c 'echo started; read x < fifo'", popen={"environ": {"NOTIFY_SOCKET": "@x", "LISTEN_FDS": "1"}})
        os.mkfifo(program.folder / "fifo")
        (pid,) = program.wait_ready()
        outer = program.outer(pid)
        assert proc.signals(outer, "SigBlk") == set()
        assert proc.signals(outer, "SigIgn") <= {32, 33}  # the C library's own, which posix_spawn(3) ignores
        environ = dict(line.split("=", 1) for line in proc._read(outer, "environ").split("\0") if line)
        assert environ == program.environment(LAUNCHER_WORKER_ID="0")

    def test_as_many_words_as_the_kernel_takes(self, program, run):
        words = " ".join("x" * 60_000 for _ in range(5))  # far more than a message between mold and PID 1
        run(f"web:sh -c 'read x < fifo' {words}")
        os.mkfifo(program.folder / "fifo")
        (pid,) = program.wait_ready()
        assert proc.command(program.outer(pid)).rstrip().endswith(words)
        assert program.stop() == 0

    def test_no_mold_stays_and_no_application_is_loaded(self, program, run):
        program.write_app("note('imported')")
        run("job:sleep 1000")
        (pid,) = program.wait_ready()
        program.wait_for(lambda: proc.children(program.pid) == [program.outer(pid)], "one child")
        assert program.ask("status")["molds"] == []
        assert program.notes() == []
        assert " gets " not in program.output()  # it went by itself

    def test_beside_an_application(self, program, run):
        program.write_app(WEB)
        run("job:sleep 1000", services="app:web", listen=f"127.0.0.1:{program.port}")
        program.wait_ready(2)
        assert program.get()[0] == 200
        (job,) = program.workers(service="job")
        program.signal(signal.SIGKILL, job)
        program.wait_replaced([job])
        assert program.stop() == 0


class TestBadInput:
    @pytest.mark.parametrize(
        ("text", "what"),
        [
            ("web:no-such-program", "no program no-such-program in any folder of PATH"),
            ("web:", "no program to run"),
            ("web:sleep 'x", "cannot be split into words: no closing quotation"),
            ("web:sleep {fd}", "service web wants an address and has none"),
        ],
    )
    def test_one_line_and_78(self, program, run, text, what):
        run(text, "other:sleep 1", listen=f"other=127.0.0.1:{program.port}")
        assert program.wait_ended() == 78
        (line,) = program.output().splitlines()
        assert line.startswith("launcher: error: ")
        assert what in line
        done = launcher(program, "check", "--config-file", str(program.conf))
        assert (done.returncode, done.stderr.splitlines()) == (78, [line])

    @pytest.mark.parametrize(
        ("content", "code", "why"),
        [
            (
                "#!/no/such/interpreter\n",
                127,
                "no such file or directory: it, or the interpreter or loader that it names",
            ),
            ("", 126, "exec format error"),
        ],
    )
    def test_a_file_that_cannot_be_executed_after_all(self, program, run, content, code, why):
        script = program.folder / "script"
        script.write_text(content)
        script.chmod(0o755)
        run("web:./script", backoff_min=0.01, crash_loop_threshold=2)
        assert program.wait_ended() == code
        assert f"ended: cannot be executed: {why}\n" in program.output()
        (line,) = program.errors()
        assert "crash loop" in line


class TestReadiness:
    def test_by_time(self, program, run):
        run("a:sleep 1000", "b:sh -c 'exit 3'", ready="0.2", restart="b=never")
        program.wait_for_output(r"b: worker .* ended: exit code 3")
        program.wait_for(lambda: program.workers(service="a"), "a to be ready")
        assert not program.workers(service="b")

    def test_by_word_of_itself_or_of_what_it_has_started(self, program, run, write):
        write("say.py", NOTIFIER + "say('STATUS=warming\\x07 up')\nwait_for_gate()\nsay('READY=1')\ntime.sleep(1000)")
        write("up.py", "import subprocess\nsubprocess.run([sys.executable, 'say.py'])\ntime.sleep(1000)")
        run(f"web:{PYTHON} up.py", ready="notify")
        said = program.wait_for(
            lambda: [each["says"] for each in program.ask("status").get("workers", ()) if each["says"]], "its word"
        )
        assert said == ["warming up"]
        assert "starting: warming up" in launcher(program, "status", "--runtime-dir", str(program.folder)).stdout
        assert program.workers() == []
        program.open_gate()
        program.wait_ready(1)

    def test_nobody_else_can_say_it(self, program, run, write):
        write("mute.py", NOTIFIER + "note('at', os.environ['NOTIFY_SOCKET'])\ntime.sleep(1000)")
        run(f"web:{PYTHON} mute.py", ready="notify")
        (note,) = program.wait_for_notes("at")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as stranger:
            stranger.connect(note.split()[1].replace("@", "\0"))
            stranger.send(b"READY=1")
            program.wait_for_output("says that it is a service, but it is none of ours")
        assert program.workers() == []


class TestSignals:
    def test_usr1_goes_to_it_and_usr2_does_not(self, program, run, write):
        write(
            "app.py",
            "import signal\n"
            "for each in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH):\n"
            "    signal.signal(each, lambda number, _: note('got', signal.Signals(number).name))\n"
            "while True: time.sleep(1000)",
        )
        run(f"job:{PYTHON} app.py", ready="1")
        program.wait_ready(1)
        for signum in (signal.SIGUSR2, signal.SIGUSR1, signal.SIGWINCH):
            program.signal(signum)
            program.wait_for_output("state: job") if signum == signal.SIGUSR2 else program.wait_for_notes("got")
        program.wait_for_notes("got", 2)
        assert program.notes() == ["got SIGUSR1", "got SIGWINCH"]

    def test_term_then_kill_with_what_it_has_forked_and_no_core(self, program, run):
        run(
            "job:sh -c 'trap \"\" TERM ABRT; sleep 1000; sleep 1000'",
            graceful_shutdown_timeout=0.5,
            keepalive_timeout=0.1,
        )
        program.wait_ready(1)
        assert program.stop() == 137
        assert [line.split("gets ")[1] for line in program.output().splitlines() if " gets " in line] == [
            "TERM: stopping",
            "KILL: did not end in time",
        ]
        program.wait_nothing_left()

    def test_kill_frees_what_its_children_hold(self, program, run):
        stubborn = "job:sh -c 'trap \"\" TERM; sleep 1000; sleep 1000'"
        run(stubborn, graceful_shutdown_timeout=0.3, keepalive_timeout=0.1)
        old = program.wait_ready(1)
        before = proc.descendants(program.pid)
        program.signal(signal.SIGHUP)
        program.wait_replaced(old)
        program.wait_for(lambda: not {*before} & {*proc.descendants(program.pid)}, "the old ones to be gone")

    @not_pid1
    def test_it_does_not_outlive_the_supervisor(self, program, run):
        run("job:sleep 1000")
        program.wait_ready(1)
        program.signal(signal.SIGKILL)
        program.wait_ended()
        program.wait_nothing_left()


class TestRestart:
    def test_one_that_never_says_that_it_is_ready_is_killed_and_its_code_says_so(self, program, run):
        run("job:sleep 1000", ready="notify", startup_timeout=0.3, crash_loop_threshold=1)
        assert program.wait_ended() == 128 + signal.SIGKILL
        assert "did not get ready in time; startup_timeout is 0.3 s" in program.errors()[0]

    def test_always(self, program, run):
        run("job:sh -c 'sleep 0.3'", backoff_min=0.01, crash_loop_threshold=1000)
        program.wait_for(lambda: program.output().count("ended: exit code 0") >= 3, "three ends")

    def test_all_done(self, program, run):
        run("a=2:true", "b:sh -c 'sleep 0.3'", restart="on-failure")
        assert program.wait_ended() == 0
        assert program.output().count("ended: exit code 0") == 3

    def test_a_failure_is_tried_again(self, program, run):
        run("a:sh -c 'test -e gate || { : > gate; exit 9; }'", restart="a=on-failure", backoff_min=0.01)
        assert program.wait_ended() == 0
        assert program.output().count("ended: exit code 9") == 1

    def test_never_ends_with_the_failures_code(self, program, run):
        run("a:sh -c 'exit 9'", "b:sh -c 'sleep 0.5'", restart="never")
        assert program.wait_ended() == 9


class TestReload:
    def test_another_command_line(self, program, run, write):
        write("server.py", SERVER)
        listen = f"web=127.0.0.1:{program.port}"
        run(f"web=2:{PYTHON} server.py 3 old", listen=listen)
        old = program.wait_ready(2)
        program.configure(command=f"web=2:{PYTHON} server.py 3 new", ready=0.1, listen=listen)
        program.signal(signal.SIGHUP)
        assert len(program.wait_replaced(old)) == 2
        program.wait_for_notes("start", 4)
        assert [json.loads(note.split(maxsplit=2)[2])["words"] for note in program.notes()[2:]] == [["new"], ["new"]]
        assert program.get()[0] == 200
        assert program.stop() == 0

    def test_a_program_that_is_not_there_changes_nothing(self, program, run):
        run("web:sleep 1000")
        old = program.wait_ready(1)
        program.configure(command="web:no-such-program", listen=None)
        program.signal(signal.SIGHUP)
        program.wait_for_output("reload refused: command = web:no-such-program .* no program no-such-program")
        assert program.workers() == old

    def test_an_address_does_not_change_hands(self, program, run):
        program.write_app(WEB)
        run("web:sleep 1000", listen=f"127.0.0.1:{program.port}")
        old = program.wait_ready(1)
        program.configure(services="app:web")
        program.signal(signal.SIGHUP)
        program.wait_for_output("reload refused: listen = .* this takes a restart")
        assert program.workers() == old


class TestOutput:
    @pytest.fixture
    def streams(self, program):
        """stdout and stderr in files of their own."""
        with (program.folder / "stdout").open("ab") as stdout, (program.folder / "stderr").open("ab") as stderr:
            yield {"stdout": stdout, "stderr": stderr}

    @pytest.fixture
    def lines(self, program):
        return lambda name: (program.folder / name).read_text().splitlines()

    def test_line_by_line_with_its_origin(self, program, run, streams, lines):
        run("a=2:sh -c 'echo out {worker}; echo err >&2; printf last'", restart="never", popen=streams)
        assert program.wait_ended() == 0
        assert sorted(lines("stdout")) == ["a[0] | last", "a[0] | out 0", "a[1] | last", "a[1] | out 1"]
        assert sorted(line for line in lines("stderr") if " | " in line) == ["a[0] | err", "a[1] | err"]

    def test_all_of_it_before_its_end_is_told(self, program, run):
        run("a:sh -c 'for i in 1 2 3; do echo $i; done >&2; printf last >&2'", restart="never")
        assert program.wait_ended() == 0
        said = [line for line in program.output().splitlines() if "a[0]" in line or "ended" in line]
        assert said[:4] == ["a[0] | 1", "a[0] | 2", "a[0] | 3", "a[0] | last"]
        assert "ended: exit code 0" in said[4]

    def test_the_last_words_of_what_it_has_left_behind(self, program, run):
        run("a:sh -c '(trap \"echo bye; exit\" TERM; echo there; while :; do sleep 0.1; done) & exec sleep 1000'")
        program.wait_ready(1)
        program.wait_for_output(r"a\[0\] \| there")
        assert program.stop() == 0
        assert "a[0] | bye\n" in program.output()

    def test_json(self, program, run, streams, lines):
        run("a:sh -c 'echo out'", restart="never", log_format="json", popen=streams)
        assert program.wait_ended() == 0
        (line,) = map(json.loads, lines("stdout"))
        assert (line["logger"], line["slot"], line["stream"], line["message"]) == ("a", 0, "stdout", "out")

    def test_a_log_reader_that_hangs_holds_up_the_writer_alone(self, program, run, write):
        reader, writer = os.pipe()
        write(
            "chatty.py",
            "for i in range(30000): print('line', i, flush=True)\nnote('done')\ntime.sleep(1000)",
        )
        run(f"a:{PYTHON} chatty.py", "b:sleep 1000", popen={"stdout": writer})
        os.close(writer)
        program.wait_ready(2)
        (b,) = program.workers(service="b")
        program.signal(signal.SIGKILL, b)
        program.wait_for(lambda: program.workers(service="b") not in ([], [b]), "a replacement")
        assert "done" not in program.notes()
        with os.fdopen(reader, "rb") as lines:
            for number in range(30000):
                assert lines.readline() == b"a[0] | line %d\n" % number
            program.wait_for_notes("done")
            assert program.stop() == 0
            assert lines.read() == b""

    def test_a_stop_waits_for_no_reader(self, program, run):
        reader, writer = os.pipe()
        run("a:yes", popen={"stdout": writer, "stderr": writer})
        os.close(writer)
        program.wait_ready(1)
        assert program.stop() == 0
        program.wait_nothing_left()
        os.close(reader)
