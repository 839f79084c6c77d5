# The host's side of a run, inside the guest. No function here is reachable from a program: the host calls them by address,
# no frame of theirs lies under the program's, and what would find them (gc, tracing) is disarmed once this is baked.
# What they use of builtins and modules is theirs, taken before any program could replace it; no garbage is collected while
# they run, so that no finalizer runs above one of their frames.
import sys, os, io, json, builtins, collections, decimal, fractions, types, atexit, traceback, warnings
from types import FunctionType, ModuleType
from gc import disable as collect_nothing, enable as collect_again

# The limit guards servers against long inputs; here every run is metered.
sys.set_int_max_str_digits(0)
CONTROL_IN, CONTROL_OUT = 100, 101
PRISTINE = dict(vars(builtins))
state = {}
# A harness whose names and recursion limit every program has, one that reads standard input too:
# https://github.com/LiveCodeBench/LiveCodeBench/blob/main/lcb_runner/evaluation/testing_util.py
LIVE_CODE_BENCH = "live_code_bench"
# The host writes the address of one exception here. Not a literal: a constant tuple may be shared, with code among others.
cell = tuple([None])


def receive(read=os.read):
    parts = []
    while part := read(CONTROL_IN, 1 << 16):
        parts.append(part)
    return b"".join(parts)


def send(record, write=os.write, dumps=json.dumps):
    data = memoryview(dumps(record).encode())
    while data:
        data = data[write(CONTROL_OUT, data):]


def text_of(error):
    try:
        return str(error)[:400]
    except BaseException:
        return "(its message cannot be shown)"


def compiled(source, name):
    try:
        if source[:1] == "\ufeff":
            source = source[1:]
        return compile(source, name, "exec", 0, True)
    except SyntaxError as error:
        send({"compile": "%s: %s (line %s)" % (type(error).__name__, error.msg, error.lineno)})
    except BaseException as error:
        send({"compile": "%s: %s" % (type(error).__name__, text_of(error))})


def prepare():
    """Reads `kind harness\\nsource`, gives `(function,)` to be guarded, or None when the source does not compile."""
    collect_nothing()
    first, _, source = receive().decode("utf-8", "surrogatepass").partition("\n")
    kind, _, harness = first.partition(" ")
    code = compiled(source, "solution.py")
    if code is None:
        return None
    name = "__main__" if kind == "script" else "solution"
    module = ModuleType(name)
    space = module.__dict__
    if kind in ("call", "judge") or harness == LIVE_CODE_BENCH:
        space.update(PRELUDE)
        space["__name__"] = name
        state["code"] = code
    if harness == LIVE_CODE_BENCH:
        sys.setrecursionlimit(50000)
    widen(source, space)
    space["__builtins__"] = builtins
    space["__file__"] = "solution.py"
    if kind == "script":
        space["__annotations__"] = {}
        space["__cached__"] = None
    sys.modules[name] = module
    state["space"] = space
    found = (FunctionType(code, space),)
    collect_again()
    return found


def prepare_test():
    """Reads `kind\nsource` of a test, gives `(function,)`: it shares the program's names, but not its ideas of what the
    builtins are. What a test "define"s is bound to pristine builtins as it runs; for what it "run"s they are out of reach."""
    collect_nothing()
    kind, _, source = receive().decode("utf-8", "surrogatepass").partition("\n")
    code = compiled(source, "test.py")
    if code is None:
        return None
    space = state["space"]
    for name in DYNAMIC & free_names(code, **OPERATIONS)[0]:
        space.pop(name, None)
    space["__builtins__"] = PRISTINE
    found = (FunctionType(code, space),)
    if kind == "run":
        space["__builtins__"] = builtins
    collect_again()
    return found


def plain(value, depth=0):
    """What a program returned, as its benchmark's harness compares it: by `==` with a value that was read from JSON, tuples being
    lists and the keys of a dict texts. What equals no such value is told as an object that none is."""
    if depth > 100:
        raise ValueError("nested too deeply")
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (list, tuple)):
        return [plain(item, depth + 1) for item in value]
    if isinstance(value, dict) and all(isinstance(key, (str, int)) for key in value):
        return {str(key): plain(item, depth + 1) for key, item in value.items()}
    if isinstance(value, (decimal.Decimal, fractions.Fraction)):
        for kind in (int, float):
            try:
                if value == (number := kind(value)):
                    return number
            except (ValueError, OverflowError):
                pass
    return {"%s of Python's, which equals nothing" % type(value).__name__: text_of(value)}


def flush(stream):
    try:
        stream.flush()
    except BaseException:
        pass


def finish():
    """The end of a program: its traceback, its exit handlers, its unwritten output."""
    collect_nothing()
    error = cell[0]
    record = {"exit": 0}
    if isinstance(error, SystemExit):
        code = error.code
        if isinstance(code, int):
            # What does not fit into C's long is -1, as natively.
            record = {"exit": code & 0xFF if -2**63 <= code < 2**63 else 255}
        elif code is not None:
            record = {"exit": 1}
            print(text_of(code), file=STDERR)
    elif error is not None:
        record = {"kind": type(error).__name__[:200], "message": text_of(error)}
        try:
            trace = error.__traceback__
            lines = traceback.format_exception(type(error), error, trace and trace.tb_next, limit=-20)
            STDERR.write("".join(lines)[-20000:])
        except BaseException:
            flush(STDERR)
    try:
        atexit._run_exitfuncs()
    except BaseException:
        pass
    for stream in (sys.stdout, STDOUT, sys.stderr, STDERR):
        flush(stream)
    # A native interpreter writes out what it tears down.
    for value in list(state.get("space", {}).values()):
        if isinstance(value, (io.TextIOWrapper, io.BufferedWriter)):
            flush(value)
    send(record)


