# What assert-style tests use of numpy, which the guest does not have: the official tests of HumanEval+ and MBPP+ compare numbers
# with `allclose` and ask whether something is an array. A test that uses more says nothing about a program. Programs find no numpy.

import math


class ndarray:
    """Nothing is one: a program cannot make an array."""


def close(a, b, rtol, atol, equal_nan):
    """|a - b| <= atol + rtol * |b|: https://numpy.org/doc/stable/reference/generated/numpy.isclose.html"""
    for value in (a, b):
        if type(value) not in (int, float, bool, complex):
            raise TypeError("allclose takes numbers, not a %s" % type(value).__name__)
    if a == b:
        return True
    if a != a or b != b:
        return equal_nan and a != a and b != b
    difference, most = abs(a - b), atol + rtol * abs(b)
    return difference <= most and difference != math.inf


def pairs(a, b):
    """Of numbers, or of lists of one shape; a single number goes with each of a list."""
    lists = isinstance(a, (list, tuple)), isinstance(b, (list, tuple))
    if lists == (False, False):
        yield a, b
        return
    count = max(len(value) for value, is_list in zip((a, b), lists) if is_list)
    if any(is_list and len(value) not in (1, count) for value, is_list in zip((a, b), lists)):
        raise ValueError("operands could not be broadcast together")
    if 0 in [len(value) for value, is_list in zip((a, b), lists) if is_list]:
        return
    parts = [[value[0]] * count if is_list and len(value) == 1 else value if is_list else [value] * count
             for value, is_list in zip((a, b), lists)]
    for left, right in zip(*parts):
        yield from pairs(left, right)


def allclose(a, b, rtol=1e-05, atol=1e-08, equal_nan=False):
    return all([close(left, right, rtol, atol, equal_nan) for left, right in pairs(a, b)])


def isclose(a, b, rtol=1e-05, atol=1e-08, equal_nan=False):
    return close(a, b, rtol, atol, equal_nan)


def numpy_subset():
    module = ModuleType("numpy")
    # A class that nothing is of, for `x.dtype == np.float64` behind `isinstance(x, np.ndarray)`.
    for name in "float64 float32 float16 int64 int32 int16 int8 bool_".split():
        setattr(module, name, type(name, (), {}))
    module.ndarray, module.allclose, module.isclose = ndarray, allclose, isclose
    module.inf, module.nan, module.pi, module.e = math.inf, math.nan, math.pi, math.e

    def missing(name):
        if name[:2] == "__":
            raise AttributeError(name)
        give_up("its test uses numpy.%s" % name)
    module.__getattr__ = missing
    return module
