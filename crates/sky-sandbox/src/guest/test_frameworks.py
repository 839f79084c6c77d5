# How a test is run: as a script, and then by the rules of the framework that it is written for. A test that ends without having
# asked the program anything says nothing about it, and the host hears of it.
import asyncio, doctest, inspect, threading, unittest


def run_test(code, space, entry):
    failures = []
    # What fails in a thread fails the test, where Python only prints it.
    threading.excepthook = lambda arguments: failures.append(arguments.exc_value)
    sys.excepthook = lambda kind, error, trace: failures.append(error)
    before = set(space)
    try:
        exec(code, space)
    except SystemExit as end:
        # As `unittest.main()` ends: by a code.
        if end.code not in (None, 0, False):
            raise AssertionError("the test left with code %r" % (end.code,)) from None
    except ImportError as error:
        if in_test(error):
            give_up("its test: %s" % error)
        raise
    if entry:
        if not callable(space.get("check")):
            give_up("its test defines no `check`")
        asked = questions["asked"]
        candidate = eval(compile(entry, "test.py", "eval"), space)
        if type(candidate) is StandIn:
            # Named by the problem, as what it took by name; making it has asked the program nothing.
            taken.add(object.__getattribute__(candidate, "number"))
            questions["asked"] = asked
        space["check"](candidate)
    if not questions["asked"]:
        for name in [name for name in space if name not in before]:
            run_by_framework(name, space[name])
        run_doctest(code, space)
    for error in failures:
        raise error
    if not questions["asked"]:
        give_up("its test ends without asking the program anything")


def in_test(error):
    """Whether it was raised by a line of the test's own."""
    trace = error.__traceback__
    while trace.tb_next is not None and trace.tb_next.tb_frame.f_code.co_filename == "test.py":
        trace = trace.tb_next
    return trace.tb_frame.f_code.co_filename == "test.py"


def run_by_framework(name, value):
    if isinstance(value, type):
        if issubclass(value, unittest.TestCase):
            result = unittest.TestResult()
            unittest.defaultTestLoader.loadTestsFromTestCase(value).run(result)
            for _, trace in result.failures + result.errors:
                raise AssertionError(trace.strip().rsplit("\n", 1)[-1])
        elif name.startswith("Test"):
            for method in [method for method in vars(value) if method.startswith("test")]:
                run_function(getattr(value(), method))
    elif name.startswith("test") and inspect.isfunction(value):
        run_function(value)


def run_function(function):
    parameters = inspect.signature(function).parameters.values()
    if any(parameter.default is parameter.empty and parameter.kind is not parameter.VAR_KEYWORD and
           parameter.kind is not parameter.VAR_POSITIONAL for parameter in parameters):
        # A fixture, or parameters that a framework would fill in.
        give_up("its test function %s takes arguments" % function.__name__)
    returned = function()
    if inspect.iscoroutine(returned):
        asyncio.run(returned)


def doctest_examples(code):
    """Those of the text that documents the test, its first constant."""
    text = code.co_consts[0] if code.co_consts else None
    return doctest.DocTestParser().get_examples(text) if isinstance(text, str) and ">>>" in text else []


def run_doctest(code, space):
    examples = doctest.DocTest(doctest_examples(code), space, "test", "test.py", 0, None)
    said = []
    if doctest.DocTestRunner(verbose=False).run(examples, out=said.append, clear_globs=False).failed:
        raise AssertionError("".join(said).strip()[-400:])
