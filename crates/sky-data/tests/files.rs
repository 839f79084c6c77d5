//! Files as people have them: packings, encodings, arrays, columns of another source, rows that
//! nothing can be judged by.
#![allow(clippy::unwrap_used)]

use std::{io::Write, path::Path};

use sky_data::sources::{Format, Row, SeenIds, read, recognise};
use sky_types::{Answer, Problem};

const ROWS: &str =
    "{\"problem\": \"p é 😀\", \"answer\": \"1\"}\n{\"problem\": \"q\", \"answer\": \"2\"}\n";

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
}

fn utf16(text: &str, big: bool, mark: bool) -> Vec<u8> {
    let units = mark
        .then_some(0xfeff)
        .into_iter()
        .chain(text.encode_utf16());
    units
        .flat_map(|unit: u16| {
            if big {
                unit.to_be_bytes()
            } else {
                unit.to_le_bytes()
            }
        })
        .collect()
}

fn answers(format: Format, path: &Path) -> sky_data::Result<Vec<String>> {
    read(format, path)?
        .filter_map(|row| row.map(Row::into_problem).transpose())
        .map(|problem| {
            problem.map(|problem| match problem.answer {
                Answer::Math(answer) | Answer::Choice(answer) => answer,
                other => panic!("{other:?}"),
            })
        })
        .collect()
}

fn prompt(path: &Path) -> String {
    let first = read(Format::Math, path).unwrap().next().unwrap();
    first.unwrap().into_problem().unwrap().prompt
}

#[test]
fn packings_and_encodings_show_in_the_bytes_not_in_the_name() {
    let dir = tempfile::tempdir().unwrap();
    let marked = format!("\u{feff}{ROWS}");
    let array = format!(
        "\n [\n{},\n{}]\n",
        ROWS.lines().next().unwrap(),
        ROWS.lines().nth(1).unwrap()
    );
    let first = gzip(&ROWS.as_bytes()[..20]);
    let frames = [
        &zstd(&ROWS.as_bytes()[..30])[..],
        b"\x51\x2a\x4d\x18\x03\0\0\0abc",
        &zstd(&ROWS.as_bytes()[30..]),
    ]
    .concat();
    for (name, bytes) in [
        ("plain", ROWS.as_bytes().to_vec()),
        ("bom", marked.clone().into_bytes()),
        ("crlf", ROWS.replace('\n', "\r\n").into_bytes()),
        ("no newline at the end", ROWS.trim_end().as_bytes().to_vec()),
        ("blank lines", ROWS.replace('\n', "\n\n \n").into_bytes()),
        ("gzip", gzip(ROWS.as_bytes())),
        (
            "two gzip members",
            [first, gzip(&ROWS.as_bytes()[20..])].concat(),
        ),
        ("zstd", zstd(ROWS.as_bytes())),
        ("zstd frames", frames),
        ("utf-16 little", utf16(ROWS, false, true)),
        ("utf-16 big", utf16(ROWS, true, true)),
        ("utf-16 without a mark", utf16(ROWS, false, false)),
        ("utf-16 in gzip", gzip(&utf16(ROWS, true, true))),
        ("bom in zstd", zstd(marked.as_bytes())),
        ("array", array.clone().into_bytes()),
        ("array in one line", array.replace('\n', "").into_bytes()),
        ("array in utf-16", utf16(&array, false, true)),
    ] {
        for suffix in ["jsonl", "json.gz"] {
            let path = dir.path().join(format!("rows.{suffix}"));
            std::fs::write(&path, &bytes).unwrap();
            assert_eq!(answers(Format::Math, &path).unwrap(), ["1", "2"], "{name}");
            assert_eq!(prompt(&path), "p é 😀", "{name}");
        }
    }
}

#[test]
fn what_cannot_be_read_names_the_file_the_cause_and_the_fix() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("rows.jsonl");
    let bomb = gzip(&vec![b'\n'; 300 << 20]);
    let half = gzip(ROWS.as_bytes());
    let cases: [(&[u8], &str); 12] = [
        (b"PAR1rest", "Parquet"),
        (b"ARROW1\0\0", "Arrow"),
        (b"PK\x03\x04", "zip archive; unpack"),
        (b"version https://x", "git lfs pull"),
        (&bomb, "unpacks to over"),
        (&half[..half.len() - 9], "cannot read"),
        (b"[{\"problem\": \"p\", \"answer\": \"1\"}", "not closed"),
        (b"[1]\n[2]", "rows.jsonl:1"),
        (b"\xff\xfe{\x00\x00\xd8{\x00", "UTF-16 is broken"),
        (
            b"{\"problem\": \"p\", \"answer\": \"\xff\"}",
            "rows.jsonl:1",
        ),
        (b"\n\n{\"problem\": ", "rows.jsonl:3"),
        (
            b"[\n{\"problem\": \"p\", \"answer\": \"1\"},\n{\"x\": 1}\n]",
            "rows.jsonl:3",
        ),
    ];
    for (bytes, says) in cases {
        std::fs::write(&path, bytes).unwrap();
        let error = answers(Format::Math, &path).unwrap_err().to_string();
        assert!(
            error.contains(says) && error.contains("rows.jsonl"),
            "{says}: {error}"
        );
    }
    let error = answers(Format::Math, dir.path()).unwrap_err().to_string();
    assert!(error.contains("a folder"), "{error}");
}

