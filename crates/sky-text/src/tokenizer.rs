use std::{collections::HashSet, path::Path};

use serde_json::{Value, json};

/// What can go wrong with a tokenizer or a chat template.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TextError {
    /// The tokenizer's file or parts are broken or of a kind this build does not know.
    #[error("tokenizer: {0}")]
    Tokenizer(String),
    /// The chat template does not parse, or fails on these messages.
    #[error("chat template: {0}")]
    Template(String),
    /// A longer conversation does not begin as the shorter one did, so the assistant's tokens
    /// cannot be told apart.
    #[error(
        "chat template: the text up to turn {turn} changes when later turns follow: use a template that only appends"
    )]
    NotAPrefix {
        /// 0-based number of the message.
        turn: usize,
    },
}

/// Text to token ids and back, from a Hugging Face `tokenizer.json` or a GGUF file's vocabulary.
#[derive(Clone, Debug)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    special: HashSet<u32>,
}

/// The vocabulary as a GGUF file holds it, a byte-level BPE.
#[derive(Clone, Debug, Default)]
pub struct GgufVocab {
    /// Token texts by id.
    pub tokens: Vec<String>,
    /// Merges, best first, two tokens with a space between.
    pub merges: Vec<String>,
    /// Kinds by id: 1 normal, 3 control, 4 user-defined.
    pub kinds: Vec<i64>,
    /// How text is split before merging: `smollm`, `qwen2`, `gpt-2` or `llama-bpe`.
    pub pre: String,
}

impl Tokenizer {
    /// Reads a `tokenizer.json`.
    ///
    /// # Errors
    /// When the file cannot be read or is no tokenizer.
    pub fn from_file(path: &Path) -> Result<Self, TextError> {
        let bytes = std::fs::read(path)
            .map_err(|e| TextError::Tokenizer(format!("{}: {e}", path.display())))?;
        Self::from_bytes(&bytes)
            .map_err(|e| TextError::Tokenizer(format!("{}: {e}", path.display())))
    }

    /// Reads the content of a `tokenizer.json`.
    ///
    /// # Errors
    /// When it is no tokenizer.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, TextError> {
        let inner = tokenizers::Tokenizer::from_bytes(bytes)
            .map_err(|e| TextError::Tokenizer(e.to_string()))?;
        let special = inner
            .get_added_tokens_decoder()
            .iter()
            .filter(|(_, token)| token.special)
            .map(|(&id, _)| id)
            .collect();
        Ok(Self { inner, special })
    }

    /// Builds the tokenizer that a GGUF file describes.
    ///
    /// # Errors
    /// When the parts contradict each other or the splitting rule is not known.
    pub fn from_gguf(vocab: &GgufVocab) -> Result<Self, TextError> {
        let refuse = |reason: String| Err(TextError::Tokenizer(reason));
        let mut seen = HashSet::with_capacity(vocab.tokens.len());
        if let Some(twice) = vocab.tokens.iter().find(|t| !seen.insert(t.as_str())) {
            return refuse(format!("token {twice:?} stands twice in the vocabulary"));
        }
        let merges: Option<Vec<(&str, &str)>> =
            vocab.merges.iter().map(|m| m.split_once(' ')).collect();
        let Some(merges) = merges else {
            return refuse("a merge lacks the space between its two tokens".into());
        };
        let entries: serde_json::Map<String, Value> = vocab
            .tokens
            .iter()
            .enumerate()
            .map(|(id, t)| (t.clone(), json!(id)))
            .collect();
        let added: Vec<Value> = vocab
            .tokens
            .iter()
            .zip(&vocab.kinds)
            .enumerate()
            .filter(|(_, (_, kind))| matches!(kind, 3 | 4))
            .map(|(id, (token, &kind))| {
                json!({"id": id, "content": token, "single_word": false, "lstrip": false, "rstrip": false,
                       "normalized": false, "special": kind == 3})
            })
            .collect();
        let rule = splitting_rule(&vocab.pre)?;
        let tokenizer = json!({
            "version": "1.0", "truncation": null, "padding": null,
            "added_tokens": added,
            "normalizer": rule.normalizer,
            "pre_tokenizer": rule.pre_tokenizer,
            "post_processor": null,
            "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
            "model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
                      "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false,
                      "ignore_merges": rule.ignore_merges, "vocab": entries, "merges": merges},
        });
        Self::from_bytes(tokenizer.to_string().as_bytes())
    }

    /// Token ids of a text. Special tokens written out in the text are recognised; none is added.
    ///
    /// # Errors
    /// When the tokenizer's model cannot express the text.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, TextError> {
        let encoding = self
            .inner
            .encode_fast(text, false)
            .map_err(|e| TextError::Tokenizer(e.to_string()))?;
        Ok(encoding.get_ids().to_vec())
    }

    /// Text of token ids, special tokens left out. Bytes that form no character become U+FFFD.
    ///
    /// # Errors
    /// When the tokenizer's decoder fails.
    pub fn decode(&self, ids: &[u32]) -> Result<String, TextError> {
        self.inner
            .decode(ids, true)
            .map_err(|e| TextError::Tokenizer(e.to_string()))
    }

    /// Like [`decode`](Self::decode), special tokens written out.
    ///
    /// # Errors
    /// When the tokenizer's decoder fails.
    pub fn decode_with_special(&self, ids: &[u32]) -> Result<String, TextError> {
        self.inner
            .decode(ids, false)
            .map_err(|e| TextError::Tokenizer(e.to_string()))
    }

    /// The id of a token given by its text.
    pub fn token_to_id(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }

    /// The text of a token.
    pub fn id_to_token(&self, id: u32) -> Option<String> {
        self.inner.id_to_token(id)
    }

    /// Whether a token is special: a marker, not text.
    pub fn is_special(&self, id: u32) -> bool {
        self.special.contains(&id)
    }

    /// Number of tokens, added ones included.
    pub fn vocab_size(&self) -> usize {
        self.inner.get_vocab_size(true)
    }

    /// The content of a `tokenizer.json`.
    ///
    /// # Errors
    /// When the tokenizer has a part that cannot be written.
    pub fn to_json(&self) -> Result<String, TextError> {
        self.inner
            .to_string(false)
            .map_err(|e| TextError::Tokenizer(e.to_string()))
    }
}

