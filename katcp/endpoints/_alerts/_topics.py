"""Routing keys, and patterns of them.

A routing key is words joined by dots, such as ``sensor_value.peaches``. In a pattern ``*`` stands
for one word, and ``#`` for any number of words, also none.
"""

from __future__ import annotations

from katcp.endpoints._codes import InvalidValueError

#: Longest pattern or routing key [bytes], as it is where dripline comes from.
MAX_KEY = 255

#: Most words of either, so that comparing them takes no time to speak of.
MAX_WORDS = 32


def checked_key(key: str) -> str:
    """Return a routing key.

    Raises
    ------
    InvalidValueError
        If it is empty, or too long, or has words that patterns are made of.
    """
    words = _words(key, "routing key")
    if "*" in words or "#" in words:
        raise InvalidValueError(f"{key!r} is a pattern, not a routing key")
    return key


def checked_pattern(pattern: str) -> tuple[str, ...]:
    """Return the words of a pattern, with neighbouring ``#`` made one.

    Raises
    ------
    InvalidValueError
        If it is empty, or too long.
    """
    words: list[str] = []
    for word in _words(pattern, "pattern"):
        if word != "#" or words[-1:] != ["#"]:
            words.append(word)
    return tuple(words)


def _words(text: str, what: str) -> list[str]:
    if not text:
        raise InvalidValueError(f"a {what} must not be empty")
    if len(text.encode("utf-8", "surrogateescape")) > MAX_KEY:
        raise InvalidValueError(f"a {what} has at most {MAX_KEY} bytes")
    words = text.split(".")
    if len(words) > MAX_WORDS:
        raise InvalidValueError(f"a {what} has at most {MAX_WORDS} words")
    return words


def matches(pattern: tuple[str, ...], words: tuple[str, ...]) -> bool:
    """Tell whether a pattern has a routing key; both as words.

    Takes no longer than the product of their lengths, whatever they are.
    """
    at = done = 0
    # Behind the last "#", and the words that it and what was before it stand for. If what follows
    # does not fit, that "#" takes one word more; those before it need not change.
    behind = taken = -1
    while done < len(words):
        word = pattern[at] if at < len(pattern) else ""
        if word == "#":
            at += 1
            behind, taken = at, done
        elif at < len(pattern) and word in ("*", words[done]):
            at += 1
            done += 1
        elif behind >= 0:
            taken += 1
            at, done = behind, taken
        else:
            return False
    return at == len(pattern) or (at == len(pattern) - 1 and pattern[at] == "#")
