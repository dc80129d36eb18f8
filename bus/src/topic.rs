//! The validated name of a topic.

use std::fmt;
use std::sync::Arc;

use crate::error::Error;

/// The name of a topic, which is also the name of the Redis channel. Cloning is cheap.
///
/// Not empty, at most [`Topic::MAX_BYTES`] bytes of UTF-8, and without control characters, so that it is safe in a log
/// line.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Topic(Arc<str>);

impl Topic {
    /// Maximum length of a name, in bytes of UTF-8.
    pub const MAX_BYTES: usize = 512;

    /// Checks `name`.
    ///
    /// # Errors
    /// [`Error::Invalid`] states the rule that the name breaks.
    pub fn new(name: &str) -> Result<Self, Error> {
        let fault = if name.is_empty() {
            "it is empty".to_owned()
        } else if name.len() > Self::MAX_BYTES {
            format!("it has {} bytes, more than {}", name.len(), Self::MAX_BYTES)
        } else if name.chars().any(char::is_control) {
            "it contains a control character".to_owned()
        } else {
            return Ok(Self(name.into()));
        };
        let shown: String = name.chars().take(64).collect();
        Err(Error::Invalid(format!("invalid topic name {shown:?}: {fault}")))
    }

    /// The name on the wire.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn invalid_names_are_rejected_with_a_reason() {
        for (name, reason) in [("", "empty"), ("a\nb", "control"), ("\0", "control"), ("\u{85}", "control")] {
            assert!(Topic::new(name).unwrap_err().to_string().contains(reason), "{name:?}");
        }
        assert!(Topic::new(&"x".repeat(512)).is_ok());
        let message = Topic::new(&"x".repeat(513)).unwrap_err().to_string();
        assert!(message.contains("513 bytes") && message.len() < 200, "{message}");
        assert!(Topic::new("тема \"1\"/é").is_ok());
    }

    proptest! {
        #[test]
        fn an_accepted_name_is_kept_verbatim(name in ".*") {
            if let Ok(topic) = Topic::new(&name) {
                prop_assert_eq!(topic.as_str(), name.as_str());
                prop_assert_eq!(topic.to_string(), name);
            }
        }
    }
}
