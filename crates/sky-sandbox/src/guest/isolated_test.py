# Assert-style tests kept apart from the program they test. The test runs in an interpreter of its own (`prepare_exam`), where
# each name that it takes from the program is a stand-in. What it asks of a stand-in goes through the host to the program's
# interpreter (`prepare_answer`) and comes back as data: nothing of the program's ever runs beside the test.
# On the program's side nothing is trusted, and nothing has to be: whatever it says is no more than a claim about a value.
import collections, datetime, decimal, fractions, importlib, opcode
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
    if kind is collections.deque:
        return {"deque": [inner(value), value.maxlen]}
    if kind is decimal.Decimal:
        return {"Decimal": str(value)}
    if kind is fractions.Fraction:
        return {"Fraction": [value.numerator, value.denominator]}
    if kind.__module__ == "datetime" and kind.__name__ in DATE_PARTS and getattr(value, "tzinfo", None) is None:
        return {"date": [kind.__name__, [getattr(value, part) for part in DATE_PARTS[kind.__name__]]]}
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


# The test's side.

def ask(operation, target=None, *rest):
    """What the program's interpreter says to this. The host answers between the write and the read."""
    try:
        packed = [pack(item, cannot_send) for item in rest]
    except (CannotSend, RecursionError) as error:
        share(str(error))
        raise
    send([operation, target, packed])
    answer = json.loads(receive())
    if "raised" in answer:
        raise_again(*answer["raised"])
    if operation == "call":
        for (place, key), changed in answer["changed"]:
            become(rest[place][key], unpack(changed, stand_in))
    return unpack(answer["value"], stand_in)


def share(reason):
    """Has the host start again with one interpreter for both. It does not come back."""
    send(["share", reason])
    receive()


def cannot_send(value, depth):
    if type(value) is StandIn:
        return {"held": object.__getattribute__(value, "number")}
    raise CannotSend("a %s of the test's own" % type(value).__name__)


def become(value, other):
    """An argument that the program changed in place changes here too."""
    if isinstance(value, (list, bytearray)):
        value[:] = other
    elif isinstance(value, (dict, set)):
        value.clear()
        value.update(other)
    elif isinstance(value, collections.deque):
        value.clear()
        value.extend(other)


def raise_again(names, arguments, message):
    """The program's exception, as the nearest one that the test's interpreter has."""
    kind = next(kind for kind in map(PRISTINE.get, names + ["Exception"]) if isinstance(kind, type) and issubclass(kind, Exception))
    if kind.__name__ != names[0]:
        kind = type(str(names[0])[:200], (kind,), {"__module__": "solution"})
    try:
        error = kind(*unpack(arguments, stand_in))
    except Exception:
        error = Exception(message)
    raise error


stand_ins = {}


def stand_in(number):
    found = stand_ins.get(number)
    if found is None:
        found = stand_ins[number] = object.__new__(StandIn)
        object.__setattr__(found, "number", number)
    return found


class StandIn:
    """Something of the program's that is no plain value. It can be called, looked into and gone through; it is equal to itself
    alone, whatever the program would say."""
    __slots__ = ("number", "__weakref__")
    __module__ = "solution"

    def __call__(self, *arguments, **named_arguments):
        return ask("call", object.__getattribute__(self, "number"), list(arguments), named_arguments)

    def __getattr__(self, name):
        if name[:2] == "__" and name not in ("__name__", "__doc__", "__qualname__"):
            raise AttributeError(name)
        return ask("get", object.__getattribute__(self, "number"), name)

    def __setattr__(self, name, value):
        ask("set", object.__getattribute__(self, "number"), name, value)

    def __iter__(self):
        return ask("iter", object.__getattribute__(self, "number"))

    def __next__(self):
        return ask("next", object.__getattribute__(self, "number"))

    def __len__(self):
        return ask("len", object.__getattribute__(self, "number"))

    def __bool__(self):
        return ask("bool", object.__getattribute__(self, "number"))

    def __getitem__(self, key):
        return ask("item", object.__getattribute__(self, "number"), key)

    def __setitem__(self, key, value):
        ask("put", object.__getattribute__(self, "number"), key, value)


OPERATIONS = {name: opcode.opmap[name] for name in ("CACHE", "EXTENDED_ARG", "LOAD_NAME", "LOAD_GLOBAL", "STORE_NAME", "STORE_GLOBAL")}
LOOKING = {opcode.opmap[name] for name in ("LOAD_ATTR", "LOAD_METHOD", "STORE_ATTR", "DELETE_ATTR")}


def free_names(code, CACHE, EXTENDED_ARG, LOAD_NAME, LOAD_GLOBAL, STORE_NAME, STORE_GLOBAL):
    """The global names that a test reads, those that it binds, and those that it only looks into as into a module. Read from
    what it was compiled to: a syntax tree costs ten times as much."""
    bound, looked, used = set(), set(), set()
    codes = [code]
    for code in codes:
        codes += [constant for constant in code.co_consts if type(constant) is types.CodeType]
        names, word, more, loaded = code.co_names, code.co_code, 0, None
        for operation, argument in zip(word[::2], word[1::2]):
            if operation == CACHE:
                continue
            if operation == EXTENDED_ARG:
                more = (more | argument) << 8
                continue
            argument |= more
            more = 0
            if loaded is not None:
                (looked if operation in LOOKING else used).add(loaded)
                loaded = None
            if operation == LOAD_GLOBAL:
                # Its lowest bit says that a call follows.
                loaded = names[argument >> 1]
            elif operation == LOAD_NAME:
                loaded = names[argument]
            elif operation == STORE_NAME or operation == STORE_GLOBAL:
                bound.add(names[argument])
    return looked | used, bound, looked - used


