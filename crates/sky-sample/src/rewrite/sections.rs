/// The four markers, in their order.
pub const MARKERS: [&str; 4] = [
    "<|begin_of_thought|>",
    "<|end_of_thought|>",
    "<|begin_of_solution|>",
    "<|end_of_solution|>",
];

/// A reply in Sky-T1's two sections.
///
/// ```
/// let sections = sky_sample::Sections { thought: "3 + 5 = 8.".into(), solution: "The answer is 8.".into() };
/// let text = sections.render();
/// assert!(text.starts_with("<|begin_of_thought|>\n\n3 + 5 = 8.\n\n<|end_of_thought|>\n\n<|begin_of_solution|>\n\n"));
/// assert_eq!(sky_sample::Sections::parse(&text), Some(sections));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sections {
    /// The reasoning; may be empty.
    pub thought: String,
    /// The answer; never empty in a text that [`Sections::parse`] accepts.
    pub solution: String,
}

impl Sections {
    /// Reads a text that has exactly this form: each marker once and in order, nothing outside of
    /// them, and a solution that is not empty. White space around a section does not matter. None
    /// for any other text.
    pub fn parse(text: &str) -> Option<Self> {
        if MARKERS
            .iter()
            .any(|marker| text.matches(marker).count() != 1)
        {
            return None;
        }
        let rest = text.trim().strip_prefix(MARKERS[0])?;
        let (thought, rest) = rest.split_once(MARKERS[1])?;
        let rest = rest.trim_start().strip_prefix(MARKERS[2])?;
        let solution = rest.strip_suffix(MARKERS[3])?;
        if solution.trim().is_empty() {
            return None;
        }
        Some(Self {
            thought: thought.trim().into(),
            solution: solution.trim().into(),
        })
    }

    /// Writes the text with its markers, with one blank line between the parts.
    pub fn render(&self) -> String {
        let [begin, end, begin_solution, end_solution] = MARKERS;
        format!(
            "{begin}\n\n{}\n\n{end}\n\n{begin_solution}\n\n{}\n\n{end_solution}",
            self.thought, self.solution
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_exact_form_is_taken() {
        let text = Sections {
            thought: "t".into(),
            solution: "s".into(),
        }
        .render();
        assert!(Sections::parse(&format!("  {text}\n")).is_some());
        assert!(Sections::parse(&format!("Well: {text}")).is_none());
        assert!(Sections::parse(&format!("{text}{text}")).is_none());
        assert!(Sections::parse(&text.replace('s', " ")).is_none());
        for marker in MARKERS {
            assert!(Sections::parse(&text.replace(marker, "")).is_none());
        }
    }
}