struct Rule {
    normalizer: Value,
    pre_tokenizer: Value,
    ignore_merges: bool,
}

/// The splitting rules of each family, as their published `tokenizer.json` files state them.
fn splitting_rule(pre: &str) -> Result<Rule, TextError> {
    let byte_level = |use_regex: bool| json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": use_regex});
    let split = |pattern: &str| {
        json!({"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": false},
            byte_level(false),
        ]})
    };
    let rule = |pre_tokenizer: Value| Rule {
        normalizer: Value::Null,
        pre_tokenizer,
        ignore_merges: false,
    };
    Ok(match pre {
        "smollm" => rule(json!({"type": "Sequence", "pretokenizers": [
            {"type": "Digits", "individual_digits": true}, byte_level(true)]})),
        "gpt-2" | "gpt2" => rule(byte_level(true)),
        "qwen2" => Rule {
            normalizer: json!({"type": "NFC"}),
            ..rule(split(
                r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
            ))
        },
        "llama-bpe" => Rule {
            ignore_merges: true,
            ..rule(split(
                r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
            ))
        },
        other => {
            return Err(TextError::Tokenizer(format!(
                "splitting rule `{other}` is not known (smollm, qwen2, gpt-2 and llama-bpe are): use the model's Hugging Face folder"
            )));
        }
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(crate) mod tests {
    use super::*;

    /// Every byte as a token, a few merges, and the ChatML markers.
    pub(crate) fn byte_tokenizer(pre: &str) -> Tokenizer {
        let mut tokens: Vec<String> = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
            .map(str::to_owned)
            .to_vec();
        let mut bytes: Vec<String> = tokenizers::pre_tokenizers::byte_level::ByteLevel::alphabet()
            .into_iter()
            .map(String::from)
            .collect();
        bytes.sort();
        tokens.extend(bytes);
        tokens.extend(["he", "ll", "hell", "hello", "Ġhello"].map(str::to_owned));
        let merges = ["h e", "l l", "he ll", "hell o", "Ġ hello"]
            .map(str::to_owned)
            .to_vec();
        let kinds = (0..tokens.len())
            .map(|id| if id < 3 { 3 } else { 1 })
            .collect();
        Tokenizer::from_gguf(&GgufVocab {
            tokens,
            merges,
            kinds,
            pre: pre.into(),
        })
        .unwrap()
    }

    #[test]
    fn text_comes_back_in_every_splitting_rule() {
        for pre in ["smollm", "gpt-2", "qwen2", "llama-bpe"] {
            let tokenizer = byte_tokenizer(pre);
            for text in [
                "hello hello  1234\n\n\tx",
                "naïve café 数学 🦀",
                "",
                " ",
                "'s 'LL don't",
            ] {
                let ids = tokenizer.encode(text).unwrap();
                assert_eq!(tokenizer.decode(&ids).unwrap(), text, "{pre}");
            }
            assert_eq!(tokenizer.encode("hello hello").unwrap().len(), 2, "{pre}");
            let again = Tokenizer::from_bytes(tokenizer.to_json().unwrap().as_bytes()).unwrap();
            assert_eq!(
                again.encode("hello 12 <|im_end|>").unwrap(),
                tokenizer.encode("hello 12 <|im_end|>").unwrap()
            );
        }
    }

    #[test]
    fn markers_are_single_tokens_and_left_out_of_decoded_text() {
        let tokenizer = byte_tokenizer("smollm");
        let ids = tokenizer.encode("a<|im_end|>b").unwrap();
        assert_eq!(ids.len(), 3);
        assert!(tokenizer.is_special(ids[1]) && !tokenizer.is_special(ids[0]));
        assert_eq!(tokenizer.decode(&ids).unwrap(), "ab");
        assert_eq!(tokenizer.decode_with_special(&ids).unwrap(), "a<|im_end|>b");
        assert_eq!(tokenizer.token_to_id("<|im_end|>"), Some(ids[1]));
    }

    #[test]
    fn broken_parts_are_errors() {
        let vocab = |tokens: &[&str], merges: &[&str], pre: &str| GgufVocab {
            tokens: tokens.iter().map(ToString::to_string).collect(),
            merges: merges.iter().map(ToString::to_string).collect(),
            kinds: vec![1; tokens.len()],
            pre: pre.into(),
        };
        for (bad, word) in [
            (vocab(&["a", "a"], &[], "gpt-2"), "twice"),
            (vocab(&["a", "b"], &["ab"], "gpt-2"), "space"),
            (vocab(&["a", "b"], &["a b"], "gpt-2"), ""),
            (vocab(&["a"], &[], "martian"), "martian"),
        ] {
            let error = Tokenizer::from_gguf(&bad).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
        assert!(Tokenizer::from_bytes(b"{}").is_err());
    }
}