def guard(program, BaseException=BaseException):
    try:
        program()
    except BaseException as error:
        return error


# The one frame under a program: its names lead nowhere.
guard = types.FunctionType(guard.__code__, {"__builtins__": builtins}, "guard", guard.__defaults__)

PRELUDE = {}
for line in """
from string import *
from re import *
from datetime import *
from collections import *
from heapq import *
from bisect import *
from copy import *
from math import *
from random import *
from statistics import *
from itertools import *
from functools import *
from operator import *
from json import *
from typing import *
import string, re, datetime, collections, heapq, bisect, copy, math, random, statistics, itertools, functools, operator, json, sys, io, typing
inf = math.inf
""".strip().split("\n"):
    exec(line, PRELUDE)
PRELUDE["pow"] = pow
PRELUDE["open"] = open
del PRELUDE["__builtins__"], line

STDIN = io.TextIOWrapper(io.BufferedReader(io.FileIO(0, "r", closefd=False)), "utf-8", "surrogateescape")
STDOUT = io.TextIOWrapper(io.BufferedWriter(io.FileIO(1, "w", closefd=False)), "utf-8", "surrogateescape")
STDERR = io.TextIOWrapper(io.BufferedWriter(io.FileIO(2, "w", closefd=False)), "utf-8", "backslashreplace", line_buffering=True)


def warm():
    """First use of lazily built machinery belongs into the snapshot, not into every run."""
    space = {}
    exec(compile("import sys\nx = [int(v) for v in '3 4'.split()]\nprint(sum(x), f'{1.5:.3f}', sorted(x), file=__import__('io').StringIO())\n"
                 "class A:\n    def f(self): return {1: 2}\nA().f()\n", "w", "exec"), space)
    json.loads(json.dumps({"a": [1, "x", 1.5, None]}))
    try:
        1 // 0
    except ZeroDivisionError as error:
        traceback.format_exception(error)
    traceback.format_exception_only(compiled_error())


def compiled_error():
    try:
        compile("x = (", "w", "exec")
    except SyntaxError as error:
        return error


STDIN.mode, STDOUT.mode, STDERR.mode = "r", "w", "w"
sys.stdin = sys.__stdin__ = STDIN
sys.stdout = sys.__stdout__ = STDOUT
sys.stderr = sys.__stderr__ = STDERR
sys.modules["__main__"] = types.ModuleType("__main__")


def disarm(gc, marshal, code_type, frame_type, function_type, _imp):
    """Takes away what reaches behind the interpreter's own walls. The host overwrites the C entry points besides."""
    slots = gc.get_referents(code_type.__dict__)[0]
    del slots["replace"], slots["__new__"]
    slots = gc.get_referents(frame_type.__dict__)[0]
    del slots["f_builtins"], slots["f_trace"]
    slots = gc.get_referents(function_type.__dict__)[0]
    del slots["__builtins__"]
    methods = {
        "silenced": [sys.settrace, sys.setprofile, _imp.create_builtin, _imp.exec_builtin, marshal.loads, marshal.load,
                     gc.get_referrers, gc.get_referents],
        "by": sys.gettrace,
    }
    # What would run a program's code in the middle of the driver's own.
    del gc.get_objects, gc.callbacks, sys.addaudithook
    return methods


# Memory that a run finds in one piece behind everything else.
ROOM = 4 << 20
HOLES = collections.deque()


def fill_holes():
    """Takes every free place between what lives, so that what a run makes lies side by side behind it: scattered, each object
    would be on a page of its own, to be copied by the run and put back after it."""
    behind = id(bytes(ROOM))
    # An object of `bytes` takes 17 bytes more than it holds, the allocator 4 and what is missing to 16.
    for size in (1 << power for power in range(22, 4, -1)):
        while id(hole := bytes(max(2, size - 32))) < behind:
            HOLES.append(hole)
    while id(hole := object()) < behind:
        HOLES.append(hole)


def emit(failed):
    """Tells the host where everything is; the next thing that happens is the snapshot."""
    import gc, marshal, _imp
    methods = disarm(gc, marshal, types.CodeType, types.FrameType, types.FunctionType, _imp)
    addresses = {
        "functions": {f.__name__: id(f) for f in (prepare, prepare_test, prepare_call, prepare_isolated_test, guard, finish)},
        "answering": id(answering),
        "function_type": id(types.FunctionType),
        "code_type": id(types.CodeType),
        "no_arguments": id(()),
        "none": id(None),
        "cell": id(cell),
        "silenced": [id(f) for f in methods["silenced"]],
        "silent": id(methods["by"]),
        "failed": failed,
    }
    record = json.dumps(addresses).encode()
    methods = None
    sys._clear_type_cache()
    # Filled again here, not in every run: each page that a run writes to costs it microseconds.
    warm()
    warm_isolated_test()
    gc.collect()
    fill_holes()
    gc.freeze()
    sys.setrecursionlimit(RECURSION_LIMIT)
    os.write(CONTROL_OUT, record)


# A program starts two frames deep: the interpreter's own and the guard's, where a native one starts at its first.
RECURSION_LIMIT = 1002
