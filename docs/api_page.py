"""The JSON API as Markdown, from its OpenAPI document."""

from collections.abc import Iterator, Mapping
from typing import Any

Json = Mapping[str, Any]


def api_page(document: Json) -> Iterator[str]:
    """A heading for each operation, grouped by tag, then one for each kind of object."""
    operations = [
        (method, path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    for tag in (tag["name"] for tag in document["tags"]):
        yield f"## {tag}"
        yield ""
        for method, path, operation in operations:
            if tag in operation["tags"]:
                yield from _operation(method, path, operation)
    yield "## Objects"
    yield ""
    for name, schema in sorted(document["components"]["schemas"].items()):
        yield f"### {name}"
        yield ""
        if "description" in schema:
            yield schema["description"]
            yield ""
        yield from _fields(schema)


def _operation(method: str, path: str, operation: Json) -> Iterator[str]:
    yield f"### `{method.upper()} {path}`"
    yield ""
    told = f"{operation['summary']}. {operation.get('description', '')}".strip()
    yield told + (" Asks for no token." if operation.get("security") == [] else "")
    yield ""
    yield from _parameters(operation.get("parameters", []))
    yield from _body(operation.get("requestBody", {}))
    yield "| answer | meaning | body |"
    yield "| --- | --- | --- |"
    problems = []
    for status, answer in operation["responses"].items():
        content = answer.get("content", {})
        if "application/problem+json" in content:
            problems.append(status)
        else:
            yield f"| {status} | {answer['description']} | {_content(content)} |"
    if problems:
        yield f"| {', '.join(problems)} | an error | [Problem](#problem) |"
    yield ""


def _parameters(parameters: list[Json]) -> Iterator[str]:
    asked = [each for each in parameters if each["in"] == "query"]
    if not asked:
        return
    yield "| in the query | type | meaning |"
    yield "| --- | --- | --- |"
    for each in asked:
        yield f"| `{each['name']}` | {_type(each['schema'])} | {_told(each['schema'])} |"
    yield ""


def _body(body: Json) -> Iterator[str]:
    for kind, content in body.get("content", {}).items():
        schema = content["schema"]
        if "$ref" in schema:
            optional = "" if body["required"] else ", which may be left out"
            yield f"Body: {_type(schema)} as `{kind}`{optional}."
            yield ""
        else:
            yield f"Body: `{kind}`."
            yield ""
            yield from _fields(schema)


def _fields(schema: Json) -> Iterator[str]:
    if not schema.get("properties"):
        return
    required = schema.get("required", [])
    yield "| field | type | meaning |"
    yield "| --- | --- | --- |"
    for name, field in schema["properties"].items():
        optional = "" if name in required else "may be left out"
        yield f"| `{name}` | {_type(field)} | {'; '.join(filter(None, (_told(field), optional)))} |"
    yield ""


def _content(content: Json) -> str:
    found = [
        _type(each["schema"]) if kind == "application/json" else f"`{kind}`"
        for kind, each in content.items()
    ]
    return " or ".join(found) or "none"


def _type(schema: Json) -> str:
    """What a value is: one of these words, a link to an object, or several of them."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in schema:
        return " or ".join(_type(each) for each in schema["anyOf"])
    if "const" in schema:
        return f"`{schema['const']}`"
    if "enum" in schema:
        return ", ".join(f"`{each}`" for each in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    if "format" in schema:
        return {"date-time": "time", "binary": "bytes"}.get(schema["format"], schema["format"])
    if isinstance(schema.get("additionalProperties"), dict):
        return f"object of {_type(schema['additionalProperties'])}"
    return str(schema.get("type", "anything"))


def _told(schema: Json) -> str:
    """The description of a value, its bounds and its default."""
    parts = [schema.get("description", schema.get("items", {}).get("description", "")).rstrip(".")]
    bounds = [
        f"{word} {schema[name]}"
        for name, word in (
            ("minimum", "at least"),
            ("maximum", "at most"),
            ("minItems", "at least"),
            ("maxItems", "at most"),
        )
        if name in schema and schema[name] < 2**53
    ]
    parts.append(", ".join(bounds))
    if schema.get("default") is not None:
        parts.append(f"default `{str(schema['default']).lower()}`")
    return "; ".join(filter(None, parts))
