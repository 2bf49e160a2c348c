"""What requests are charged of a limit on tokens before they leave, and how that is put right by what they took."""

from __future__ import annotations

FIRST_SHARE = 0.5
"""The part of a request's most tokens that it is charged until the first answers tell what it really takes."""
_FADING = 0.98


class TokenCharges:
    """The most that a request can take is far above what it takes, so it is charged that times a running ratio."""

    def __init__(self) -> None:
        self.correction = 0.0
        """Tokens that were taken beyond what was charged (negative: charged beyond what was taken), not yet told."""
        self._took = 0.0
        self._could_take = 0.0
        self._charged: dict[int, list[float]] = {}

    @property
    def share(self) -> float:
        """The part of its most tokens that the next request is charged."""
        return self._took / self._could_take if self._could_take else FIRST_SHARE

    def of(self, tokens: int) -> float:
        """The charge of a request that takes `tokens` at most."""
        return tokens * self.share

    def keep(self, tokens: int, charge: float) -> None:
        """Notes that a request left with its charge."""
        self._charged.setdefault(tokens, []).append(charge)

    def used(self, tokens_bound: int, tokens_actual: int) -> None:
        """Notes what a request took that could have taken `tokens_bound`."""
        if not self._could_take:
            self._took, self._could_take = FIRST_SHARE * tokens_bound, float(tokens_bound)
        self._took = _FADING * self._took + tokens_actual
        self._could_take = _FADING * self._could_take + tokens_bound
        charges = self._charged.get(tokens_bound)
        if charges:
            self.correction += tokens_actual - charges.pop()
            if not charges:
                del self._charged[tokens_bound]
