//! The program in a reply.

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extracted {
    /// The program, or the continuation of one.
    pub code: String,
    /// It stood in a fenced block; otherwise the whole text was taken, which may be no program at
    /// all.
    pub fenced: bool,
    /// Its block was closed; false where a reply was cut off.
    pub closed: bool,
}

/// One fenced block.
struct Block {
    tag: String,
    code: String,
    closed: bool,
}

/// Finds the program in a reply: the last Python block of its solution section, the last block
/// without a language otherwise, the text itself when nothing is fenced. With `entry_point`, a
/// block that defines that name goes first.
///
/// ```
/// use sky_verify::extract;
///
/// let reply = "<|end_of_thought|>\nSo:\n```python\nprint(1)\n```\nIt prints:\n```\n1\n```";
/// assert_eq!(extract(reply, None).map(|found| found.code), Some("print(1)\n".to_owned()));
/// ```
pub fn extract(reply: &str, entry_point: Option<&str>) -> Option<Extracted> {
    let text = solution(reply);
    let blocks = blocks(text);
    let is_python = |block: &&Block| matches!(&*block.tag, "python" | "py");
    let is_untagged = |block: &&Block| block.tag.is_empty();
    let defining = entry_point.and_then(|name| {
        let found = blocks
            .iter()
            .rev()
            .filter(|block| is_python(block) || is_untagged(block));
        let mut found: Vec<_> = found.collect();
        // At the top level first: what a class defines may be another's method of that name.
        let top = found
            .iter()
            .position(|block| defines(&block.code, name))
            .or_else(|| {
                found
                    .iter()
                    .position(|block| defines_somewhere(&block.code, name))
            });
        top.map(|at| found.swap_remove(at))
    });
    let chosen = defining
        .or_else(|| blocks.iter().rev().find(is_python))
        .or_else(|| blocks.iter().rev().find(is_untagged));
    if let Some(block) = chosen {
        return Some(Extracted {
            code: block.code.clone(),
            fenced: true,
            closed: block.closed,
        });
    }
    if !blocks.is_empty() {
        return None;
    }
    unfenced(text).map(|code| Extracted {
        code,
        fenced: false,
        closed: true,
    })
}

/// Whether a program defines a name at its top level.
pub(super) fn defines(code: &str, name: &str) -> bool {
    definitions(code).any(|defined| defined == name)
}

/// Whether a program defines a name at its top level, or a function or class of that name at any
/// depth: in a class, or under a condition.
pub(super) fn defines_somewhere(code: &str, name: &str) -> bool {
    let inner = |line: &str| {
        let line = line.trim_start();
        let header = ["def ", "class ", "async def "];
        header.iter().any(|start| line.starts_with(start)) && definition(line) == Some(name)
    };
    defines(code, name) || code.lines().any(inner)
}

/// The names that a program openly defines at its top level: functions, classes, assignments.
pub(super) fn definitions(code: &str) -> impl Iterator<Item = &str> {
    code.lines().filter_map(definition)
}

/// The name that a line begins to define.
fn definition(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("async ").unwrap_or(line);
    let header = rest
        .strip_prefix("def ")
        .or_else(|| rest.strip_prefix("class "));
    let rest = header.map_or(line, str::trim_start);
    let end = rest
        .find(|c: char| !c.is_alphanumeric() && c != '_')
        .filter(|&end| end > 0)?;
    let (name, after) = rest.split_at(end);
    let after = after.trim_start();
    let assigned = |after: &str| after.starts_with('=') && !after.starts_with("==");
    let defined = if header.is_some() {
        after.starts_with(['(', ':', '['])
    } else if let Some(annotated) = after.strip_prefix(':') {
        // `f: Callable[[int], int] = lambda x: x`; not `else: x = 1`.
        let keyword = matches!(name, "else" | "try" | "finally" | "lambda");
        let equals = annotated.find('=');
        !keyword && equals.is_some_and(|at| assigned(&annotated[at..]))
    } else {
        assigned(after)
    };
    defined.then_some(name)
}

