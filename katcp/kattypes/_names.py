"""Names on the wire (``some-name``) and in Python (``request_some_name``)."""


def convert_method_name(prefix: str, name: str) -> str:
    """Return the message name that the method `name` handles.

    >>> convert_method_name("request_", "request_raw_reverse")
    'raw-reverse'
    """
    return name[len(prefix) :].replace("_", "-")
