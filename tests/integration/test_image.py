"""What the base image promises to those who build on it."""

from __future__ import annotations

import pytest

from tests.integration.harness import BASE_IMAGE, DEV_IMAGE

SECOND = 1_000_000_000  # nanoseconds


@pytest.fixture
def output_of(run_container):
    """Run a command in the plain base image; return what it printed."""

    def output(*command, code=0, **options):
        box = run_container(image=BASE_IMAGE, command=list(command), wait=False, **options)
        assert box.exit_code() == code, box.logs()
        return box.logs()

    return output


def test_configuration(engine):
    config = engine.images.get(BASE_IMAGE).attrs["Config"]
    assert config["User"] == "10001"
    assert (config["Entrypoint"], config["Cmd"]) == (["launcher"], ["run"])
    assert config["StopSignal"] == "SIGTERM"
    assert config["Healthcheck"]["Test"] == ["CMD", "launcher", "healthcheck"]
    assert config["Healthcheck"]["StartInterval"] == SECOND
    assert not config.get("OnBuild")
    labels = {
        f"org.opencontainers.image.{name}" for name in ("title", "description", "licenses", "version", "base.name")
    }
    assert labels <= config["Labels"].keys()
    environment = dict(pair.split("=", 1) for pair in config["Env"])
    assert environment["SSL_CERT_FILE"] == environment["REQUESTS_CA_BUNDLE"] == "/etc/ssl/certs/ca-certificates.crt"


def test_version(output_of):
    assert output_of("--version").startswith("launcher 0.")


def test_no_file_gives_privileges(output_of):
    assert not output_of("/", "-xdev", "-perm", "/6000", "-print", entrypoint=["find"], user="0", cap_drop=[])


def test_there_is_no_pip_and_no_compiler(output_of):
    command = "import importlib.util as u, shutil; print(u.find_spec('pip'), shutil.which('pip'), shutil.which('gcc'))"
    assert output_of("-c", command, entrypoint=["python3"]) == "None None None\n"


def test_certificates_and_bytecode_are_there(output_of):
    command = (
        "import ssl, pathlib, eventlet, launcher;"
        "assert ssl.create_default_context().cert_store_stats()['x509_ca'] > 50;"
        "assert all(pathlib.Path(module.__cached__).exists() for module in (eventlet, launcher))"
    )
    assert not output_of("-W", "ignore", "-c", command, entrypoint=["python3"])


def test_run_without_services_says_what_to_do(output_of):
    (line,) = output_of(code=78).splitlines() or [""]
    assert line.startswith("launcher: error:")
    assert "services" in line


def test_check_prints_the_grace_period(run_container):
    command = ["check", "--graceful-shutdown-timeout", "20", "--drain-delay", "5", "app:api=2"]
    box = run_container(command=command, wait=False)
    assert box.exit_code() == 0
    assert "terminationGracePeriodSeconds to at least 27 s" in box.logs()


@pytest.mark.timeout(300)
def test_the_unit_tests_pass_in_the_dev_image(run_container):
    # As `docker run` does it: some tests are about other users, and take root's capabilities.
    plain = {"read_only": False, "cap_drop": [], "security_opt": [], "tmpfs": {}}
    box = run_container(image=DEV_IMAGE, command=["pytest", "-q", "tests/unit"], wait=False, **plain)
    code = int(box.container.wait(timeout=280)["StatusCode"])
    assert code == 0, f"exit code {code}; the output is below"
