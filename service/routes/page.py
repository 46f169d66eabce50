"""Pages for people that are made from answers of the API."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Query, Response

from service.document import to_html, to_markdown
from service.model_page import Language, model_document
from service.problems import responses
from service.routes.model import active_model, list_comparisons, newest_monitoring
from service.security import Reader
from service.state import Db, Now

router = APIRouter(tags=["model"])

_OTHER: dict[Language, tuple[Language, str]] = {"de": ("en", "English"), "en": ("de", "Deutsch")}
_CONTENT: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/html": {}, "text/markdown": {}}, "description": "The page."}
}


@router.get("/model", response_class=Response, responses=responses(401, 404) | _CONTENT)
async def read_model_page(
    db: Db,
    now: Now,
    reader: Reader,
    lang: Annotated[Literal["de", "en"] | None, Query(description="Language; else as the browser asks.")] = None,
    accept: Annotated[str, Header(description="text/markdown gives Markdown; anything else HTML.")] = "*/*",
    accept_language: Annotated[str, Header()] = "de",
) -> Response:
    """The model card as a page: HTML, or Markdown for who accepts `text/markdown`; German and English."""
    language: Language = lang or preferred_language(accept_language)
    monitoring = await newest_monitoring(db, now=now)
    comparisons = await list_comparisons(db, reader, limit=20)
    document = model_document(
        await active_model(db),
        monitoring.model_dump() if monitoring else None,
        [comparison.model_dump() for comparison in comparisons.comparisons],
        language,
    )
    headers = {"Vary": "Accept, Accept-Language", "Content-Language": language, "Cache-Control": "no-cache"}
    if prefers_markdown(accept):
        return Response(to_markdown(document), headers=headers, media_type="text/markdown; charset=utf-8")
    other, name = _OTHER[language]
    links = ((name, f"/model?lang={other}"), ("JSON", "/v1/model"))
    return Response(to_html(document, links=links), headers=headers, media_type="text/html; charset=utf-8")


def _weights(header: str) -> dict[str, float]:
    """Values of an Accept header with their weights (RFC 9110, 12.4.2); what cannot be read counts nothing."""
    weights = {}
    for part in header.split(","):
        value, *parameters = (piece.strip().lower() for piece in part.split(";"))
        weight = next((p[2:] for p in parameters if p.startswith("q=")), "1")
        weights[value] = float(weight) if weight.replace(".", "", 1).isdecimal() else 0.0
    return weights


def prefers_markdown(accept: str) -> bool:
    """Whether Markdown is asked for by name, and no less than HTML.

    Examples
    --------
    >>> prefers_markdown("text/html,*/*;q=0.8"), prefers_markdown("text/markdown")
    (False, True)
    """
    weights = _weights(accept)
    return weights.get("text/markdown", 0.0) > 0 and weights["text/markdown"] >= weights.get("text/html", 0.0)


def preferred_language(accept_language: str) -> Language:
    """German or English, whichever is preferred; German if neither is named.

    Examples
    --------
    >>> preferred_language("en-GB,en;q=0.9,de;q=0.5"), preferred_language("fr")
    ('en', 'de')
    """
    weights: dict[str, float] = {"de": 0.0, "en": 0.0}
    for value, weight in _weights(accept_language).items():
        primary = value.split("-")[0]
        if primary in weights:
            weights[primary] = max(weights[primary], weight)
    return "en" if weights["en"] > weights["de"] else "de"
