import json
from pathlib import Path

import pytest

from service.openapi import DEFAULT_FILE, render

DOCUMENT = json.loads(render())
OPERATIONS = [(path, method) for path, item in DOCUMENT["paths"].items() for method in item]


def test_the_exported_document_is_current():
    assert Path(DEFAULT_FILE).read_text("utf-8") == render(), "run `python -m service.openapi`"


@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_every_route_says_what_it_does(path, method):
    operation = DOCUMENT["paths"][path][method]
    assert operation["description"]
    assert operation["tags"]


@pytest.mark.parametrize(("path", "method"), [o for o in OPERATIONS if o[0].startswith("/v1")])
def test_every_api_route_answers_errors_with_problems(path, method):
    responses = DOCUMENT["paths"][path][method]["responses"]
    errors = {status: r for status, r in responses.items() if int(status) >= 400}
    assert {"401", "422", "503"} <= set(errors)
    for status, response in errors.items():
        schema = response["content"]["application/problem+json"]["schema"]
        assert schema == {"$ref": "#/components/schemas/Problem"}, (path, status)


def test_bodies_of_records_are_shown_with_their_one_schema():
    body = DOCUMENT["paths"]["/v1/repairs"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert body == {"$ref": "#/components/schemas/Repair"}
    assert "method" in DOCUMENT["components"]["schemas"]["Repair"]["required"]


def test_every_reference_leads_somewhere():
    text = render()
    names = {part.split('"')[0] for part in text.split('"#/components/schemas/')[1:]}
    assert names <= set(DOCUMENT["components"]["schemas"])
