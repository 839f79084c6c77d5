use minijinja::{Environment, Error, ErrorKind, State, Value, value::from_args};
use sky_types::{Conversation, Message, Role, TokenSeq};

use crate::{Tokenizer, tokenizer::TextError};

/// ChatML without a default system prompt, for models that bring no template.
const CHATML: &str = "{% for message in messages %}{{ '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

/// Instructions a template may take; a real one needs a few hundred a message.
const FUEL_PER_RENDER: u64 = 50_000_000;

/// Turns messages into the text a model was trained on, by its own Jinja template.
///
/// Some templates put in a system prompt of their own where the messages have none (SmolLM2's
/// does).
#[derive(Debug)]
pub struct ChatTemplate {
    environment: Environment<'static>,
    source: String,
    bos_token: String,
    eos_token: String,
}

impl Clone for ChatTemplate {
    fn clone(&self) -> Self {
        Self {
            environment: self.environment.clone(),
            source: self.source.clone(),
            bos_token: self.bos_token.clone(),
            eos_token: self.eos_token.clone(),
        }
    }
}

impl ChatTemplate {
    /// A template as `tokenizer_config.json` or a GGUF file holds it, with the two tokens it may
    /// name.
    ///
    /// # Errors
    /// When it does not parse.
    pub fn new(source: &str, bos_token: &str, eos_token: &str) -> Result<Self, TextError> {
        let mut environment = Environment::new();
        // As transformers renders templates.
        environment.set_trim_blocks(true);
        environment.set_lstrip_blocks(true);
        environment.set_fuel(Some(FUEL_PER_RENDER));
        environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
        environment.set_unknown_method_callback(python_method);
        environment.add_function(
            "raise_exception",
            |message: String| -> Result<Value, Error> {
                Err(Error::new(ErrorKind::InvalidOperation, message))
            },
        );
        environment
            .add_template_owned("chat", source.to_owned())
            .map_err(|e| TextError::Template(describe(&e)))?;
        Ok(Self {
            environment,
            source: source.to_owned(),
            bos_token: bos_token.to_owned(),
            eos_token: eos_token.to_owned(),
        })
    }

    /// ChatML, with no default system prompt.
    ///
    /// # Errors
    /// Never; the template is this crate's own.
    pub fn chatml() -> Result<Self, TextError> {
        Self::new(CHATML, "", "<|im_end|>")
    }

    /// The template's source.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The begin-of-text token's text, as the template may use it.
    pub fn bos_token(&self) -> &str {
        &self.bos_token
    }

    /// The end token's text, as the template may use it.
    pub fn eos_token(&self) -> &str {
        &self.eos_token
    }

    /// The text of a conversation; with `add_generation_prompt` it ends where the model's reply
    /// begins.
    ///
    /// # Errors
    /// When the template refuses these messages.
    pub fn render(
        &self,
        messages: &[Message],
        add_generation_prompt: bool,
    ) -> Result<String, TextError> {
        let template = self
            .environment
            .get_template("chat")
            .map_err(|e| TextError::Template(describe(&e)))?;
        template
            .render(minijinja::context! {
                messages => messages,
                add_generation_prompt => add_generation_prompt,
                bos_token => self.bos_token,
                eos_token => self.eos_token,
            })
            .map_err(|e| TextError::Template(describe(&e)))
    }

    /// Tokens of a conversation, targets marked: exactly what the assistant says, its end token
    /// included.
    ///
    /// Prompts and replies are encoded apart, as they meet when the model generates.
    ///
    /// # Errors
    /// When the template refuses the messages, or the text of earlier turns changes when later ones
    /// follow.
    pub fn encode_training(
        &self,
        tokenizer: &Tokenizer,
        conversation: &Conversation,
    ) -> Result<TokenSeq, TextError> {
        let messages = conversation.messages();
        let mut seq = TokenSeq::default();
        let mut done = String::new();
        for (turn, message) in messages.iter().enumerate() {
            if message.role != Role::Assistant {
                continue;
            }
            let prompt = self.render(&messages[..turn], true)?;
            let whole = self.render(&messages[..=turn], false)?;
            let (Some(context), Some(reply)) =
                (prompt.strip_prefix(&done), whole.strip_prefix(&prompt))
            else {
                return Err(TextError::NotAPrefix { turn });
            };
            let context = tokenizer.encode(context)?;
            seq.target.resize(seq.ids.len() + context.len(), false);
            seq.ids.extend(context);
            let reply = tokenizer.encode(reply)?;
            // What the template writes after the end token (a newline in ChatML) is not the
            // assistant's.
            let said = reply
                .iter()
                .rposition(|&id| tokenizer.is_special(id))
                .map_or(reply.len(), |at| at + 1);
            seq.target.resize(seq.ids.len() + said, true);
            seq.target.resize(seq.ids.len() + reply.len(), false);
            seq.ids.extend(reply);
            done = whole;
        }
        Ok(seq)
    }
}

/// The template's error with its causes, one line.
fn describe(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(next) = cause {
        text.push_str(": ");
        text.push_str(&next.to_string());
        cause = next.source();
    }
    text
}

