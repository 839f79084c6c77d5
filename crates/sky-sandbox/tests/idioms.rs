//! What contest programs do works as it does natively.
#![allow(clippy::unwrap_used)]

mod guest;

macro_rules! prints {
    ($($name:ident: $stdin:expr, $program:expr => $expected:expr;)*) => {$(
        #[test]
        fn $name() {
            if guest::sandbox().is_none() { return }
            assert_eq!(guest::stdout($program, $stdin), $expected);
        }
    )*};
}

prints! {
    input_by_line: "3\n4\n", "a = int(input()); b = int(input())\nprint(a * b)" => "12\n";
    input_as_a_whole: "3 4\n5\n", "import sys\nprint(sum(map(int, sys.stdin.read().split())))" => "12\n";
    input_as_bytes: "3 4\n", "import sys\nprint(sys.stdin.buffer.read().split())" => "[b'3', b'4']\n";
    input_replaced_by_readline: "3\nx y\n", "import sys\ninput = sys.stdin.readline\nn = int(input())\nprint(n, input().split())" => "3 ['x', 'y']\n";
    input_by_iteration: "a\nb\n", "import sys\nprint([line.strip() for line in sys.stdin])" => "['a', 'b']\n";
    input_by_descriptor: "7\n", "import os\nprint(os.read(0, 100))" => "b'7\\n'\n";
    input_by_open: "7 8\n", "print(open(0).read().split())" => "['7', '8']\n";
    input_of_an_io_class: "5 6\n", "import os, sys\nfrom io import BytesIO\nb = BytesIO(os.read(0, max(os.fstat(0).st_size, 8192)))\nprint(b.readline())" => "b'5 6\\n'\n";
    input_by_device: "7 8\n9\n", "f = open('/dev/stdin')\nprint(f.readline().split(), f.read())" => "['7', '8'] 9\n\n";
    input_of_its_whole_size: "5 6\n7\n", "import os\nprint(os.fstat(0).st_size, os.read(0, os.fstat(0).st_size))" => "6 b'5 6\\n7\\n'\n";
    output_by_device: "", "import os, sys\nwith open('/dev/stdout', 'w') as f: print('a', file=f)\nprint('b', file=open(os.devnull, 'w'))\nprint(repr(open('/dev/null').read()), os.path.exists('/dev/stdin'), os.path.exists('/etc/passwd'))" => "a\n'' True False\n";
    a_file_that_is_not_there: "", "try: open('input.txt')\nexcept FileNotFoundError: print('none')" => "none\n";
    the_end_of_input: "1\n", "while True:\n    try: print(input())\n    except EOFError: break" => "1\n";
    output_by_write: "", "import sys\nsys.stdout.write('a\\n')\nsys.stdout.flush()" => "a\n";
    output_by_descriptor: "", "import os\nos.write(1, b'a\\n')" => "a\n";
    output_flushed: "", "print('a', flush=True)" => "a\n";
    output_redirected_and_written_at_exit: "", "import sys, io, os, atexit\nsys.stdout = io.StringIO()\natexit.register(lambda: os.write(1, sys.stdout.getvalue().encode()))\nprint('late')" => "late\n";
    output_never_closed: "", "f = open(1, 'w', closefd=False)\nf.write('a\\n')" => "a\n";
    the_main_guard: "", "def main(): print('main')\nif __name__ == '__main__':\n    main()" => "main\n";
    leaving_by_exit: "", "print(1)\nexit()\nprint(2)" => "1\n";
    leaving_by_sys_exit: "", "import sys\nprint(1)\nsys.exit(0)" => "1\n";
    a_thread_with_a_big_stack: "4\n", "import sys, threading\nsys.setrecursionlimit(10**6)\nthreading.stack_size(1 << 27)\ndef main():\n    n = int(input())\n    def f(k): return 0 if k == 0 else 1 + f(k - 1)\n    print(f(n * 10000))\nt = threading.Thread(target=main)\nt.start()\nt.join()" => "40000\n";
    a_thread_pool: "", "from concurrent.futures import ThreadPoolExecutor\nwith ThreadPoolExecutor(4) as p: print(list(p.map(lambda x: x * x, range(4))))" => "[0, 1, 4, 9]\n";
    cached_recursion: "", "import sys\nfrom functools import lru_cache\nsys.setrecursionlimit(10**6)\n@lru_cache(None)\ndef f(n): return 0 if n == 0 else f(n - 1) + 1\nprint(f(50000))" => "50000\n";
    deep_recursion: "", "import sys\nsys.setrecursionlimit(10**6)\ndef f(n): return 0 if n == 0 else f(n - 1) + 1\nprint(f(300000))" => "300000\n";
    pythons_own_recursion_limit: "", "def f(n): return 0 if n == 0 else f(n - 1) + 1\nprint(f(990))\ntry: f(1000)\nexcept RecursionError: print('deep')" => "990\ndeep\n";
    more_stack_and_time_are_asked_for: "", "import resource, signal\nresource.setrlimit(resource.RLIMIT_STACK, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))\nsignal.signal(signal.SIGALRM, lambda *a: None)\nsignal.alarm(5)\nprint(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)" => "0\n";
    heaps_and_bisection: "", "import heapq, bisect\nh = [3, 1, 2]\nheapq.heapify(h)\nprint(heapq.heappop(h), bisect.bisect([1, 2, 3], 2))" => "1 2\n";
    decimals_and_fractions: "", "from decimal import Decimal, getcontext\nfrom fractions import Fraction\ngetcontext().prec = 30\nprint(Decimal(1) / 3, Fraction(1, 3) + 1)" => "0.333333333333333333333333333333 4/3\n";
    big_integers: "", "import sys\nsys.set_int_max_str_digits(0)\nprint(len(str(3 ** 10000)), pow(3, 10**18, 10**9 + 7))" => "4772 246336683\n";
    generators_and_dataclasses: "", "from dataclasses import dataclass\n@dataclass(order=True)\nclass P:\n    x: int\n    y: int = 0\ndef g():\n    yield from (P(2), P(1))\nprint(sorted(g()))" => "[P(x=1, y=0), P(x=2, y=0)]\n";
    matching: "", "match [1, 2]:\n    case [a, b]: print(a + b)" => "3\n";
    rare_modules_can_be_imported: "", "import tomllib, statistics, zoneinfo, sched, netrc, mailbox\nprint(tomllib.loads('a = 1'))" => "{'a': 1}\n";
    asynchronous_programs: "", "import asyncio\nasync def main():\n    await asyncio.sleep(0)\n    print('ran')\nasyncio.run(main())" => "ran\n";
    unicode: "héllo ✓\n", "s = input()\nprint(len(s), s.upper())" => "7 HÉLLO ✓\n";
    time_passes: "", "import time\na = time.perf_counter()\nfor i in range(10000): pass\nprint(0 < time.perf_counter() - a < 1)" => "True\n";
    pickles_of_own_classes: "", "import pickle\nclass A:\n    pass\nprint(type(pickle.loads(pickle.dumps(A()))).__name__)" => "A\n";
    copies_and_enums: "", "import copy, enum\nclass C(enum.Enum):\n    A = 1\nprint(copy.deepcopy([C.A]))" => "[<C.A: 1>]\n";
    standard_error_is_apart: "", "import sys\nprint('x', file=sys.stderr)\nprint('y')" => "y\n";
    sorted_containers: "", "from sortedcontainers import SortedList\ns = SortedList([3, 1, 2])\ns.add(0)\nprint(list(s), s.bisect(2))" => "[0, 1, 2, 3] 3\n";
    missing_numpy_can_be_done_without: "", "try:\n    import numpy\nexcept ImportError:\n    print('without')" => "without\n";
}
