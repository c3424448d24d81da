"""`python -m launcher.oslo PROGRAM` and `launcher run --oslo PROGRAM`."""

from __future__ import annotations

import os
import subprocess
import sys
from signal import SIGTERM

import pytest

from tests.functional.cases import both_backends, both_ways, on_threads
from tests.functional.program import LAUNCHER

WAYS = [(sys.executable, "-m", "launcher.oslo"), (*LAUNCHER, "run", "--oslo")]
either_way = pytest.mark.parametrize("way", WAYS, ids=["module", "command"])
SAY = "#!/usr/bin/env python3\nimport sys\nprint(__name__, __file__, *sys.argv, sys.path[0], sep='|')\n"


def ran(way, *arguments, cwd, **environ):
    environ = {"PATH": os.environ["PATH"], "PYTHONWARNINGS": "ignore", **environ}
    return subprocess.run([*way, *arguments], cwd=cwd, env=environ, capture_output=True, text=True, check=False)


@either_way
def test_a_console_script_on_path_is_run_as_if_by_itself(way, tmp_path):
    script = tmp_path / "bin" / "nova-conductor"
    script.parent.mkdir()
    script.write_text(SAY)
    script.chmod(0o755)
    done = ran(way, "nova-conductor", "--config-file", "x", cwd=tmp_path, PATH=f"{script.parent}:{os.environ['PATH']}")
    assert done.stdout == f"__main__|{script}|{script}|--config-file|x|{script.parent}\n", done.stderr


@either_way
def test_a_file_and_a_module_are_run_as_well(way, tmp_path):
    (tmp_path / "program.py").write_text(SAY)
    file = tmp_path / "program.py"
    assert ran(way, "./program.py", cwd=tmp_path).stdout == f"__main__|./program.py|./program.py|{tmp_path}\n"
    assert ran(way, "program", cwd=tmp_path).stdout == f"__main__|{file}|{file}|{tmp_path}\n"


def test_a_package_that_imports_oslo_service_is_replaced_in_time(tmp_path):
    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").write_text("import oslo_service.service\n")
    (package / "program.py").write_text("import oslo_service\nprint(oslo_service.__name__)\n")
    assert ran(WAYS[0], "package.program", cwd=tmp_path).stdout == "launcher.oslo\n"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "no program to run"),
        (["no-such-program"], 127, "no-such-program: there is no such program on PATH, and no such file or module"),
        (["./no-such-file"], 127, "./no-such-file: there is no such file"),
        (["ls"], 126, "ls is no Python program; launcher exec runs any other"),
        (["./shell"], 126, "./shell is no Python program; launcher exec runs any other"),
        (["no.such.module"], 127, "no.such.module: there is no such program on PATH, and no such file or module"),
        (["email"], 126, "email is a package without __main__; name a module in it"),
    ],
)
@either_way
def test_what_cannot_be_run_is_one_line_and_a_code(way, arguments, code, message, tmp_path):
    (tmp_path / "shell").write_text("#!/bin/sh\nexit 5\n")
    done = ran(way, *arguments, cwd=tmp_path)
    assert done.returncode == code
    assert done.stderr.startswith("launcher: error: ")
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_what_a_package_around_the_program_lacks_is_not_taken_for_the_program(tmp_path):
    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").write_text("import no_such_dependency\n")
    (package / "program.py").touch()
    done = ran(WAYS[0], "package.program", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.endswith("ModuleNotFoundError: No module named 'no_such_dependency'\n")


def test_an_error_of_ours_in_the_program_is_one_line_too(tmp_path):
    (tmp_path / "program.py").write_text("""
from oslo_config import cfg
from oslo_service import service
conf = cfg.ConfigOpts()
conf([], default_config_files=["program.conf"])
service.launch(conf, service.Service(), workers=2).wait()
""")
    (tmp_path / "program.conf").write_text("[DEFAULT]\ngraceful_shutdown_timeout = -5\n")
    done = ran(WAYS[0], "./program.py", cwd=tmp_path)
    assert done.returncode == 78
    assert done.stderr == "launcher: error: graceful_shutdown_timeout = -5: must be 0 or more seconds\n"


@either_way
def test_the_programs_own_code_and_what_it_raises_come_through(way, tmp_path):
    (tmp_path / "program.py").write_text("import sys\nif sys.argv[1:]: raise LookupError('lost')\nsys.exit(7)\n")
    assert ran(way, "./program.py", cwd=tmp_path).returncode == 7
    done = ran(way, "./program.py", "raise", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.endswith("LookupError: lost\n")


@both_ways
def test_a_term_while_the_program_is_imported_ends_it(run):
    script = run("note('imports')\nuntil_told('never')")
    script.wait_for_notes("imports")
    assert script.stop() in {143, -SIGTERM}


@both_ways
@both_backends
def test_a_term_between_launch_and_wait_stops_it_gracefully(run):
    script = run("""
        from oslo_service import service
        class Quick(service.Service):
            def stop(self, graceful=False):
                note("stopped")
                super().stop(graceful)
        running = service.launch(conf, Quick())
        note("launched")
        until_told("go")
        running.wait()
    """)
    script.wait_for_notes("launched")
    script.send(SIGTERM)
    script.tell("go")
    assert script.end() == 0
    assert script.notes("stopped")


@both_backends
def test_a_service_whose_wait_fails_ends_its_worker_with_2(run):
    script = run("""
        from oslo_service import service
        class Lost(service.Service):
            def wait(self):
                raise LookupError("lost")
        sys.exit(service.launch(conf, Lost(), workers=2).wait())
    """)
    script.wait_for_errors("ended: exit code 2", count=2)
    assert "launcher/worker/main.py" not in script.errors()
    assert script.stop() in {0, 2}


@on_threads
def test_threads_that_do_not_end_hold_a_stopped_program_up_for_a_while_only(run):
    script = run("""
        import threading
        from oslo_service import service
        threading.Thread(target=until_told, args=("never",)).start()
        running = service.launch(conf, service.Service())
        note("launched")
        running.wait()
    """)
    script.wait_for_notes("launched")
    assert script.stop() == 1
    assert "in until_told" in script.errors()
