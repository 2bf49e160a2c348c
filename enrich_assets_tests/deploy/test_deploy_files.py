"""The files in deploy/ and the workflow: what they name is really there, and nothing secret stands in them."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import boto3
import pytest
import yaml
from moto.server import ThreadedMotoServer
from packaging.specifiers import SpecifierSet

PROJECT = Path(__file__).resolve().parents[2]
DEPLOY = PROJECT / "deploy"
DOCKERFILE = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
VALUES = yaml.safe_load((DEPLOY / "kubernetes.values.yaml").read_text(encoding="utf-8"))
INSTANCE = yaml.safe_load((DEPLOY / "dagster.postgres.yaml").read_text(encoding="utf-8"))
WORKFLOW_TEXT = (PROJECT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")
WORKFLOW = yaml.safe_load(WORKFLOW_TEXT)
OURS = {name: service for name, service in COMPOSE["services"].items() if "build" in service}
SECRETS = ("PGPASSWORD", "POSTGRES_PASSWORD", "KEY_ID", "ACCESS_KEY", "SECRET", "API_KEY", "TOKEN", "WEBHOOK")
LIBPQ = {"PGPASSWORD"}  # https://www.postgresql.org/docs/current/libpq-envars.html
MODEL_KEYS = {"OPENAI_API_KEY"}  # read where settings name it: `api_key: {env: OPENAI_API_KEY}`
IMAGES_OWN = {
    "postgres": {"POSTGRES_USER", "POSTGRES_DB", "POSTGRES_PASSWORD"},
    "storage": {"ROOT_ACCESS_KEY_ID", "ROOT_SECRET_ACCESS_KEY"},
}
PYTHONS = SpecifierSet(">=3.11,<3.14")  # what scripts/lock resolves for


def command_lines() -> dict[str, list[str]]:
    """Every command line that our image executes, by where it stands."""
    found = {"Dockerfile": json.loads(re.findall(r"^CMD (.*)$", DOCKERFILE, re.MULTILINE)[-1])}
    for name, service in OURS.items():
        found[name] = service["command"]
        if "healthcheck" in service:
            how, *command = service["healthcheck"]["test"]
            assert how == "CMD"
            found[f"{name} healthcheck"] = command
    for deployment in VALUES["dagster-user-deployments"]["deployments"]:
        # As the chart begins it, in templates/deployment-user.yaml.
        began = ["dagster", "api", "grpc", "-h", "0.0.0.0", "-p", str(deployment["port"])]
        found[f"kubernetes {deployment['name']}"] = [*began, *deployment["dagsterApiGrpcArgs"]]
    return found


@cache
def help_of(*words: str) -> str:
    program = Path(sys.executable).with_name(words[0])
    assert program.is_file(), f"{words[0]} is not installed with the project"
    done = subprocess.run(
        [str(program), *words[1:], "--help"],
        env={**os.environ, "PYTHONWARNINGS": "ignore", "COLUMNS": "200"},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("where", command_lines())
def test_every_command_line_names_a_real_program_with_real_options(where: str) -> None:
    program, *words = command_lines()[where]
    if program == "python":
        flag, code = words
        assert flag == "-c"
        compile(code, where, "exec")
        return
    first_option = next((i for i, word in enumerate(words) if word.startswith("-")), len(words))
    told = help_of(program, *words[:first_option])
    for option in [word for word in words[first_option:] if word.startswith("-")]:
        assert re.search(rf"(^|[\s,]){re.escape(option)}[\s,]", told, re.MULTILINE), f"{option}\n{told}"
    if "-m" in words:
        assert importlib.util.find_spec(words[words.index("-m") + 1]) is not None
    if "-w" in words:
        assert words[words.index("-w") + 1] == "workspace.yaml"
        assert (
            "deploy/workspace.yaml /opt/dagster/workspace.yaml" in DOCKERFILE and "WORKDIR /opt/dagster" in DOCKERFILE
        )


def test_ports_agree_between_servers_clients_and_health_checks() -> None:
    (server,) = yaml.safe_load((DEPLOY / "workspace.yaml").read_text(encoding="utf-8"))["load_from"]
    asked, served = server["grpc_server"], command_lines()["code"]
    assert (asked["host"] in OURS, str(asked["port"])) == (True, served[served.index("-p") + 1])
    assert command_lines()["code healthcheck"][-1] == str(asked["port"])
    assert command_lines()["Dockerfile"] == served
    webserver = command_lines()["webserver"]
    port = webserver[webserver.index("-p") + 1]
    assert OURS["webserver"]["ports"] == [f"127.0.0.1:{port}:{port}"]
    assert f":{port}/server_info" in command_lines()["webserver healthcheck"][-1]
    assert (
        f":{COMPOSE['services']['storage']['command'][1].strip(':')}" in OURS["code"]["environment"]["AWS_ENDPOINT_URL"]
    )


def test_every_service_that_stays_has_a_health_check_and_starts_after_what_it_needs() -> None:
    services = COMPOSE["services"]
    assert set(services) == {"webserver", "daemon", "code", "bucket", "postgres", "storage"}
    assert {name for name, service in services.items() if "healthcheck" not in service} == {"bucket"}
    for service in services.values():
        for needed, condition in service.get("depends_on", {}).items():
            expected = "service_healthy" if "healthcheck" in services[needed] else "service_completed_successfully"
            assert condition == {"condition": expected}
        for volume in service.get("volumes", []):
            assert volume.split(":")[0] in COMPOSE["volumes"]


def test_every_variable_is_one_that_its_program_reads() -> None:
    sources = "\n".join(path.read_text(encoding="utf-8") for path in (PROJECT / "enrich_assets").rglob("*.py"))
    ours = set(re.findall(r"""["'](ENRICH_[A-Z_]+|DAGSTER_HOME)["']""", sources))
    read = ours | {INSTANCE["storage"]["postgres"]["postgres_url"]["env"]} | LIBPQ | MODEL_KEYS | _botocore_variables()
    assert {"ENRICH_STORAGE", "ENRICH_LEDGER_URL"} <= read
    for name, service in COMPOSE["services"].items():
        named = set(service["environment"])
        assert named <= (read if name in OURS else IMAGES_OWN[name]), name
    image = set(re.findall(r"\b([A-Z_]+)=", re.findall(r"^ENV (.*)$", DOCKERFILE, re.MULTILINE)[0]))
    assert image <= {"PATH", "PYTHONUNBUFFERED", *read}


def test_secrets_come_from_the_environment_alone() -> None:
    for service in COMPOSE["services"].values():
        for name, value in service["environment"].items():
            if any(word in name for word in SECRETS):
                assert value is None or re.fullmatch(r"\$\{[A-Z_]+:\?[^}]+\}", value), name
    texts = [path.read_text(encoding="utf-8") for path in (*DEPLOY.iterdir(), PROJECT / ".github/workflows/ci.yml")]
    assert not [text for text in texts if re.search(r"://[^/\s:@]+:[^@\s]+@", text)], "a URL with a password"
    (deployment,) = VALUES["dagster-user-deployments"]["deployments"]
    assert deployment["envSecrets"] == [{"name": "enrich"}]
    assert VALUES["postgresql"]["postgresqlScheme"] == "postgresql+psycopg2"
    assert "postgresqlPassword" not in VALUES["postgresql"] and VALUES["generatePostgresqlPasswordSecret"] is False


def test_the_image_is_built_of_files_that_exist_by_hashes_and_runs_without_root() -> None:
    copied = [line.split()[1:-1] for line in DOCKERFILE.splitlines() if line.startswith("COPY")]
    ignored = (DEPLOY / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    sources = {s for words in copied if not any(w.startswith("--from") for w in words) for s in words if s[0] != "-"}
    assert sources >= {"requirements.lock", "enrich_assets", "deploy/dagster.postgres.yaml"}
    for source in sources:
        assert (PROJECT / source).exists(), source
        assert f"!{source}" in ignored, source
    installs = [line for line in DOCKERFILE.replace("\\\n", " ").split("&&") if "pip install" in line]
    assert len(installs) == 4
    assert [("--require-hashes" in line, "--no-deps" in line) for line in installs] == [(True, False)] * 3 + [
        (False, True)
    ]
    assert re.findall(r"^USER (.*)$", DOCKERFILE, re.MULTILINE) == ["10001"]
    (version,) = re.findall(r"^ARG PYTHON_VERSION=(.*)$", DOCKERFILE, re.MULTILINE)
    assert PYTHONS.contains(version)
    assert set(re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)) == {"python:${PYTHON_VERSION}-slim"}


def test_the_image_finds_uv_and_the_builder_with_their_hashes_in_the_lock(tmp_path: Path) -> None:
    (tmp_path / "requirements.lock").symlink_to(PROJECT / "requirements.lock")
    for command in re.findall(r"\b(sed -n .*? >\S+)", DOCKERFILE):
        subprocess.run(["sh", "-ec", command], cwd=tmp_path, check=True, timeout=20)
    uv = (tmp_path / "uv.txt").read_text(encoding="utf-8")
    assert re.match(r"uv==\S+ \\\n    --hash=sha256:[0-9a-f]{64}", uv)
    assert not uv.rstrip().endswith("\\") and len(re.findall("==", uv)) == 1
    assert re.fullmatch(r"hatchling==\S+\n", (tmp_path / "hatchling.txt").read_text(encoding="utf-8"))


def test_version_and_image_are_the_same_everywhere() -> None:
    version = re.findall(r'^version = "(.*)"$', (PROJECT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)
    image = f"enrich-assets:{version[0]}"
    assert {service["image"] for service in OURS.values()} == {image}
    assert image in DOCKERFILE
    (deployment,) = VALUES["dagster-user-deployments"]["deployments"]
    for part in (deployment, VALUES["dagsterDaemon"], VALUES["dagsterWebserver"]):
        assert f"{part['image']['repository']}:{part['image']['tag']}" == image
    assert f"## [{version[0]}]" in (PROJECT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_postgres_and_kubernetes_keep_the_limits_of_the_own_instance() -> None:
    own = yaml.safe_load((PROJECT / "dagster.yaml").read_text(encoding="utf-8"))
    kept = {
        key: value for key, value in own.items() if key not in ("storage", "compute_logs", "local_artifact_storage")
    }
    assert {key: value for key, value in INSTANCE.items() if key != "storage"} == kept
    queue = VALUES["dagsterDaemon"]["runCoordinator"]["config"]["queuedRunCoordinator"]
    assert queue["maxConcurrentRuns"] == own["concurrency"]["runs"]["max_concurrent_runs"]
    assert queue["tagConcurrencyLimits"] == own["concurrency"]["runs"]["tag_concurrency_limits"]
    assert VALUES["additionalInstanceConfig"]["run_retries"] == own["run_retries"]
    assert VALUES["retention"]["sensor"]["purgeAfterDays"] == own["retention"]["sensor"]["purge_after_days"]
    assert VALUES["retention"]["schedule"]["purgeAfterDays"] == own["retention"]["schedule"]["purge_after_days"]


@pytest.fixture
def storage_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    environment = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": OURS["bucket"]["environment"]["AWS_DEFAULT_REGION"],
        "ENRICH_STORAGE": OURS["bucket"]["environment"]["ENRICH_STORAGE"],
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    yield environment
    server.stop()


def test_the_bucket_is_made_once_and_found_the_second_time(storage_server: dict[str, str]) -> None:
    _, *words = command_lines()["bucket"]
    environment = {**os.environ, **storage_server, "PYTHONWARNINGS": "ignore"}
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, *words], env=environment, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
    assert [bucket["Name"] for bucket in boto3.client("s3").list_buckets()["Buckets"]] == ["enrich"]


def test_the_workflow_calls_the_projects_own_scripts_on_each_supported_python() -> None:
    jobs = WORKFLOW["jobs"]
    lines = [step["run"] for job in jobs.values() for step in job["steps"] if "run" in step]
    assert sorted(lines) == ["scripts/check", "scripts/test"]
    for line in lines:
        assert os.access(PROJECT / shlex.split(line)[0], os.X_OK)
    assert jobs["test"]["strategy"]["matrix"]["python-version"] == ["3.11", "3.12", "3.13"]
    assert all(PYTHONS.contains(version) for version in jobs["test"]["strategy"]["matrix"]["python-version"])
    used = {step["uses"].split("@")[0] for job in jobs.values() for step in job["steps"] if "uses" in step}
    assert used == {"actions/checkout", "actions/setup-python"}
    assert "://" not in WORKFLOW_TEXT and "secrets." not in WORKFLOW_TEXT
    assert WORKFLOW["permissions"] == {"contents": "read"}
    assert set(WORKFLOW[True]) == {"push", "pull_request"}  # YAML 1.1 reads the key `on` as true


def _botocore_variables() -> set[str]:
    """Names of the variables that botocore, and with it s3fs, reads."""
    from botocore.configprovider import BOTOCORE_DEFAUT_SESSION_VARIABLES
    from botocore.credentials import EnvProvider

    found: set[str] = {EnvProvider.ACCESS_KEY, EnvProvider.SECRET_KEY}
    found.add("AWS_ENDPOINT_URL")  # made up of parts there; the tests of the store on S3 show that it is read
    for _, names, *_ in BOTOCORE_DEFAUT_SESSION_VARIABLES.values():
        found |= {names} if isinstance(names, str) else set(names or ())
    return found
