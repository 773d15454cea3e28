"""schemathesis asks the live server all that its reference allows, and what it does not."""

from collections.abc import Iterator

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import Case, GenerationMode
from schemathesis.checks import load_all_checks
from schemathesis.schemas import BaseSchema
from schemathesis.specs.openapi.checks import positive_data_acceptance

from tests.live import Live
from tusd_server.web.openapi import Operation
from tusd_server.web.reference import OPERATIONS

EXAMPLES = 20
load_all_checks()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    data_dir = tmp_path_factory.mktemp("reference") / "data"
    with Live(data_dir, workers=1, answer_wait_seconds=0.02, events_lifetime_seconds=0.1) as server:
        yield server


@pytest.fixture(scope="module")
def reference(server: Live) -> BaseSchema:
    # The token is sent with every case, so none can do without it.
    config = schemathesis.Config.from_dict({"generation": {"with-security-parameters": False}})
    return schemathesis.openapi.from_url(f"{server.url}/api/v1/openapi.json", config=config)


def asked(operation: Operation, mode: GenerationMode, reference: BaseSchema, server: Live) -> None:
    """Send cases of one kind; the check that all valid data is accepted is left out.

    What is valid by the schema may still name a medium that there is not, hold noise in place of
    an image, or a link that nobody signed.
    """
    headers = {"Authorization": f"Bearer {server.token('boss', staff=True)}"}
    told = reference[operation.path][operation.method]

    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=told.as_strategy(generation_mode=mode))
    def ask(case: Case) -> None:
        case.call_and_validate(headers=headers, excluded_checks=[positive_data_acceptance])

    ask()


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda each: each.id)
def test_what_the_reference_allows_is_answered_as_it_says(
    operation: Operation, reference: BaseSchema, server: Live
) -> None:
    asked(operation, GenerationMode.POSITIVE, reference, server)


def can_be_wrong(operation: Operation) -> bool:
    """Whether a request can break the schema; any text is a valid id, and a valid question."""
    bounded = [schema for schema in operation.query.values() if {"enum", "minimum"} & set(schema)]
    return bool(operation.body or operation.form or bounded)


@pytest.mark.parametrize("operation", [*filter(can_be_wrong, OPERATIONS)], ids=lambda each: each.id)
def test_what_the_reference_does_not_allow_is_refused(
    operation: Operation, reference: BaseSchema, server: Live
) -> None:
    asked(operation, GenerationMode.NEGATIVE, reference, server)
