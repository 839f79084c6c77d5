# Runs once, while the guest is baked. What is defined here stays reachable from programs, so nothing here is trusted.
import sys, os, builtins, types, gc, importlib.machinery
import _sitebuiltins, _thread, threading

ROOT = "/lib/python3.11"
# What cannot work without a screen, a compiler, a database or a network, or is only there to test Python.
SKIP = {
    "test", "idlelib", "lib2to3", "tkinter", "turtledemo", "turtle", "ensurepip", "distutils", "pydoc_data", "venv",
    "curses", "sqlite3", "ctypes", "dbm", "msilib", "site-packages", "lib-dynload", "__pycache__", "wsgiref", "xmlrpc",
    "antigravity", "this", "__phello__", "__hello__", "config-3.11-wasm32-wasi",
}
# Imported before the snapshot: what contest programs and tests use. The rest is compiled and runs when it is imported.
PRELOAD = """
abc array ast asyncio atexit base64 binascii bisect calendar cmath codecs collections collections.abc colorsys contextlib
contextvars copy copyreg csv dataclasses datetime decimal difflib dis enum errno fractions functools gc getpass graphlib
hashlib heapq hmac html inspect io ipaddress itertools json keyword linecache locale logging math numbers opcode operator os
os.path pathlib pickle platform pprint pyexpat queue random re reprlib sched secrets select selectors shlex shutil signal
socket stat statistics string stringprep struct subprocess sysconfig tempfile textwrap threading time timeit token tokenize
traceback types typing unicodedata unittest unittest.mock urllib.parse uuid warnings weakref doctest concurrent.futures
concurrent.futures.thread multiprocessing sortedcontainers
""".split()
# Set-up may have left these out.
OPTIONAL = {"sortedcontainers"}


def sources(folder=ROOT, prefix=""):
    for entry in sorted(os.listdir(folder)):
        path = folder + "/" + entry
        name, dot, suffix = entry.partition(".")
        if entry in SKIP or name in SKIP:
            continue
        if suffix == "py":
            if name == "__init__":
                yield prefix[:-1], path, True
            else:
                yield prefix + name, path, False
        elif not dot and os.path.isdir(path):
            yield from sources(path, prefix + name + ".")


class Library:
    """Every module of the standard library, compiled, and the built-in ones as they were when baked."""

    def __init__(self):
        self.codes = {}
        self.builtins = {}

    def find_spec(self, name, path=None, target=None):
        if name in self.builtins:
            return importlib.machinery.ModuleSpec(name, self, origin="built-in")
        entry = self.codes.get(name)
        if entry is None:
            return None
        spec = importlib.machinery.ModuleSpec(name, self, origin=entry[1], is_package=entry[2])
        spec.has_location = True
        return spec

    def create_module(self, spec):
        return self.builtins.get(spec.name)

    def exec_module(self, module):
        entry = self.codes.get(module.__spec__.name)
        if entry is not None:
            exec(entry[0], module.__dict__)

    def get_source(self, name):
        return None


class Missing:
    """Says what is not there, last in line."""

    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top in THIRD_PARTY:
            raise ModuleNotFoundError(
                "No module named %r (the sandbox has Python's standard library and sortedcontainers only)" % name, name=name)
        return None


THIRD_PARTY = {"numpy", "scipy", "pandas", "sympy", "networkx", "numba", "matplotlib", "sklearn", "torch", "requests", "gmpy2"}


def start_new_thread(function, args, kwargs={}):
    """A thread runs to its end before the one that started it continues."""
    try:
        function(*args, **kwargs)
    except SystemExit:
        pass
    except BaseException:
        sys.excepthook(*sys.exc_info())
    return _thread.get_ident()


def thread_start(self):
    if not self._initialized:
        raise RuntimeError("thread.__init__() not called")
    if self._started.is_set():
        raise RuntimeError("threads can only be started once")
    self._started.set()
    self._ident = _thread.get_ident()
    try:
        self.run()
    except SystemExit:
        pass
    except BaseException:
        threading.excepthook(threading.ExceptHookArgs(sys.exc_info() + (self,)))
    self._is_stopped = True


