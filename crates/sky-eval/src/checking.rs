use std::{
    collections::{HashMap, HashSet},
    num::NonZero,
    path::Path,
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread,
};

use sky_files::{Journal, read_jsonl, write_jsonl};
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

type Key = (String, u32);
type Feed<'a> = dyn Iterator<Item = Result<(Arc<Problem>, Sample)>> + Send + 'a;

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
        let (mut journal, found) = Journal::<VerdictRecord>::open(self.journal)?;
        let mut done: HashMap<Key, VerdictRecord> = HashMap::new();
        for row in found.rows {
            on_verdict(&row, false);
            done.insert((row.problem_id.clone(), row.index), row);
        }
        let before: HashSet<Key> = done.keys().cloned().collect();
        let todo = read_jsonl::<Sample>(self.samples)?.filter_map(move |sample| {
            let sample = match sample {
                Ok(sample) => sample,
                Err(error) => return Some(Err(error.into())),
            };
            if before.contains(&(sample.problem_id.clone(), sample.index)) {
                return None;
            }
            Some(
                problems
                    .get(&sample.problem_id)
                    .map(|problem| (problem, sample)),
            )
        });
        self.check(checker, Box::new(todo), &mut |row| {
            journal.append(&row)?;
            on_verdict(&row, true);
            match done.insert((row.problem_id.clone(), row.index), row) {
                None => Ok(()),
                Some(row) => Err(self.twice(&row.problem_id, row.index)),
            }
        })?;
        journal.sync()?;
        self.write(done)
    }

    fn check(
        &self,
        checker: &dyn Check,
        todo: Box<Feed<'_>>,
        take: &mut dyn FnMut(VerdictRecord) -> Result<()>,
    ) -> Result<()> {
        let threads = self
            .threads
            .or_else(|| thread::available_parallelism().ok())
            .map_or(1, NonZero::get);
        let todo = Mutex::new(todo);
        // Bounded, so that workers wait for a slow disk instead of filling memory.
        let (send, receive) = mpsc::sync_channel::<Result<VerdictRecord>>(4 * threads);
        thread::scope(|scope| {
            for _ in 0..threads {
                let (send, todo) = (send.clone(), &todo);
                scope.spawn(move || {
                    loop {
                        // A panic of another worker ends the whole scope; nothing half-read is used after it.
                        let next = todo.lock().unwrap_or_else(PoisonError::into_inner).next();
                        let Some(next) = next else { break };
                        let row = next.and_then(|(problem, sample)| {
                            record(checker, &problem, &sample).map_err(EvalError::from)
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
                take(row?)?;
            }
            Ok(())
        })
    }

    /// In the samples' order, whatever order they were checked in.
    fn write(&self, mut done: HashMap<Key, VerdictRecord>) -> Result<VerdictMix> {
        let mut mix = VerdictMix::default();
        let mut rows = Vec::with_capacity(done.len());
        for sample in read_jsonl::<Sample>(self.samples)? {
            let sample = sample?;
            let (id, index) = (sample.problem_id, sample.index);
            let row = done
                .remove(&(id.clone(), index))
                .ok_or_else(|| self.twice(&id, index))?;
            mix.add(row.verdict);
            rows.push(row);
        }
        write_jsonl(self.verdicts, rows)?;
        Ok(mix)
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
