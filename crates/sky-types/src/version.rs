use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// The format version of one record on disk, written as the field `v`. A missing field means
/// version 1; a version this build does not know is refused, never guessed at.
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
            "{UNKNOWN}{found} is not known to this build, which reads version {CURRENT}"
        )))
    }
}

/// How the message about an unknown version begins. Serde errors are text, so the message is the
/// only mark they carry.
const UNKNOWN: &str = "format version ";

/// Whether a record was refused because of its [`Version`].
pub fn is_version_error(error: &serde_json::Error) -> bool {
    error.to_string().starts_with(UNKNOWN)
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
        let error = serde_json::from_str::<Row>(r#"{"v":2}"#).unwrap_err();
        assert!(error.to_string().contains("version 2"), "{error}");
        assert!(is_version_error(&error));
        let other = serde_json::from_str::<Row>(r#"{"v":"format version "}"#).unwrap_err();
        assert!(!is_version_error(&other), "{other}");
    }
}
