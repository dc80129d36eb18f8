//! Parses a compose file into a tree whose values know their place. Anchors, aliases and merge keys are resolved.

mod builder;
mod key;
mod tree;

pub(super) use builder::parse;
pub(super) use tree::{Entry, Kind, MAX_WEIGHT, Mapping, MergeTag, Node, Scalar, Value};
