//! Majority votes over the replies to one problem (self-consistency).

use std::collections::HashMap;

use sky_types::{Problem, Verdict};

use crate::MathCheck;

/// A reply as the vote sees it.
#[derive(Clone, Copy, Debug)]
pub struct Ballot<'a> {
    /// The reply.
    pub text: &'a str,
    /// What the check said of it.
    pub verdict: Verdict,
}

impl MathCheck {
    /// The chance that the majority's answer is right; none when no reply has an answer to count.
    ///
    /// Right replies are one group; wrong ones are grouped by equal answers. Replies without an
    /// answer do not vote. Of groups of the same size each wins with the same chance, so that the
    /// result does not depend on the order of the replies. (Wang et al. 2022, Self-Consistency
    /// Improves Chain of Thought Reasoning in Language Models.)
    pub fn majority(&self, problem: &Problem, ballots: &[Ballot<'_>]) -> Option<f64> {
        let right = ballots
            .iter()
            .filter(|ballot| ballot.verdict.is_correct())
            .count();
        let mut texts: HashMap<String, usize> = HashMap::new();
        for ballot in ballots {
            if ballot.verdict == Verdict::Wrong
                && let Some(answer) = self.answer(problem, ballot.text)
            {
                *texts.entry(answer).or_default() += 1;
            }
        }
        // In a fixed order: which answers are found equal may depend on it.
        let mut texts: Vec<(String, usize)> = texts.into_iter().collect();
        texts.sort();
        let mut groups: Vec<(String, usize)> = Vec::new();
        for (answer, votes) in texts {
            match groups
                .iter_mut()
                .find(|(other, _)| self.same_answer(problem, other, &answer))
            {
                Some((_, sum)) => *sum += votes,
                None => groups.push((answer, votes)),
            }
        }
        let most = groups.iter().map(|(_, votes)| *votes).max().unwrap_or(0);
        match right.max(most) {
            0 => None,
            most if right < most => Some(0.0),
            most => {
                let tied = groups.iter().filter(|(_, votes)| *votes == most).count();
                Some(1.0 / (tied + 1) as f64)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use sky_types::{Answer, Domain};

    use super::*;

    fn vote(replies: &[(&str, Verdict)]) -> Option<f64> {
        let problem = Problem::new("p", "demo", Domain::Math, "?", Answer::Math("1/2".into()));
        let ballots: Vec<Ballot<'_>> = replies
            .iter()
            .map(|&(text, verdict)| Ballot { text, verdict })
            .collect();
        MathCheck::default().majority(&problem, &ballots)
    }

    #[test]
    fn equal_answers_vote_together() {
        let right = (r"\boxed{0.5}", Verdict::Correct);
        let third = (r"\boxed{1/3}", Verdict::Wrong);
        let same_third = (r"\boxed{\frac{2}{6}}", Verdict::Wrong);
        let two = (r"\boxed{2}", Verdict::Wrong);
        let none = ("?", Verdict::Unparsed);
        assert_eq!(vote(&[right, third, same_third]), Some(0.0));
        assert_eq!(vote(&[right, third, right]), Some(1.0));
        assert_eq!(vote(&[right, third, two]), Some(1.0 / 3.0));
        assert_eq!(vote(&[two, right]), Some(0.5));
        assert_eq!(vote(&[none, none, right]), Some(1.0));
        assert_eq!(vote(&[none]), None);
        assert_eq!(vote(&[]), None);
    }
}
