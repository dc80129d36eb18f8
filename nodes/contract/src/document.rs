//! The output of `--describe`.

use serde::{Deserialize, Serialize};

use crate::description::Description;
use crate::invocation::{Invocation, Mistake};

/// The flag that prints the document. It must be the first argument.
pub const FLAG: &str = "--describe";

/// The version of the format. A reader of this version ignores keys that it does not know.
pub const FORMAT: u32 = 1;

/// The JSON document that `--describe` prints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Document {
    /// The [`FORMAT`]. The key also marks the JSON as such a document.
    pub msight_node: u32,
    /// The description of the program.
    #[serde(flatten)]
    pub description: Description,
    /// The parsed arguments after `--describe`, if there are any and the program accepts them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invocation: Option<Invocation>,
    /// Why the program rejects them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mistake: Option<Mistake>,
}

impl Document {
    /// The output of `--describe`, with or without further arguments.
    pub fn new(description: Description, outcome: Option<Result<Invocation, Mistake>>) -> Self {
        let (invocation, mistake) = match outcome {
            None => (None, None),
            Some(Ok(invocation)) => (Some(invocation), None),
            Some(Err(mistake)) => (None, Some(mistake)),
        };
        Self { msight_node: FORMAT, description, invocation, mistake }
    }
}