#[test]
fn a_line_of_fifty_megabytes_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("rows.json");
    let long = "x".repeat(50 << 20);
    let row = format!("{{\"problem\": \"p\", \"solution\": \"{long}\", \"answer\": \"7\"}}");
    for text in [row.clone(), format!("[{row}, {row}]")] {
        std::fs::write(&path, text).unwrap();
        assert_eq!(answers(Format::Math, &path).unwrap()[0], "7");
    }
}

#[test]
fn a_misfit_row_does_not_end_the_reading() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("rows.jsonl");
    let good = "{\"problem\": \"p\", \"answer\": 1}";
    std::fs::write(&path, format!("{good}\nnot json\n{{\"x\": 1}}\n{good}")).unwrap();
    let rows: Vec<bool> = read(Format::Math, &path)
        .unwrap()
        .map(|row| row.is_ok())
        .collect();
    assert_eq!(rows, [true, false, false, true]);
}

/// One row of each format in the published schema.
const PUBLISHED: [(Format, &str, &str); 15] = [
    (
        Format::Gsm8k,
        r#"{"question": "q", "answer": "2+2\n#### 1,000"}"#,
        "1000",
    ),
    (
        Format::Math,
        r#"{"problem": "q", "level": "Level 1", "type": "Algebra", "solution": "\\boxed{3}"}"#,
        "3",
    ),
    (
        Format::Math,
        r#"{"problem": "q", "answer": "4", "subject": "s", "level": 2, "unique_id": "u"}"#,
        "4",
    ),
    (
        Format::Aime,
        r#"{"ID": "2024-I-1", "Problem": "q", "Solution": "s", "Answer": 204}"#,
        "204",
    ),
    (
        Format::Aime,
        r#"{"ID": "1983-1", "Year": 1983, "Problem Number": 1, "Question": "q", "Answer": "60", "Part": null}"#,
        "60",
    ),
    (
        Format::Numina,
        r#"{"source": "olympiads", "problem": "q", "solution": "\\boxed{5}", "messages": []}"#,
        "5",
    ),
    (
        Format::OlympiadBench,
        r#"{"id": 1, "context": null, "question": "q", "final_answer": ["$2$"], "unit": null, "error": null}"#,
        "$2$",
    ),
    (
        Format::Gpqa,
        r#"{"Record ID": "r", "Question": "q", "Correct Answer": "w", "Incorrect Answer 1": "x", "Incorrect Answer 2": "y", "Incorrect Answer 3": "z"}"#,
        "",
    ),
    (
        Format::Arc,
        r#"{"id": "a", "question": "q", "choices": {"text": ["x", "y"], "label": ["1", "2"]}, "answerKey": "2"}"#,
        "B",
    ),
    (
        Format::Mmlu,
        r#"{"question": "q", "subject": "s", "choices": ["x", "y", "z", "w"], "answer": 2}"#,
        "C",
    ),
    (
        Format::Mbpp,
        r#"{"text": "q", "task_id": 1, "test_list": ["assert f(1) == 2"]}"#,
        "",
    ),
    (
        Format::Mbpp,
        r#"{"prompt": "q", "task_id": 1, "test_imports": ["import math"], "test_list": ["assert f(1) == 2"]}"#,
        "",
    ),
    (
        Format::Apps,
        r#"{"problem_id": 1, "question": "q", "input_output": "{\"inputs\": [\"1\"], \"outputs\": [\"2\"]}", "starter_code": ""}"#,
        "",
    ),
    (
        Format::Taco,
        r#"{"question": "q", "input_output": "{\"inputs\": [\"1\"], \"outputs\": [\"2\"]}", "picture_num": "0", "difficulty": "MEDIUM"}"#,
        "",
    ),
    (
        Format::Problems,
        r#"{"id": "1", "source": "s", "domain": "math", "prompt": "q", "answer": {"math": "9"}}"#,
        "9",
    ),
];

