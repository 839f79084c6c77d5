use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap, HashSet},
    path::Path,
};

use sky_files::{Journal, write_jsonl};
use sky_types::{
    FinishReason, Generate, Problem, Prompt, Reply, Request, Sample, Version, derive_seed,
};

use crate::{SampleConfig, SampleError, generate_missing::generate_missing};

/// The journal is synced to disk after each of this many rows. A killed process loses no appended
/// row. A crash of the whole machine loses at most these.
const ROWS_PER_SYNC: usize = 64;

/// What to sample: `config.n` replies to each problem.
#[derive(Clone, Copy, Debug)]
pub struct Sampling<'a> {
    /// The problems.
    pub problems: &'a [Problem],
    /// The prompt that a problem's text is put into.
    pub prompt: &'a Prompt,
    /// How many samples of each problem, and how they are drawn.
    pub config: &'a SampleConfig,
    /// The run's seed.
    pub seed: u64,
}

/// Progress of sampling or rewriting, for the caller's display.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// What was read from the journal of an earlier process. Comes once, as the first event.
    Resumed {
        /// Results that are kept.
        done: usize,
        /// Damaged lines; their results are generated again.
        damaged: usize,
    },
    /// A new result, already in the journal.
    Finished(&'a Sample),
}

/// The counts of a finished call of [`sample()`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sampled {
    /// Rows written.
    pub samples: usize,
    /// Rows among them that were read from the journal.
    pub resumed: usize,
    /// Tokens of all replies.
    pub completion_tokens: u64,
    /// Replies that hit the token limit.
    pub unfinished: usize,
    /// Samples without a reply, by cause: `status 400`, `timeout`.
    pub failed: BTreeMap<String, usize>,
    /// Replies of a repeated group that differ from the journaled ones; the journaled ones stay.
    /// Above 0, the source does not give the same bits for the same group, and an uninterrupted run
    /// may differ from a resumed one.
    pub differed: usize,
}

impl Sampling<'_> {
    /// Number of samples of all problems.
    pub fn len(&self) -> usize {
        self.problems.len() * self.config.n as usize
    }

    /// Whether there is nothing to sample.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The request for sample number `at`, counted problem by problem. Its seed depends only on the
    /// run's seed, the problem's id and the sample's index, so that adding problems changes no
    /// other sample.
    pub fn request(&self, at: usize) -> Request {
        let (problem, index) = self.place(at);
        let prompt = match &self.config.system {
            None => Cow::Borrowed(self.prompt),
            Some(system) => Cow::Owned(Prompt {
                system: system.clone(),
                ..self.prompt.clone()
            }),
        };
        Request {
            key: at as u64,
            messages: prompt.messages(&self.config.example_messages(problem.domain), problem),
            params: self.config.params(problem.domain),
            seed: derive_seed(
                self.seed,
                &format!("sample/{}", problem.id),
                u64::from(index),
            ),
        }
    }

    fn place(&self, at: usize) -> (&Problem, u32) {
        let n = self.config.n as usize;
        (&self.problems[at / n], (at % n) as u32)
    }

    fn refuse_repeated_ids(&self) -> Result<(), SampleError> {
        let mut ids = HashSet::new();
        match self
            .problems
            .iter()
            .find(|problem| !ids.insert(&problem.id))
        {
            None => Ok(()),
            Some(problem) => Err(SampleError::Repeated {
                what: format!("problem {}", problem.id),
            }),
        }
    }

    /// Sorts the journal's rows by sample number; `None` where a reply is missing.
    fn in_order(&self, journaled: Vec<Sample>, model: &str) -> Vec<Option<Sample>> {
        let places: HashMap<&str, usize> = (0..self.len())
            .step_by(self.config.n.max(1) as usize)
            .map(|at| (self.place(at).0.id.as_str(), at))
            .collect();
        let mut rows: Vec<Option<Sample>> = vec![None; self.len()];
        for row in journaled {
            let Some(&first) = places.get(row.problem_id.as_str()) else {
                continue;
            };
            if row.index >= self.config.n {
                continue;
            }
            let at = first + row.index as usize;
            let request = self.request(at);
            // The stage's manifest guards against other settings. All the same, a row that was
            // drawn with others is drawn again.
            if row.model == model && row.seed == request.seed && row.params == request.params {
                rows[at] = Some(row);
            }
        }
        rows
    }

    fn row(&self, at: usize, reply: Reply, model: &str) -> Sample {
        let (problem, index) = self.place(at);
        let Request { params, seed, .. } = self.request(at);
        Sample {
            v: Version,
            problem_id: problem.id.clone(),
            index,
            text: reply.text,
            finish_reason: reply.finish_reason,
            prompt_tokens: reply.prompt_tokens,
            completion_tokens: reply.completion_tokens,
            model: model.to_owned(),
            params,
            seed,
            failure: reply.failure,
        }
    }

    /// How many samples may fail.
    fn most_failed(&self) -> usize {
        let share = (self.config.max_failed * self.len() as f64).floor() as usize;
        share.max(1)
    }
}

