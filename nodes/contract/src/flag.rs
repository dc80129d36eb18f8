//! One flag, as the help shows it.

use serde::{Deserialize, Serialize};

/// A flag of a program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flag {
    /// Its names with their dashes: one letter, MSight's two letters (`-pt`), the long one.
    pub names: Vec<String>,
    /// The placeholder of its value in the help; a flag without one takes no value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_name: Option<String>,
    /// Whether it takes several values.
    #[serde(default, skip_serializing_if = "is_false")]
    pub several: bool,
    /// Whether the program needs it to start.
    #[serde(default, skip_serializing_if = "is_false")]
    pub required: bool,
    /// The value if the flag is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
    /// The values it accepts, if they are a fixed set.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<Choice>,
    /// The environment variable that gives the value if the flag is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub env: Option<String>,
    /// What it is for.
    #[serde(default)]
    pub help: String,
    /// The section of the help; MSight's own flags have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heading: Option<String>,
}

/// A value that a flag accepts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choice {
    /// The value.
    pub value: String,
    /// What it does.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub help: String,
}

impl Flag {
    /// The longest of its names, which is the most descriptive one.
    pub fn name(&self) -> &str {
        self.names.iter().max_by_key(|name| name.len()).map_or("", String::as_str)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_false(value: &bool) -> bool {
    !value
}
