use crate::{FinishReason, Message, SamplingParams};

/// One reply asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// The caller's own number; the reply carries it back.
    pub key: u64,
    /// The prompt.
    pub messages: Vec<Message>,
    /// How to draw the reply.
    pub params: SamplingParams,
    /// Seed of this reply alone.
    pub seed: u64,
}

/// One finished reply.
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    /// The request's `key`.
    pub key: u64,
    /// What the model said, without its end token.
    pub text: String,
    /// Why it ended.
    pub finish_reason: FinishReason,
    /// Tokens of the prompt.
    pub prompt_tokens: u32,
    /// Tokens of the reply, the end token included.
    pub completion_tokens: u32,
    /// Why there is no reply, with [`FinishReason::Failed`].
    pub failure: Option<String>,
}

impl Reply {
    /// No reply to request `key`, for this reason.
    pub fn failed(key: u64, reason: impl Into<String>) -> Self {
        Self {
            key,
            text: String::new(),
            finish_reason: FinishReason::Failed,
            prompt_tokens: 0,
            completion_tokens: 0,
            failure: Some(reason.into()),
        }
    }
}

/// What stops a generation. What only concerns one reply (a refusal, a length limit, a prompt that
/// is too long) is a reply, not an error.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GenerateError {
    /// The receiver of replies failed or asked to stop.
    #[error("the receiver of replies stopped: {0}")]
    Sink(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The model or its server failed, retries included.
    #[error("{0}")]
    Backend(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Takes each reply as it finishes; an error ends the generation as [`GenerateError::Sink`].
pub type Sink<'a> = dyn FnMut(Reply) -> Result<(), Box<dyn std::error::Error + Send + Sync>> + 'a;

/// A source of replies: a model in this process, or a pool of connections to a server.
///
/// `generate` pulls requests as it has room and hands each reply to `sink` as it finishes, in any
/// order; it returns when every request it pulled is answered. An in-process batch and an HTTP pool
/// look the same to the caller.
pub trait Generate {
    /// The model's name, as samples record it.
    fn model(&self) -> &str;

    /// How many requests form one reproducible group, when replies depend on their neighbours.
    ///
    /// Batched half-precision arithmetic rounds differently in batches of different shape. A source
    /// that says `Some(n)` promises the same bits only for the same group: the same requests, in
    /// the same order, alone in one call to `generate`. A caller that resumes repeats unfinished
    /// groups whole. `None`: each reply depends on its request alone.
    fn group_size(&self) -> Option<usize> {
        None
    }

    /// Answers every request.
    ///
    /// # Errors
    /// When the backend fails for good or `sink` does; replies handed over before that stay valid.
    fn generate(
        &mut self,
        requests: &mut dyn Iterator<Item = Request>,
        sink: &mut Sink<'_>,
    ) -> Result<(), GenerateError>;
}
