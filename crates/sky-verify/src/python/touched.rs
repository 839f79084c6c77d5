//! The pages that every run writes to. A copy-on-write page that is read first and written later costs two faults, the second
//! with a word to every other core that runs guests; one that is written first costs one. So the host writes to these pages,
//! what they hold anyway, before a guest reads them. Only speed depends on it.

use std::fs::File;
use std::os::unix::fs::FileExt;

use super::SandboxError;
use super::engine::SHADOW_STACK;
use super::exam::Exam;
use super::limits::Limits;
use super::sandbox::Sandbox;
use super::session::{Job, Session};

/// A page as the first byte on it: where it is in the guest's memory, and what it is in the snapshot.
pub(super) type Page = (usize, u8);

/// Bytes of a page, as Linux counts them on x86-64. On a machine with others the pages found are the wrong ones, which costs a
/// little time.
const PAGE: usize = 4096;
/// Most pages to write to: more than a short run needs.
const MOST: usize = 1000;

/// What guests of each kind write to.
#[derive(Default)]
pub(super) struct Touched {
    /// A program alone.
    pub(super) alone: Vec<Page>,
    /// A program that a test asks.
    pub(super) asked: Vec<Page>,
    /// A test.
    pub(super) asking: Vec<Page>,
}

impl Touched {
    /// Runs a short program and a short test, and looks where they have written.
    pub(super) fn find(sandbox: &Sandbox) -> Result<Self, SandboxError> {
        let limits = Limits::seconds(1.0);
        let mut session = Session::start(sandbox, b"1\n", &limits, None, &[])?;
        session.go(&Job::Script("print(int(input()))\n"));
        let alone = written(&session);
        drop(session);
        let exam = Exam {
            program: "def f(x):\n    return [x]\n",
            test: "def check(f):\n    assert f(1) == [1]\n    assert f('a') == ['a']\n",
            prefix: Some("def f(x):\n    '''A list.'''\n"),
            replaced: &[],
            entry: Some("f"),
        };
        let (mut asking, mut asked) = (Vec::new(), Vec::new());
        exam.run(sandbox, &limits, &Self::default(), &mut |test, program| {
            asking = written(test);
            asked = written(program);
        })?;
        // Not beside the others: a run may have two guests.
        let fresh = Session::start(sandbox, b"", &limits, None, &[])?;
        let pages = |found: Vec<usize>| {
            let page = |at| Some((at, fresh.byte(at)?));
            found.into_iter().filter_map(page).collect()
        };
        Ok(Self {
            alone: pages(alone),
            asked: pages(asked),
            asking: pages(asking),
        })
    }
}

/// Where the pages of a guest's snapshot are that it has written to; none where the system does not tell.
fn written(session: &Session) -> Vec<usize> {
    let (address, len) = session.place();
    let pages = len.saturating_sub(SHADOW_STACK) / PAGE;
    let mut entries = vec![0; pages * 8];
    let read = File::open("/proc/self/pagemap")
        .and_then(|map| map.read_exact_at(&mut entries, (address / PAGE * 8) as u64));
    if read.is_err() {
        return Vec::new();
    }
    let (entries, _) = entries.as_chunks::<8>();
    entries
        .iter()
        .enumerate()
        .filter(|(_, entry)| {
            // Present, and no page of the file that the snapshot is in.
            u64::from_le_bytes(**entry) >> 61 & 0b101 == 0b100
        })
        .map(|(page, _)| page * PAGE)
        .take(MOST)
        .collect()
}
