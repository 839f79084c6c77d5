//! What the service has done, in the text format of Prometheus.

use std::{
    collections::BTreeMap,
    fmt::Write,
    sync::{Mutex, PoisonError},
};

/// Counts since the service started.
#[derive(Default)]
pub(super) struct Metrics {
    /// Answers by path and status. Only paths that the service has are counted by name.
    answers: Mutex<BTreeMap<(&'static str, u16), u64>>,
    /// Guest instructions of all runs of `/run_code`.
    instructions: Mutex<u64>,
}

impl Metrics {
    pub(super) fn count(&self, path: &'static str, status: u16) {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        *answers.entry((path, status)).or_default() += 1;
    }

    pub(super) fn add_instructions(&self, instructions: u64) {
        let mut sum = self
            .instructions
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *sum = sum.saturating_add(instructions);
    }

    /// The page, with the requests that are in flight now.
    pub(super) fn page(&self, in_flight: usize, capacity: usize) -> String {
        let mut page = String::from("# TYPE sky_answers_total counter\n");
        let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        for ((path, status), count) in answers.iter() {
            let _ = writeln!(
                page,
                "sky_answers_total{{path=\"{path}\",status=\"{status}\"}} {count}"
            );
        }
        let instructions = *self
            .instructions
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let _ = write!(
            page,
            "# TYPE sky_guest_instructions_total counter\n\
             sky_guest_instructions_total {instructions}\n\
             # TYPE sky_in_flight gauge\nsky_in_flight {in_flight}\n\
             # TYPE sky_capacity gauge\nsky_capacity {capacity}\n"
        );
        page
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_is_a_comment_or_a_name_and_a_number() {
        let metrics = Metrics::default();
        metrics.count("/run_code", 200);
        metrics.count("/run_code", 200);
        metrics.add_instructions(7);
        let page = metrics.page(1, 66);
        assert!(page.contains("sky_answers_total{path=\"/run_code\",status=\"200\"} 2\n"));
        assert!(page.contains("sky_guest_instructions_total 7\n"));
        for line in page.lines().filter(|line| !line.starts_with('#')) {
            let number = line.rsplit_once(' ').map(|(_, number)| number);
            assert!(number.is_some_and(|n| n.parse::<u64>().is_ok()), "{line}");
        }
    }
}
