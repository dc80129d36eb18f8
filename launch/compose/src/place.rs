//! Places in files.

use std::fmt;
use std::ops::{Deref, Range};
use std::sync::Arc;

use super::{redact, terminal};

/// A file that was read: its name as the user gave it, and its text.
pub struct SourceFile {
    name: String,
    text: String,
    /// The byte offset of each line.
    lines: Vec<usize>,
    /// The number of characters before each block, so that columns in very long lines are found fast.
    blocks: Vec<usize>,
}

/// The size of a block, in bytes.
const BLOCK: usize = 256;

/// The number of UTF-8 characters that begin in these bytes.
fn count(bytes: &[u8]) -> usize {
    bytes.iter().filter(|byte| **byte & 0xc0 != 0x80).count()
}

impl SourceFile {
    /// A file with its text, called `name` in messages.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Arc<Self> {
        let (name, text) = (name.into(), text.into());
        let lines = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        let mut blocks = vec![0];
        for block in text.as_bytes().chunks(BLOCK) {
            blocks.push(blocks[blocks.len() - 1] + count(block));
        }
        Arc::new(Self { name, text, lines, blocks })
    }

    /// The file's name in messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file's text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// A line by its number from 1, without its line break.
    pub fn line(&self, number: usize) -> Option<&str> {
        let begin = *self.lines.get(number.checked_sub(1)?)?;
        let end = self.lines.get(number).map_or(self.text.len(), |next| next - 1);
        self.text.get(begin..end).map(|line| line.trim_end_matches('\r'))
    }

    /// Line and column of a byte offset, both from 1; the column in characters.
    fn position(&self, byte: usize) -> (usize, usize) {
        let line = self.lines.partition_point(|&begin| begin <= byte).max(1);
        let begin = self.lines[line - 1];
        (line, self.characters(byte) - self.characters(begin) + 1)
    }

    /// The number of characters before a byte offset.
    fn characters(&self, byte: usize) -> usize {
        let byte = byte.min(self.text.len());
        let block = byte / BLOCK;
        self.blocks[block] + count(&self.text.as_bytes()[block * BLOCK..byte])
    }
}

impl fmt::Debug for SourceFile {
    // The text may contain passwords.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SourceFile").field(&self.name).finish()
    }
}

/// A range of bytes in a file.
#[derive(Clone, Debug)]
pub(super) struct Span {
    pub(super) file: Arc<SourceFile>,
    pub(super) bytes: Range<usize>,
}

impl Span {
    /// The source text.
    pub(super) fn source(&self) -> &str {
        self.file.text().get(self.bytes.clone()).unwrap_or_default()
    }

    /// The first place of `fragment` in this span, else the whole span: escapes make source and value differ.
    pub(super) fn within(&self, fragment: &str) -> Self {
        self.find(fragment).unwrap_or_else(|| self.clone())
    }

    /// The first place of `fragment` in this span.
    pub(super) fn find(&self, fragment: &str) -> Option<Self> {
        let at = self.source().find(fragment).filter(|_| !fragment.is_empty())?;
        let begin = self.bytes.start + at;
        Some(Self { file: self.file.clone(), bytes: begin..begin + fragment.len() })
    }

    /// The span as a place with a path in the file.
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

/// A place in a file: `compose.yaml:12:7`, at the path `services.camera.command[3]`.
#[derive(Clone)]
pub struct Place {
    /// The file.
    pub file: Arc<SourceFile>,
    /// The line, from 1; 0 for the file as a whole.
    pub line: usize,
    /// The column, from 1, in characters.
    pub column: usize,
    /// The marked length in characters, at least 1.
    pub length: usize,
    /// The path in the file, as `services.camera.command[3]`; empty outside compose files. A value of a YAML anchor
    /// has the line of the anchor and the path of its use.
    pub path: String,
}

impl Place {
    /// The file as a whole.
    pub fn whole(file: &Arc<SourceFile>) -> Self {
        Self { file: file.clone(), line: 0, column: 0, length: 1, path: String::new() }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&terminal::printable(self.file.name()))?;
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

/// A value and its place.
///
/// Two are equal if their values are equal, wherever they are written. `Debug` masks the passwords of URLs.
#[derive(Clone)]
pub struct Located<T> {
    /// The value.
    pub value: T,
    /// Its place in the file.
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
        f.write_str(&redact::message(&format!("{:?}", self.value)))
    }
}
