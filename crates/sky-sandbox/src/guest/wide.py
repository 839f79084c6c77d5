# Runs once, while the guest is baked. The guest is a 32-bit Python: what counts items in C's ssize_t ends at 2**31 - 1, where
# the Pythons that contests use end at 2**63 - 1. Here what programs use is given the wider range. Reachable from programs, so
# nothing here is trusted: the driver calls `widen` before a program has run, and never after.
import array, bisect, builtins, functools, itertools, random, re, sys

NARROW = 2**31 - 1
array_type, islice_type, repeat_type, lru_cache = array.array, itertools.islice, itertools.repeat, functools.lru_cache


class Array(array_type):
    """C's long has eight bytes: 'l' and 'L' are 'q' and 'Q'."""
    __slots__ = ()
    __qualname__ = __name__ = "array"
    __module__ = "array"

    def __new__(cls, typecode, *initial):
        return array_type.__new__(cls, {"l": "q", "L": "Q"}.get(typecode, typecode), *initial)


def fitting(number):
    """More items than a run can go through are as good as these."""
    return NARROW if type(number) is int and number > NARROW else number


def islice(iterable, *bounds):
    """islice(iterable, stop) or islice(iterable, start, stop[, step])"""
    return islice_type(iterable, *map(fitting, bounds))


def repeat(object, *times, **named):
    """repeat(object [,times])"""
    return repeat_type(object, *map(fitting, times), **{name: fitting(value) for name, value in named.items()})


@functools.wraps(lru_cache)
def wide_lru_cache(maxsize=128, typed=False):
    return lru_cache(fitting(maxsize), typed)


def length(sequence, len=len):
    """len(), of ranges of any length."""
    if type(sequence) is range:
        start, stop, step = sequence.start, sequence.stop, sequence.step
        return max(0, (stop - start + step - (1 if step > 0 else -1)) // step)
    return len(sequence)


def choice(self, sequence):
    """Choose a random element from a non-empty sequence."""
    return sequence[self._randbelow(length(sequence))]


def sample(self, population, k, *, counts=None, narrow=random.Random.sample):
    """Chooses k unique random elements from a population sequence."""
    if type(population) is not range or counts is not None or length(population) <= NARROW:
        return narrow(self, population, k, counts=counts)
    if not 0 <= k:
        raise ValueError("Sample larger than population or is negative")
    # The same draws as CPython's, which goes this way for every population much longer than the sample.
    n, below, selected, result = length(population), self._randbelow, set(), []
    for _ in range(k):
        at = below(n)
        while at in selected:
            at = below(n)
        selected.add(at)
        result.append(population[at])
    return result


def wide_bisect(narrow, right):
    """The C function, and for ranges beyond it the same search in Python."""
    def search(a, x, lo=0, hi=None, *, key=None):
        try:
            return narrow(a, x, lo, hi, key=key)
        except OverflowError:
            pass
        if lo < 0:
            raise ValueError("lo must be non-negative")
        if hi is None:
            hi = length(a)
        while lo < hi:
            middle = (lo + hi) // 2
            item = a[middle] if key is None else key(a[middle])
            if not x < item if right else item < x:
                lo = middle + 1
            else:
                hi = middle
        return lo
    search.__name__ = search.__qualname__ = narrow.__name__
    search.__doc__ = narrow.__doc__
    search.__module__ = "bisect"
    return search


# Where a program can meet a range that is too long for C. A Python function in place of `len` or `bisect_left` costs every call
# of it, so only programs that look like it get one.
LONG_LENGTH = re.compile(r"\blen\s*\(\s*range\s*\(")
LONG_SEARCH = re.compile(r"\bbisect(_left|_right)?\s*\(\s*range\s*\(|\bkey\s*=")
SEARCHES = {
    "bisect_left": wide_bisect(bisect.bisect_left, False),
    "bisect_right": wide_bisect(bisect.bisect_right, True),
}
SEARCHES["bisect"] = SEARCHES["bisect_right"]


def widen(source, space):
    """Before a program runs: what it needs beyond C's counts, in the modules and in the names that it starts with."""
    if LONG_LENGTH.search(source):
        builtins.len = length
    if "bisect" in source and "range" in source and LONG_SEARCH.search(source):
        vars(bisect).update(SEARCHES)
        space.update((name, search) for name, search in SEARCHES.items() if name in space)


array.array = array.ArrayType = Array
itertools.islice, itertools.repeat = islice, repeat
functools.lru_cache = wide_lru_cache
random.Random.choice, random.Random.sample = choice, sample
random.choice, random.sample = random._inst.choice, random._inst.sample
sys.maxsize = 2**63 - 1
