# Calls of a program's function: by position or by name, and as LeetCode's judge makes them: linked lists and trees built from
# JSON, an answer left in the first argument, a class driven one call after another.
import collections


# Names that a program sees, in a space of their own: through a method's globals it would reach the driver's.
NODES = {"__name__": "leetcode"}
exec("""
class ListNode:
    def __init__(self, val=0, next=None):
        self.val = val
        self.next = next

class TreeNode:
    def __init__(self, val=0, left=None, right=None):
        self.val = val
        self.left = left
        self.right = right
""", NODES)
PRELUDE.update(ListNode=NODES["ListNode"], TreeNode=NODES["TreeNode"])


def node(kind, value):
    """One node, of the program's own class where it defines one; LeetCode's take the value alone too."""
    return state["space"].get(kind, PRELUDE[kind])(value)


def linked_list(values):
    head = None
    for value in reversed(values or ()):
        first = node("ListNode", value)
        first.next = head
        head = first
    return head


def tree(values):
    """From LeetCode's order: level by level, null for a child that is missing, nothing below it."""
    if not values or values[0] is None:
        return None
    values = iter(values)
    root = node("TreeNode", next(values))
    waiting = collections.deque([root])
    while waiting:
        parent = waiting.popleft()
        parent.left = parent.right = None
        for side in ("left", "right"):
            value = next(values, None)
            if value is not None:
                child = node("TreeNode", value)
                setattr(parent, side, child)
                waiting.append(child)
    return root


def built(shape, value):
    if type(shape) is dict:
        return [built(shape["list"], item) for item in value]
    if shape == "list_node":
        return linked_list(value)
    return tree(value) if shape == "tree_node" else value


def as_json(shape, value):
    """A result as JSON has it: the reverse of `built`."""
    if type(shape) is dict:
        return [as_json(shape["list"], item) for item in value]
    if shape == "list_node":
        values, seen = [], set()
        while value is not None:
            if id(value) in seen:
                raise ValueError("the linked list never ends")
            seen.add(id(value))
            values.append(plain(value.val))
            value = value.next
        return values
    if shape == "tree_node":
        values, seen, waiting = [], set(), collections.deque([value])
        while waiting:
            value = waiting.popleft()
            if value is None:
                values.append(None)
                continue
            if id(value) in seen:
                raise ValueError("the tree has a node twice")
            seen.add(id(value))
            values.append(plain(value.val))
            waiting.append(value.left)
            waiting.append(value.right)
        while values and values[-1] is None:
            values.pop()
        return values
    return plain(value)


# A method of which nothing is known but its name.
UNTYPED = {"parameters": [], "returns": "plain"}


def built_all(method, arguments):
    """The arguments of a call, by position or by name; those beyond the known parameters as they are."""
    if type(arguments) is dict:
        shapes = {parameter["name"]: parameter["shape"] for parameter in method["parameters"]}
        return [], {name: built(shapes.get(name, "plain"), value) for name, value in arguments.items()}
    shapes = [parameter["shape"] for parameter in method["parameters"]] + ["plain"] * len(arguments)
    return [built(shape, value) for shape, value in zip(shapes, arguments)], {}


def call_method(function, method, arguments):
    """Calls, and gives the result as JSON has it."""
    by_position, by_name = built_all(method, arguments)
    if method["returns"] is None:
        first = method["parameters"][0]
        answer = by_position[0] if by_position else by_name[first["name"]]
        function(*by_position, **by_name)
        return as_json(first["shape"], answer)
    return as_json(method["returns"], function(*by_position, **by_name))


def drive(made, methods, names, arguments):
    """A class as LeetCode's judge uses one: the first name is the class's own; what returns nothing answers null."""
    by_position, by_name = built_all(methods.get("__init__", UNTYPED), arguments[0])
    instance, results = made(*by_position, **by_name), [None]
    for name, given in zip(names[1:], arguments[1:]):
        method = methods.get(name, UNTYPED)
        if method["returns"] is None:
            method = {"parameters": method["parameters"], "returns": "plain"}
        results.append(call_method(getattr(instance, name), method, given))
    return results


def prepare_call():
    """Reads `{name, arguments, judge, signature}`, gives `(function,)` that calls the function and sends what it returns.
    `judge`: the program is the problem's own judge. `signature`: what the problem's starter code says of the function."""
    collect_nothing()
    request = json.loads(receive())
    name, arguments, signature = request["name"], request["arguments"], request["signature"]
    space = state["space"]
    # What the prelude put there is the program's only where the program takes it by that name itself.
    lent = name in PRELUDE and name not in free_names(state["code"], **OPERATIONS)[1]
    # JSON has no integer keys; the graders of APPS restore them in a first argument. A judge sees what there is.
    if type(arguments) is list and arguments and isinstance(arguments[0], dict) and not request["judge"]:
        try:
            arguments[0] = {int(key): value for key, value in arguments[0].items()}
        except ValueError:
            pass

    def call():
        target = space.get("Solution")
        if isinstance(target, type) and hasattr(target, name):
            target = getattr(target(), name)
        else:
            target = space.get(name)
        if target is None or lent and target is PRELUDE[name]:
            raise NameError("name %r is not defined" % name)
        if signature and signature["is_class"]:
            returned = drive(target, signature["methods"], *arguments)
        else:
            returned = call_method(target, (signature or {"methods": {}})["methods"].get(name, UNTYPED), arguments)
        send({"returned": returned})
    found = (call,)
    collect_again()
    return found
