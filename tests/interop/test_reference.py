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
    return schemathesis.openapi.from_url(f"{server.url}/api/v1/openapi.json")


@pytest.mark.parametrize("mode", GenerationMode, ids=lambda mode: mode.value)
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda each: each.id)
def test_the_server_does_what_its_reference_says(
    operation: Operation, mode: GenerationMode, reference: BaseSchema, server: Live
) -> None:
    """Without the check that all valid data is accepted: what is valid by the schema may still
    name a medium that there is not, hold noise in place of an image, or a link nobody signed.
    """
    headers = {"Authorization": f"Bearer {server.token('boss', staff=True)}"}
    told = reference[operation.path][operation.method]
    if mode is GenerationMode.NEGATIVE and not (told.body or told.path_parameters or told.query):
        return  # there is nothing in such a request that could be wrong

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
