"""Check docker-compose.yml without Docker: its shape, and that it names only what exists.

Shape: `compose.schema.json`. Names: settings, commands and their options, services that others wait for (with a health
check where they wait for health), volumes, secrets, files that are mounted.
"""

import importlib
import json
import re
import sys
from pathlib import Path
from typing import Any

import jsonschema
import typer
import yaml

from roadtwin.cli.main import COMMANDS
from roadtwin.settings import Settings

REPOSITORY = Path(__file__).resolve().parents[1]
NOT_SETTINGS = {"ROADTWIN_SECRETS_DIR"}  # read by load_settings itself
# Typer carries its own Click and exports only some of its exceptions; all of them are usage errors.
USAGE_ERROR: type[Exception] = typer.BadParameter.__mro__[1]


def check_compose(text: str) -> list[str]:
    """One sentence for each thing that is wrong; empty when nothing is."""
    compose = yaml.safe_load(text)
    schema = json.loads((REPOSITORY / "deploy/compose.schema.json").read_text())
    errors = sorted(jsonschema.Draft202012Validator(schema).iter_errors(compose), key=lambda e: list(e.absolute_path))
    if errors:
        return [f"{'.'.join(map(str, error.absolute_path)) or 'top level'}: {error.message}" for error in errors]
    findings = []
    for name, service in compose["services"].items():
        findings += [f"{name}: {finding}" for finding in _check_service(service, compose)]
    return findings


def _check_service(service: dict[str, Any], compose: dict[str, Any]) -> list[str]:
    known = {f"ROADTWIN_{name.upper()}" for name in Settings.model_fields} | NOT_SETTINGS
    secrets = service.get("secrets", [])
    named = [*service.get("environment", {}), *(secret.upper() for secret in secrets)]
    findings = [f"{name} is not a setting" for name in named if name.startswith("ROADTWIN_") and name not in known]
    findings += [f"the secret {secret} is not declared" for secret in secrets if secret not in compose["secrets"]]
    for volume in service.get("volumes", []):
        source = volume.split(":")[0]
        if source.startswith("./") and not (REPOSITORY / source).exists():
            findings.append(f"there is no file {source}")
        if not source.startswith("./") and source not in compose["volumes"]:
            findings.append(f"the volume {source} is not declared")
    for other, waits_for in service.get("depends_on", {}).items():
        if other not in compose["services"]:
            findings.append(f"it waits for {other}, which is not a service")
        elif waits_for["condition"] == "service_healthy" and "healthcheck" not in compose["services"][other]:
            findings.append(f"it waits for the health of {other}, which has no health check")
    if "build" in service:
        findings += _check_command(service.get("command", ["serve"]))
    return findings


def _check_command(words: list[str]) -> list[str]:
    """Parse a `roadtwin` command line with the command's own parser, without running it."""
    name, *arguments = words
    if name not in COMMANDS:
        return [f"roadtwin {name} is not a command"]
    try:
        module = importlib.import_module(COMMANDS[name])
    except ModuleNotFoundError as exc:
        return [f"roadtwin {name} cannot be loaded ({exc})"]
    command = typer.main.get_command(module.app)
    try:
        command.make_context(f"roadtwin {name}", list(arguments))
    except USAGE_ERROR as exc:
        return [f"roadtwin {' '.join(words)}: {exc}"]
    except typer.Exit:
        return [f"roadtwin {' '.join(words)} only shows its help"]
    return []


def check_dockerfile(text: str) -> list[str]:
    """What the image copies must exist, and it must not run as root."""
    findings = []
    for source in re.findall(r"^COPY (?!--from)(.+) \S+$", text, re.MULTILINE):
        findings += [
            f"COPY {path}: there is no such file" for path in source.split() if not (REPOSITORY / path).exists()
        ]
    if not re.search(r"^USER (?!root)\w+$", text, re.MULTILINE):
        findings.append("it runs as root")
    return findings


def main() -> int:
    findings = [f"docker-compose.yml: {f}" for f in check_compose((REPOSITORY / "docker-compose.yml").read_text())]
    findings += [f"Dockerfile: {f}" for f in check_dockerfile((REPOSITORY / "Dockerfile").read_text())]
    for finding in findings:
        print(finding, file=sys.stderr)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
