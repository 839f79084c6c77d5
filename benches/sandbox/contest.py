"""Contest problems with full test sets, of our own: a program that reads standard input, and seeded tests for it.

The number of tests and the sizes follow APPS and TACO, whose problems have some twenty to fifty tests each, most of them small and a few near
the limits of the statement.
"""
import random

TESTS = 40

# name -> (program, writer of one input from a random source and a size from 0 to 1)
PROBLEMS = {
    "prefix sums": ("""
import sys
data = list(map(int, sys.stdin.read().split()))
n, q = data[0], data[1]
sums = [0]
for x in data[2:2 + n]:
    sums.append(sums[-1] + x)
out = []
for i in range(q):
    l, r = data[2 + n + 2 * i], data[3 + n + 2 * i]
    out.append(sums[r] - sums[l - 1])
print('\\n'.join(map(str, out)))
""", lambda r, s: ranges(r, 2 + int(20_000 * s))),
    "sieve": ("""
n = int(input())
prime = bytearray([1]) * (n + 1)
prime[0:2] = b'\\0\\0'
for p in range(2, int(n ** 0.5) + 1):
    if prime[p]:
        prime[p * p::p] = bytes(len(range(p * p, n + 1, p)))
print(sum(prime))
""", lambda r, s: f"{2 + int(200_000 * s)}\n"),
    "knapsack": ("""
n, w = map(int, input().split())
best = [0] * (w + 1)
for _ in range(n):
    weight, value = map(int, input().split())
    for c in range(w, weight - 1, -1):
        if best[c - weight] + value > best[c]:
            best[c] = best[c - weight] + value
print(best[w])
""", lambda r, s: items(r, 1 + int(40 * s), 10 + int(1000 * s))),
    "maze": ("""
from collections import deque
h, w = map(int, input().split())
grid = [input() for _ in range(h)]
far = {(0, 0): 0}
queue = deque([(0, 0)])
while queue:
    y, x = queue.popleft()
    for v, u in ((y + 1, x), (y - 1, x), (y, x + 1), (y, x - 1)):
        if 0 <= v < h and 0 <= u < w and grid[v][u] == '.' and (v, u) not in far:
            far[v, u] = far[y, x] + 1
            queue.append((v, u))
print(far.get((h - 1, w - 1), -1))
""", lambda r, s: maze(r, 2 + int(60 * s))),
    "anagrams": ("""
from collections import Counter
n = int(input())
words = Counter(''.join(sorted(input())) for _ in range(n))
print(sum(c * (c - 1) // 2 for c in words.values()))
""", lambda r, s: words(r, 2 + int(2000 * s))),
    "greatest common divisor": ("""
from math import gcd
for _ in range(int(input())):
    a, b = map(int, input().split())
    print(gcd(a, b), a * b // gcd(a, b))
""", lambda r, s: pairs(r, 1 + int(1000 * s))),
    "longest rise": ("""
from bisect import bisect_left
n = int(input())
tails = []
for x in map(int, input().split()):
    at = bisect_left(tails, x)
    tails[at:at + 1] = [x]
print(len(tails))
""", lambda r, s: one_list(r, 1 + int(20_000 * s))),
    "brackets": ("""
import sys
for line in sys.stdin.read().split()[1:]:
    stack, good = [], True
    for c in line:
        if c in '([':
            stack.append(c)
        elif not stack or stack.pop() + c not in ('()', '[]'):
            good = False
            break
    print('YES' if good and not stack else 'NO')
""", lambda r, s: brackets(r, 1 + int(200 * s))),
}


def ranges(r, n):
    numbers = " ".join(str(r.randint(-10**9, 10**9)) for _ in range(n))
    asked = [sorted((r.randint(1, n), r.randint(1, n))) for _ in range(n)]
    return f"{n} {n}\n{numbers}\n" + "".join(f"{a} {b}\n" for a, b in asked)


def items(r, n, w):
    return f"{n} {w}\n" + "".join(f"{r.randint(1, w)} {r.randint(1, 10**6)}\n" for _ in range(n))


def maze(r, n):
    rows = [[r.choice("...#") for _ in range(n)] for _ in range(n)]
    rows[0][0] = rows[-1][-1] = "."
    return f"{n} {n}\n" + "".join("".join(row) + "\n" for row in rows)


def words(r, n):
    return f"{n}\n" + "".join("".join(r.choices("abc", k=r.randint(1, 8))) + "\n" for _ in range(n))


def pairs(r, n):
    return f"{n}\n" + "".join(f"{r.randint(1, 10**12)} {r.randint(1, 10**12)}\n" for _ in range(n))


def one_list(r, n):
    return f"{n}\n" + " ".join(str(r.randint(1, 10**6)) for _ in range(n)) + "\n"


def brackets(r, n):
    return f"{n}\n" + "".join("".join(r.choices("()[]", k=r.randint(1, 60))) + "\n" for _ in range(n))


def problems():
    """Name, program and inputs of each problem: most inputs small, the last of them at the limit."""
    for name, (program, write) in PROBLEMS.items():
        source = random.Random(name)
        yield name, program.strip() + "\n", [write(source, (i / (TESTS - 1)) ** 4) for i in range(TESTS)]