/// What follows the thought, inside the solution's markers where there are some.
fn solution(reply: &str) -> &str {
    // A byte order mark is no part of the first line.
    let mut text = reply.trim_start_matches('\u{feff}');
    for end in ["<|end_of_thought|>", "</think>"] {
        if let Some((_, after)) = text.rsplit_once(end) {
            text = after;
        }
    }
    if let Some((_, after)) = text.rsplit_once("<|begin_of_solution|>") {
        text = after;
    }
    text.split("<|end_of_solution|>").next().unwrap_or(text)
}

fn blocks(text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<(Block, &str, usize)> = None;
    for line in text.lines() {
        let inner = line.trim_start();
        let indent = line.len() - inner.len();
        match &mut open {
            None => {
                let fence = fence(inner);
                if fence.is_empty() {
                    continue;
                }
                let tag = inner[fence.len()..].split_whitespace().next().unwrap_or("");
                // A fence with more on its line after the tag's word is inline code, not a block.
                let tag = tag.trim_start_matches(['{', '.']).to_ascii_lowercase();
                // `python3`, `python3.11` and `python:main.py` are Python too.
                let word = tag.split([':', '.', '}', ',', '=']).next().unwrap_or("");
                let tag = word
                    .trim_end_matches(|c: char| c.is_ascii_digit())
                    .to_owned();
                let block = Block {
                    tag,
                    code: String::new(),
                    closed: false,
                };
                open = Some((block, fence, indent));
            }
            Some((block, mark, outer)) => {
                let found = fence(inner);
                // One that is indented by four and more is part of the program: of a docstring,
                // say (CommonMark 0.31, section 4.5).
                if found.len() >= mark.len()
                    && found.starts_with(*mark)
                    && inner.trim_end().len() == found.len()
                    && indent < *outer + 4
                {
                    block.closed = true;
                    blocks.extend(open.take().map(|(block, ..)| block));
                    continue;
                }
                // A block inside a list is indented as a whole.
                let dedent = indent.min(*outer);
                block.code.push_str(line.get(dedent..).unwrap_or(inner));
                block.code.push('\n');
            }
        }
    }
    blocks.extend(open.map(|(block, ..)| block));
    blocks.retain(|block| !block.code.trim().is_empty());
    blocks
}

/// The run of three or more backticks or tildes that a line starts with.
fn fence(line: &str) -> &str {
    for mark in ['`', '~'] {
        let len = line.len() - line.trim_start_matches(mark).len();
        if len >= 3 {
            return &line[..len];
        }
    }
    ""
}

