use serde::{Deserialize, Serialize};

use crate::Version;

/// Why a reply ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FinishReason {
    /// The model ended its turn.
    #[default]
    Stop,
    /// The token limit was reached; the text is unfinished.
    Length,
    /// The server refused to answer (a content filter).
    Refused,
    /// There is no reply: the request cannot be answered, or was not after every retry.
    Failed,
}

/// How tokens are drawn. `temperature` 0 is greedy and ignores `top_p`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SamplingParams {
    /// Divides the logits before the softmax; 0 takes the likeliest token.
    pub temperature: f64,
    /// Nucleus sampling: the smallest set of tokens whose probability reaches this.
    pub top_p: f64,
    /// Most new tokens of one reply.
    pub max_tokens: u32,
}

impl Default for SamplingParams {
    /// Greedy, 16,384 new tokens: how Sky-T1 sampled its teacher.
    fn default() -> Self {
        Self {
            temperature: 0.0,
            top_p: 1.0,
            max_tokens: 16_384,
        }
    }
}

/// One line of `samples.jsonl`: one reply to one problem.
///
/// A row from elsewhere needs `problem_id` and `text` only. The other fields say how our own
/// sampler drew it; left out, they stand for a reply that ended by itself, of unknown length.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sample {
    /// Format version, 1.
    #[serde(default)]
    pub v: Version<1>,
    /// The problem's `id`.
    pub problem_id: String,
    /// 0-based number of this sample among the problem's samples.
    #[serde(default)]
    pub index: u32,
    /// The reply as the model gave it, or as a rewriter left it.
    pub text: String,
    /// Why the reply ended.
    #[serde(default)]
    pub finish_reason: FinishReason,
    /// Tokens of the prompt; 0 when unknown.
    #[serde(default)]
    pub prompt_tokens: u32,
    /// Tokens of the reply; 0 when unknown.
    #[serde(default)]
    pub completion_tokens: u32,
    /// The model's name.
    #[serde(default)]
    pub model: String,
    /// How it was drawn.
    #[serde(default)]
    pub params: SamplingParams,
    /// The seed it was drawn with.
    #[serde(default)]
    pub seed: u64,
    /// Why there is no reply, with [`FinishReason::Failed`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}
