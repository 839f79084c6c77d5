//! How long a program may take, by the look of it.

/// How many loops stand inside each other at most, going by indentation: what tells a program that
/// takes a second from one that takes a millisecond, where anything does. A whole reply will do:
/// prose has no such lines.
pub(super) fn loop_depth(text: &str) -> usize {
    let (mut open, mut deepest) = (Vec::new(), 0);
    for line in text.lines() {
        let code = line.trim_start();
        if code.is_empty() {
            continue;
        }
        let indent = line.len() - code.len();
        while open.last().is_some_and(|&outer| outer >= indent) {
            open.pop();
        }
        if (code.starts_with("for ") || code.starts_with("while ")) && code.contains(':') {
            open.push(indent);
            deepest = deepest.max(open.len());
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::loop_depth;

    #[test]
    fn loops_are_counted_where_they_stand_inside_each_other() {
        for (depth, text) in [
            (0, ""),
            (
                0,
                "for example, this is prose\nwhile that\n  for more of it",
            ),
            (1, "for i in x:\n    print(i)\nfor j in y:\n    print(j)"),
            (
                1,
                "    for i in x: print(i)\n    while True:\n        break\n",
            ),
            (
                2,
                "for i in x:\n\n  if i:\n    while i:  # down\n      i -= 1\n  print(i)",
            ),
            (
                3,
                "def f():\n    for a in x:\n        for b in x:\n            for c in x:\n                yield a\n    for d in x: pass",
            ),
        ] {
            assert_eq!(loop_depth(text), depth, "{text}");
        }
    }
}