#[test]
fn a_format_is_recognised_by_its_columns() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("rows.jsonl");
    for (format, row, expected) in PUBLISHED {
        std::fs::write(&path, row).unwrap();
        assert_eq!(recognise(&path).unwrap(), format, "{row}");
        let problem = read(format, &path).unwrap().next().unwrap().unwrap();
        let problem = problem.into_problem().unwrap();
        match &problem.answer {
            Answer::Math(answer) | Answer::Choice(answer) if !expected.is_empty() => {
                assert_eq!(answer, expected, "{row}");
            }
            _ => {}
        }
    }
    for (row, says) in [
        ("{\"foo\": 1}", "`foo`"),
        ("", "no rows"),
        ("[]", "no rows"),
    ] {
        std::fs::write(&path, row).unwrap();
        let error = recognise(&path).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
}

#[test]
fn another_source_s_rows_are_refused_with_the_right_format_s_name() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("rows.jsonl");
    let row = |wanted: Format| {
        PUBLISHED
            .iter()
            .find(|(format, ..)| *format == wanted)
            .unwrap()
            .1
    };
    for (format, wrong) in [
        (Format::Math, Format::Gsm8k),
        (Format::Aime, Format::Gsm8k),
        (Format::Math, Format::OlympiadBench),
        (Format::Gsm8k, Format::Apps),
        (Format::Mbpp, Format::Problems),
        (Format::HumanEval, Format::Mmlu),
        (Format::Numina, Format::Aime),
    ] {
        std::fs::write(&path, row(wrong)).unwrap();
        let error = read(format, &path)
            .unwrap()
            .next()
            .unwrap()
            .unwrap_err()
            .to_string();
        let hint = format!("use --from {}", wrong.name());
        assert!(error.contains(&hint), "{error}");
    }
}

#[test]
fn gpqa_s_right_answer_is_at_every_letter() {
    let mut counts = std::collections::BTreeMap::<String, usize>::new();
    for at in 0..400 {
        let row = format!(
            "{{\"Question\": \"q{at}\", \"Correct Answer\": \"right {at}\", \"Incorrect Answer 1\": \"a\", \
             \"Incorrect Answer 2\": \"b\", \"Incorrect Answer 3\": \"c\"}}"
        );
        let row = serde_json::from_str(&row).unwrap();
        let problem = sky_data::sources::from_row(Format::Gpqa, &row, at).unwrap();
        let problem = problem.into_problem().unwrap();
        let Answer::Choice(letter) = problem.answer else {
            panic!()
        };
        assert!(problem.prompt.contains(&format!("\n{letter}. right {at}")));
        *counts.entry(letter).or_default() += 1;
    }
    assert!(
        counts.len() == 4 && counts.values().all(|count| (70..130).contains(count)),
        "{counts:?}"
    );
}

#[test]
fn rows_that_no_reply_could_be_judged_by_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("rows.jsonl");
    let good: Problem = serde_json::from_str(PUBLISHED[14].1).unwrap();
    for (prompt, answer, says) in [
        ("p", r#"{"math": ""}"#, "`answer.math` is empty"),
        ("p", r#"{"math": " \n"}"#, "`answer.math` is empty"),
        ("p", r#"{"choice": "AB"}"#, "one letter"),
        ("p", r#"{"choice": ""}"#, "one letter"),
        ("p", r#"{"choice": "1"}"#, "one letter"),
        (" ", r#"{"math": "1"}"#, "`prompt` is empty"),
        (
            "p",
            r#"{"tests": {"inputs": [], "outputs": []}}"#,
            "inputs` is empty",
        ),
        (
            "p",
            r#"{"tests": {"inputs": ["1"], "outputs": []}}"#,
            "1 inputs and 0 outputs",
        ),
        (
            "p",
            r#"{"tests": {"inputs": ["1"], "outputs": ["1"], "accepted": [[], []]}}"#,
            "accepted",
        ),
        (
            "p",
            r#"{"tests": {"inputs": ["1"], "outputs": ["1"], "timeout_s": 0}}"#,
            "timeout_s",
        ),
        ("p", r#"{"program": {"test": ""}}"#, "empty"),
        (
            "p",
            r#"{"program": {"test": "def check(f):\n    f(1)"}}"#,
            "no assertion",
        ),
    ] {
        let row = format!(
            "{{\"id\": \"1\", \"source\": \"s\", \"domain\": \"math\", \"prompt\": {prompt:?}, \"answer\": {answer}}}"
        );
        std::fs::write(&path, row).unwrap();
        let error = read(Format::Problems, &path)
            .unwrap()
            .next()
            .unwrap()
            .unwrap_err()
            .to_string();
        assert!(
            error.contains(says) && error.contains("rows.jsonl:1"),
            "{error}"
        );
    }
    sky_data::sources::check_judgeable(&good).unwrap();
    let mut seen = SeenIds::default();
    seen.insert("a").unwrap();
    assert!(seen.insert("a").unwrap_err().contains("\"a\""));
}
