import json


def accepts(input, expected, output):
    """A list whose order does not matter."""
    if isinstance(expected, str):
        expected = json.loads(expected)
    key = lambda value: json.dumps(value, sort_keys=True)
    return isinstance(output, list) and sorted(map(key, output)) == sorted(map(key, expected))
