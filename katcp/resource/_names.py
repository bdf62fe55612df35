"""Names of sensors and requests as Python identifiers."""

from katcp.compat import ensure_native_str

_ESCAPES = str.maketrans(".-", "__")


def escape_name(name: str | bytes) -> str:
    """Return a name with ``.`` and ``-`` replaced by ``_``.

    >>> escape_name("rsc.sensor-name")
    'rsc_sensor_name'
    """
    return ensure_native_str(name).translate(_ESCAPES)