# What finds names that a test's code does not name: such a test has to share the program's interpreter.
DYNAMIC = {"exec", "eval", "globals", "locals", "vars", "__import__"}


def prepare_exam():
    """Reads `[test, prefix, what of it the program replaces, entry]`, gives `(function,)` that runs the test to its end, or None
    when it does not compile."""
    test, prefix, replaced, entry = json.loads(receive())
    code = compiled(test, "test.py")
    if code is None:
        return None
    module = ModuleType("solution")
    sys.modules["solution"] = module
    space = module.__dict__

    def run():
        # What the problem itself gives is taken from the problem, unless the program openly defines it again.
        if prefix:
            try:
                exec(compile(prefix, "prefix.py", "exec", 0, True), space)
            except BaseException:
                pass
        read, bound, looked = free_names(code, **OPERATIONS)
        given = set(space) - {entry, *replaced}
        # A module that the test does not import itself is the library's own, not what the program calls so.
        for name in (looked & sys.stdlib_module_names) - given - bound:
            try:
                space[name] = importlib.import_module(name)
                given.add(name)
            except ImportError:
                pass
        wanted = read - set(PRISTINE) - given
        if not entry and not wanted - bound and read & DYNAMIC:
            share("a test by " + min(read & DYNAMIC))
        if not entry and not wanted - bound:
            # A test of nothing but builtins tests one that the program replaces.
            wanted = read - given
        if entry:
            wanted.add(entry)
        found = ask("names", None, sorted(wanted))
        # Whatever else it answers with is not asked for.
        space.update((name, found[name]) for name in wanted if name in found)
        exec(code, space)
        if entry:
            exec(compile("check(%s)\n" % entry, "test.py", "exec"), space)
    return (run,)


# The program's side.

held, numbers = [], {}


def hold(value, depth):
    """A number for what cannot be told, unless it is a plain value of a kind of its own."""
    for kind in (int, float, str, list, tuple, dict, set, frozenset, bytes, bytearray):
        if isinstance(value, kind) and not isinstance(value, type):
            if kind in (tuple, list, set, frozenset):
                plain_value = kind(kind.__iter__(value))
            elif kind is dict:
                plain_value = dict(dict.items(value))
            elif kind in (int, float):
                plain_value = kind.__pos__(value)
            elif kind is str:
                plain_value = str.__str__(value)
            else:
                plain_value = kind(value)
            return pack(plain_value, hold, depth + 1)
    number = numbers.get(id(value))
    if number is None:
        number = numbers[id(value)] = len(held)
        held.append(value)
    return {"held": number}


def perform(operation, target, rest):
    if operation == "names":
        names, space = rest[0], state["space"]
        found = [[name, pack(space[name], hold)] for name in names if name in space]
        return {"value": {"dict": found}}
    value = held[target]
    arguments = [unpack(item, held.__getitem__) for item in rest]
    if operation == "call":
        positional, by_name = arguments
        result = pack(value(*positional, **by_name), hold)
        changed = []
        for place, items in ((0, enumerate(positional)), (1, by_name.items())):
            sent = rest[0] if place == 0 else dict(rest[1]["dict"])
            for key, item in items:
                if type(item) in MUTABLE and (now := pack(item, hold)) != sent[key]:
                    changed.append([[place, key], now])
        return {"value": result, "changed": changed}
    if operation == "get":
        result = getattr(value, *arguments)
    elif operation == "set":
        result = setattr(value, *arguments)
    elif operation == "iter":
        result = iter(value)
    elif operation == "next":
        result = next(value)
    elif operation == "len":
        result = len(value)
    elif operation == "bool":
        result = bool(value)
    elif operation == "item":
        result = value[arguments[0]]
    elif operation == "put":
        value[arguments[0]] = arguments[1]
        result = None
    else:
        raise ValueError(operation)
    return {"value": pack(result, hold)}


def answer():
    """Reads what the test asks, does it, and sends what came of it. The host has the guard call it."""
    try:
        result = perform(*json.loads(receive()))
    except Exception as error:
        names = [kind.__name__ for kind in type(error).__mro__]
        try:
            arguments = pack(list(error.args), hold)
        except Exception:
            arguments = [text_of(error)]
        result = {"raised": [names, arguments, text_of(error)]}
    send(result)


answering = (answer,)
PRISTINE_MODULES = {name: __import__(name) for name in SHARED}


def warm_exam():
    free_names(compile("def check(f):\n    assert f([1], 'x')[0] == math.inf\n", "w", "exec"), **OPERATIONS)
    for _ in range(20):
        unpack(json.loads(json.dumps(pack([1, "x", [2.5], (1, [None]), {"a": {1, 2}}, 1 << 2000], cannot_send))), stand_in)
