def common(*cubes):
    """The volume that cubes of side 7 share."""
    volume = 1
    for axis in range(3):
        places = [cube[axis] for cube in cubes]
        volume *= max(0, min(places) + 7 - max(places))
    return volume


def accepts(input, expected, output):
    """Any three cubes whose volumes in exactly one, two and three of them are the given ones."""
    word, *places = output.split()
    if expected.split()[0] == "No" or word == "No":
        return output.split() == expected.split()
    places = list(map(int, places))
    if word != "Yes" or len(places) != 9 or not all(-100 <= place <= 100 for place in places):
        return False
    a, b, c = places[:3], places[3:6], places[6:]
    three = common(a, b, c)
    two = common(a, b) + common(b, c) + common(a, c) - 3 * three
    one = 3 * 343 - 2 * two - 3 * three
    return [one, two, three] == list(map(int, input.split()))