/// The beginning of a failure's reason, which others share: `status 400`.
fn cause(failure: &str) -> String {
    let cause = failure.split([':', '(', ';']).next().unwrap_or(failure);
    // Numbers differ from request to request, but for the status.
    let is_status = cause.starts_with("status ");
    let plain = cause.chars().filter(|c| is_status || !c.is_ascii_digit());
    let plain: String = plain.take(60).collect();
    plain.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Samples what the journal lacks and appends each reply to it. Then writes all samples to `out`,
/// in the order of the problems, and by index within a problem.
///
/// It may be killed at any moment: the same call resumes and writes the same bytes.
///
/// # Errors
/// When two problems have the same id, the source of replies fails, or a file cannot be written.
/// Journaled replies stay.
pub fn sample(
    sampling: Sampling<'_>,
    generate: &mut dyn Generate,
    journal: &Path,
    out: &Path,
    on_event: &mut dyn FnMut(Event<'_>),
) -> Result<Sampled, SampleError> {
    sampling.refuse_repeated_ids()?;
    let model = generate.model().to_owned();
    let _span = tracing::info_span!("sample", model).entered();
    let (mut journal, found) = Journal::<Sample>::open(journal)?;
    let mut rows = sampling.in_order(found.rows, &model);
    let is_failed = |row: &Option<Sample>| row.as_ref().is_some_and(|row| row.failure.is_some());
    let most = sampling.most_failed();
    let mut failed = rows.iter().filter(|row| is_failed(row)).count();
    if failed > most {
        // The earlier process stopped for these: asked again.
        rows.iter_mut()
            .filter(|row| is_failed(row))
            .for_each(|row| *row = None);
        failed = 0;
    }
    let present: Vec<bool> = rows.iter().map(Option::is_some).collect();
    let resumed = present.iter().filter(|present| **present).count();
    on_event(Event::Resumed {
        done: resumed,
        damaged: found.damaged_lines.len(),
    });

    // The texts that a repeated group is compared with. Without groups nothing is repeated.
    let journaled: Vec<(usize, String)> = rows
        .iter()
        .enumerate()
        .filter(|_| generate.group_size().is_some())
        .filter_map(|(at, row)| row.as_ref().map(|row| (at, row.text.clone())))
        .collect();
    let mut differed = 0;
    let mut appended = 0;
    generate_missing(
        generate,
        &present,
        &|at| sampling.request(at),
        &mut |at, reply| {
            let row = sampling.row(at, reply, &model);
            journal.append(&row)?;
            appended += 1;
            if appended % ROWS_PER_SYNC == 0 {
                journal.sync()?;
            }
            on_event(Event::Finished(&row));
            if let Some(reason) = &row.failure {
                failed += 1;
                if failed > most {
                    journal.sync()?;
                    return Err(SampleError::TooManyFailed {
                        failed,
                        samples: sampling.len(),
                        last: reason.clone(),
                    });
                }
            }
            rows[at] = Some(row);
            Ok(())
        },
        &mut |at, reply| {
            let before = journaled.binary_search_by_key(&at, |(at, _)| *at);
            if before.is_ok_and(|place| journaled[place].1 != reply.text) {
                differed += 1;
            }
        },
    )?;
    journal.sync()?;

    let mut sampled = Sampled {
        samples: rows.len(),
        resumed,
        differed,
        ..Sampled::default()
    };
    for row in rows.iter().flatten() {
        sampled.completion_tokens += u64::from(row.completion_tokens);
        sampled.unfinished += usize::from(row.finish_reason == FinishReason::Length);
        if let Some(reason) = &row.failure {
            *sampled.failed.entry(cause(reason)).or_default() += 1;
        }
    }
    write_jsonl(out, rows.iter().flatten())?;
    Ok(sampled)
}
