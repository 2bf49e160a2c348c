"""The circuit breaker: an endpoint that refuses everything, or answers nobody, is asked no more in this phase.

https://martinfowler.com/bliki/CircuitBreaker.html
"""

from __future__ import annotations

from enrich_assets.core.errors import EndpointError, TransientError

_GIVEN_UP_IN_A_ROW = 10
"""Requests to one endpoint that may be given up with no answer to any other since they were first sent; then it counts
as down. What is given up while others are answered says nothing about the endpoint."""


class Breaker:
    """Which endpoints are closed, and how near the others are to it.

    Pages name no endpoint: they come from many sites, and one that is down says nothing about the next.
    """

    def __init__(self) -> None:
        self._answers: dict[str, int] = {}
        self._given_up: dict[str, int] = {}
        self._closed: dict[str, EndpointError] = {}

    def answers(self, endpoint: str) -> int:
        """Answers that came from the endpoint so far."""
        return self._answers.get(endpoint, 0)

    def close(self, endpoint: str, error: EndpointError) -> None:
        """Lets no further request to the endpoint leave."""
        self._closed[endpoint] = error

    def refuse_closed(self, endpoint: str) -> None:
        """Raises the EndpointError that closed the endpoint, if one did."""
        if endpoint in self._closed:
            raise self._closed[endpoint]

    def note_answer(self, endpoint: str) -> None:
        """Notes that the endpoint answered."""
        self._answers[endpoint] = self._answers.get(endpoint, 0) + 1
        self._given_up.pop(endpoint, None)

    def note_given_up(self, endpoint: str, error: TransientError, *, answers_before: int) -> None:
        """Notes a request that was given up, first sent after so many answers; raises EndpointError at one too many."""
        if not endpoint or self.answers(endpoint) != answers_before:
            return
        self._given_up[endpoint] = self._given_up.get(endpoint, 0) + 1
        if self._given_up[endpoint] >= _GIVEN_UP_IN_A_ROW and endpoint not in self._closed:
            down = EndpointError(
                f"{self._given_up[endpoint]} requests in a row got no answer; the last: {error.what}",
                where=endpoint,
                fix="Wait until it is up again, or choose another.",
            )
            self.close(endpoint, down)
            raise down from error
