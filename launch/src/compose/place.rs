//! Where in a file something is written.

use std::fmt;
use std::ops::{Deref, Range};
use std::sync::Arc;

use super::excerpt;

/// A file as it was read: its name as the user gave it, and its text.
pub struct SourceFile {
    name: String,
    text: String,
    /// Where each line begins, in bytes.
    lines: Vec<usize>,
    /// How many characters begin before each block of the text: a file may be one long line.
    blocks: Vec<usize>,
}

/// The size of a block, in bytes.
const BLOCK: usize = 256;

/// How many characters of UTF-8 begin in these bytes.
fn count(bytes: &[u8]) -> usize {
    bytes.iter().filter(|byte| **byte & 0xc0 != 0x80).count()
}

impl SourceFile {
    /// A file named `name` in messages, with its text.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Arc<Self> {
        let (name, text) = (name.into(), text.into());
        let lines = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        let mut blocks = vec![0];
        for block in text.as_bytes().chunks(BLOCK) {
            blocks.push(blocks[blocks.len() - 1] + count(block));
        }
        Arc::new(Self { name, text, lines, blocks })
    }

    /// The name that messages call it by.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What was read.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// A line by its number from 1, without its end.
    pub fn line(&self, number: usize) -> Option<&str> {
        let begin = *self.lines.get(number.checked_sub(1)?)?;
        let end = self.lines.get(number).map_or(self.text.len(), |next| next - 1);
        self.text.get(begin..end).map(|line| line.trim_end_matches('\r'))
    }

    /// Line and column of a byte, both from 1, the column in characters.
    fn position(&self, byte: usize) -> (usize, usize) {
        let line = self.lines.partition_point(|&begin| begin <= byte).max(1);
        let begin = self.lines[line - 1];
        (line, self.characters(byte) - self.characters(begin) + 1)
    }

    /// How many characters begin before a byte.
    fn characters(&self, byte: usize) -> usize {
        let byte = byte.min(self.text.len());
        let block = byte / BLOCK;
        self.blocks[block] + count(&self.text.as_bytes()[block * BLOCK..byte])
    }
}

impl fmt::Debug for SourceFile {
    // Its text may hold passwords.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SourceFile").field(&self.name).finish()
    }
}

/// Bytes of a file.
#[derive(Clone, Debug)]
pub(super) struct Span {
    pub(super) file: Arc<SourceFile>,
    pub(super) bytes: Range<usize>,
}

impl Span {
    /// What is written there.
    pub(super) fn source(&self) -> &str {
        self.file.text().get(self.bytes.clone()).unwrap_or_default()
    }

    /// The first place within that reads `fragment`, or all of it: a value is not always written as it is read.
    pub(super) fn within(&self, fragment: &str) -> Self {
        self.find(fragment).unwrap_or_else(|| self.clone())
    }

    /// The first place within that reads `fragment`.
    pub(super) fn find(&self, fragment: &str) -> Option<Self> {
        let at = self.source().find(fragment).filter(|_| !fragment.is_empty())?;
        let begin = self.bytes.start + at;
        Some(Self { file: self.file.clone(), bytes: begin..begin + fragment.len() })
    }

    /// The place with its path in the file.
    pub(super) fn place(&self, path: impl Into<String>) -> Place {
        let (line, column) = self.file.position(self.bytes.start);
        let written = self.source().lines().next().unwrap_or_default().trim_end();
        Place {
            file: self.file.clone(),
            line,
            column,
            length: written.chars().count().max(1),
            path: path.into(),
        }
    }
}

/// Where something is written: `compose.yaml:12:7`, which is `services.camera.command[3]`.
#[derive(Clone)]
pub struct Place {
    /// The file.
    pub file: Arc<SourceFile>,
    /// The line, from 1; 0 for the file as a whole.
    pub line: usize,
    /// The column, from 1, in characters.
    pub column: usize,
    /// How much of the line it takes, in characters, at least 1.
    pub length: usize,
    /// The path in the file, as `services.camera.command[3]`; empty outside the values of a compose file. It names
    /// the use: what is taken from a YAML anchor has the line of the anchor and the path of where it was taken.
    pub path: String,
}

impl Place {
    /// A file as a whole.
    pub fn whole(file: &Arc<SourceFile>) -> Self {
        Self { file: file.clone(), line: 0, column: 0, length: 1, path: String::new() }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&excerpt::printable(self.file.name()))?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self} {}", self.path)
    }
}

/// A value and where it is written.
///
/// Two are equal when their values are, wherever they stand. `Debug` hides the passwords of URLs.
#[derive(Clone)]
pub struct Located<T> {
    /// The value.
    pub value: T,
    /// Where it is written.
    pub place: Place,
}

impl<T> Located<T> {
    /// The value `value`, written at `place`.
    pub fn new(value: T, place: Place) -> Self {
        Self { value, place }
    }
}

impl<T> Deref for Located<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: PartialEq> PartialEq for Located<T> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl<T: fmt::Debug> fmt::Debug for Located<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&excerpt::without_passwords(&format!("{:?}", self.value)))
    }
}
