# Assert-style tests kept apart from the program they test. The test runs in an interpreter of its own (`prepare_isolated_test`), where
# each name that it takes from the program is a stand-in. What it asks of a stand-in goes through the host to the program's
# interpreter (`prepare_answer`) and comes back as data: nothing of the program's ever runs beside the test.
# On the program's side nothing is trusted, and nothing has to be: whatever it says is no more than a claim about a value.

def ask(operation, target=None, *rest):
    """What the program's interpreter says to this. The host answers between the write and the read."""
    try:
        packed = [pack(item, cannot_send) for item in rest]
    except (CannotSend, RecursionError) as error:
        # What the test itself took by its name asks for this, not a value that the program made up.
        if target in taken:
            share(str(error))
        raise TypeError("%s cannot be handed to what the program returned" % error) from None
    send([operation, target, packed])
    answer = json.loads(receive())
    if operation != "names":
        questions["asked"] = True
    if "raised" in answer:
        raise_again(*answer["raised"])
    if operation == "call":
        for (place, key), changed in answer["changed"]:
            become(rest[place][key], unpack(changed, stand_in))
        for name, changed in answer["globals"]:
            questions["space"][name] = unpack(changed, stand_in)
        if answer["same"] is not None:
            place, key = answer["same"]
            return rest[place][key]
    return unpack(answer["value"], stand_in)


# Numbers of what the test took by name; whether it has asked anything of the program, and its own names.
taken, questions = set(), {"asked": False, "space": {}}


def share(reason):
    """Has the host start again with one interpreter for both. It does not come back."""
    send(["share", reason])
    receive()


def give_up(reason):
    """Tells the host that this test cannot judge a program: no word on the program's worth. It does not come back."""
    send(["unsupported", reason])
    receive()


def cannot_send(value, depth):
    if type(value) is StandIn:
        return {"held": object.__getattribute__(value, "number")}
    raise CannotSend("a %s of the test's own" % type(value).__name__)


def become(value, other):
    """An argument that the program changed in place changes here too."""
    if isinstance(value, tuple):
        for item, changed in zip(value, other):
            if type(item) in MUTABLE or type(item) is tuple:
                become(item, changed)
    elif isinstance(value, (list, bytearray)):
        value[:] = other
    elif isinstance(value, (dict, set)):
        value.clear()
        value.update(other)
    elif isinstance(value, collections.deque):
        value.clear()
        value.extend(other)


def raise_again(names, arguments, message):
    """The program's exception, as the nearest one that the test's interpreter has."""
    kind = exception_type(names)
    try:
        error = kind(*unpack(arguments, stand_in))
    except Exception:
        error = Exception(message)
    raise error


exception_types = {}


def exception_type(names):
    """The test's twin of an exception class that bears the first of these names, its bases' names behind it."""
    base = next(kind for kind in map(PRISTINE.get, names + ["Exception"]) if isinstance(kind, type) and issubclass(kind, Exception))
    if base.__name__ == names[0]:
        return base
    key = tuple(map(str, names))
    found = exception_types.get(key)
    if found is None:
        bases = exception_type(names[1:]) if len(names) > 1 else base
        found = exception_types[key] = type(key[0][:200], (bases,), {"__module__": "solution"})
    return found


stand_ins = {}


def stand_in(number):
    found = stand_ins.get(number)
    if found is None:
        found = stand_ins[number] = object.__new__(StandIn)
        object.__setattr__(found, "number", number)
    return found


class StandIn:
    # Something of the program's that is no plain value. It can be called, looked into and gone through; it is equal to itself
    # alone, and to what the program calls equal of its own.
    __doc__ = property(lambda self: ask("get", object.__getattribute__(self, "number"), "__doc__"))
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

    def __delitem__(self, key):
        ask("delete", object.__getattribute__(self, "number"), key)

    def __str__(self):
        return told_text(ask("str", object.__getattribute__(self, "number")))

    def __repr__(self):
        return told_text(ask("repr", object.__getattribute__(self, "number")))

    def __enter__(self):
        return ask("enter", object.__getattribute__(self, "number"))

    def __exit__(self, *error):
        ask("exit", object.__getattribute__(self, "number"))

    def __instancecheck__(self, value):
        # A plain value is of no class of the program's.
        return type(value) is StandIn and ask("isinstance", object.__getattribute__(self, "number"), value) is True

    def __eq__(self, other):
        """Two things of the program's are what it says they are to each other. Nothing of the test's is equal to either."""
        if type(other) is not StandIn:
            return False
        return self is other or ask("eq", object.__getattribute__(self, "number"), other) is True

    __hash__ = object.__hash__


def told_text(text):
    if type(text) is not str:
        raise TypeError("the program's text is a %s" % type(text).__name__)
    return text


def operator_of(operation):
    """An operation on one thing of the program's, or on two. Not with a value of the test's: it would tell the program what to
    answer, as in `abs(f(3) - 0.5) < 1e-6`."""
    def method(self, *others):
        if any(type(other) is not StandIn for other in others):
            return NotImplemented
        return ask("operate", object.__getattribute__(self, "number"), operation, *others)
    method.__name__ = operation
    return method


OPERATORS = {"__%s__" % word for word in
             "add sub mul matmul truediv floordiv mod pow and or xor lt le gt ge neg pos abs invert int float index".split()}
for word in sorted(OPERATORS):
    setattr(StandIn, word, operator_of(word))
del word


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


def prepare_isolated_test():
    """Reads `[test, prefix, what of it the program replaces, entry]`, gives `(function,)` that runs the test to its end, or None
    when it does not compile."""
    test, prefix, replaced, entry = json.loads(receive())
    code = compiled(test, "test.py")
    if code is None:
        return None
    module = ModuleType("solution")
    sys.modules["solution"] = module
    sys.modules["numpy"] = numpy_subset()
    # `Solution().add`: the program's name in it.
    entry_name = entry and re.match(r"\w*", entry).group()
    space = module.__dict__

    def run():
        # What the problem itself gives is taken from the problem, unless the program openly defines it again.
        if prefix:
            try:
                exec(compile(prefix, "prefix.py", "exec", 0, True), space)
            except BaseException:
                pass
        read, bound, looked = free_names(code, **OPERATIONS)
        for example in doctest_examples(code):
            read |= free_names(compile(example.source, "test.py", "exec"), **OPERATIONS)[0]
        given = set(space) - {entry_name, *replaced}
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
            wanted.add(entry_name)
        found = ask("names", None, sorted(wanted))
        # Whatever else it answers with is not asked for.
        found = {name: found[name] for name in wanted if name in found}
        taken.update(object.__getattribute__(value, "number") for value in found.values() if type(value) is StandIn)
        space.update(found)
        questions["space"] = space
        space["__name__"] = "__main__"
        sys.modules["__main__"] = module
        if any(type(found[name]) is not StandIn for name in found if name in code.co_names):
            # The test reads a plain value of the program's where it runs.
            questions["asked"] = True
        run_test(code, space, entry)
    return (run,)
