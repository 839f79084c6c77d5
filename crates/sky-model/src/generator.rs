use std::path::Path;

use serde::{Deserialize, Serialize};
use sky_text::{ChatTemplate, Tokenizer};
use sky_types::{Generate, GenerateError, Precision, Reply, Request, Sink};
use tch::{Device, Kind, Tensor};

use crate::{
    Config, ModelError, ModelFiles,
    batch::{Batch, Engine},
    blocks,
    decoder::Decoder,
    prompts::{Prepared, split_by_prefix},
};

/// libtorch's name for what a model computes in.
pub fn compute_dtype(precision: Precision) -> Kind {
    match precision {
        Precision::Bf16 => Kind::BFloat16,
        Precision::F32 => Kind::Float,
    }
}

/// How a local model generates.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GeneratorOptions {
    /// Most replies computed at once. Throughput grows with it until the processor is busy; so does
    /// memory.
    pub max_batch: usize,
    /// Requests of one reproducible group: they share a prompt prefix and each other's batch. More
    /// fill the batch better, fewer lose less when a run is interrupted.
    pub group_size: usize,
    /// Longest prompt and reply together, in tokens; 0 for what the model was made for.
    pub context: usize,
    /// Arithmetic.
    pub precision: Precision,
}

impl Default for GeneratorOptions {
    fn default() -> Self {
        Self {
            max_batch: 64,
            group_size: 256,
            context: 0,
            precision: Precision::default(),
        }
    }
}

/// A model in this process as a source of replies.
///
/// Requests are taken a group at a time. What the prompts of a group have in common at their
/// beginning is computed once and attended to by all rows together; as replies end, their rows go
/// to the group's next requests.
#[derive(Debug)]
pub struct LocalGenerator {
    engine: Engine,
    template: ChatTemplate,
    name: String,
    options: GeneratorOptions,
}

impl LocalGenerator {
    /// Loads a model folder or GGUF file onto a device. `name` is what samples record.
    ///
    /// # Errors
    /// When the model cannot be read.
    pub fn open(
        path: &Path,
        name: impl Into<String>,
        device: Device,
        options: GeneratorOptions,
    ) -> Result<Self, ModelError> {
        let _span = tracing::info_span!("load_model", path = %path.display()).entered();
        let files = ModelFiles::open(path)?;
        let kind = compute_dtype(options.precision);
        let params = blocks(files.config())
            .iter()
            .map(|block| {
                let params = files.block(block, kind)?;
                let moved = params.iter().map(|param| param.f_to_device(device));
                Ok(moved.collect::<Result<_, _>>()?)
            })
            .collect::<Result<_, ModelError>>()?;
        let tokenizer = files.tokenizer()?;
        let stops = files.stop_tokens(&tokenizer);
        Self::new(
            files.config(),
            params,
            tokenizer,
            files.chat_template()?,
            stops,
            name,
            options,
        )
    }

    /// From parts: parameters in the order of [`blocks`], all on the device that computes, and the
    /// tokens that end a reply.
    ///
    /// # Errors
    /// When the parameters are not those of the configuration, or it asks for more tokens than the
    /// tokenizer may give.
    pub fn new(
        config: &Config,
        params: Vec<Vec<Tensor>>,
        tokenizer: Tokenizer,
        template: ChatTemplate,
        stops: Vec<u32>,
        name: impl Into<String>,
        options: GeneratorOptions,
    ) -> Result<Self, ModelError> {
        if tokenizer.vocab_size() as i64 > config.vocab_size {
            return Err(ModelError::Config(format!(
                "the tokenizer has {} tokens, the model {}: they do not belong together",
                tokenizer.vocab_size(),
                config.vocab_size
            )));
        }
        let context = match options.context {
            0 => config.max_positions,
            limit => limit.min(config.max_positions),
        };
        let decoder = Decoder::new(
            config,
            params,
            compute_dtype(options.precision),
            context as i64,
        )?;
        Ok(Self {
            engine: Engine {
                decoder,
                tokenizer,
                stops,
                context,
            },
            template,
            name: name.into(),
            options,
        })
    }

    /// The tokenizer.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.engine.tokenizer
    }

    /// Longest prompt and reply together, in tokens.
    pub fn context(&self) -> usize {
        self.engine.context
    }

    /// The request with its prompt's tokens, or the reply that says why it cannot be answered.
    fn prepare(&self, request: Request) -> Result<Prepared, Reply> {
        let fail = |reason: String| Reply::failed(request.key, reason);
        let text = self
            .template
            .render(&request.messages, true)
            .map_err(|error| fail(error.to_string()))?;
        let prompt = self
            .engine
            .tokenizer
            .encode(&text)
            .map_err(|error| fail(error.to_string()))?;
        if prompt.is_empty() {
            return Err(fail("the chat template gives an empty prompt".to_owned()));
        }
        if prompt.len() >= self.engine.context {
            return Err(fail(format!(
                "the prompt has {} tokens, the model's context holds {}",
                prompt.len(),
                self.engine.context - 1
            )));
        }
        Ok(Prepared { request, prompt })
    }
}

impl Generate for LocalGenerator {
    fn model(&self) -> &str {
        &self.name
    }

    fn group_size(&self) -> Option<usize> {
        Some(self.options.group_size.max(1))
    }

    fn generate(
        &mut self,
        requests: &mut dyn Iterator<Item = Request>,
        sink: &mut Sink<'_>,
    ) -> Result<(), GenerateError> {
        let _guard = tch::no_grad_guard();
        loop {
            let asked: Vec<Request> = requests.take(self.options.group_size.max(1)).collect();
            if asked.is_empty() {
                return Ok(());
            }
            let mut group = Vec::with_capacity(asked.len());
            for request in asked {
                match self.prepare(request) {
                    Ok(prepared) => group.push(prepared),
                    Err(failed) => sink(failed).map_err(GenerateError::Sink)?,
                }
            }
            for part in split_by_prefix(group, self.options.max_batch) {
                Batch::run(&self.engine, &part, self.options.max_batch.max(1), sink)?;
            }
        }
    }
}
