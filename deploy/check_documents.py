"""Check the documents: links inside the repository lead somewhere, and commands that are named exist."""

import re
import sys
from pathlib import Path

from roadtwin.cli.main import COMMANDS

REPOSITORY = Path(__file__).resolve().parents[1]
_LINK = re.compile(r"\[[^\]]*\]\((?!https?://|mailto:|#)([^)#\s]+)(?:#[^)]*)?\)")
_COMMAND = re.compile(r"(?:^|`|\$ )roadtwin ([a-z][a-z-]+)", re.MULTILINE)
_TARGET = re.compile(r"(?:^|`|\$ )make ([a-z][a-z-]+)(?=`|\s|$)", re.MULTILINE)


def check_document(path: Path, targets: set[str]) -> list[str]:
    """One sentence for each link, command or make target in a document that leads nowhere."""
    text = path.read_text("utf-8")
    findings = [f"the link {link} leads nowhere" for link in _LINK.findall(text) if not (path.parent / link).exists()]
    findings += [f"roadtwin {name} is not a command" for name in _COMMAND.findall(text) if name not in COMMANDS]
    findings += [f"make {name} is not a target" for name in _TARGET.findall(text) if name not in targets]
    return findings


def main() -> int:
    documents = [*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").rglob("*.md")]
    targets = set(re.findall(r"^([a-z][a-z-]*):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))
    findings = [
        f"{path.relative_to(REPOSITORY)}: {finding}"
        for path in sorted(documents)
        for finding in check_document(path, targets)
    ]
    for finding in findings:
        print(finding, file=sys.stderr)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
