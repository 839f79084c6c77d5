use std::{
    cmp::Reverse,
    collections::HashMap,
    io::{self, Write},
    num::NonZero,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc},
    thread,
};

use sky_files::{Journal, read_jsonl, write_atomic};
use sky_types::{Check, CheckOutcome, Problem, Sample, Verdict, VerdictRecord, Version};
use tracing::{debug_span, info_span};

use crate::{ProblemIndex, Result, VerdictCounts, VerifyError};

/// Checks every sample: `problems.jsonl` and `samples.jsonl` in, `verdicts.jsonl` out.
///
/// The work resumes from its journal after an interruption. The verdicts are in the samples' order,
/// whatever the number of threads.
///
/// ```
/// # use sky_types::{Answer, Domain, FinishReason, Problem, Sample, SamplingParams, Version};
/// use sky_verify::{ParallelChecker, StandardChecks, VerifyConfig};
///
/// # let folder = tempfile::tempdir()?;
/// # let path = |name: &str| folder.path().join(name);
/// # let problem = Problem::new("sum", "demo", Domain::Math, "2 + 3?", Answer::Math("5".into()));
/// # sky_files::write_jsonl(&path("problems.jsonl"), [problem])?;
/// # let sample = Sample { v: Version, problem_id: "sum".into(), index: 0, text: "It is 5.".into(),
/// #     finish_reason: FinishReason::Stop, prompt_tokens: 8, completion_tokens: 4,
/// #     model: "demo".into(), params: SamplingParams::default(), seed: 0,
/// #     failure: None };
/// # sky_files::write_jsonl(&path("samples.jsonl"), [sample])?;
/// let checker = ParallelChecker {
///     problems: &path("problems.jsonl"),
///     samples: &path("samples.jsonl"),
///     journal: &path("verdicts.journal"),
///     verdicts: &path("verdicts.jsonl"),
///     threads: None,
/// };
/// let checks = StandardChecks::new(&VerifyConfig::default());
/// let counts = checker.run(&checks, &mut |row, _new| {
///     println!("{}: {}", row.problem_id, row.verdict);
/// })?;
/// assert_eq!(counts.total(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct ParallelChecker<'a> {
    /// The problems, in any order.
    pub problems: &'a Path,
    /// The replies.
    pub samples: &'a Path,
    /// Verdicts as they are reached; a sample whose verdict it holds is not checked again.
    pub journal: &'a Path,
    /// The output, written at the end: one verdict a sample.
    pub verdicts: &'a Path,
    /// Number of threads that check; `None` means one a core. The output does not depend on it.
    pub threads: Option<NonZero<usize>>,
}

/// Identifies a sample in 16 bytes. Ids would take most of the memory of a large run.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct SampleKey {
    /// The problem's line in its file.
    line: u64,
    /// The sample's index.
    index: u32,
}

/// Where in the journal each verdict is.
type Positions = HashMap<SampleKey, u64>;
type Samples<'a> = Box<dyn Iterator<Item = Result<Sample>> + Send + 'a>;
/// Fewer samples than this are checked in order of estimated cost, so that none that takes long starts last
/// while the other threads wait.
const SORTED_BELOW: usize = 512;

/// The samples that the journal has no verdict for, with their problems.
struct Queue<'a> {
    samples: Samples<'a>,
    problems: &'a mut ProblemIndex,
    positions: &'a Mutex<Positions>,
}

/// A sample to check.
struct Task {
    key: SampleKey,
    problem: Arc<Problem>,
    sample: Sample,
}

impl<'a> Queue<'a> {
    /// Keeps the samples' order, or starts with the costliest when there are few.
    fn new(
        mut samples: Samples<'a>,
        problems: &'a mut ProblemIndex,
        positions: &'a Mutex<Positions>,
        check: &dyn Check,
    ) -> Self {
        let mut first: Vec<_> = samples.by_ref().take(SORTED_BELOW).collect();
        if first.len() < SORTED_BELOW {
            first.sort_by_cached_key(|sample| {
                let cost = |sample: &Sample| check.estimated_cost(&sample.text);
                Reverse(sample.as_ref().map_or(0, cost))
            });
        }
        Self {
            samples: Box::new(first.into_iter().chain(samples)),
            problems,
            positions,
        }
    }
}

impl Iterator for Queue<'_> {
    type Item = Result<Task>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let sample = match self.samples.next()? {
                Ok(sample) => sample,
                Err(error) => return Some(Err(error)),
            };
            let key = SampleKey {
                line: self.problems.line(&sample.problem_id).unwrap_or_default(),
                index: sample.index,
            };
            if locked(self.positions).contains_key(&key) {
                continue;
            }
            let problem = self.problems.get(&sample.problem_id);
            return Some(problem.map(|problem| Task {
                key,
                problem,
                sample,
            }));
        }
    }
}

fn locked<T>(value: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic ends the whole scope, so nobody sees a half-done value behind a poisoned lock.
    value.lock().unwrap_or_else(PoisonError::into_inner)
}

