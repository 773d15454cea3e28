"""The OpenAPI 3.1 document of the JSON API, from the models that check and describe it."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from tusd_server.protocol.status import reason_phrase
from tusd_server.web import schemas

Json = dict[str, Any]
_REF = "#/components/schemas/{model}"
_PARAMETER = re.compile(r"{(\w+)}")
BINARY: Json = {"type": "string", "format": "binary"}
TEXT: Json = {"type": "string"}
_PLAIN: Json = {"application/json": {"type": "object"}, "text/html": TEXT, "text/event-stream": {}}


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer: a model, a list of models (any of them), or bytes of these types."""

    description: str
    models: tuple[type[BaseModel], ...] = ()
    many: bool = False
    types: tuple[str, ...] = ("application/json",)


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one URL. `body` is JSON, `form` the properties of a multipart form."""

    method: Literal["get", "post", "delete"]
    path: str
    tag: str
    summary: str
    answers: Mapping[int, Answer]
    problems: tuple[int, ...] = ()
    description: str = ""
    body: type[BaseModel] | None = None
    body_required: bool = True
    example: Json | None = None
    form: Mapping[str, Json] | None = None
    form_required: tuple[str, ...] = ()
    query: Mapping[str, Json] = field(default_factory=dict)
    public: bool = False

    @property
    def id(self) -> str:
        """A name for generated clients."""
        words = re.findall(r"[a-z_]+", f"{self.method} {self.path.removeprefix('/api/v1')}")
        return "_".join(words)


def document(operations: Iterable[Operation], version: str, server_url: str) -> Json:
    """The OpenAPI document of these operations."""
    known = list(operations)
    paths: dict[str, Json] = {}
    for operation in known:
        paths.setdefault(operation.path, {})[operation.method] = _operation(operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "tusd-server",
            "version": version,
            "description": "Media uploads: resumable by tus 1.0 at /files/, or by the forms and "
            "chunks below. Sizes are bytes, durations seconds, times RFC 3339 in UTC.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": server_url}],
        "security": [{"bearer": []}],
        "tags": [{"name": tag} for tag in dict.fromkeys(each.tag for each in known)],
        "paths": paths,
        "components": {
            "schemas": _schemas(known),
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": "Claims sub (the user) and staff; not asked for with "
                    "TUSD_AUTH=off.",
                }
            },
        },
    }


def _operation(operation: Operation) -> Json:
    made: Json = {
        "operationId": operation.id,
        "tags": [operation.tag],
        "summary": operation.summary,
    }
    if operation.description:
        made["description"] = operation.description
    if operation.public:
        made["security"] = []
    parameters = _parameters(operation)
    if parameters:
        made["parameters"] = parameters
    content = _request_content(operation)
    if content:
        made["requestBody"] = {
            "required": operation.form is not None or operation.body_required,
            "content": content,
        }
    problems = operation.problems if operation.public else (401, *operation.problems)
    made["responses"] = {
        str(status): _answer(answer) for status, answer in operation.answers.items()
    } | {str(status): _problem(status) for status in sorted(set(problems))}
    return made


def _parameters(operation: Operation) -> list[Json]:
    in_path = [
        {"name": name, "in": "path", "required": True, "schema": TEXT | {"minLength": 1}}
        for name in _PARAMETER.findall(operation.path)
    ]
    in_query = [
        {"name": name, "in": "query", "schema": schema} for name, schema in operation.query.items()
    ]
    return in_path + in_query


def _request_content(operation: Operation) -> Json:
    if operation.form is not None:
        schema = {
            "type": "object",
            "properties": dict(operation.form),
            "required": list(operation.form_required),
        }
        return {"multipart/form-data": {"schema": schema}}
    if operation.body is None:
        return {}
    content: Json = {"schema": _reference(operation.body)}
    if operation.example is not None:
        content["example"] = operation.example
    return {"application/json": content}


def _answer(answer: Answer) -> Json:
    if not answer.models:
        content = {kind: {"schema": _PLAIN.get(kind, BINARY)} for kind in answer.types}
    else:
        found = [_reference(model) for model in answer.models]
        one = found[0] if len(found) == 1 else {"anyOf": found}
        schema = {"type": "array", "items": one} if answer.many else one
        content = {kind: {"schema": schema} for kind in answer.types}
    told: Json = {"description": answer.description}
    if content:
        told["content"] = content
    return told


def _problem(status: int) -> Json:
    return {
        "description": reason_phrase(status),
        "content": {"application/problem+json": {"schema": _reference(schemas.Problem)}},
    }


def _reference(model: type[BaseModel]) -> Json:
    return {"$ref": _REF.format(model=model.__name__)}


def _schemas(operations: Iterable[Operation]) -> Json:
    taken = {each.body for each in operations if each.body is not None}
    given: set[type[BaseModel]] = {schemas.Problem}
    for operation in operations:
        for answer in operation.answers.values():
            given.update(answer.models)
    wanted: list[tuple[type[BaseModel], Literal["validation", "serialization"]]] = []
    wanted += [(model, "validation") for model in taken]
    wanted += [(model, "serialization") for model in given]
    _, made = models_json_schema(
        sorted(wanted, key=lambda each: each[0].__name__), ref_template=_REF
    )
    definitions: Json = made["$defs"]
    return definitions
