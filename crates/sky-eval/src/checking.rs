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
use sky_types::{Check, Problem, Sample, VerdictRecord, Version};

use crate::{EvalError, ProblemIndex, Result, VerdictMix};

/// Checks every sample: `problems.jsonl` + `samples.jsonl` -> `verdicts.jsonl`, resumable, in the samples' order.
#[derive(Clone, Copy, Debug)]
pub struct Checking<'a> {
    /// The problems, in any order.
    pub problems: &'a Path,
    /// The replies.
    pub samples: &'a Path,
    /// Verdicts as they come; what is in it already is not checked again.
    pub journal: &'a Path,
    /// Written at the end, one verdict a sample.
    pub verdicts: &'a Path,
    /// Threads that check; `None` for one a core. Does not change what is written.
    pub threads: Option<NonZero<usize>>,
}

/// A problem's line and a sample's index: what tells samples apart, in 16 bytes.
type Key = (u64, u32);
type Samples<'a> = Box<dyn Iterator<Item = Result<Sample>> + Send + 'a>;
/// So many replies are few: no long one of them is left for the end.
const FEW: usize = 512;

/// What is left to check.
struct Feed<'a> {
    samples: Samples<'a>,
    problems: &'a mut ProblemIndex,
    /// Where the verdicts are that the journal holds.
    known: &'a Mutex<HashMap<Key, u64>>,
}

impl<'a> Feed<'a> {
    /// In the order of the samples, or those first that may take long, when they are few.
    fn new(
        mut samples: Samples<'a>,
        problems: &'a mut ProblemIndex,
        known: &'a Mutex<HashMap<Key, u64>>,
        checker: &dyn Check,
    ) -> Self {
        let mut few: Vec<_> = samples.by_ref().take(FEW).collect();
        if few.len() < FEW {
            few.sort_by_cached_key(|sample| {
                let effort = |sample: &Sample| checker.effort(&sample.text);
                Reverse(sample.as_ref().map_or(0, effort))
            });
        }
        Self {
            samples: Box::new(few.into_iter().chain(samples)),
            problems,
            known,
        }
    }
}

impl Iterator for Feed<'_> {
    type Item = Result<(u64, Arc<Problem>, Sample)>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let sample = match self.samples.next()? {
                Ok(sample) => sample,
                Err(error) => return Some(Err(error)),
            };
            let line = self.problems.line(&sample.problem_id).unwrap_or_default();
            if locked(self.known).contains_key(&(line, sample.index)) {
                continue;
            }
            let problem = self.problems.get(&sample.problem_id);
            return Some(problem.map(|problem| (line, problem, sample)));
        }
    }
}

fn locked<T>(value: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing half-done is seen after a panic: it ends the whole scope.
    value.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Checking<'_> {
    /// Checks what the journal does not hold yet, then writes `verdicts`. `on_verdict` is told of every verdict as it comes;
    /// for those of an earlier process its second argument is false.
    ///
    /// # Errors
    /// When a file fails, a sample has no problem or occurs twice, or the checker itself fails; what was checked before stays
    /// in the journal.
    pub fn run(
        &self,
        checker: &dyn Check,
        on_verdict: &mut dyn FnMut(&VerdictRecord, bool),
    ) -> Result<VerdictMix> {
        let mut problems = ProblemIndex::open(self.problems)?;
        // Verdicts wait in the journal until they are put in order; in memory there is only where each one is.
        let mut places: HashMap<Key, u64> = HashMap::new();
        let replayed = Journal::<VerdictRecord>::replay(self.journal, |row, place| {
            if let Some(line) = problems.line(&row.problem_id) {
                on_verdict(&row, false);
                places.insert((line, row.index), place);
            }
            Ok::<_, EvalError>(())
        });
        let (mut journal, _) = replayed?;
        let places = Mutex::new(places);
        let samples = read_jsonl::<Sample>(self.samples)?.map(|sample| Ok(sample?));
        let todo = Feed::new(Box::new(samples), &mut problems, &places, checker);
        self.check(checker, todo, &mut |line, row| {
            let place = journal.append(&row)?;
            on_verdict(&row, true);
            match locked(&places).insert((line, row.index), place) {
                None => Ok(()),
                Some(_) => Err(self.twice(&row.problem_id, row.index)),
            }
        })?;
        journal.sync()?;
        let places = places.into_inner().unwrap_or_else(PoisonError::into_inner);
        self.write(&problems, &journal, places)
    }

    fn check(
        &self,
        checker: &dyn Check,
        todo: Feed<'_>,
        take: &mut dyn FnMut(u64, VerdictRecord) -> Result<()>,
    ) -> Result<()> {
        let threads = self
            .threads
            .or_else(|| thread::available_parallelism().ok())
            .map_or(1, NonZero::get);
        let todo = Mutex::new(todo);
        // Bounded, so that workers wait for a slow disk instead of filling memory.
        let (send, receive) = mpsc::sync_channel::<Result<(u64, VerdictRecord)>>(4 * threads);
        thread::scope(|scope| {
            for _ in 0..threads {
                let (send, todo) = (send.clone(), &todo);
                scope.spawn(move || {
                    loop {
                        let next = locked(todo).next();
                        let Some(next) = next else { break };
                        let row = next.and_then(|(line, problem, sample)| {
                            let row = record(checker, &problem, &sample)?;
                            Ok((line, row))
                        });
                        // An error ends this worker; a closed channel means that another one met an error.
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
                let (line, row) = row?;
                take(line, row)?;
            }
            Ok(())
        })
    }

    /// In the samples' order, whatever order they were checked in.
    fn write(
        &self,
        problems: &ProblemIndex,
        journal: &Journal<VerdictRecord>,
        mut places: HashMap<Key, u64>,
    ) -> Result<VerdictMix> {
        let mut mix = VerdictMix::default();
        let mut rows = read_jsonl::<Sample>(self.samples)?.map(|sample| {
            let sample = sample?;
            let line = problems.line(&sample.problem_id).unwrap_or_default();
            let place = places
                .remove(&(line, sample.index))
                .ok_or_else(|| self.twice(&sample.problem_id, sample.index))?;
            let row = journal.row_at(place)?;
            mix.add(row.verdict);
            Ok::<_, EvalError>(row)
        });
        let mut failed = None;
        let written = write_atomic(self.verdicts, |writer| {
            for row in &mut rows {
                let row = row.map_err(|error| {
                    failed = Some(error);
                    io::Error::other("the verdicts are not whole")
                })?;
                serde_json::to_writer(&mut *writer, &row).map_err(io::Error::from)?;
                writer.write_all(b"\n")?;
            }
            Ok(())
        });
        drop(rows);
        // What went wrong with a row says more than that the file was not written.
        match failed {
            Some(error) => Err(error),
            None => Ok(written.map(|()| mix)?),
        }
    }

    fn twice(&self, id: &str, index: u32) -> EvalError {
        EvalError::mismatch(
            self.samples,
            format!("has sample {index} of {id:?} twice; make the samples again with --force"),
        )
    }
}

fn record(
    checker: &dyn Check,
    problem: &Problem,
    sample: &Sample,
) -> std::result::Result<VerdictRecord, sky_types::CheckError> {
    let checked = checker.check(problem, &sample.text, sample.finish_reason)?;
    Ok(VerdictRecord {
        v: Version,
        problem_id: sample.problem_id.clone(),
        index: sample.index,
        verdict: checked.verdict,
        detail: checked.detail,
    })
}