impl ParallelChecker<'_> {
    /// Checks the samples that the journal has no verdict for, then writes `verdicts`.
    ///
    /// `on_verdict` sees every verdict once. Its second argument is true for a new verdict and
    /// false for one that the journal held.
    ///
    /// # Errors
    /// When a file fails, a sample has no problem or occurs twice, or the host fails `check`.
    /// Verdicts reached before stay in the journal. A problem that `check` cannot judge is a
    /// [`Verdict::Unsupported`], not an error.
    pub fn run(
        &self,
        check: &dyn Check,
        on_verdict: &mut dyn FnMut(&VerdictRecord, bool),
    ) -> Result<VerdictCounts> {
        let _span = info_span!("check_samples").entered();
        let mut problems = ProblemIndex::open(self.problems)?;
        // The verdicts stay in the journal until they are written in order: memory holds positions.
        let mut positions = Positions::new();
        let replayed = Journal::<VerdictRecord>::replay(self.journal, |row, position| {
            if let Some(line) = problems.line(&row.problem_id) {
                on_verdict(&row, false);
                let index = row.index;
                positions.insert(SampleKey { line, index }, position);
            }
            Ok::<_, VerifyError>(())
        });
        let (mut journal, _) = replayed?;
        let positions = Mutex::new(positions);
        let samples = read_jsonl::<Sample>(self.samples)?.map(|sample| Ok(sample?));
        let queue = Queue::new(Box::new(samples), &mut problems, &positions, check);
        self.check_queue(check, queue, &mut |key, row| {
            let position = journal.append(&row)?;
            on_verdict(&row, true);
            match locked(&positions).insert(key, position) {
                None => Ok(()),
                Some(_) => Err(self.twice(&row.problem_id, row.index)),
            }
        })?;
        journal.sync()?;
        let positions = positions
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        self.write(&problems, &journal, positions)
    }

    /// Checks on all threads; `on_row` runs on this thread, in the order in which checks end.
    fn check_queue(
        &self,
        check: &dyn Check,
        queue: Queue<'_>,
        on_row: &mut dyn FnMut(SampleKey, VerdictRecord) -> Result<()>,
    ) -> Result<()> {
        let threads = self
            .threads
            .or_else(|| thread::available_parallelism().ok())
            .map_or(1, NonZero::get);
        let queue = Mutex::new(queue);
        // Bounded, so that workers wait for a slow disk instead of filling memory.
        let (send, receive) = mpsc::sync_channel::<Result<(SampleKey, VerdictRecord)>>(4 * threads);
        thread::scope(|scope| {
            for _ in 0..threads {
                let (send, queue) = (send.clone(), &queue);
                scope.spawn(move || {
                    loop {
                        // A separate statement: `while let` would hold the lock during the check.
                        let next = locked(queue).next();
                        let Some(task) = next else { break };
                        let row = task.and_then(|task| {
                            let row = record(check, &task.problem, &task.sample)?;
                            Ok((task.key, row))
                        });
                        // The channel is closed when another worker met an error.
                        let failed = row.is_err();
                        if send.send(row).is_err() || failed {
                            break;
                        }
                    }
                });
            }
            drop(send);
            // Returning early drops the receiver: the workers' next send fails and they end.
            for row in receive {
                let (key, row) = row?;
                on_row(key, row)?;
            }
            Ok(())
        })
    }

    /// Writes the verdicts in the samples' order, whatever order they were reached in.
    fn write(
        &self,
        problems: &ProblemIndex,
        journal: &Journal<VerdictRecord>,
        mut positions: Positions,
    ) -> Result<VerdictCounts> {
        let mut counts = VerdictCounts::default();
        let mut rows = read_jsonl::<Sample>(self.samples)?.map(|sample| {
            let sample = sample?;
            let key = SampleKey {
                line: problems.line(&sample.problem_id).unwrap_or_default(),
                index: sample.index,
            };
            let position = positions
                .remove(&key)
                .ok_or_else(|| self.twice(&sample.problem_id, sample.index))?;
            let row = journal.row_at(position)?;
            counts.add(row.verdict);
            Ok::<_, VerifyError>(row)
        });
        let mut failed = None;
        let written = write_atomic(self.verdicts, |writer| {
            for row in &mut rows {
                let row = row.map_err(|error| {
                    failed = Some(error);
                    io::Error::other("a verdict could not be read")
                })?;
                serde_json::to_writer(&mut *writer, &row).map_err(io::Error::from)?;
                writer.write_all(b"\n")?;
            }
            Ok(())
        });
        drop(rows);
        // The row's error names the cause; the writer's only says that it stopped.
        match failed {
            Some(error) => Err(error),
            None => Ok(written.map(|()| counts)?),
        }
    }

    fn twice(&self, id: &str, index: u32) -> VerifyError {
        VerifyError::mismatch(
            self.samples,
            format!("has sample {index} of {id:?} twice; make the samples again with --force"),
        )
    }
}

fn record(
    check: &dyn Check,
    problem: &Problem,
    sample: &Sample,
) -> std::result::Result<VerdictRecord, sky_types::CheckError> {
    let _span = debug_span!("check", problem = sample.problem_id, index = sample.index).entered();
    let checked = match check.check(problem, &sample.text, sample.finish_reason) {
        // One problem that cannot be judged does not end the work.
        Err(sky_types::CheckError::Unsupported { reason, .. }) => CheckOutcome {
            verdict: Verdict::Unsupported,
            detail: reason,
        },
        checked => checked?,
    };
    Ok(VerdictRecord {
        v: Version,
        problem_id: sample.problem_id.clone(),
        index: sample.index,
        verdict: checked.verdict,
        detail: checked.detail,
    })
}
