def accepts(input, expected, output):
    """Any choice of potions that beats every monster while holding no more at once than needed."""
    most, found = expected.split()[0], output.split()
    if most == "-1" or not found or found[0] != most:
        return found == expected.split()
    n, *numbers = map(int, input.split())
    choices = iter(found[1:])
    held, count, peak = {}, 0, 0
    for kind, x in zip(numbers[::2], numbers[1::2]):
        if kind == 2:
            if held.get(x, 0) == 0:
                return False
            held[x] -= 1
            count -= 1
        else:
            choice = next(choices, "")
            if choice not in ("0", "1"):
                return False
            held[x] = held.get(x, 0) + int(choice)
            count += int(choice)
            peak = max(peak, count)
    return next(choices, None) is None and peak <= int(most)
