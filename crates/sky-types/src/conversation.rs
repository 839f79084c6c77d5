use serde::{Deserialize, Serialize};

/// Who speaks in a prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Instructions to the model.
    System,
    /// The person asking.
    User,
    /// The model.
    Assistant,
}

/// One message of a prompt, as OpenAI-style endpoints and chat templates take it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said.
    pub content: String,
}

impl Message {
    /// A system message.
    pub fn system(content: impl Into<String>) -> Self {
        Self {
            role: Role::System,
            content: content.into(),
        }
    }

    /// A user's message.
    pub fn user(content: impl Into<String>) -> Self {
        Self {
            role: Role::User,
            content: content.into(),
        }
    }

    /// The model's message.
    pub fn assistant(content: impl Into<String>) -> Self {
        Self {
            role: Role::Assistant,
            content: content.into(),
        }
    }
}

/// Who speaks in a ShareGPT row. Released files use both `user`/`assistant` and `human`/`gpt`; we
/// write the former.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum From {
    /// The person asking.
    #[serde(alias = "human")]
    User,
    /// The model.
    #[serde(alias = "gpt")]
    Assistant,
}

/// One turn of a ShareGPT row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Turn {
    /// Who speaks.
    pub from: From,
    /// What is said.
    pub value: String,
}

/// One row of `sharegpt.json`: exactly what LLaMA-Factory reads and Sky-T1 released, so it carries
/// no version field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Conversation {
    /// The system prompt; empty for none.
    #[serde(default)]
    pub system: String,
    /// Turns, the user's first.
    pub conversations: Vec<Turn>,
}

impl Conversation {
    /// A single exchange.
    pub fn exchange(
        system: impl Into<String>,
        user: impl Into<String>,
        assistant: impl Into<String>,
    ) -> Self {
        Self {
            system: system.into(),
            conversations: vec![
                Turn {
                    from: From::User,
                    value: user.into(),
                },
                Turn {
                    from: From::Assistant,
                    value: assistant.into(),
                },
            ],
        }
    }

    /// The same conversation as chat-template messages; an empty system prompt gives no message.
    pub fn messages(&self) -> Vec<Message> {
        let system = (!self.system.is_empty()).then(|| Message::system(&self.system));
        let turns = self.conversations.iter().map(|turn| match turn.from {
            From::User => Message::user(&turn.value),
            From::Assistant => Message::assistant(&turn.value),
        });
        system.into_iter().chain(turns).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn released_rows_and_ours_read_the_same() {
        let ours = r#"{"system":"s","conversations":[{"from":"user","value":"q"},{"from":"assistant","value":"a"}]}"#;
        let theirs = r#"{"system":"s","conversations":[{"from":"human","value":"q"},{"from":"gpt","value":"a"}]}"#;
        let row: Conversation = serde_json::from_str(ours).unwrap();
        assert_eq!(serde_json::from_str::<Conversation>(theirs).unwrap(), row);
        assert_eq!(serde_json::to_string(&row).unwrap(), ours);
        assert_eq!(row.messages().len(), 3);
    }
}
