"""Model files without pickle: skops bytes, a list of the only types they may hold, and refusal by name.

A fitted tree ensemble is only readable by the library version that wrote it: another one is refused, not guessed at.
"""

import hashlib
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from zipfile import ZIP_DEFLATED

import numpy
import scipy
import sklearn
import skops
import skops.io
from skops.io.exceptions import UntrustedTypesFoundException

from models.features import FEATURE_SET
from models.potholes import RULE_VERSION
from models.risk import RiskModel
from roadtwin.errors import ModelVersionError

TRUSTED_TYPES: tuple[str, ...] = (
    "models.additive.AdditiveLogit",
    "models.boosting.BoostedEffects",
    "models.city_level.CityLevel",
    "models.dispersion.Dispersion",
    "models.risk.RiskModel",
)
"""Types beyond skops' own list that a model file may hold. Anything else is refused."""
STRICT_LIBRARIES = ("scikit-learn", "skops")
"""Libraries whose exact version must match; the others are kept for the record."""


@dataclass(frozen=True, slots=True)
class Artefact:
    """A model as bytes, with what is needed to trust it later."""

    content: bytes
    sha256: bytes
    library_versions: Mapping[str, str]
    feature_set_version: int
    rule_version: int


def library_versions() -> dict[str, str]:
    """Versions that a fitted model depends on."""
    return {
        "python": platform.python_version(),
        "numpy": numpy.__version__,
        "scipy": scipy.__version__,
        "scikit-learn": sklearn.__version__,
        "skops": skops.__version__,
    }


def dump_model(model: RiskModel) -> Artefact:
    """The model as an artefact. Raises ModelVersionError if it holds a type that we would not read again."""
    content = skops.io.dumps(model, compression=ZIP_DEFLATED, compresslevel=6)
    _check_types(content)
    return Artefact(
        content=content,
        sha256=hashlib.sha256(content).digest(),
        library_versions=library_versions(),
        feature_set_version=FEATURE_SET.version,
        rule_version=RULE_VERSION,
    )


def load_model(artefact: Artefact) -> RiskModel:
    """The model of an artefact.

    Raises ModelVersionError, naming what differs, when the bytes are not those that were stored, when a library, the
    feature set or the pothole rule has another version, or when the file holds a type that is not on the list.
    """
    if hashlib.sha256(artefact.content).digest() != artefact.sha256:
        raise ModelVersionError("The stored model was altered: its SHA-256 differs. Run `roadtwin train`.")
    mine = library_versions()
    pairs = [(name, artefact.library_versions.get(name), mine[name]) for name in STRICT_LIBRARIES]
    pairs.append(("the feature set", str(artefact.feature_set_version), str(FEATURE_SET.version)))
    pairs.append(("the pothole rule", str(artefact.rule_version), str(RULE_VERSION)))
    differing = [f"{name} {stored} (here {installed})" for name, stored, installed in pairs if stored != installed]
    if differing:
        raise ModelVersionError(f"The stored model was made with {', '.join(differing)}. Run `roadtwin train`.")
    _check_types(artefact.content)
    try:
        model: Any = skops.io.loads(artefact.content, trusted=list(TRUSTED_TYPES))
    except UntrustedTypesFoundException as exc:
        raise ModelVersionError(f"The stored model holds types that are not trusted: {exc}") from exc
    if not isinstance(model, RiskModel):
        raise ModelVersionError(f"The stored model is a {type(model).__name__}, expected a RiskModel.")
    return model


def _check_types(content: bytes) -> None:
    foreign = sorted(set(skops.io.get_untrusted_types(data=content)) - set(TRUSTED_TYPES))
    if foreign:
        raise ModelVersionError(f"The model file holds types that are not trusted: {', '.join(foreign)}.")
