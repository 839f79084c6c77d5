//! Samples to verdicts, on files.
#![allow(clippy::unwrap_used)]

mod fixture;

use std::{fs, num::NonZero, sync::atomic::Ordering};

use fixture::{Exact, Folder};
use sky_types::VerdictRecord;
use sky_verify::{ParallelChecker, VerifyError, read_judged_samples};

#[test]
fn a_failed_host_loses_nothing_and_threads_change_nothing() {
    let folder = Folder::new(50, 4, |p, i| (p + i) % 3 == 0);
    let (failed, _) = folder.check(&Exact::new(70), 3);
    assert!(matches!(failed.unwrap_err(), VerifyError::Check(_)));
    assert!(!folder.path("verdicts.jsonl").exists());

    let checker = Exact::new(usize::MAX);
    let (counts, resumed) = folder.check(&checker, 3);
    let counts = counts.unwrap();
    assert!((1..=70).contains(&resumed), "{resumed}");
    assert_eq!(checker.checked.load(Ordering::SeqCst), 200 - resumed);
    assert_eq!(counts.total(), 200);

    let other = Folder::new(50, 4, |p, i| (p + i) % 3 == 0);
    let (same, _) = other.check(&Exact::new(usize::MAX), 1);
    assert_eq!(same.unwrap(), counts);
    assert_eq!(
        fs::read(folder.path("verdicts.jsonl")).unwrap(),
        fs::read(other.path("verdicts.jsonl")).unwrap()
    );
    let rows = read_judged_samples(
        &folder.path("samples.jsonl"),
        &folder.path("verdicts.jsonl"),
    )
    .unwrap();
    assert_eq!(rows.filter(Result::is_ok).count(), 200);
}

#[test]
fn where_few_replies_wait_the_long_ones_begin_first() {
    for (problems, few) in [(60, true), (160, false)] {
        let folder = Folder::new(problems, 4, |p, i| p % 10 == 7 && i == 2);
        let mut seen = Vec::new();
        let checker = ParallelChecker {
            problems: &folder.path("problems.jsonl"),
            samples: &folder.path("samples.jsonl"),
            journal: &folder.path("verdicts.journal"),
            verdicts: &folder.path("verdicts.jsonl"),
            threads: NonZero::new(1),
        };
        let see = &mut |row: &VerdictRecord, _| seen.push((row.problem_id.clone(), row.index));
        checker.run(&Exact::new(usize::MAX), see).unwrap();
        let place = |p: u32, i: u32| seen.iter().position(|row| *row == (format!("p{p}"), i));
        if few {
            // `\boxed{17}` is longer than `\boxed{7}`, that than `no`.
            let long = [
                (17, 2),
                (27, 2),
                (37, 2),
                (47, 2),
                (57, 2),
                (7, 2),
                (0, 0),
                (0, 1),
            ];
            for (index, (p, i)) in long.into_iter().enumerate() {
                assert_eq!(place(p, i), Some(index), "p{p} {i}");
            }
        } else {
            assert_eq!((place(0, 0), place(7, 2)), (Some(0), Some(30)));
        }
        let rows: Vec<VerdictRecord> = sky_files::read_jsonl(&folder.path("verdicts.jsonl"))
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap();
        let order: Vec<_> = (0..problems * 4)
            .map(|k| (format!("p{}", k / 4), k % 4))
            .collect();
        assert!(
            rows.into_iter()
                .map(|row| (row.problem_id, row.index))
                .eq(order)
        );
    }
}

#[test]
fn verdicts_of_other_samples_are_named() {
    let folder = Folder::new(4, 2, |_, _| true);
    folder.check(&Exact::new(usize::MAX), 1).0.unwrap();
    let verdicts = fs::read_to_string(folder.path("verdicts.jsonl")).unwrap();
    let first_error = |text: String| {
        fs::write(folder.path("verdicts.jsonl"), text).unwrap();
        let [samples, verdicts] = ["samples.jsonl", "verdicts.jsonl"].map(|name| folder.path(name));
        let mut rows = read_judged_samples(&samples, &verdicts).unwrap();
        let error = rows.find_map(Result::err).unwrap();
        assert!(rows.next().is_none(), "nothing follows an error");
        assert!(matches!(error, VerifyError::Mismatch { .. }), "{error:?}");
        error.to_string()
    };
    let cut = verdicts.lines().take(7).collect::<Vec<_>>().join("\n");
    let error = first_error(cut);
    assert!(error.contains("no verdict for p3 #1"), "{error}");
    let swapped = verdicts.lines().rev().collect::<Vec<_>>().join("\n");
    let error = first_error(swapped);
    assert!(
        error.contains("p3 #1 where the samples have p0 #0"),
        "{error}"
    );
    let last = verdicts.lines().last().unwrap();
    let error = first_error(format!("{verdicts}{last}\n"));
    assert!(
        error.contains("more rows than there are samples"),
        "{error}"
    );

    let fewer = Folder::new(3, 2, |_, _| true);
    fs::copy(fewer.path("problems.jsonl"), folder.path("problems.jsonl")).unwrap();
    fs::remove_file(folder.path("verdicts.journal")).unwrap();
    let error = folder
        .check(&Exact::new(usize::MAX), 2)
        .0
        .unwrap_err()
        .to_string();
    assert!(error.contains("no problem \"p3\""), "{error}");
}

#[test]
fn a_sample_that_occurs_twice_is_refused() {
    let folder = Folder::new(3, 1, |_, _| true);
    let samples = fs::read_to_string(folder.path("samples.jsonl")).unwrap();
    fs::write(folder.path("samples.jsonl"), samples.repeat(2)).unwrap();
    for _ in 0..2 {
        let error = folder
            .check(&Exact::new(usize::MAX), 2)
            .0
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("sample") && error.contains("twice"),
            "{error}"
        );
    }
}
