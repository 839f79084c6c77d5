//! What the code that a solver starts from says of the function or class that is called, as LeetCode
//! writes it: `def merge(self, lists: List[Optional[ListNode]]) -> Optional[ListNode]`.

use std::collections::BTreeMap;

use sky_sandbox::{Method, Parameter, Shape, Signature};

/// Names in annotations whose values JSON has as they are.
const PLAIN: [&str; 24] = [
    "Any", "Counter", "Deque", "Dict", "Iterable", "Iterator", "List", "None", "Optional",
    "Sequence", "Set", "Tuple", "Union", "bool", "bytes", "complex", "dict", "float", "int",
    "list", "object", "set", "str", "tuple",
];

/// The signature of `name`; nothing where the code does not mention it.
///
/// # Errors
/// A type that no test can build or read.
pub(super) fn signature(starter_code: &str, name: &str) -> Result<Option<Signature>, String> {
    // LeetCode gives its node classes as comments.
    let lines = starter_code
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'));
    let code = lines.collect::<Vec<_>>().join("\n");
    let is_class = |start: usize| definition(&code[start..], "class ").is_some_and(|it| it == name);
    if let Some(start) = line_starts(&code).find(|&start| is_class(start)) {
        let rest = &code[start..];
        let next =
            line_starts(rest).find(|&at| at > 0 && definition(&rest[at..], "class ").is_some());
        let methods = methods(&rest[..next.unwrap_or(rest.len())])?;
        return Ok(Some(Signature {
            is_class: true,
            methods,
        }));
    }
    let mut methods = methods_named(&code, |found| found == name)?;
    // Of two, Python keeps the last; so does a map.
    Ok(methods.remove(name).map(|method| Signature {
        is_class: false,
        methods: BTreeMap::from([(name.to_owned(), method)]),
    }))
}

fn methods(code: &str) -> Result<BTreeMap<String, Method>, String> {
    methods_named(code, |_| true)
}

fn methods_named(
    code: &str,
    wanted: impl Fn(&str) -> bool,
) -> Result<BTreeMap<String, Method>, String> {
    let mut found = BTreeMap::new();
    for start in line_starts(code) {
        let Some(name) = definition(&code[start..], "def ").filter(|name| wanted(name)) else {
            continue;
        };
        if let Some(method) = method(&code[start..]).transpose() {
            found.insert(name.to_owned(), method?);
        }
    }
    Ok(found)
}

/// Where each line begins.
fn line_starts(code: &str) -> impl Iterator<Item = usize> {
    std::iter::once(0).chain(code.match_indices('\n').map(|(at, _)| at + 1))
}

/// The name that a line defines with this keyword.
fn definition<'a>(line: &'a str, keyword: &str) -> Option<&'a str> {
    let rest = line.trim_start_matches([' ', '\t']).strip_prefix(keyword)?;
    let rest = rest.trim_start();
    let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_')?;
    (end > 0).then(|| &rest[..end])
}

/// The method whose header this code begins with; nothing when it is no header.
fn method(code: &str) -> Result<Option<Method>, String> {
    let header = code.split_once('(').and_then(|(_, rest)| {
        let close = outside(rest, ')')?;
        Some((&rest[..close], &rest[close + 1..]))
    });
    let Some((parameters, rest)) = header else {
        return Ok(None);
    };
    let parameters = split(parameters)
        .filter_map(|parameter| parameter_of(parameter).transpose())
        .collect::<Result<Vec<_>, _>>()?;
    let annotation = rest.trim_start().strip_prefix("->").map(|rest| {
        let end = outside(rest, ':').unwrap_or(rest.len());
        rest[..end].trim()
    });
    let returns = match annotation {
        Some("None") if !parameters.is_empty() => None,
        Some(annotation) => Some(shape(annotation)?),
        None => Some(Shape::Plain),
    };
    Ok(Some(Method {
        parameters,
        returns,
    }))
}

/// A parameter; nothing for `self` and for what gathers arguments.
fn parameter_of(parameter: &str) -> Result<Option<Parameter>, String> {
    let end = outside(parameter, '=').unwrap_or(parameter.len());
    let (name, annotation) = parameter[..end]
        .split_once(':')
        .map_or((&parameter[..end], ""), |(name, annotation)| {
            (name, annotation)
        });
    let name = name.trim();
    if name.is_empty() || matches!(name, "self" | "cls" | "/") || name.starts_with('*') {
        return Ok(None);
    }
    Ok(Some(Parameter {
        name: name.to_owned(),
        shape: shape(annotation)?,
    }))
}

