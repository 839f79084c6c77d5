def lists():
    n = 300000
    alive = [True] * (n + 1)
    for i in range(2, n + 1):
        if alive[i]:
            for j in range(i * i, n + 1, i):
                alive[j] = False
    return sum(alive)


def recurrence():
    a, b = 0, 1
    for i in range(300000):
        a, b = b, (a * 2 + b + i) % 1000000007
    return a


def dictionary():
    seen, x = {}, 1
    for _ in range(200000):
        x = (x * 48271) % 2147483647
        seen[x % 4999] = seen.get(x % 4999, 0) + 1
    return len(seen)


def text():
    return len(" ".join(str(i * 7) for i in range(150000)).split())


def order():
    x, pairs = 1, []
    for i in range(60000):
        x = (x * 48271) % 2147483647
        pairs.append((x, i))
    pairs.sort()
    return pairs[0]


def objects():
    class Node:
        def __init__(self, value):
            self.value = value
            self.next = None
    total = 0
    for i in range(150000):
        node = Node(i)
        total += node.value
    return total


def calls():
    def fib(n):
        return n if n < 2 else fib(n - 1) + fib(n - 2)
    return fib(23)
