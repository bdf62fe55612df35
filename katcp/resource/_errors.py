"""What goes wrong with resources.

::

    Exception
    └── KATCPResourceError
        ├── KATCPResourceInactive        a request of a resource that was made inactive
        └── KATCPSensorError             a sensor cannot be waited for, read or set
            └── KATCPUnknownSensorError  there is no such sensor; a `KeyError` too
"""


class KATCPResourceError(Exception):
    """Something is wrong with a resource."""


class KATCPResourceInactive(KATCPResourceError):
    """A request was made of a resource that is inactive."""


class KATCPSensorError(KATCPResourceError):
    """A sensor cannot be waited for, read or sampled."""


class KATCPUnknownSensorError(KATCPSensorError, KeyError):
    """A resource has no sensor of that name."""

    # That of KeyError would put the text in quotes.
    __str__ = Exception.__str__