/// What an annotation asks for.
fn shape(annotation: &str) -> Result<Shape, String> {
    let annotation = annotation.trim().trim_matches(['"', '\'']).trim();
    let inner = |start: &str| {
        let rest = annotation.strip_prefix(start)?.trim_start();
        Some(rest.strip_prefix('[')?.strip_suffix(']')?.trim())
    };
    if let Some((left, right)) = annotation.split_once('|') {
        return match (left.trim(), right.trim()) {
            (of, "None") | ("None", of) => shape(of),
            _ => plain(annotation),
        };
    }
    if let Some(of) = inner("Optional") {
        return shape(of);
    }
    if let Some(of) = inner("Union") {
        let mut named = split(of).map(str::trim).filter(|of| *of != "None");
        return match (named.next(), named.next()) {
            (Some(of), None) => shape(of),
            _ => plain(annotation),
        };
    }
    if let Some(of) = inner("List").or_else(|| inner("list")) {
        return Ok(match shape(of)? {
            Shape::Plain => Shape::Plain,
            node => Shape::List(Box::new(node)),
        });
    }
    match annotation {
        "ListNode" => Ok(Shape::ListNode),
        "TreeNode" => Ok(Shape::TreeNode),
        _ => plain(annotation),
    }
}

/// A type whose values JSON has as they are, if all of its names are such.
fn plain(annotation: &str) -> Result<Shape, String> {
    let names = annotation.split(|c: char| !c.is_alphanumeric() && c != '_');
    let names = names.filter(|name| name.starts_with(|c: char| c.is_alphabetic() || c == '_'));
    match names
        .filter(|name| *name != "typing")
        .find(|name| !PLAIN.contains(name))
    {
        Some(name) => Err(format!(
            "its starter code has the type `{name}`, which tests cannot build"
        )),
        None => Ok(Shape::Plain),
    }
}

/// Parts between commas that are outside of brackets.
fn split(list: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(list);
    std::iter::from_fn(move || {
        let list = rest?;
        let (part, left) = match outside(list, ',') {
            Some(at) => (&list[..at], Some(&list[at + 1..])),
            None => (list, None),
        };
        rest = left;
        Some(part)
    })
}

/// Where a character stands first outside of brackets.
fn outside(text: &str, wanted: char) -> Option<usize> {
    let mut depth = 0_usize;
    text.char_indices().find_map(|(at, c)| {
        if depth == 0 && c == wanted {
            return Some(at);
        }
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        None
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn of(code: &str, name: &str) -> Method {
        let mut found = signature(code, name).unwrap().unwrap();
        found.methods.remove(name).unwrap()
    }

    #[test]
    fn annotations_say_what_is_a_list_and_what_a_tree() {
        let method = of(
            "# class ListNode:\n#     def merge(self): pass\nclass Solution:\n    def merge(self, \
             lists: List[Optional[ListNode]], root: 'TreeNode | None', k: int = 0,\n        by: \
             Dict[str, int]={}) -> Optional[ListNode]:\n        ",
            "merge",
        );
        let shapes: Vec<_> = method
            .parameters
            .iter()
            .map(|p| (&p.name[..], &p.shape))
            .collect();
        let lists = Shape::List(Box::new(Shape::ListNode));
        assert_eq!(
            shapes,
            [
                ("lists", &lists),
                ("root", &Shape::TreeNode),
                ("k", &Shape::Plain),
                ("by", &Shape::Plain)
            ]
        );
        assert_eq!(method.returns, Some(Shape::ListNode));
    }

    #[test]
    fn none_is_an_answer_left_in_place() {
        let method = of(
            "class Solution:\n  def rotate(self, nums: List[int]) -> None:",
            "rotate",
        );
        assert_eq!(method.returns, None);
        assert_eq!(of("def f() -> None: ...", "f").returns, Some(Shape::Plain));
        assert_eq!(of("def f(a, *rest, b=(1, 2)):", "f").parameters.len(), 2);
    }

    #[test]
    fn a_class_has_its_own_methods_only() {
        let code = "class BSTIterator:\n    def __init__(self, root: Optional[TreeNode]):\n    def \
                    next(self) -> int:\n\nclass Other:\n    def more(self): pass";
        let found = signature(code, "BSTIterator").unwrap().unwrap();
        assert!(found.is_class);
        let names: Vec<_> = found.methods.keys().map(String::as_str).collect();
        assert_eq!(names, ["__init__", "next"]);
        assert_eq!(
            found.methods["__init__"].parameters[0].shape,
            Shape::TreeNode
        );
    }

    #[test]
    fn what_no_test_can_build_is_refused_and_the_rest_ignored() {
        let node = signature(
            "def clone(self, node: Optional['Node']) -> 'Node':",
            "clone",
        );
        assert!(node.unwrap_err().contains("`Node`"));
        assert!(signature("def f(x: Dict[str, TreeNode]):", "f").is_err());
        assert_eq!(signature("def g(node: Node):", "f").unwrap(), None);
        for odd in [
            "",
            "def f",
            "def f(",
            "def f(x: List[",
            "class",
            "def (x)",
            "def f(é: 'ü')",
        ] {
            let _ = signature(odd, "f");
        }
    }
}
