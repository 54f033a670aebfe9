"""Test that the image is small, locked down, quick to start, and reports its health."""

import shutil
import time
import tomllib
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from containers.conftest import ROOT, StartContainer
from containers.engine import BUILD_TIMEOUT_S, Engine, call, wait_for

MB = 1000 * 1000  # as `docker images` counts
SIZE_LIMIT_BYTES = 75 * MB
COLD_START_LIMIT_S = 1.0
HEALTHCHECK_LIMIT_MS = 150
IDLE_MEMORY_LIMIT_BYTES = 80 * MB
LOCKED_DOWN = (
    *("--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"),
    *("--memory", "512m", "--cpus", "1.0"),
)

pytestmark = [pytest.mark.containers, pytest.mark.timeout(BUILD_TIMEOUT_S)]


@pytest.fixture
def config(engine: Engine, image: str) -> Any:
    """Return the configuration of the image."""
    return engine.inspect("image", image)["Config"]


def run_inside(engine: Engine, image: str, command: str) -> list[str]:
    """Return the output lines of a shell command in a new container, run as the image's user."""
    return engine.docker("run", "--rm", "--entrypoint", "bash", image, "-c", command).splitlines()


@pytest.mark.usefixtures("engine")
def test_nothing_but_what_the_image_is_made_from_reaches_the_builder(tree: Path, tmp_path: Path) -> None:
    folder = tmp_path / "worked-in"
    shutil.copytree(tree, folder)
    for name in (".env", "data/items.db", ".git/config", ".venv/bin/python", "src/devops_api/__pycache__/app.pyc"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("secret")
    (folder / "docker/Dockerfile").write_text("FROM scratch\nCOPY . /\n")
    received = tmp_path / "received"
    Engine(folder, {}).docker("build", "-f", "docker/Dockerfile", "--output", str(received), ".")
    files = {path.relative_to(received).as_posix() for path in received.rglob("*") if path.is_file()}
    code = {path.relative_to(tree).as_posix() for path in (tree / "src").rglob("*") if path.is_file()}
    assert files == code | {"LICENSE", "README.md", "pyproject.toml", "uv.lock"}


def test_three_layers_and_at_most_75_mb_lie_above_the_base(engine: Engine, image: str, base: str) -> None:
    built, below = engine.inspect("image", image), engine.inspect("image", base)
    layers = built["RootFS"]["Layers"]
    assert layers[: len(below["RootFS"]["Layers"])] == below["RootFS"]["Layers"]
    assert len(layers) - len(below["RootFS"]["Layers"]) == 3, "user with byte code, dependencies, code"
    assert engine.measure_layers(image) - engine.measure_layers(base) <= SIZE_LIMIT_BYTES


def test_the_image_declares_user_volume_port_health_and_labels(config: Any) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert config["User"].partition(":")[0].isdigit()
    assert config["User"].partition(":")[0] != "0"
    assert list(config["Volumes"]) == ["/data"]
    assert list(config["ExposedPorts"]) == ["8000/tcp"]
    second_ns = 1_000_000_000
    assert config["Healthcheck"] == {
        "Test": ["CMD", "devops-api", "healthcheck"],
        "Interval": 30 * second_ns,
        "Timeout": 3 * second_ns,
        "StartPeriod": 5 * second_ns,
        "Retries": 3,
    }
    labels = config["Labels"]
    assert labels["maintainer"] == "devops-student"
    assert labels["version"] == labels["org.opencontainers.image.version"] == project["version"]
    assert labels["org.opencontainers.image.title"] == project["name"]
    assert labels["org.opencontainers.image.licenses"] == project["license"]


def test_the_environment_holds_nothing_but_the_documented_variables(engine: Engine, config: Any, base: str) -> None:
    def read(environment: list[str]) -> dict[str, str]:
        return dict(entry.split("=", 1) for entry in environment)

    inherited = read(engine.inspect("image", base)["Config"]["Env"])
    own = {name: value for name, value in read(config["Env"]).items() if inherited.get(name) != value}
    assert own.pop("PATH").endswith(inherited["PATH"])
    assert own == {
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "DEVOPS_API_HOST": "0.0.0.0",  # noqa: S104 - inside the container
        "DEVOPS_API_DATABASE_URL": "sqlite:////data/items.db",
    }


def test_appuser_can_write_to_the_data_and_temporary_folders_alone(engine: Engine, image: str) -> None:
    assert run_inside(engine, image, "whoami") == ["appuser"]
    writable = run_inside(engine, image, "find / -xdev -writable -not -type l 2>/dev/null || true")
    assert set(writable) - {"/run/lock"} == {"/data", "/tmp", "/var/tmp"}  # noqa: S108 - the image's own


def test_no_build_tool_cache_or_test_is_left_in_the_image(engine: Engine, image: str) -> None:
    look = (
        "command -v uv gcc cc clang make; ls -A /root/.cache /build /var/lib/apt/lists/*_* 2>/dev/null; "
        "find /opt \\( -name tests -o -name pytest -o -name hypothesis -o -name .lock -o -name '*.[ch]' \\) -print"
    )
    assert engine.docker("run", "--rm", "--user", "0", "--entrypoint", "bash", image, "-c", look) == ""
    assert run_inside(engine, image, "ls /opt") == ["app", "venv"]


def test_the_code_belongs_to_root(engine: Engine, image: str) -> None:
    assert run_inside(engine, image, "find /opt -not -user root -o -not -group root -o -perm /go=w -not -type l") == []


def test_everything_that_the_service_imports_is_there_as_byte_code(engine: Engine, image: str) -> None:
    done = engine.run("run", "--rm", "--entrypoint", "python", image, "-v", "-c", "import devops_api.cli.serve")
    assert done.returncode == 0, done.stdout
    assert "import 'devops_api.cli.serve'" in done.stdout
    compiled_at_start = [line for line in done.stdout.splitlines() if line.startswith("# code object from '/")]
    assert [line for line in compiled_at_start if ".pyc" not in line] == []


def test_a_change_of_code_alone_rebuilds_the_last_layer_alone(
    engine: Engine, image: str, base: str, tree: Path, tmp_path: Path
) -> None:
    changed = tmp_path / "changed"
    shutil.copytree(tree, changed)
    with (changed / "src/devops_api/__init__.py").open("a") as module:
        module.write(f"# Changed at {time.time_ns()}.\n")
    name = f"{image}-changed"
    Engine(changed, {}).build(name, "--build-arg", f"PYTHON_IMAGE={base}")
    try:
        before, after = (engine.inspect("image", each)["RootFS"]["Layers"] for each in (image, name))
    finally:
        engine.docker("image", "rm", "--force", name)
    assert after[:-1] == before[:-1]
    assert after[-1] != before[-1]


def test_the_service_works_read_only_without_capabilities_and_within_limits(start: StartContainer) -> None:
    container = start(*LOCKED_DOWN)
    created = call("POST", f"{container.url}/items", {"name": "Test", "price": 9.99})
    assert created.status == 201
    read = call("GET", container.url + created.headers["location"])
    assert (read.json()["name"], read.json()["price"]) == ("Test", 9.99)
    assert call("GET", f"{container.url}/metrics").status == 200
    container.exec("devops-api", "healthcheck")


def test_items_outlive_their_container_in_a_volume(engine: Engine, start: StartContainer) -> None:
    first = start(*LOCKED_DOWN)
    location = call("POST", f"{first.url}/items", {"name": "kept", "price": 1}).headers["location"]
    engine.docker("stop", first.name)
    second = start(*LOCKED_DOWN, "--volumes-from", first.name)
    assert call("GET", second.url + location).json()["name"] == "kept"


def test_stop_ends_the_service_with_exit_code_0_before_the_engine_kills_it(
    engine: Engine, start: StartContainer
) -> None:
    container = start()
    started = time.monotonic()
    engine.docker("stop", container.name)
    assert time.monotonic() - started < 10
    assert container.state()["ExitCode"] == 0
    assert [line["event"] for line in container.log_lines()][-1] == "stopped"


def test_the_first_200_comes_within_a_second_of_the_start(start: StartContainer) -> None:
    # The best of three: a busy machine only adds time.
    assert min(measure_cold_start_s(start) for _ in range(3)) <= COLD_START_LIMIT_S


def measure_cold_start_s(start: StartContainer) -> float:
    """Return the seconds from process start to the first 200, measured outside the container."""
    container = start()
    served_at = time.time()
    started_at = container.state()["StartedAt"]  # datetime reads six of its nine digits
    return served_at - datetime.fromisoformat(f"{started_at[:26].rstrip('Z')}+00:00").timestamp()


def test_the_health_check_takes_less_than_150_ms(start: StartContainer) -> None:
    container = start()
    # Timed inside the container, because `docker exec` itself takes time.
    timed = container.exec(
        "bash",
        "-c",
        "for _ in {1..9}; do a=${EPOCHREALTIME/./}; devops-api healthcheck >/dev/null || exit 1; "
        "b=${EPOCHREALTIME/./}; echo $((b - a)); done",
    )
    assert min(int(line) / 1000 for line in timed.splitlines()) < HEALTHCHECK_LIMIT_MS


def test_an_idle_service_stays_below_80_mb(start: StartContainer) -> None:
    status = start().exec("cat", "/proc/1/status")
    resident = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
    assert int(resident.split()[1]) * 1024 < IDLE_MEMORY_LIMIT_BYTES


def test_the_engine_finds_the_container_healthy(start: StartContainer) -> None:
    container = start("--health-interval", "1s")
    health = wait_for("a healthy container", lambda: _healthy(container.state()["Health"]), timeout_s=15)
    assert health["Log"][-1]["ExitCode"] == 0


def test_the_engine_finds_a_service_that_does_not_answer_unhealthy(engine: Engine, start: StartContainer) -> None:
    container = start("--health-interval", "1s", "--health-timeout", "1s", "--health-start-period", "1s")
    engine.docker("kill", "--signal", "STOP", container.name)
    wait_for("an unhealthy container", lambda: container.state()["Health"]["Status"] == "unhealthy", timeout_s=30)


def _healthy(health: Any) -> Any:
    return health if health["Status"] == "healthy" else None
