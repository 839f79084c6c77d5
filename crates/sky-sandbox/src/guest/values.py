# Values on their way between a program's interpreter and its test's, as JSON.
import collections, datetime, decimal, fractions, functools, importlib, opcode, operator, re
# Nesting that a program's values may have, and a test's: what a test was told it can always tell again.
PROGRAM_DEEP, TEST_DEEP = 100, 200
# Named values that both sides have: types and functions of these modules go by name.
SHARED = {"builtins", "math", "operator", "collections", "decimal", "fractions", "datetime", "re", "functools", "itertools", "string"}
DATE_PARTS = {
    "date": ("year", "month", "day"), "time": ("hour", "minute", "second", "microsecond"),
    "datetime": ("year", "month", "day", "hour", "minute", "second", "microsecond"), "timedelta": ("days", "seconds", "microseconds"),
}
# All that a program may name to a test: a function would run there, with arguments of the program's choice.
PLAIN_TYPES = {"int", "float", "str", "list", "dict", "tuple", "set", "frozenset", "bool", "bytes", "bytearray", "complex"}
MUTABLE = (list, dict, set, bytearray, collections.deque)
# Types whose values are sent as they are; integers only when they are short.
BARE = {str, float, bool, type(None)}
BARE_INT = BARE | {int}


def bare(values):
    """Whether all that is in a list can be sent as it is."""
    kinds = set(map(type, values))
    return kinds <= BARE or kinds <= BARE_INT and all(value.bit_length() < 2000 for value in values if type(value) is int)


class CannotSend(Exception):
    """A value that only lives in the test's interpreter."""


def named(value):
    """`[module, name]` of a type, function or module that both interpreters have; None for others."""
    if isinstance(value, ModuleType):
        return [value.__name__, None] if value.__name__ in sys.stdlib_module_names else None
    module, name = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
    if module in SHARED and isinstance(name, str) and getattr(PRISTINE_MODULES.get(module), name, None) is value:
        return [module, name]


def pack(value, other, depth=0):
    """A value as JSON can carry it: lists as they are, what JSON has no word for as `{tag: ...}`. `other` gives what stands for
    the rest."""
    if depth > (TEST_DEEP if other is cannot_send else PROGRAM_DEEP):
        raise CannotSend("nested too deeply")
    kind = type(value)
    if kind in BARE:
        return value
    if kind is int:
        # In decimal, long ones take for ever.
        return value if value.bit_length() < 2000 else {"int": hex(value)}
    inner = lambda items: list(items) if bare(items) else [pack(item, other, depth + 1) for item in items]
    if kind is list:
        return inner(value)
    if kind is tuple:
        return {"tuple": inner(value)}
    if kind in (set, frozenset):
        return {kind.__name__: inner(value)}
    if kind is dict:
        return {"dict": [inner(pair) for pair in value.items()]}
    if kind in (bytes, bytearray):
        return {kind.__name__: value.decode("latin-1")}
    if kind is complex:
        return {"complex": [value.real, value.imag]}
    if kind is range:
        return {"range": [value.start, value.stop, value.step]}
    if kind is slice:
        return {"slice": inner([value.start, value.stop, value.step])}
    if value is ...:
        return {"ellipsis": None}
    if kind is collections.deque:
        return {"deque": [inner(value), value.maxlen]}
    if kind is decimal.Decimal:
        return {"Decimal": str(value)}
    if kind is fractions.Fraction:
        return {"Fraction": [value.numerator, value.denominator]}
    if kind.__module__ == "datetime" and kind.__name__ in DATE_PARTS and getattr(value, "tzinfo", None) is None:
        return {"date": [kind.__name__, [getattr(value, part) for part in DATE_PARTS[kind.__name__]]]}
    if kind in (collections.Counter, collections.OrderedDict):
        return {kind.__name__: [inner(pair) for pair in value.items()]}
    if kind.__bases__ == (tuple,) and hasattr(kind, "_fields"):
        return {"namedtuple": [kind.__name__, list(kind._fields), inner(value)]}
    if kind is type and issubclass(value, Exception) and value.__module__ == "solution" and other is not cannot_send:
        return {"exception": [base.__name__ for base in value.__mro__]}
    name = named(value)
    if name is not None and (other is cannot_send or name[0] == "builtins" and name[1] in PLAIN_TYPES):
        return {"named": name}
    return other(value, depth)


def unpack(value, held, depth=0):
    """What `pack` made, as a value again. `held` gives what a number of the other side stands for."""
    depth += 1
    if held is stand_in and depth > PROGRAM_DEEP + 10:
        raise ValueError("nested too deeply")
    if type(value) is list:
        kinds = set(map(type, value))
        return [unpack(item, held, depth) for item in value] if list in kinds or dict in kinds else list(value)
    if type(value) is not dict:
        return value
    (kind, inner), = value.items()
    if kind == "int":
        return int(inner, 16)
    if kind == "dict":
        return {unpack(key, held, depth): unpack(item, held, depth) for key, item in inner}
    if kind in ("tuple", "set", "frozenset"):
        return PRISTINE[kind](unpack(item, held, depth) for item in inner)
    if kind == "bytes":
        return inner.encode("latin-1")
    if kind == "bytearray":
        return bytearray(inner.encode("latin-1"))
    if kind in ("complex", "range"):
        return PRISTINE[kind](*inner)
    if kind in ("Counter", "OrderedDict"):
        return getattr(collections, kind)({unpack(key, held, depth): unpack(item, held, depth) for key, item in inner})
    if kind == "namedtuple":
        name, fields, items = inner
        return named_tuple(name, tuple(fields))(*(unpack(item, held, depth) for item in items))
    if kind == "exception":
        return exception_type(inner)
    if kind == "slice":
        return slice(*(unpack(item, held, depth) for item in inner))
    if kind == "ellipsis":
        return ...
    if kind == "deque":
        return collections.deque(unpack(inner[0], held, depth), inner[1])
    if kind == "Decimal":
        return decimal.Decimal(inner)
    if kind == "Fraction":
        return fractions.Fraction(*inner)
    if kind == "date":
        if inner[0] not in DATE_PARTS:
            raise ValueError(inner)
        return getattr(datetime, inner[0])(*inner[1])
    if kind == "named":
        module, name = inner
        if held is stand_in and (module != "builtins" or name not in PLAIN_TYPES):
            raise ValueError(inner)
        module = importlib.import_module(module)
        return module if name is None else getattr(module, name)
    if kind == "held":
        return held(inner)
    raise ValueError(kind)


@functools.lru_cache(64)
def named_tuple(name, fields):
    return collections.namedtuple(name, fields, rename=True)
