"""What became of the questions that an endpoint was asked."""

from dataclasses import asdict, dataclass, fields


@dataclass
class Tally:
    """What became of the questions, and what they cost.

    Attributes
    ----------
    answered, cached
        Asked and answered; answered from disk.
    nonsense
        Answered with none of the options, or with something that is no answer of a model's.
    unreachable
        No answer after all tries: no connection, too slow, too busy, or an error of the server's.
    refused
        Turned down: a key, a model's name or a request that it does not take.
    not_asked
        Left out since the endpoint was given up.
    retries
        Tries beyond the first.
    input_tokens, output_tokens
        As the endpoint counts them.
    cost
        In the currency of the prices; 0 without prices.
    """

    answered: int = 0
    cached: int = 0
    nonsense: int = 0
    unreachable: int = 0
    refused: int = 0
    not_asked: int = 0
    retries: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost: float = 0.0

    @property
    def failed(self) -> int:
        """How many questions have no answer."""
        return self.nonsense + self.unreachable + self.refused + self.not_asked

    def __str__(self) -> str:
        parts = [
            f"{value} {name.replace('_', ' ')}" for name, value in asdict(self).items() if value and name != "cost"
        ]
        return ", ".join(parts + ([f"cost {self.cost:.4g}"] if self.cost else [])) or "nothing asked"

    def add(self, other: "Tally") -> None:
        """Count another's in."""
        for each in fields(self):
            setattr(self, each.name, getattr(self, each.name) + getattr(other, each.name))
