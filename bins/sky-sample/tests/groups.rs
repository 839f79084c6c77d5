//! A local model's groups: sampling stopped in any of them resumes to the same bytes.
#![cfg(feature = "local")]
#![allow(clippy::unwrap_used)]

use std::{fs, path::Path};

use sky_model::{GeneratorOptions, LocalGenerator};
use sky_sample::{SampleConfig, Sampling, sample};
use sky_types::{Answer, Domain, Generate, GenerateError, Problem, Prompt, Request, Sink};

/// The model, stopped after `n` replies.
struct Stopped(LocalGenerator, usize);

impl Generate for Stopped {
    fn model(&self) -> &str {
        self.0.model()
    }

    fn group_size(&self) -> Option<usize> {
        self.0.group_size()
    }

    fn generate(
        &mut self,
        requests: &mut dyn Iterator<Item = Request>,
        sink: &mut Sink<'_>,
    ) -> Result<(), GenerateError> {
        let fuel = &mut self.1;
        self.0.generate(requests, &mut |reply| {
            *fuel = fuel.checked_sub(1).ok_or("stopped")?;
            sink(reply)
        })
    }
}

#[test]
fn a_local_model_stopped_in_any_group_goes_on_to_the_same_bytes() {
    let home = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.sky");
    let path = home.join("models/smollm2-135m-instruct/model.gguf");
    if !path.is_file() {
        let _ = std::io::Write::write_all(
            &mut std::io::stderr(),
            b"SKIPPED: set-up has not been run (`cargo xtask setup`)\n",
        );
        return;
    }
    let problems: Vec<Problem> = (0..5)
        .map(|at| {
            let text = format!("What is {at} + 2?");
            Problem::new(
                format!("p-{at}"),
                "demo",
                Domain::Math,
                text,
                Answer::Math("2".into()),
            )
        })
        .collect();
    let (prompt, config) = (
        Prompt::default(),
        SampleConfig {
            n: 2,
            temperature: 0.8,
            max_tokens: 6,
            ..SampleConfig::default()
        },
    );
    let run = |dir: &Path, fuel: usize| {
        let mut options = GeneratorOptions::default();
        (options.group_size, options.max_batch) = (4, 3);
        let model = LocalGenerator::open(&path, "m", sky_model::Device::Cpu, options).unwrap();
        let sampling = Sampling {
            problems: &problems,
            prompt: &prompt,
            config: &config,
            seed: 3,
        };
        let mut source = Stopped(model, fuel);
        let (journal, out) = (dir.join("journal"), dir.join("out.jsonl"));
        sample(sampling, &mut source, &journal, &out, &mut |_| {})
    };
    let whole = tempfile::tempdir().unwrap();
    run(whole.path(), usize::MAX).unwrap();
    let whole = fs::read(whole.path().join("out.jsonl")).unwrap();
    // In the first group, between two, in the last one.
    for fuel in [3, 4, 9] {
        let dir = tempfile::tempdir().unwrap();
        run(dir.path(), fuel).unwrap_err();
        let resumed = run(dir.path(), usize::MAX).unwrap();
        assert_eq!((resumed.resumed, resumed.differed), (fuel, 0));
        assert_eq!(
            fs::read(dir.path().join("out.jsonl")).unwrap(),
            whole,
            "after {fuel}"
        );
    }
}
