"""Make the secrets of docker-compose.yml: one file each in ./secrets, with new random passwords.

Files that exist are kept, so running it again changes nothing. The folder is closed to other users; the files in it are
readable, because Docker hands them to users of the containers as they are.
"""

import argparse
import base64
import hashlib
import secrets
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
USER = "roadtwin"
_ITERATIONS = 101  # Mosquitto's own number; the password is 192 random bits, so stretching it adds nothing


def mosquitto_passwd_line(user: str, password: str) -> str:
    """A line of Mosquitto's password file: PBKDF2-HMAC-SHA512 with 12 bytes of salt (format 7)."""
    salt = secrets.token_bytes(12)
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, _ITERATIONS)
    return f"{user}:$7${_ITERATIONS}${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}\n"


def make_secrets(folder: Path) -> list[str]:
    """Write what is missing in `folder` and give the names of the files written."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    database_password, mqtt_password = secrets.token_hex(24), secrets.token_hex(24)
    groups = (
        {
            "database_password": database_password,
            "roadtwin_database_url": f"postgresql://{USER}:{database_password}@database:5432/roadtwin",
        },
        {
            "mosquitto_passwd": mosquitto_passwd_line(USER, mqtt_password),
            "roadtwin_mqtt_url": f"mqtt://{USER}:{mqtt_password}@broker:1883",
        },
        {"roadtwin_pseudonym_key": secrets.token_hex(32)},
    )
    written = []
    for group in groups:
        missing = [name for name in group if not (folder / name).exists()]
        if missing and len(missing) < len(group):
            # Half of a pair cannot be made to fit the other half.
            raise SystemExit(f"make_secrets: {', '.join(missing)} is missing in {folder} but not its counterpart.")
        for name in missing:
            (folder / name).write_text(group[name])
            (folder / name).chmod(0o644)
            written.append(name)
    return written


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=REPOSITORY / "secrets", help="where to write (default: secrets)")
    folder = parser.parse_args().folder
    written = make_secrets(folder)
    print(f"make_secrets: {'wrote ' + ', '.join(written) if written else 'nothing to do'} in {folder}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
