"""The expressions of DynamoDB that the registry uses, applied to an item in memory. Pure.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.UpdateExpressions.html
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.OperatorsAndFunctions.html
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

_TOKEN: Final = re.compile(r"\s*([#:]?\w+|[=<(),])")
_SECTIONS: Final = ("SET", "REMOVE", "ADD", "DELETE")

type Item = Mapping[str, Any]


def holds(item: Item, condition: str, values: Item, names: Mapping[str, str] | None = None) -> bool:
    """Whether an item satisfies a condition expression. An item that does not exist has no attributes."""
    expression = _Expression(condition, item, values, names or {})
    result = expression.either()
    expression.end()
    return result


def updated(item: Item, update: str, values: Item, names: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The item after an update expression. The values on the right of SET are those before the update."""
    expression, result = _Expression(update, item, values, names or {}), dict(item)
    while section := expression.next_of(*_SECTIONS):
        while True:
            attribute = expression.attribute()
            match section:
                case "SET":
                    expression.require("=")
                    result[attribute] = expression.value()
                case "REMOVE":
                    result.pop(attribute, None)
                case "ADD":
                    result[attribute] = _added(result.get(attribute), expression.value())
                case _:
                    result[attribute] = set(result.get(attribute, ())) - expression.value()
                    if not result[attribute]:  # DynamoDB has no empty sets
                        del result[attribute]
            if not expression.next_of(","):
                break
    expression.end()
    return result


def _added(present: Any, value: Any) -> Any:
    if isinstance(value, (set, frozenset)):
        return {*(present or ()), *value}
    return (present or 0) + value


class _Expression:
    """The tokens of an expression, and what they refer to."""

    def __init__(self, text: str, item: Item, values: Item, names: Mapping[str, str]) -> None:
        self._tokens = [*_tokens(text)]
        self._item, self._values, self._names = item, values, names

    def next_of(self, *tokens: str) -> str:
        """Consumes the next token if it is one of these, and returns it. Otherwise returns an empty text."""
        return self._tokens.pop(0) if self._tokens and self._tokens[0] in tokens else ""

    def require(self, token: str) -> None:
        if not self.next_of(token):
            raise ValueError(f"{token} is missing before {' '.join(self._tokens)}")

    def end(self) -> None:
        """Requires that the whole expression was consumed."""
        if self._tokens:
            raise ValueError(f"{' '.join(self._tokens)} is not supported")

    def attribute(self) -> str:
        """The name of an attribute."""
        token = self._tokens.pop(0)
        return self._names[token] if token.startswith("#") else token

    def value(self) -> Any:
        """A value, an attribute, or `if_not_exists`."""
        if self.next_of("if_not_exists"):
            self.require("(")
            attribute = self.attribute()
            self.require(",")
            otherwise = self.value()
            self.require(")")
            return self._item.get(attribute, otherwise)
        if self._tokens[0].startswith(":"):
            return self._values[self._tokens.pop(0)]
        return self._item.get(self.attribute())

    def either(self) -> bool:
        """Terms that OR separates."""
        result = self._both()
        while self.next_of("OR"):
            result = self._both() or result
        return result

    def _both(self) -> bool:
        result = self._term()
        while self.next_of("AND"):
            result = self._term() and result
        return result

    def _term(self) -> bool:
        if self.next_of("("):
            result = self.either()
            self.require(")")
            return result
        if function := self.next_of("attribute_exists", "attribute_not_exists", "contains"):
            return self._call(function)
        present, operator, other = self.value(), self.next_of("=", "<"), self.value()
        if not operator:
            raise ValueError("a comparison other than = and < is not supported")
        # A comparison with an attribute that does not exist is false.
        return present is not None and bool(present == other if operator == "=" else present < other)

    def _call(self, function: str) -> bool:
        self.require("(")
        attribute = self.attribute()
        if function == "contains":
            self.require(",")
            result = self.value() in self._item.get(attribute, ())
        else:
            result = (attribute in self._item) == (function == "attribute_exists")
        self.require(")")
        return result


def _tokens(text: str) -> list[str]:
    tokens, position = [], 0
    while match := _TOKEN.match(text, position):
        tokens.append(match[1])
        position = match.end()
    if text[position:].strip():
        raise ValueError(f"{text[position:].strip()} is not supported")
    return tokens
