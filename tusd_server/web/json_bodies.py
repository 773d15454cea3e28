"""JSON bodies of the API, read in full because they are small, and judged field by field."""

from typing import Any, TypeVar

from flask import request
from pydantic import BaseModel, ValidationError
from werkzeug.http import parse_options_header

from tusd_server.errors import (
    MalformedBody,
    UploadError,
    UploadTooLarge,
    WrongBodyType,
    WrongFields,
)
from tusd_server.uploads.body import Ending
from tusd_server.web.endings import bad_ending
from tusd_server.web.tus import request_body

MOST_JSON_BYTES = 64 * 1024

M = TypeVar("M", bound=BaseModel)


def json_body(model: type[M]) -> M:
    """This request's body as `model`; no body at all is an empty object.

    Any Content-Type but a form with files will do: `curl -d` calls every text a form.
    Raises MalformedBody, WrongBodyType and WrongFields.
    """
    if parse_options_header(request.headers.get("Content-Type", ""))[0].startswith("multipart/"):
        raise WrongBodyType("Content-Type must be application/json.")
    text = _text()
    try:
        return model.model_validate_json(text or b"{}")
    except ValidationError as error:
        raise _own_words(error) from None


def checked(model: type[M], values: dict[str, Any]) -> M:
    """`model` of these values; raises WrongFields."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise _own_words(error) from None


def _text() -> bytes:
    body = request_body()
    text = b"".join(bytes(view) for view in body.chunks(MOST_JSON_BYTES))
    if body.ending is Ending.OVERRUN:
        raise UploadTooLarge(f"The body has more than {MOST_JSON_BYTES} bytes.")
    if body.ending is not Ending.COMPLETE:
        raise bad_ending(body.ending, "body")
    return text


def _own_words(error: ValidationError) -> UploadError:
    found = error.errors(include_url=False, include_input=False)
    if any(each["type"] == "json_invalid" for each in found):
        return MalformedBody("The body must be one JSON object.")
    if any(not each["loc"] for each in found):
        return WrongFields(("", "The body must be one JSON object."))
    return WrongFields(*[_sentence(dict(each)) for each in found])


_WORDS = {
    "missing": "is missing",
    "string_type": "must be a text",
    "string_too_short": "must have at least {min_length} character",
    "string_too_long": "must have at most {max_length} characters",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "int_parsing_size": "must be a smaller number",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "literal_error": "must be {expected}",
    "value_error": "{error}",
}


def _sentence(error: dict[str, Any]) -> tuple[str, str]:
    name = ".".join(str(each) for each in error["loc"])
    words = _WORDS.get(error["type"], "cannot be used")
    return name, f"{name} {words.format(**error.get('ctx', {}))}."
