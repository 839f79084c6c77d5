def accepts(input, expected, output):
    """Any numbers within their ranges whose sum is 0."""
    word, *numbers = output.split()
    if expected.split()[0] == "No" or word == "No":
        return output.split() == expected.split()
    n, *ends = map(int, input.split())
    numbers = list(map(int, numbers))
    inside = all(low <= x <= high for x, low, high in zip(numbers, ends[::2], ends[1::2]))
    return word == "Yes" and len(numbers) == n and inside and sum(numbers) == 0
