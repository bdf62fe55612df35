"""From words to an expression, by precedence; the grammar is that of Python's, cut down.

::

    expression:  choice
    choice:      rank1 ["if" rank1 "else" choice]
    rank1..6:    "or", "and", "not", comparisons, "+ -", "* / // %", from loose to tight
    sign:        ("+" | "-") sign | power
    power:       atom ["**" sign]
    atom:        number | text | True | False | None | variable | name "(" [choice, ...] ")"
                 | "(" choice ")"

Nothing recurs without being counted, and nothing else is in it: what is not here is refused.
"""

from __future__ import annotations

from katcp.expressions import _nodes
from katcp.expressions._errors import ExpressionError
from katcp.expressions._functions import RESERVED, Functions
from katcp.expressions._nodes import Node
from katcp.expressions._operations import (
    ADDITIVE,
    COMPARISONS,
    MULTIPLICATIVE,
    Operation,
    negative,
    positive,
    power,
)
from katcp.expressions._tokens import Token, tokens
from katcp.expressions._variables import Variables

#: How deep parts may stand in each other, and brackets and signs too.
MAX_DEPTH = 50
#: The most parts.
MAX_NODES = 500

_OR, _AND, _NOT, _COMPARE, _ADD, _MULTIPLY, _SIGN, _POWER = range(1, 9)
_OPERATIONS: dict[str, Operation] = {**COMPARISONS, **ADDITIVE, **MULTIPLICATIVE}
_RANKS: dict[str, int] = {
    "or": _OR,
    "and": _AND,
    **dict.fromkeys(COMPARISONS, _COMPARE),
    **dict.fromkeys(ADDITIVE, _ADD),
    **dict.fromkeys(MULTIPLICATIVE, _MULTIPLY),
    "**": _POWER,
}
_CONSTANTS = {"True": True, "False": False, "None": None}
_WORDS = frozenset({"or", "and", "not", "if", "else", *_CONSTANTS})