/// The methods of Python's `str` and `dict` that published templates call.
fn python_method(
    _: &State<'_, '_>,
    value: &Value,
    method: &str,
    args: &[Value],
) -> Result<Value, Error> {
    let unknown = || Error::from(ErrorKind::UnknownMethod);
    if let Some(text) = value.as_str() {
        return match method {
            "strip" | "lstrip" | "rstrip" => {
                let (set,): (Option<String>,) = from_args(args)?;
                let cut = |c: char| set.as_ref().map_or(c.is_whitespace(), |s| s.contains(c));
                Ok(Value::from(match method {
                    "strip" => text.trim_matches(cut),
                    "lstrip" => text.trim_start_matches(cut),
                    _ => text.trim_end_matches(cut),
                }))
            }
            "startswith" => from_args(args).map(|(p,): (&str,)| Value::from(text.starts_with(p))),
            "endswith" => from_args(args).map(|(p,): (&str,)| Value::from(text.ends_with(p))),
            "replace" => {
                from_args(args).map(|(a, b): (&str, &str)| Value::from(text.replace(a, b)))
            }
            "upper" => Ok(Value::from(text.to_uppercase())),
            "lower" => Ok(Value::from(text.to_lowercase())),
            "split" => {
                let (by,): (Option<&str>,) = from_args(args)?;
                Ok(match by {
                    Some("") => {
                        return Err(Error::new(ErrorKind::InvalidOperation, "empty separator"));
                    }
                    Some(by) => text.split(by).map(Value::from).collect(),
                    None => text.split_whitespace().map(Value::from).collect(),
                })
            }
            _ => Err(unknown()),
        };
    }
    match (value.as_object(), method) {
        (Some(object), "get") => {
            let (key, default): (Value, Option<Value>) = from_args(args)?;
            Ok(object
                .get_value(&key)
                .unwrap_or(default.unwrap_or(Value::from(()))))
        }
        (Some(object), "items") => Ok(object
            .try_iter_pairs()
            .ok_or_else(unknown)?
            .map(|(k, v)| Value::from(vec![k, v]))
            .collect()),
        (Some(object), "keys") => Ok(object.try_iter().ok_or_else(unknown)?.collect()),
        _ => Err(unknown()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use sky_types::{From as Who, Turn};

    use super::*;
    use crate::tokenizer::tests::byte_tokenizer;

    fn talk() -> Conversation {
        let turn = |from, value: &str| Turn {
            from,
            value: value.into(),
        };
        Conversation {
            system: String::new(),
            conversations: vec![
                turn(Who::User, "one"),
                turn(Who::Assistant, "\nhello"),
                turn(Who::User, "two"),
                turn(Who::Assistant, "bye"),
            ],
        }
    }

    #[test]
    fn targets_are_the_assistants_words_and_end_tokens() {
        let tokenizer = byte_tokenizer("smollm");
        let template = ChatTemplate::chatml().unwrap();
        let seq = template.encode_training(&tokenizer, &talk()).unwrap();
        let said: Vec<u32> = seq
            .ids
            .iter()
            .zip(&seq.target)
            .filter(|(_, target)| **target)
            .map(|(&id, _)| id)
            .collect();
        assert_eq!(
            tokenizer.decode_with_special(&said).unwrap(),
            "\nhello<|im_end|>bye<|im_end|>"
        );
        let whole = template.render(&talk().messages(), false).unwrap();
        assert_eq!(tokenizer.decode_with_special(&seq.ids).unwrap(), whole);
        assert_eq!(seq.ids.len(), seq.target.len());
    }

    #[test]
    fn a_default_system_prompt_stays_part_of_the_context() {
        let source = "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system\\nBe kind<|im_end|>\\n' }}{% endif %}{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";
        let template = ChatTemplate::new(source, "<|im_start|>", "<|im_end|>").unwrap();
        let text = template.render(&[Message::user("hi")], true).unwrap();
        assert_eq!(
            text,
            "<|im_start|>system\nBe kind<|im_end|>\n<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"
        );
        let seq = template
            .encode_training(&byte_tokenizer("smollm"), &talk())
            .unwrap();
        assert!(!seq.target[0] && seq.num_targets() > 0);
    }

    #[test]
    fn a_template_that_rewrites_the_past_is_refused() {
        let source = "{% for m in messages %}{{ loop.length if not loop.last else '' }}[{{ m.content }}]{% endfor %}";
        let template = ChatTemplate::new(source, "", "").unwrap();
        let error = template
            .encode_training(&byte_tokenizer("smollm"), &talk())
            .unwrap_err();
        assert!(matches!(error, TextError::NotAPrefix { .. }), "{error}");
    }

    #[test]
    fn python_idioms_work_and_hostile_templates_end() {
        let render = |source: &str| {
            ChatTemplate::new(source, "<s>", "</s>")
                .and_then(|t| t.render(&[Message::user(" a-b ")], true))
        };
        let idioms = "{%- set c = messages[0].content.strip() %}{{ bos_token }}{{ c.split('-')[1] }}{{ c.startswith('a') }}{{ messages[0].get('name', 'none') }}{% for k, v in messages[0].items() %}{{ k }},{% endfor %}{{ c | tojson }}";
        assert_eq!(render(idioms).unwrap(), "<s>bTruenonerole,content,\"a-b\"");
        assert!(
            render("{{ raise_exception('no tools') }}")
                .unwrap_err()
                .to_string()
                .contains("no tools")
        );
        assert!(
            render(
                "{% for a in range(90000) %}{% for b in range(90000) %}{% endfor %}{% endfor %}"
            )
            .is_err()
        );
        assert!(render("{{ unknown() }}").is_err());
        assert!(ChatTemplate::new("{% if %}", "", "").is_err());
    }
}
