use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Value, value::RawValue};

/// A JSON value as it is written, without blanks: integers of any size and every digit of a
/// fraction stay what they are, where [`Value`] makes doubles of what is beyond 64 bits. Equal when
/// written alike.
#[derive(Clone, Debug)]
pub struct Json(Box<RawValue>);

impl Json {
    /// The value's text.
    pub fn text(&self) -> &str {
        self.0.get()
    }

    /// What a JSON string says; nothing for other values, and for strings that no text can hold
    /// (half of a surrogate pair).
    pub fn as_string(&self) -> Option<String> {
        serde_json::from_str(self.text()).ok()
    }
}

impl PartialEq for Json {
    fn eq(&self, other: &Self) -> bool {
        self.text() == other.text()
    }
}

impl From<Value> for Json {
    fn from(value: Value) -> Self {
        // The text that `Value` writes is JSON; null stands for nothing that can happen.
        let raw = RawValue::from_string(value.to_string());
        Self(raw.unwrap_or_else(|_| RawValue::NULL.to_owned()))
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        let Some(text) = without_blanks(raw.get()) else {
            return Ok(Self(raw));
        };
        RawValue::from_string(text)
            .map(Self)
            .map_err(serde::de::Error::custom)
    }
}

/// The text without what stands between values, when there is something.
fn without_blanks(text: &str) -> Option<String> {
    let (mut inside, mut escaped) = (false, false);
    let kept = |c: &char| {
        if inside {
            inside = escaped || *c != '"';
            escaped = !escaped && *c == '\\';
            return true;
        }
        inside = *c == '"';
        !matches!(c, ' ' | '\t' | '\n' | '\r')
    };
    let found: String = text.chars().filter(kept).collect();
    (found.len() < text.len()).then_some(found)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_digit_stays() {
        let text = r#"[18446744073709551616,0.1000000000000000055,-0,1E400,"a \" b\\"]"#;
        let spaced = text.replace(',', " ,\n\t").replace('[', "[ ");
        for text in [text, &spaced] {
            let found: Vec<Json> = serde_json::from_str(text).unwrap();
            let texts: Vec<&str> = found.iter().map(Json::text).collect();
            assert_eq!(
                texts,
                [
                    "18446744073709551616",
                    "0.1000000000000000055",
                    "-0",
                    "1E400",
                    r#""a \" b\\""#
                ]
            );
            assert_eq!(found[4].as_string().unwrap(), r#"a " b\"#);
        }
        let whole: Json = serde_json::from_str(&spaced).unwrap();
        assert_eq!(serde_json::to_string(&whole).unwrap(), text);
    }

    #[test]
    fn a_value_comes_as_it_is() {
        let value = json!({"a": [1, "x y", null]});
        let found: Json = serde_json::from_value(value.clone()).unwrap();
        assert_eq!(found, Json::from(value));
        assert_eq!(found.text(), r#"{"a":[1,"x y",null]}"#);
        assert_eq!(found.as_string(), None);
    }
}