class Parser:
    """Parses one text.

    Parameters
    ----------
    text : str
    variables : Variables
        Which braces mean what; is told of each that is used.
    functions : Functions
    """

    def __init__(self, text: str, variables: Variables, functions: Functions) -> None:
        self._text = text
        self._variables = variables
        self._functions = functions
        self._words = tokens(text)
        self._word = next(self._words)
        self._nested = 0
        self._nodes = 0

    def parse(self) -> Node:
        """Return the whole of the text as one part.

        Raises
        ------
        ExpressionError
        """
        if self._word.kind == "end":
            raise self._error("there is no expression")
        node = self._choice()
        if self._word.kind != "end":
            raise self._unexpected()
        return node

    # -- words -------------------------------------------------------------------------------

    def _next(self) -> Token:
        word = self._word
        self._word = next(self._words)
        return word

    def _is(self, value: str) -> bool:
        return self._word.kind in ("operator", "name") and self._word.value == value

    def _accept(self, value: str) -> bool:
        if self._is(value):
            self._next()
            return True
        return False

    def _expect(self, value: str) -> None:
        if not self._accept(value):
            raise self._unexpected(f", where {value!r} should stand")

    def _rank(self) -> int:
        if self._word.kind in ("operator", "name"):
            return _RANKS.get(self._word.value, 0)
        return 0

    def _error(self, reason: str, word: Token | None = None) -> ExpressionError:
        return ExpressionError(reason, self._text, (word or self._word).position)

    def _unexpected(self, where: str = "") -> ExpressionError:
        word = self._word
        if word.kind == "end":
            return self._error(f"the expression ends too early{where}")
        if word.kind == "name" and word.value in RESERVED - _WORDS:
            return self._error(f"{word.value!r} is not allowed")
        said = f"{{{word.value}}}" if word.kind == "variable" else f"{word.value!r}"
        return self._error(f"unexpected {said}{where}")

    # -- bounds ------------------------------------------------------------------------------

    def _made(self, node: Node, word: Token) -> Node:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise self._error(f"the expression has more than {MAX_NODES} parts", word)
        if node.depth > MAX_DEPTH:
            raise self._error(f"the expression is more than {MAX_DEPTH} levels deep", word)
        return node

    def _deeper(self, word: Token) -> None:
        self._nested += 1
        if self._nested > MAX_DEPTH:
            raise self._error(f"the expression is more than {MAX_DEPTH} levels deep", word)

    # -- grammar -----------------------------------------------------------------------------

    def _choice(self) -> Node:
        yes = self._ranked(_OR)
        if not self._is("if"):
            return yes
        word = self._next()
        condition = self._ranked(_OR)
        self._expect("else")
        self._deeper(word)
        no = self._choice()
        self._nested -= 1
        return self._made(_nodes.choice(condition, yes, no), word)

    def _ranked(self, loosest: int) -> Node:
        """Parse what is bound together by operators of this rank or tighter."""
        node = self._operand(loosest)
        while (rank := self._rank()) >= loosest:
            word = self._word
            if rank == _POWER:
                node = self._power(node)
            else:
                node = self._chain(node, rank)
            self._made(node, word)
        return node

    def _power(self, base: Node) -> Node:
        self._deeper(self._next())
        exponent = self._ranked(_POWER)  # from right to left: 2**3**2 is 2**9
        self._nested -= 1
        return _nodes.binary(power, base, exponent)

    def _chain(self, first: Node, rank: int) -> Node:
        rest = []
        while self._rank() == rank:
            word = self._next()
            rest.append((word.value, self._ranked(rank + 1)))
            self._nodes += len(rest) > 1  # as if each operator were a part of its own
        nodes = [node for _, node in rest]
        if rank == _OR:
            return _nodes.some([first, *nodes])
        if rank == _AND:
            return _nodes.every([first, *nodes])
        steps = [(_OPERATIONS[operator], node) for operator, node in rest]
        if rank == _COMPARE:
            return _nodes.comparison(first, steps)
        return _nodes.chain(first, steps)

    def _operand(self, loosest: int) -> Node:
        word = self._word
        if word.kind == "operator":
            return self._bracket_or_sign()
        if word.kind == "name":
            return self._name(loosest)
        if word.kind == "end":
            raise self._unexpected()
        self._next()
        if word.kind == "variable":
            try:
                node = self._variables.use(word.value)
            except ValueError as error:
                raise self._error(str(error), word) from None
        else:
            node = _nodes.constant(word.value)
        return self._made(node, word)

    def _bracket_or_sign(self) -> Node:
        word = self._word
        if word.value not in ("(", "-", "+"):
            raise self._unexpected()
        self._next()
        self._deeper(word)
        if word.value == "(":
            node = self._choice()
            self._expect(")")
        else:
            operation = negative if word.value == "-" else positive
            # Looser than a power: -2**2 is -(2**2).
            node = self._made(_nodes.unary(operation, self._ranked(_POWER)), word)
        self._nested -= 1
        return node

    def _name(self, loosest: int) -> Node:
        word = self._word
        if word.value in _CONSTANTS:
            self._next()
            return self._made(_nodes.constant(_CONSTANTS[word.value]), word)
        if word.value == "not" and loosest <= _NOT:
            self._next()
            self._deeper(word)
            node = self._made(_nodes.negation(self._ranked(_NOT)), word)
            self._nested -= 1
            return node
        if word.value in RESERVED:
            raise self._unexpected()
        return self._call()

    def _call(self) -> Node:
        word = self._next()
        if not self._is("("):
            if self._variables.has(word.value):
                raise self._error(f"a value is written in braces: {{{word.value}}}", word)
            raise self._error(f"unknown name {word.value!r}", word)
        function = self._functions.function(word.value)
        if function is None:
            known = " ".join(sorted(self._functions))
            raise self._error(f"unknown function {word.value!r} (there are {known})", word)
        self._deeper(self._next())
        arguments = self._arguments()
        self._nested -= 1
        if len(arguments) < function.least:
            raise self._error(f"{word.value} needs {function.least} arguments", word)
        if function.most is not None and len(arguments) > function.most:
            raise self._error(f"{word.value} takes {function.most} arguments at most", word)
        return self._made(_nodes.call(word.value, function.call, arguments), word)

    def _arguments(self) -> list[Node]:
        arguments: list[Node] = []
        while not self._accept(")"):
            arguments.append(self._choice())
            if not self._is(")"):
                self._expect(",")
        return arguments
