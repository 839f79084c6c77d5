def accepts(input, expected, output):
    """Any cycle of the graph with one edge from each vertex."""
    n, *edges = map(int, input.split())
    length, *cycle = map(int, output.split())
    if length != len(cycle) or length < 1 or len(set(cycle)) != length or not all(1 <= v <= n for v in cycle):
        return False
    return all(edges[v - 1] == next for v, next in zip(cycle, cycle[1:] + cycle[:1]))