def thread_join(self, timeout=None):
    if not self._started.is_set():
        raise RuntimeError("cannot join thread before it is started")


def thread_is_alive(self):
    return False


def stack_size(size=0):
    return 0


def submit(self, fn, /, *args, **kwargs):
    from concurrent.futures import Future
    if self._shutdown:
        raise RuntimeError("cannot schedule new futures after shutdown")
    future = Future()
    future.set_running_or_notify_cancel()
    try:
        future.set_result(fn(*args, **kwargs))
    except BaseException as error:
        future.set_exception(error)
    return future


def harmless_modules():
    """What programs call to have more time, memory or stack: it is there and changes nothing."""
    import signal
    resource = types.ModuleType("resource")
    resource.RLIM_INFINITY = -1
    for number, name in enumerate("CPU FSIZE DATA STACK CORE RSS NPROC NOFILE MEMLOCK AS".split()):
        setattr(resource, "RLIMIT_" + name, number)
    resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN, resource.error = 0, -1, OSError
    usage = types.SimpleNamespace(ru_utime=0.0, ru_stime=0.0, ru_maxrss=0)
    resource.getrlimit = lambda kind: (-1, -1)
    resource.setrlimit = lambda kind, limits: None
    resource.getrusage = lambda who: usage
    resource.getpagesize = lambda: 4096
    if not hasattr(signal, "alarm"):
        signal.SIGALRM = 14
        signal.alarm = lambda seconds: 0
        signal.setitimer = lambda which, seconds, interval=0.0: (0.0, 0.0)
        signal.ITIMER_REAL = 0
        handle = signal.signal
        signal.signal = lambda number, handler: None if number == 14 else handle(number, handler)
    return {"resource": resource}


def install(failed):
    for name in PRELOAD:
        try:
            __import__(name)
        except ImportError as error:
            if name not in OPTIONAL:
                failed.append("%s: %s" % (name, error))
    library = Library()
    for name, path, package in sources():
        with open(path, "rb") as file:
            source = file.read()
        try:
            library.codes[name] = (compile(source, path, "exec", dont_inherit=True), path, package)
        except SyntaxError as error:
            failed.append("%s: %s" % (name, error))
    for name in sys.builtin_module_names:
        # CPython's own tests of itself reach behind its walls.
        if name.startswith(("_test", "_xx", "xx")):
            continue
        try:
            library.builtins[name] = __import__(name)
        except ImportError:
            pass
    library.builtins.update(harmless_modules())
    _thread.start_new_thread = _thread.start_new = threading._start_new_thread = start_new_thread
    _thread.stack_size = threading.stack_size = stack_size
    threading.Thread.start = thread_start
    threading.Thread.join = thread_join
    threading.Thread.is_alive = thread_is_alive
    sys.modules["concurrent.futures.thread"].ThreadPoolExecutor.submit = submit
    # An event loop wakes itself through a pair of sockets; with one thread nobody else could.
    loop = sys.modules["asyncio.selector_events"].BaseSelectorEventLoop
    loop._make_self_pipe = loop._close_self_pipe = loop._write_to_self = lambda self: None
    # What `site` defines, which the guest starts without.
    builtins.exit = _sitebuiltins.Quitter("exit", "")
    builtins.quit = _sitebuiltins.Quitter("quit", "")
    sys.path[:] = []
    sys.path_hooks[:] = []
    sys.path_importer_cache.clear()
    sys.meta_path[:] = [library, importlib.machinery.FrozenImporter, Missing()]
    sys.argv[:] = ["solution.py"]
    sys.orig_argv[:] = ["python3", "solution.py"]
    sys.dont_write_bytecode = True
    os.environ.clear()
    gc.set_threshold(200000, 20, 100)