/// Text that may be a program: from the first line that looks like one. Indentation is kept, for
/// continuations.
fn unfenced(text: &str) -> Option<String> {
    const STARTS: [&str; 16] = [
        "import ", "from ", "def ", "class ", "print(", "for ", "while ", "if ", "@", "try:",
        "with ", "async ", "return ", "#", "\"\"\"", "'''",
    ];
    let looks_like_code = |line: &str| {
        let line = line.trim_start();
        STARTS
            .iter()
            .any(|start| line.starts_with(start) && !line.ends_with(['.', '?', '!']))
            || line.split_once('=').is_some_and(|(name, _)| {
                let name = name.trim_end_matches(['+', '-', '*', '/', ' ']);
                !name.is_empty()
                    && name
                        .chars()
                        .all(|c| c.is_alphanumeric() || "_.,[]() ".contains(c))
            })
    };
    // Text that starts indented continues something: all of it is meant.
    let first = text.lines().find(|line| !line.trim().is_empty())?;
    if first.starts_with("  ") || first.starts_with('\t') {
        let start = text.find(first)?;
        return Some(format!("{}\n", text[start..].trim_end()));
    }
    let start = text
        .split_inclusive('\n')
        .scan(0, |at, line| {
            let here = *at;
            *at += line.len();
            Some((here, line))
        })
        .find(|(_, line)| looks_like_code(line.trim_end()))?
        .0;
    Some(format!("{}\n", text[start..].trim_end()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn code(reply: &str) -> String {
        extract(reply, None).unwrap().code
    }

    #[test]
    fn the_last_python_block_after_the_thought() {
        let reply = "<|begin_of_thought|>\n```python\nbad\n```\n<|end_of_thought|>\n<|begin_of_solution|>\n```python\nx = 1\n```\nor\n```py\nx = 2\n```\n```text\n2\n```\n<|end_of_solution|>\n```python\nno\n```";
        assert_eq!(code(reply), "x = 2\n");
    }

    #[test]
    fn tags_and_fences_of_every_kind() {
        for reply in [
            "```python\nx = 1\n```",
            "```Python3\nx = 1\n```",
            "```python3.11\nx = 1\n```",
            "```python:main.py\nx = 1\n```",
            "```{.python}\nx = 1\n```",
            "```\nx = 1\n```",
            "~~~python\nx = 1\n~~~",
            "````python\nx = 1\n````",
            "1. so\n   ```python\n   x = 1\n   ```",
            "```python\nx = 1\n",
            "x = 1",
            "Here is it.\n\nx = 1\n",
            "thinking </think> ```python\nno\n```\n```python\nx = 1\n```",
            "\u{feff}```python\nx = 1\n```",
        ] {
            assert_eq!(code(reply), "x = 1\n", "{reply}");
        }
        assert!(!extract("```python\nx = 1\n", None).unwrap().closed);
    }

    #[test]
    fn a_block_with_the_function_goes_first() {
        let reply =
            "```python\ndef f(x):\n    return x\n```\nFor example\n```python\nprint(f(1))\n```";
        assert_eq!(
            extract(reply, Some("f")).unwrap().code,
            "def f(x):\n    return x\n"
        );
    }

    #[test]
    fn a_usage_behind_the_class_is_not_the_program() {
        let reply = "```python\nclass Solution:\n    def f(self, x):\n        return x\n```\nUse:\n\
                     ```python\nprint(Solution().f(1))\n```";
        assert!(
            extract(reply, Some("f"))
                .unwrap()
                .code
                .starts_with("class Solution")
        );
    }

    #[test]
    fn a_fence_in_a_docstring_closes_nothing() {
        let reply = "```python\ndef f(x):\n    \"\"\"\n    ```\n    f(1)\n    ```\n    \"\"\"\n    return x\n```";
        assert!(code(reply).ends_with("return x\n"));
    }

    #[test]
    fn prose_is_not_a_program() {
        assert_eq!(extract("I am not sure about this one.", None), None);
        assert_eq!(extract("", None), None);
        assert_eq!(extract("```bash\nls\n```", None), None);
    }

    #[test]
    fn continuations_keep_their_indentation() {
        for body in [
            "    for x in y:\n        return 1\n",
            "    x.sort()\n    return x\n",
        ] {
            assert_eq!(code(body), body);
        }
    }

    #[test]
    fn what_is_defined_openly() {
        for yes in [
            "def f(x):",
            "async def f():",
            "f = lambda: 1",
            "class f:",
            "def f (x):",
            "f: Callable = lambda x: x",
        ] {
            assert!(defines(yes, "f"), "{yes}");
        }
        for no in ["def fg(x):", "  def f(x):", "f == 1", "print(f)", "f(1)"] {
            assert!(!defines(no, "f"), "{no}");
        }
        let code =
            "import os\ndef f(x):\n    g = 1\nclass A: pass\nx: int = 1\ny=2\nz == 3\n= 4\ndef";
        assert_eq!(definitions(code).collect::<Vec<_>>(), ["f", "A", "x", "y"]);
        for somewhere in [
            "class A:\n    def f(self): pass",
            "if True:\n    def f(): pass",
        ] {
            assert!(defines_somewhere(somewhere, "f") && !defines(somewhere, "f"));
        }
    }
}
