def accepts(input, expected, output):
    """Any grid with one A, B and C in each row and column, whose first letters are the given ones."""
    if expected.split()[0] == "No" or output.split()[0] == "No":
        return output.split() == expected.split()
    n, rows, columns = input.split()
    word, *grid = output.split()
    n = int(n)
    if word != "Yes" or len(grid) != n or any(len(row) != n for row in grid):
        return False
    turned = ["".join(column) for column in zip(*grid)]
    right = all(sorted(line.replace(".", "")) == ["A", "B", "C"] for line in grid + turned)
    first = lambda line: line.replace(".", "")[0]
    return right and list(map(first, grid)) == list(rows) and list(map(first, turned)) == list(columns)
