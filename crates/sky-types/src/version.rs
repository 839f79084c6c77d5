use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// The format version of one record on disk, written as the field `v`. A missing field means version 1; a version this
/// build does not know is refused, never guessed at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Version<const CURRENT: u32>;

impl<const CURRENT: u32> Serialize for Version<CURRENT> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u32(CURRENT)
    }
}

impl<'de, const CURRENT: u32> Deserialize<'de> for Version<CURRENT> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let found = u32::deserialize(deserializer)?;
        if found == CURRENT {
            return Ok(Self);
        }
        Err(D::Error::custom(format!(
            "format version {found} is not known to this build, which reads version {CURRENT}"
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Row {
        #[serde(default)]
        v: Version<1>,
    }

    #[test]
    fn a_missing_version_is_the_first_and_an_unknown_one_is_refused() {
        assert_eq!(
            serde_json::from_str::<Row>("{}").unwrap(),
            Row { v: Version }
        );
        assert_eq!(
            serde_json::to_string(&Row { v: Version }).unwrap(),
            r#"{"v":1}"#
        );
        let error = serde_json::from_str::<Row>(r#"{"v":2}"#)
            .unwrap_err()
            .to_string();
        assert!(error.contains("version 2"), "{error}");
    }
}
