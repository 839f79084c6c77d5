use serde::{Deserialize, Serialize};

use crate::{Domain, Message, Problem, Section, SettingError};

/// How a problem is put to a model: the same words for the teacher, in the training data and in the
/// evaluation.
///
/// Each template holds `{problem}` once; the defaults are Sky-T1's evaluation prompts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Prompt {
    /// System prompt; empty for none.
    pub system: String,
    /// Template for [`Domain::Math`] and [`Domain::Puzzle`].
    pub math: String,
    /// Template for [`Domain::Choice`].
    pub choice: String,
    /// Template for [`Domain::Code`].
    pub code: String,
}

impl Default for Prompt {
    fn default() -> Self {
        Self {
            system: String::new(),
            math: r"Return your final response within \boxed{}. {problem}".into(),
            choice: r"Return your final response within \boxed{} and only include the letter choice (A, B, C, or D). {problem}".into(),
            code: "Write a Python program that solves the problem, in one fenced code block.\n\n{problem}".into(),
        }
    }
}

impl Section for Prompt {
    const NAME: &'static str = "prompt";

    fn check(&self) -> Result<(), SettingError> {
        let templates = [
            ("math", &self.math),
            ("choice", &self.choice),
            ("code", &self.code),
        ];
        for (key, template) in templates {
            match template.matches("{problem}").count() {
                1 => {}
                0 => {
                    return Err(SettingError::new(
                        key,
                        "lacks `{problem}`, where the problem's text goes",
                    ));
                }
                _ => return Err(SettingError::new(key, "holds `{problem}` more than once")),
            }
        }
        Ok(())
    }
}

impl Prompt {
    /// The user's message for a problem.
    pub fn user(&self, problem: &Problem) -> String {
        let template = match problem.domain {
            Domain::Math | Domain::Puzzle => &self.math,
            Domain::Choice => &self.choice,
            Domain::Code => &self.code,
        };
        template.replacen("{problem}", &problem.prompt, 1)
    }

    /// The whole prompt: system, worked examples as earlier turns, the problem.
    pub fn messages(&self, examples: &[Message], problem: &Problem) -> Vec<Message> {
        let system = (!self.system.is_empty()).then(|| Message::system(&self.system));
        system
            .into_iter()
            .chain(examples.iter().cloned())
            .chain([Message::user(self.user(problem))])
            .collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_template_holds_the_problem_once() {
        let with = |math: &str| Prompt {
            math: math.into(),
            ..Prompt::default()
        };
        Prompt::default().check().unwrap();
        assert_eq!(with("Think.").check().unwrap_err().key, "math");
        assert_eq!(with("{problem} {problem}").check().unwrap_err().key, "math");
    }
}
